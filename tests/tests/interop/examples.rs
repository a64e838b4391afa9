//! The scripts in `examples/`, as a user runs them.

use super::root;
use ringbus_tests::broker::Broker;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script that runs; ends with this value.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Example {
    fn start(program: &str, name: &str, arguments: &[&str], broker: SocketAddr) -> Example {
        let mut child = Command::new(program)
            .arg(root().join("examples").join(name))
            .args(arguments)
            .args([broker.ip().to_string(), broker.port().to_string()])
            .env("NODE_PATH", root().join("target/tools/node/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
        let output = child.stdout.take().expect("it is piped");
        Example {
            input: child.stdin.take(),
            lines: BufReader::new(output).lines(),
            child,
        }
    }

    fn line(&mut self) -> String {
        let line = self.lines.next().expect("it goes on").expect("UTF-8");
        println!("{line}");
        line
    }

    fn say(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it still listens");
        writeln!(input, "{text}").expect("it reads its input");
    }

    /// Ends its input and waits for its end.
    fn finish(mut self) {
        drop(self.input.take());
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // In vain where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs paho-mqtt and mqtt.js, which tests/run installs"]
fn a_dashboard_shows_what_a_sensor_reads() {
    let broker = Broker::start();
    let python = root().join("target/tools/venv/bin/python");
    let python = python.to_str().expect("a path in UTF-8");
    let mut dashboard = Example::start("node", "dashboard.js", &[], broker.address());
    assert_eq!(dashboard.line(), "watching");
    Example::start(python, "sensor.py", &[], broker.address()).finish();
    for celsius in ["20.5", "20.7", "21.1"] {
        assert_eq!(dashboard.line(), format!("kitchen: {celsius} °C"));
    }
    let mut late = Example::start("node", "dashboard.js", &[], broker.address());
    let lines = [late.line(), late.line()];
    assert!(lines.contains(&"kitchen: 21.1 °C".to_owned()), "{lines:?}");
    drop((dashboard, late));
    broker.stop();
}

#[test]
#[ignore = "needs mqtt.js, which tests/run installs"]
fn a_dashboard_shows_what_a_sensor_says_by_udp() {
    let broker = Broker::start_mqttsn(&[]);
    let mut dashboard = Example::start("node", "dashboard.js", &[], broker.address());
    assert_eq!(dashboard.line(), "watching");
    Example::start("python3", "mqttsn_sensor.py", &[], broker.mqttsn_address()).finish();
    for celsius in ["7.5", "7.7", "8.1"] {
        assert_eq!(dashboard.line(), format!("garden: {celsius} °C"));
    }
    let mut late = Example::start("node", "dashboard.js", &[], broker.address());
    let lines = [late.line(), late.line()];
    assert!(lines.contains(&"garden: 8.1 °C".to_owned()), "{lines:?}");
    drop((dashboard, late));
    broker.stop();
}

#[test]
#[ignore = "needs mosquitto_pub and mosquitto_sub, which tests/run installs"]
fn a_room_hears_what_everyone_says() {
    let broker = Broker::start();
    welcome(&broker);
    let mut people =
        ["ann", "bob"].map(|name| Example::start("bash", "chat.sh", &[name], broker.address()));
    for one in &mut people {
        assert_eq!(one.line(), "welcome");
    }
    for (speaker, said, heard) in [(0, "tea?", "ann: tea?"), (1, "coffee", "bob: coffee")] {
        people[speaker].say(said);
        for one in &mut people {
            assert_eq!(one.line(), heard);
        }
    }
    people.into_iter().for_each(Example::finish);
    broker.stop();
}

#[test]
#[ignore = "needs mosquitto_pub, ws and websocket-client, which tests/run installs"]
fn a_room_of_sockets_and_mqtt_clients() {
    let broker = Broker::start_web_socket(&[]);
    welcome(&broker);
    let sockets = broker.web_socket_address();
    let mut ann = Example::start("bash", "chat.sh", &["ann"], broker.address());
    let mut bob = Example::start("node", "room.js", &["bob"], sockets);
    for one in [&mut ann, &mut bob] {
        assert_eq!(one.line(), "welcome");
    }
    bob.say("tea?");
    for one in [&mut ann, &mut bob] {
        assert_eq!(one.line(), "bob: tea?");
    }
    let python = root().join("target/tools/venv/bin/python");
    let python = python.to_str().expect("a path in UTF-8");
    let mut guest = Example::start(python, "room.py", &["who is here?"], sockets);
    for one in [&mut ann, &mut bob] {
        assert_eq!(one.line(), "who is here?");
    }
    ann.say("me");
    for one in [&mut ann, &mut bob, &mut guest] {
        assert_eq!(one.line(), "ann: me");
    }
    [ann, bob, guest].into_iter().for_each(Example::finish);
    broker.stop();
}

/// What a room keeps for those who enter tells that they are in.
fn welcome(broker: &Broker) {
    let (host, port) = (broker.address().ip(), broker.address().port());
    let sent = Command::new("mosquitto_pub")
        .args(["-r", "-t", "chat/room", "-m", "welcome", "-h"])
        .args([host.to_string(), "-p".to_owned(), port.to_string()])
        .status()
        .expect("tests/run installs it");
    assert!(sent.success(), "{sent}");
}
