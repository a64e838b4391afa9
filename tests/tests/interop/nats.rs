//! Real NATS clients, each beside an MQTT client on TCP and a bare topic socket, and `nc` alone.

use super::{root, run, tool};
use crate::web_socket::with_ports;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::proxy::{Fate, Proxy};
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const INSTALLED: &str = "tests/run installs it";

/// Runs a client's checks on the broker, then again with one byte per segment of what it sends as
/// a NATS client.
fn ask(client: impl Fn() -> Command) {
    let broker = Broker::start_nats(&[]);
    run(with_all_ports(client(), &broker, broker.nats_address()));
    broker.stop().assert_mail_crossed();

    let broker = Broker::start_nats(&[]);
    let dribble = Proxy::start(broker.nats_address(), 1, |_| Fate::Dribble);
    let mut client = with_all_ports(client(), &broker, dribble.address());
    client.env("RINGBUS_LARGE_BYTES", "100000");
    run(client);
    broker.stop().assert_mail_crossed();
}

/// The program with the arguments HOST MQTT_PORT WS_PORT NATS_PORT.
fn with_all_ports(command: Command, broker: &Broker, nats: SocketAddr) -> Command {
    let mut command = with_ports(command, broker.address(), broker.web_socket_address());
    command.arg(nats.port().to_string());
    command
}

#[test]
#[ignore = "needs nats-py, paho-mqtt and websocket-client, which tests/run installs"]
fn nats_py() {
    let python = root().join("target/tools/venv/bin/python");
    ask(|| tool(python.clone(), "nats_client.py"));
}

#[test]
#[ignore = "needs @nats-io/transport-node, mqtt.js and ws, which tests/run installs"]
fn nats_js() {
    ask(|| tool("node".into(), "nats_client.js"));
}

/// `nc`, as a person sees it: with `-C` each Enter is a CR LF.
struct Terminal {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    fn open(broker: &Broker) -> Terminal {
        let mut child = nc(broker, &["-C"]).spawn().expect(INSTALLED);
        let output = child.stdout.take().expect("it is piped");
        Terminal {
            input: child.stdin.take().expect("it is piped"),
            lines: BufReader::new(output).lines(),
            child,
        }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("UTF-8")
    }

    fn types(&mut self, typed: &str, answers: &[&str]) {
        self.input.write_all(typed.as_bytes()).expect("nc reads");
        for answer in answers {
            assert_eq!(self.line(), *answer, "to {typed:?}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // In vain where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nc(broker: &Broker, flags: &[&str]) -> Command {
    let (host, port) = (broker.nats_address().ip(), broker.nats_address().port());
    let mut command = Command::new("nc");
    command
        .args(flags)
        .args([host.to_string(), port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

#[test]
#[ignore = "needs nc, which tests/run installs"]
fn a_person_types_into_nc() {
    let broker = Broker::start_nats(&[]);
    let (mut ann, mut bob) = (Terminal::open(&broker), Terminal::open(&broker));
    for one in [&mut ann, &mut bob] {
        let info = one.line();
        assert!(info.starts_with("INFO {"), "{info}");
    }
    ann.types("SUB greet.* 1\n", &["+OK"]);
    bob.types("pub greet.joe 5\nhello\n", &["+OK"]);
    ann.types("", &["MSG greet.joe 1 5", "hello"]);
    bob.types("PUB greet..joe 1\nx\n", &["-ERR 'Invalid Publish Subject'"]);
    ann.types("unsub 1\nPING\n", &["+OK", "PONG"]);
    bob.types("PUB greet.joe 3\nbye\n", &["+OK"]);
    ann.types("PING\n", &["PONG"]);
    drop((ann, bob));
    broker.stop();
}

/// As the README shows it: one line of a shell is heard by an MQTT client.
#[test]
#[ignore = "needs nc, which tests/run installs"]
fn one_line_of_a_shell_publishes() {
    let broker = Broker::start_nats(&[]);
    let mut device = Client::open(&broker, Version::V5, "device");
    device.subscribe("greet/joe", QoS::AtLeastOnce);
    for number in 0..20 {
        let payload = format!("hello {number}");
        printf_to_nc(
            &broker,
            &format!("PUB greet.joe {}\r\n{payload}\r\n", payload.len()),
        );
        device.expect("greet/joe", &payload, QoS::AtMostOnce, false);
    }
    broker.stop();
}

/// `printf … | nc -q 1`, which says the end of what it sends and reads on for a second. What it
/// printed after the INFO.
fn printf_to_nc(broker: &Broker, text: &str) -> Vec<String> {
    let mut child = nc(broker, &["-q", "1"]).spawn().expect(INSTALLED);
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("nc reads");
    drop(input);
    let output = child.wait_with_output().expect("it is our child");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = printed.lines().map(str::to_owned);
    let info = lines.next().unwrap_or_default();
    assert!(info.starts_with("INFO {"), "{info}");
    lines.collect()
}
