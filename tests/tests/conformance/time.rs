//! The program's own clock, once for each kind of deadline. What the deadlines mean is asked in
//! virtual time, in tests/tests/simulation.

use crate::BOTH;
use ringbus_protocols::mqtt::{Property, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use std::time::{Duration, Instant};

const ONE: QoS = QoS::AtLeastOnce;

/// Long enough for the slowest machine, far less than what is waited for instead.
fn assert_waited(start: Instant, at_least: u64) {
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(at_least), "only {waited:?}");
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let broker = Broker::start();
    let start = Instant::now();
    let open = |version| {
        let hello = Hello::new(version, &format!("{version}")).with_keep_alive(1);
        (version, Client::hello(&broker, &hello).0)
    };
    for (version, mut client) in BOTH.map(open) {
        let told = (version == Version::V5).then_some(0x8D);
        assert_eq!(client.disconnected(), told);
        assert_waited(start, 1_400);
    }
    broker.stop();
}

/// `--max-session-expiry` bounds what a client asks for, and says so. With the session ends the
/// delay of its will; a message that was queued for another client has expired meanwhile.
/// `[MQTT5-3.3.2-5]` `[MQTT5-4.1.0-2]`
#[test]
fn max_session_expiry_bounds_what_a_client_asks_for_and_says_so() {
    let broker = Broker::start_with(&["--max-session-expiry", "1s"]);
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("will/t", ONE);
    let slow = Hello::new(Version::V5, "slow").with(Property::ReceiveMaximum(1));
    let mut slow = Client::hello(&broker, &slow).0;
    slow.subscribe("expiry/t/#", ONE);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for (topic, seconds) in [("expiry/t/1", 100), ("expiry/t/2", 1), ("expiry/t/3", 100)] {
        publisher.publish_expiring(topic, seconds);
    }
    let first = slow.message_unacknowledged();

    let mut hello = Hello::new(Version::V5, "asks")
        .with(Property::SessionExpiryInterval(60))
        .with_will("will/t", "ended", ONE, false);
    hello.clean_start = false;
    let will = hello.will.as_mut().expect("just set");
    will.properties.push(Property::WillDelayInterval(60));
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&hello.encode());
    let told = client.connected(|connack| connack.properties.session_expiry_interval());
    assert_eq!(told, Some(1));
    let start = Instant::now();
    client.cut();
    watcher.expect("will/t", "ended", ONE, false);
    assert_waited(start, 900);
    assert!(!Client::hello(&broker, &hello).1, "the session is there");

    slow.acknowledge(&first);
    assert_eq!(slow.message().topic, "expiry/t/3");
    slow.expect_nothing();
    broker.stop();
}
