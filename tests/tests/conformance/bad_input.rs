//! Storms of arbitrary bytes, before and after CONNECT, beside connections that do nothing wrong.

use crate::BOTH;
use ringbus_protocols::mqtt::{PacketType, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::random::Random;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Connections a storm opens in each of its threads.
const CONNECTIONS: usize = 400;

/// Bytes that look like MQTT for a while: random ones are refused at the first byte too often.
fn bad_bytes(random: &mut Random, version: Version) -> Vec<u8> {
    let mut bytes = match random.below(4) {
        0 => Vec::new(),
        1 => Hello::new(version, "storm")
            .with_will("storm", "x", QoS::AtLeastOnce, true)
            .encode(),
        _ => Hello::new(version, "").encode(),
    };
    for _ in 0..random.below(4) {
        let kind = random.bytes(1)[0] | 0x10;
        let length = random.below(60);
        bytes.push(kind);
        // Mostly a length that fits, sometimes any.
        let said = if random.one_in(8) {
            random.below(256)
        } else {
            length
        };
        bytes.push(u8::try_from(said).expect("below 256"));
        bytes.extend(random.bytes(length));
    }
    for _ in 0..random.below(3) {
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
    }
    bytes
}

fn storm(broker: &Broker, seed: u64) {
    let mut random = Random::new(seed);
    for number in 0..CONNECTIONS {
        let version = BOTH[number % 2];
        let mut client = Client::raw(broker.address(), version);
        client.send_bytes(&bad_bytes(&mut random, version));
        match random.below(3) {
            // The broker sees the end behind the bytes, and closes: whatever it says before.
            0 => client.finish_sending(),
            // Reset with answers unread.
            1 => continue,
            _ => client.send_bytes(&random.bytes(200)),
        }
        client.finish_sending();
        client.drain();
    }
}

#[test]
fn storms_of_bad_bytes_leave_innocent_connections_alone() {
    let broker = Broker::start();
    let over = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let innocent = scope.spawn(|| {
            let mut publisher = Client::open(&broker, Version::V5, "innocent-publisher");
            let mut subscriber = Client::open(&broker, Version::V3_1_1, "innocent-subscriber");
            subscriber.subscribe("innocent/+/#", QoS::ExactlyOnce);
            let mut rounds = 0;
            while !over.load(Ordering::SeqCst) || rounds < 100 {
                let (topic, payload) = (format!("innocent/{}/t", rounds % 16), rounds.to_string());
                publisher.publish(&topic, &payload, QoS::ExactlyOnce, false);
                subscriber.expect(&topic, &payload, QoS::ExactlyOnce, false);
                rounds += 1;
            }
            subscriber.expect_nothing();
            rounds
        });
        let storms: Vec<_> = (1..=3)
            .map(|seed| {
                let broker = &broker;
                scope.spawn(move || storm(broker, seed))
            })
            .collect();
        for one in storms {
            one.join().expect("a storm ends");
        }
        over.store(true, Ordering::SeqCst);
        innocent.join().expect("the innocent are served")
    });
    println!("{rounds} rounds beside the storms");
    broker.stop();
}

/// A client that takes nothing does not hold up the shard: the broker goes on serving others, and
/// drops what does not fit.
#[test]
fn a_client_that_never_reads_hurts_only_itself() {
    let broker = Broker::start_with(&["--queue-bytes", "2MiB"]);
    let mut deaf = Client::open(&broker, Version::V5, "deaf");
    deaf.subscribe("flood", QoS::AtMostOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let mut listener = Client::open(&broker, Version::V5, "listener");
    listener.subscribe("flood", QoS::AtMostOnce);
    let payload = "x".repeat(256 * 1024);
    for number in 0..100 {
        publisher.publish("flood", &payload, QoS::AtLeastOnce, false);
        assert_eq!(
            listener.message().payload.len(),
            payload.len(),
            "message {number}"
        );
    }
    drop(deaf);
    let stopped = broker.stop();
    assert!(stopped.total("dropped") > 0, "25 MiB fit into 2 MiB");
}

/// A client that only asks: its answers fill its socket, and then it is not read any more until
/// it takes them. Nobody else waits.
#[test]
fn a_client_that_asks_and_never_reads_is_held_back() {
    let broker = Broker::start();
    let mut deaf = Client::open(&broker, Version::V5, "deaf");
    let pings = [0xC0, 0x00].repeat(32 * 1024);
    let mut sent = 0;
    // Until the sockets are full, or 64 MiB of pings went: then their answers are somewhere.
    while sent < 64 << 20 && deaf.send_some(&pings) > 0 {
        sent += pings.len();
    }
    let mut other = Client::open(&broker, Version::V5, "other");
    other.subscribe("t", QoS::AtLeastOnce);
    other.publish("t", "served", QoS::AtLeastOnce, false);
    other.expect("t", "served", QoS::AtLeastOnce, false);
    deaf.receive_only(PacketType::PingResp);
    assert!(
        broker.resident_bytes() < 256 << 20,
        "{} bytes",
        broker.resident_bytes()
    );
    broker.stop();
}
