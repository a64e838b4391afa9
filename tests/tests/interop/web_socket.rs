//! Real clients of the WebSocket listener, each beside an MQTT client on TCP.

use super::{root, run, script, tool};
use ringbus_tests::broker::Broker;
use ringbus_tests::proxy::{Fate, Proxy};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where Debian keeps Tomcat's implementation of javax.websocket.
const JARS: [&str; 5] = ["websocket-api", "websocket", "juli", "util", "api"];

/// Runs a client's checks on the broker, then again with one byte per segment of what it sends
/// over WebSocket.
fn ask(flags: &[&str], client: impl Fn(SocketAddr, SocketAddr) -> Command) {
    let broker = Broker::start_web_socket(flags);
    run(client(broker.address(), broker.web_socket_address()));
    broker.stop().assert_mail_crossed();

    let broker = Broker::start_web_socket(flags);
    let dribble = Proxy::start(broker.web_socket_address(), 1, |_| Fate::Dribble);
    let mut client = client(broker.address(), dribble.address());
    client.env("RINGBUS_LARGE_BYTES", "100000");
    run(client);
    broker.stop().assert_mail_crossed();
}

/// The program with the arguments HOST MQTT_PORT WS_PORT.
fn with_ports(mut command: Command, mqtt: SocketAddr, web_socket: SocketAddr) -> Command {
    let ports = [mqtt.port(), web_socket.port()].map(|port| port.to_string());
    command.arg(mqtt.ip().to_string()).args(ports);
    command
}

fn python() -> PathBuf {
    root().join("target/tools/venv/bin/python")
}

#[test]
#[ignore = "needs mqtt.js, which tests/run installs"]
fn mqtt_js_over_web_socket() {
    ask(&[], |mqtt, web_socket| {
        let mut command = script("node".into(), "mqttjs_client.js", mqtt);
        command.env("RINGBUS_WS_PORT", web_socket.port().to_string());
        command
    });
}

#[test]
#[ignore = "needs paho-mqtt, which tests/run installs"]
fn paho_over_web_socket() {
    ask(&[], |mqtt, web_socket| {
        let mut command = script(python(), "paho_client.py", mqtt);
        command.env("RINGBUS_WS_PORT", web_socket.port().to_string());
        command
    });
}

#[test]
#[ignore = "needs websocket-client, aiomqtt and paho-mqtt, which tests/run installs"]
fn websocket_client_and_aiomqtt() {
    ask(&[], |mqtt, web_socket| {
        with_ports(tool(python(), "websocket_client.py"), mqtt, web_socket)
    });
}

#[test]
#[ignore = "needs ws and mqtt.js, which tests/run installs"]
fn ws() {
    for flags in [&[][..], &["--ws-compression"]] {
        ask(flags, |mqtt, web_socket| {
            with_ports(tool("node".into(), "ws_client.js"), mqtt, web_socket)
        });
    }
}

#[test]
#[ignore = "needs stompjs, ws and mqtt.js, which tests/run installs"]
fn stompjs() {
    ask(&[], |mqtt, web_socket| {
        with_ports(tool("node".into(), "stomp_client.js"), mqtt, web_socket)
    });
}

#[test]
#[ignore = "needs a Go compiler, gorilla/websocket and mosquitto_sub, which tests/run installs"]
fn gorilla() {
    if !once_a_driver() {
        return;
    }
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
    if !once_a_driver() {
        return;
    }
    let classes = root().join("target/tools/java");
    let jars = JARS.map(|name| format!("/usr/share/java/tomcat9-{name}.jar:"));
    let path = jars.concat() + classes.to_str().expect("a path in UTF-8");
    std::fs::create_dir_all(&classes).expect("a directory of our own");
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
    if !once_a_driver() {
        return;
    }
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

/// Slow clients, to which the number of shards is the same: with one number for each driver.
fn once_a_driver() -> bool {
    match env::var("RINGBUS_IO").as_deref() {
        Ok("epoll") => env::var("RINGBUS_SHARDS").as_deref() == Ok("1"),
        Ok("glommio") => false,
        _ => env::var("RINGBUS_SHARDS").map_or(true, |shards| shards == "2"),
    }
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
