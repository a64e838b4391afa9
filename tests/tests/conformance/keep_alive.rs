//! Keep alive: section 3.1.2.10 of both specifications.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use std::time::{Duration, Instant};

/// `[MQTT5-3.1.2-22]` `[MQTT5-3.2.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let broker = Broker::start();
    for version in BOTH {
        let hello = Hello::new(version, "silent").with_keep_alive(1);
        let (mut client, _) = Client::hello(&broker, &hello);
        let start = Instant::now();
        assert_eq!(
            client.disconnected(),
            (version == Version::V5).then_some(0x8D)
        );
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(1400),
            "closed after {waited:?}"
        );
        assert!(
            waited < Duration::from_secs(10),
            "closed only after {waited:?}"
        );
    }
    broker.stop();
}

/// Any packet counts, also half of one is no sign of life forever; here PINGREQ, and a client
/// without keep alive beside it. The clock is a third client that is closed for its silence.
/// `[MQTT5-3.1.2-22]` `[MQTT5-3.12.4-1]`
#[test]
fn mqtt_3_1_2_10_pings_keep_a_connection_and_zero_turns_keep_alive_off() {
    let broker = Broker::start();
    let (mut pinging, _) = Client::hello(
        &broker,
        &Hello::new(Version::V5, "pings").with_keep_alive(1),
    );
    let (mut off, _) = Client::hello(&broker, &Hello::new(Version::V5, "off").with_keep_alive(0));
    for round in 0..3 {
        let name = format!("clock{round}");
        let hello = Hello::new(Version::V5, &name).with_keep_alive(1);
        let (mut clock, _) = Client::hello(&broker, &hello);
        while clock.receive_within(Duration::from_millis(300)).is_none() {
            pinging.ping();
        }
    }
    off.ping();
    pinging.ping();
    broker.stop();
}

/// Received messages are no sign of life of the client that receives them.
/// `[MQTT5-3.1.2-22]`
#[test]
fn mqtt_3_1_2_24_only_packets_from_the_client_count() {
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "listens").with_keep_alive(1);
    let (mut listener, _) = Client::hello(&broker, &hello);
    listener.subscribe("tick", QoS::AtMostOnce);
    let mut ticker = Client::open(&broker, Version::V5, "ticker");
    let start = Instant::now();
    let reason = loop {
        ticker.publish("tick", "tock", QoS::AtMostOnce, false);
        match listener.receive_within(Duration::from_millis(50)) {
            Some(received) if received.is_publish() => {}
            Some(received) => break received.disconnect_reason(),
            None => {}
        }
        assert!(start.elapsed() < Duration::from_secs(10), "still connected");
    };
    assert_eq!(reason, Some(0x8D));
    broker.stop();
}
