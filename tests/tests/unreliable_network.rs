//! Bad networks between clients and the broker: what was acknowledged is never lost, nothing of
//! QoS 2 comes twice, and a dead peer is closed by its keep alive.
#![expect(
    clippy::disallowed_methods,
    reason = "a timeout is measured from outside, with a clock of our own"
)]

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::proxy::{Fate, Proxy};
use ringbus_tests::random::Random;
use ringbus_tests::session_client::{Report, publish_numbers, receive_numbers};
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

const MESSAGES: usize = 300;

/// Everything that happens to networks, most of it soon.
fn bad(random: &mut Random) -> Fate {
    match random.below(10) {
        0 => Fate::Clean,
        1 => Fate::Dribble,
        2 => Fate::Slow(Duration::from_micros(500)),
        3 => Fate::Stall(300 + random.below(3000), Duration::from_millis(100)),
        4 => Fate::Stall(300 + random.below(3000), Duration::from_millis(600)),
        5 => Fate::HalfOpen(200 + random.below(4000)),
        _ => Fate::Cut(30 + random.below(2500)),
    }
}

struct Outcome {
    published: Report,
    received: Report,
    fates: usize,
}

/// One publisher and one subscriber, each over a bad network of its own.
fn transfer(broker: &Broker, version: Version, qos: QoS, seed: u64) -> Outcome {
    let (near, far) = (
        Proxy::start(broker.address(), seed, bad),
        Proxy::start(broker.address(), seed ^ 0xFFFF, bad),
    );
    let name = format!("net/{seed}/{version:?}/{}", u8::from(qos));
    let received = AtomicUsize::new(0);
    // Active before the first message; the session outlives every connection of the test.
    let hello = Hello::persistent(version, &format!("{name}/subscriber"));
    let (mut first, _) = Client::hello(broker, &hello);
    first.subscribe(&name, qos);
    first.disconnect();
    thread::scope(|scope| {
        let subscriber =
            scope.spawn(|| receive_numbers(far.address(), &hello, &name, qos, MESSAGES, &received));
        let hello = Hello::persistent(version, &format!("{name}/publisher"));
        let published = publish_numbers(near.address(), &hello, &name, qos, MESSAGES);
        let received = subscriber.join().expect("the subscriber's checks hold");
        Outcome {
            published,
            received,
            fates: near.fates().len() + far.fates().len(),
        }
    })
}

/// The numbers in order of their first appearance.
fn first_appearances(numbers: &[usize]) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    numbers
        .iter()
        .copied()
        .filter(|number| seen.insert(*number))
        .collect()
}

/// Eight pairs at a time, so that networks fail while others are busy.
fn transfer_all(qos: QoS, check: fn(&Outcome, u64)) {
    let broker = Broker::start();
    let base: u64 = std::env::var("RINGBUS_TEST_SEED").map_or(1, |s| s.parse().expect("a number"));
    let mut connections = 0;
    thread::scope(|scope| {
        let runs: Vec<_> = (base..base + 8)
            .map(|seed| {
                let version = if seed % 2 == 0 {
                    Version::V5
                } else {
                    Version::V3_1_1
                };
                let broker = &broker;
                scope.spawn(move || (seed, transfer(broker, version, qos, seed)))
            })
            .collect();
        for run in runs {
            let (seed, outcome) = run.join().expect("a pair");
            println!("seed {seed}: {} connections", outcome.fates);
            connections += outcome.fates;
            check(&outcome, seed);
        }
    });
    // Two for each pair if nothing ever fails; a test whose network never failed shows nothing.
    assert!(
        connections > 24,
        "only {connections} connections were needed"
    );
    broker.stop().assert_mail_crossed();
}

#[test]
fn qos1_over_bad_networks_loses_nothing_acknowledged() {
    transfer_all(QoS::AtLeastOnce, |outcome, seed| {
        let all: Vec<usize> = (0..MESSAGES).collect();
        assert_eq!(
            outcome.published.numbers, all,
            "seed {seed}: acknowledged in order"
        );
        assert_eq!(
            first_appearances(&outcome.received.numbers),
            all,
            "seed {seed}"
        );
    });
}

#[test]
fn qos2_over_bad_networks_comes_exactly_once_and_in_order() {
    transfer_all(QoS::ExactlyOnce, |outcome, seed| {
        let all: Vec<usize> = (0..MESSAGES).collect();
        assert_eq!(outcome.received.numbers, all, "seed {seed}");
        assert_eq!(outcome.published.numbers.len(), MESSAGES, "seed {seed}");
    });
}

/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`: one and a half times the keep alive.
#[test]
fn a_half_open_peer_is_closed_by_its_keep_alive_and_its_will_sent() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("gone/#", QoS::AtLeastOnce);
    for version in [Version::V3_1_1, Version::V5] {
        let network = Proxy::start(broker.address(), 1, |_| Fate::HalfOpen(1000));
        let topic = format!("gone/{version:?}");
        let hello = Hello::new(version, "silent").with_keep_alive(1).with_will(
            &topic,
            "dead",
            QoS::AtLeastOnce,
            false,
        );
        let mut silent = Client::raw(network.address(), version);
        let start = Instant::now();
        silent.send_bytes(&hello.encode());
        silent.connected(|_| ());
        // Pinged until the network dies; the broker hears nothing of its death.
        silent.ping();
        silent.send_publish("filler", &[0; 1000], QoS::AtMostOnce, false);
        watcher.expect(&topic, "dead", QoS::AtLeastOnce, false);
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(1400),
            "closed after {waited:?}"
        );
        assert!(waited < DEADLINE / 2, "closed only after {waited:?}");
    }
    broker.stop();
}

/// A subscriber that stops reading stalls nobody: others get everything meanwhile.
#[test]
fn a_stalled_subscriber_does_not_stall_others() {
    let broker = Broker::start_with(&["--queue-bytes", "4MiB"]);
    let stalled = Proxy::start(broker.address(), 1, |_| Fate::HalfOpen(2000));
    let mut deaf = Client::raw(stalled.address(), Version::V5);
    deaf.send_bytes(&Hello::new(Version::V5, "deaf").encode());
    deaf.connected(|_| ());
    deaf.subscribe("load/#", QoS::AtLeastOnce);
    let mut listener = Client::open(&broker, Version::V5, "listener");
    listener.subscribe("load/#", QoS::AtLeastOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let payload = "x".repeat(64 * 1024);
    for number in 0..400 {
        // 25 MiB in all: far above what sockets and the queue of the stalled one hold.
        let topic = format!("load/{}/{number}", number % 7);
        publisher.publish(&topic, &payload, QoS::AtLeastOnce, false);
        assert_eq!(listener.message().topic, topic);
    }
    broker.stop();
}
