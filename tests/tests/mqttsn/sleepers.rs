//! A hundred thousand sensors that sleep: what each of them costs.
//!
//! `RINGBUS_SHARDS=1 cargo test -p ringbus-tests --test mqttsn sleepers -- --nocapture` prints it.

use crate::publisher;
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{
    SnMessage, SnSocket, connect, forwarded, kind, message, unwrap_forwarded,
};
use std::env;

const SLEEPERS: u32 = 100_000;
const BYTES_EACH_MAX: u64 = 1 << 10;
/// Nodes that ask at a time: what they are told has to fit into the socket's buffer.
const BATCH: usize = 50;
const TOPIC: &str = "to/all/sensors";

/// Says the same for many nodes and checks that each is answered so.
fn all_ask(forwarder: &SnSocket, question: impl Fn(u32) -> Vec<u8>, answer: &SnMessage) {
    let nodes: Vec<u32> = (0..SLEEPERS).collect();
    for batch in nodes.chunks(BATCH) {
        for node in batch {
            forwarder.send(&forwarded(&node.to_be_bytes(), &question(*node)));
        }
        for _ in batch {
            let (node, got) = unwrap_forwarded(&forwarder.receive());
            assert_eq!(got, *answer, "for {node:?}");
        }
    }
}

fn of(kind: u8, body: &[u8]) -> SnMessage {
    let body = body.to_vec();
    SnMessage { kind, body }
}

fn client_id(node: u32) -> String {
    format!("sensor-{node:06}")
}

#[test]
fn a_hundred_thousand_sleeping_clients_cost_a_kibibyte_each() {
    // The figure is that of a shard; more of them only make it less exact.
    if env::var("RINGBUS_SHARDS").is_ok_and(|shards| shards != "1") {
        return;
    }
    let broker = Broker::start_mqttsn(&["--shards", "1", "--max-connections", "200000"]);
    let forwarder = SnSocket::new(&broker);
    let before = broker.resident_bytes();
    let hello = |node| connect(0, 600, &client_id(node));
    all_ask(&forwarder, hello, &of(kind::CONNACK, &[0]));
    let hour = |_| message(kind::DISCONNECT, &3_600_u16.to_be_bytes());
    all_ask(&forwarder, hour, &of(kind::DISCONNECT, &[]));
    let each = broker.resident_bytes().saturating_sub(before) / u64::from(SLEEPERS);
    println!("{each} bytes for each of {SLEEPERS} sleeping clients");
    assert!(each <= BYTES_EACH_MAX, "{each} bytes each");

    // They are all there still.
    let mut publisher = publisher(&broker);
    publisher.publish(TOPIC, "nobody listens", QoS::AtLeastOnce, false);
    let ping = |node| message(kind::PINGREQ, client_id(node).as_bytes());
    all_ask(&forwarder, ping, &of(kind::PINGRESP, &[]));
    broker.stop();
}

#[test]
fn sleeping_subscribers_cost_a_kibibyte_each() {
    if env::var("RINGBUS_SHARDS").is_ok_and(|shards| shards != "1") {
        return;
    }
    let broker = Broker::start_mqttsn(&["--shards", "1", "--max-connections", "200000"]);
    let forwarder = SnSocket::new(&broker);
    let before = broker.resident_bytes();
    let hello = |node| connect(0, 600, &client_id(node));
    all_ask(&forwarder, hello, &of(kind::CONNACK, &[0]));
    let nodes: Vec<u32> = (0..SLEEPERS).collect();
    for batch in nodes.chunks(BATCH) {
        for node in batch {
            let filter = format!("to/{node:06}");
            let subscribe = [b"\x20\0\x01", filter.as_bytes()].concat();
            let subscribe = message(kind::SUBSCRIBE, &subscribe);
            forwarder.send(&forwarded(&node.to_be_bytes(), &subscribe));
        }
        for _ in batch {
            let (_, got) = unwrap_forwarded(&forwarder.receive());
            assert_eq!((got.kind, got.body[5]), (kind::SUBACK, 0));
        }
    }
    let hour = |_| message(kind::DISCONNECT, &3_600_u16.to_be_bytes());
    all_ask(&forwarder, hour, &of(kind::DISCONNECT, &[]));
    let each = broker.resident_bytes().saturating_sub(before) / u64::from(SLEEPERS);
    println!("{each} bytes for each of {SLEEPERS} sleeping subscribers");
    broker.stop();
}
