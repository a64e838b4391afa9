//! A hundred thousand sensors that sleep: what each of them costs.
//!
//! `RINGBUS_SHARDS=1 cargo test -p ringbus-tests --test mqttsn sleepers:: -- --nocapture` prints it.

use crate::publisher;
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{
    SnMessage, SnSocket, connect, forwarded, kind, message, unwrap_forwarded,
};
use std::cell::Cell;
use std::env;

const SLEEPERS: u32 = 100_000;
/// Of each, subscribed or not.
const BYTES_MAX: u64 = 1_024;
/// Nodes that ask at a time: what they are told has to fit into the socket's buffer.
const BATCH: usize = 50;

/// Says something for each node and checks the answers; they come over one socket, as from a
/// forwarder.
fn all_ask(forwarder: &SnSocket, question: impl Fn(u32) -> Vec<u8>, answer: impl Fn(&SnMessage)) {
    let nodes: Vec<u32> = (0..SLEEPERS).collect();
    for batch in nodes.chunks(BATCH) {
        for node in batch {
            forwarder.send(&forwarded(&node.to_be_bytes(), &question(*node)));
        }
        for _ in batch {
            answer(&unwrap_forwarded(&forwarder.receive()).1);
        }
    }
}

/// Checks that an answer is this.
fn is(kind: u8, body: &[u8]) -> impl Fn(&SnMessage) {
    let body = body.to_vec();
    let wanted = SnMessage { kind, body };
    move |got| assert_eq!(*got, wanted)
}

fn client_id(node: u32) -> String {
    format!("sensor-{node:06}")
}

/// The broker with all of them asleep, and what each costs. Each is subscribed to what `filter`
/// says, if it says anything.
fn asleep(filter: impl Fn(u32) -> Option<String>) -> (Broker, SnSocket, u64) {
    let broker = Broker::start_mqttsn(&["--shards", "1"]);
    let forwarder = SnSocket::new(&broker);
    // The driver has touched all its buffers before the measurement begins.
    let stranger = |_| message(kind::PINGREQ, &[]);
    all_ask(&forwarder, stranger, is(kind::DISCONNECT, &[]));
    let before = broker.resident_bytes();
    let hello = |node| connect(0, 600, &client_id(node));
    all_ask(&forwarder, hello, is(kind::CONNACK, &[0]));
    if filter(0).is_some() {
        let subscribe = |node| {
            let filter = filter(node).unwrap_or_default();
            message(
                kind::SUBSCRIBE,
                &[b"\x20\0\x01", filter.as_bytes()].concat(),
            )
        };
        all_ask(&forwarder, subscribe, |suback| {
            assert_eq!((suback.kind, suback.body[5]), (kind::SUBACK, 0));
        });
    }
    let hour = |_| message(kind::DISCONNECT, &3_600_u16.to_be_bytes());
    all_ask(&forwarder, hour, is(kind::DISCONNECT, &[]));
    let each = broker.resident_bytes().saturating_sub(before) / u64::from(SLEEPERS);
    (broker, forwarder, each)
}

/// The figures are those of a shard: with more of them they only become less exact.
fn is_for_another_run() -> bool {
    env::var("RINGBUS_SHARDS").is_ok_and(|shards| shards != "1")
}

#[test]
fn a_hundred_thousand_sleeping_clients_cost_a_kibibyte_each() {
    if is_for_another_run() {
        return;
    }
    let (broker, forwarder, each) = asleep(|_| None);
    println!("{each} bytes for each of {SLEEPERS} sleeping clients");
    assert!(each <= BYTES_MAX, "{each} bytes each");
    // They are all there still.
    let ping = |node| message(kind::PINGREQ, client_id(node).as_bytes());
    all_ask(&forwarder, ping, is(kind::PINGRESP, &[]));
    broker.stop();
}

#[test]
fn a_subscription_costs_a_sleeping_client_little_more() {
    if is_for_another_run() {
        return;
    }
    let (broker, forwarder, each) = asleep(|_| Some("to/all/sensors".to_owned()));
    println!("{each} bytes for each of {SLEEPERS} that are subscribed to one topic");
    assert!(each <= BYTES_MAX, "{each} bytes each");
    // Each gets what it slept through.
    let mut publisher = publisher(&broker);
    publisher.publish("to/all/sensors", "good morning", QoS::AtMostOnce, false);
    publisher.ping();
    let ping = |node| message(kind::PINGREQ, client_id(node).as_bytes());
    let published = Cell::new(0);
    all_ask(&forwarder, ping, |publish| {
        assert_eq!(publish.kind, kind::PUBLISH);
        assert_eq!(publish.body[5..], *b"good morning");
        published.set(published.get() + 1);
        // Its PINGRESP comes right behind.
        is(kind::PINGRESP, &[])(&unwrap_forwarded(&forwarder.receive()).1);
    });
    assert_eq!(published.get(), SLEEPERS);
    broker.stop();
}

#[test]
fn a_topic_of_its_own_costs_a_sleeping_client_more() {
    if is_for_another_run() {
        return;
    }
    let (broker, _, each) = asleep(|node| Some(format!("to/{node:06}")));
    println!("{each} bytes for each of {SLEEPERS} that are subscribed to a topic of their own");
    assert!(each <= BYTES_MAX, "{each} bytes each");
    broker.stop();
}
