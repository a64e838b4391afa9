//! Real clients against the running broker: what others wrote must work with it, also when their
//! bytes trickle in one by one. `tests/run` installs the clients and runs this for every driver
//! and number of shards.

mod async_nats_client;
mod examples;
mod nats;
mod rumqttc_client;
mod slow_clients;
mod tungstenite_client;
mod web_socket;

use ringbus_tests::broker::Broker;
use ringbus_tests::proxy::{Fate, Proxy};
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// Runs a client's checks on the broker, then again with one byte per segment, and makes sure that
/// shards talked meanwhile.
fn ask(client: impl Fn(SocketAddr) -> Command) {
    let broker = Broker::start();
    run(client(broker.address()));
    broker.stop().assert_mail_crossed();

    let broker = Broker::start();
    let dribble = Proxy::start(broker.address(), 1, |_| Fate::Dribble);
    run(client(dribble.address()));
    broker.stop().assert_mail_crossed();
}

fn run(mut client: Command) {
    let output = client.output().unwrap_or_else(|error| {
        panic!("{:?}: {error}; tests/run installs it", client.get_program())
    });
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{client:?}: {}", output.status);
    let checks = printed
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    assert!(checks >= 8, "only {checks} checks ran");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script(program: PathBuf, name: &str, broker: SocketAddr) -> Command {
    let mut command = tool(program, name);
    command.args([broker.ip().to_string(), broker.port().to_string()]);
    command
}

/// A script of `tests/interop`, without arguments yet.
fn tool(program: PathBuf, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(root().join("tests/interop").join(name));
    command.env("NODE_PATH", root().join("target/tools/node/node_modules"));
    command
}

#[test]
#[ignore = "needs mosquitto_pub and mosquitto_sub, which tests/run installs"]
fn mosquitto_clients() {
    ask(|broker| script("bash".into(), "mosquitto_clients.sh", broker));
}

#[test]
#[ignore = "needs paho-mqtt, which tests/run installs"]
fn paho() {
    let python = root().join("target/tools/venv/bin/python");
    ask(|broker| script(python.clone(), "paho_client.py", broker));
}

#[test]
#[ignore = "needs mqtt.js, which tests/run installs"]
fn mqtt_js() {
    ask(|broker| script("node".into(), "mqttjs_client.js", broker));
}
