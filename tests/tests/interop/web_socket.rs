//! Real clients of the WebSocket listener, each beside an MQTT client on TCP.

use super::{root, run, script, tool};
use ringbus_tests::broker::Broker;
use ringbus_tests::proxy::{Fate, Proxy};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// Runs a client's checks on the broker, then again with one byte per segment of what it sends
/// over WebSocket.
fn ask(flags: &[&str], client: impl Fn(SocketAddr, SocketAddr) -> Command) {
    let broker = Broker::start_web_socket(flags);
    run(client(broker.address(), broker.web_socket_address()));
    broker.stop().assert_mail_crossed();

    let broker = Broker::start_web_socket(flags);
    let dribble = Proxy::start(broker.web_socket_address(), 1, |_| Fate::Dribble);
    let mut client = client(broker.address(), dribble.address());
    client.envs([("RINGBUS_LARGE_BYTES", "100000"), ("RINGBUS_WS_ONLY", "1")]);
    run(client);
    broker.stop().assert_mail_crossed();
}

/// The program with the arguments HOST MQTT_PORT WS_PORT.
pub(crate) fn with_ports(
    mut command: Command,
    mqtt: SocketAddr,
    web_socket: SocketAddr,
) -> Command {
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
        command.args(["3.1.1", "5"]);
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
