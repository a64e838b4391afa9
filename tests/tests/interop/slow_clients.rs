//! Clients of the WebSocket listener that need a compiler, a virtual machine or a browser, and the
//! browser a machine of its own: its frames are timed. `tests/run` runs these one by one.

use super::web_socket::with_ports;
use super::{root, run, tool};
use ringbus_tests::broker::Broker;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Where Debian keeps Tomcat's implementation of javax.websocket.
const JARS: [&str; 5] = ["websocket-api", "websocket", "juli", "util", "api"];

#[test]
#[ignore = "needs a Go compiler, gorilla/websocket and mosquitto_sub, which tests/run installs"]
fn gorilla() {
    let program = root().join("target/tools/gorilla_client");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(root().join("tests/interop/gorilla_client.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")]);
    succeed(build);
    for flags in [&[][..], &["--ws-compression"]] {
        let broker = Broker::start_web_socket(flags);
        let (mqtt, web_socket) = (broker.address(), broker.web_socket_address());
        run(with_ports(Command::new(&program), mqtt, web_socket));
        broker.stop().assert_mail_crossed();
    }
}

#[test]
#[ignore = "needs a Java compiler, Tomcat's client and mosquitto_sub, which tests/run installs"]
fn javax_websocket() {
    let classes = root().join("target/tools/java");
    let jars = JARS.map(|name| format!("/usr/share/java/tomcat9-{name}.jar:"));
    let path = jars.concat() + classes.to_str().expect("a path in UTF-8");
    fs::create_dir_all(&classes).expect("a directory of our own");
    let mut compile = Command::new("javac");
    compile
        .args(["-encoding", "UTF-8", "-cp", &path, "-d"])
        .arg(&classes)
        .arg(root().join("tests/interop/JavaxClient.java"));
    succeed(compile);
    let broker = Broker::start_web_socket(&[]);
    let mut client = Command::new("java");
    client.args(["-Dfile.encoding=UTF-8", "-cp", &path, "JavaxClient"]);
    let (mqtt, web_socket) = (broker.address(), broker.web_socket_address());
    run(with_ports(client, mqtt, web_socket));
    broker.stop().assert_mail_crossed();
}

/// The script says when it wants the broker stopped and started; all else is between the two.
#[test]
#[ignore = "needs Chromium, playwright-core and mqtt.js, which tests/run installs"]
fn chromium() {
    let screenshot = root().join("target/tests/demo-page.png");
    let mut script = tool("node".into(), "chromium_client.js")
        .arg(screenshot)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("node: {error}; tests/run installs it"));
    let mut answers = script.stdin.take().expect("it is piped");
    let lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
    let (mut broker, mut ports, mut checks) = (None::<Broker>, None, 0);
    for line in lines {
        let line = line.expect("UTF-8");
        println!("{line}");
        if let Some(origin) = line.strip_prefix("START ") {
            let flags = ["--ws-origin", origin];
            let started = match ports {
                None => Broker::start_web_socket(&flags),
                Some((mqtt, web_socket)) => Broker::start_again(mqtt, web_socket, &flags),
            };
            let (mqtt, web_socket) = (started.address(), started.web_socket_address());
            ports = Some((mqtt, web_socket));
            broker = Some(started);
            let answer = format!("STARTED {} {}", mqtt.port(), web_socket.port());
            writeln!(answers, "{answer}").expect("it reads");
        } else if line == "STOP" {
            broker.take().expect("it runs").stop();
            writeln!(answers, "STOPPED").expect("it reads");
        }
        checks += usize::from(line.starts_with("ok "));
    }
    let status = script.wait().expect("it is our child");
    assert!(status.success(), "{status}");
    assert!(checks >= 14, "only {checks} checks ran");
    broker.expect("it was started again").stop();
}

fn succeed(mut command: Command) {
    let status = command.status().unwrap_or_else(|error| {
        panic!(
            "{:?}: {error}; tests/run installs it",
            command.get_program()
        )
    });
    assert!(status.success(), "{command:?}: {status}");
}
