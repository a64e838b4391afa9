//! A second connection of a client identifier: section 3.1.4.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use std::thread;

/// `[MQTT5-3.1.4-3]` `[MQTT5-3.14.4-1]` `[MQTT5-3.14.4-2]` `[MQTT5-4.13.2-1]` `[MQTT311-3.1.4-2]`
#[test]
fn mqtt_3_1_4_3_the_first_connection_is_told_and_closed() {
    let broker = Broker::start();
    for version in BOTH {
        for number in 0..8 {
            let name = format!("taken{number}");
            let mut first = Client::open(&broker, version, &name);
            let mut second = Client::open(&broker, version, &name);
            assert_eq!(
                first.disconnected(),
                (version == Version::V5).then_some(0x8E)
            );
            second.subscribe("alive", QoS::AtLeastOnce);
            second.publish("alive", "yes", QoS::AtLeastOnce, false);
            second.expect("alive", "yes", QoS::AtLeastOnce, false);
        }
    }
    broker.stop();
}

/// `[MQTT5-3.1.4-3]` `[MQTT311-3.1.4-2]`
#[test]
fn mqtt_3_1_4_3_takeover_works_between_versions() {
    let broker = Broker::start();
    let mut three = Client::open(&broker, Version::V3_1_1, "mixed");
    let mut five = Client::open(&broker, Version::V5, "mixed");
    three.closed();
    let mut again = Client::open(&broker, Version::V3_1_1, "mixed");
    assert_eq!(five.disconnected(), Some(0x8E));
    again.ping();
    broker.stop();
}

/// `[MQTT5-3.1.2-8]` `[MQTT311-3.1.2-8]`
#[test]
fn mqtt5_3_1_4_3_takeover_sends_the_will_of_the_first() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("will/#", QoS::AtLeastOnce);
    for version in BOTH {
        let hello =
            Hello::new(version, "mortal").with_will("will/t", "gone", QoS::AtLeastOnce, false);
        let (_first, _) = Client::hello(&broker, &hello);
        let second = Client::open(&broker, version, "mortal");
        watcher.expect("will/t", "gone", QoS::AtLeastOnce, false);
        second.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-4]` `[MQTT5-3.1.2-5]` `[MQTT5-3.3.1-1]` `[MQTT5-4.4.0-1]` `[MQTT311-3.1.2-4]`
/// `[MQTT311-3.3.1-1]` `[MQTT311-4.4.0-1]`
#[test]
fn mqtt_3_1_2_4_takeover_keeps_a_session_and_its_unacknowledged_messages() {
    let broker = Broker::start();
    for version in BOTH {
        let hello = Hello::persistent(version, "kept");
        let (mut first, _) = Client::hello(&broker, &hello);
        first.subscribe("kept/t", QoS::AtLeastOnce);
        let mut publisher = Client::open(&broker, version, "publisher");
        publisher.publish("kept/t", "one", QoS::AtLeastOnce, false);
        let seen = first.message_unacknowledged();
        let (mut second, present) = Client::hello(&broker, &hello);
        assert!(present, "the session is lost");
        let again = second.message();
        assert_eq!(again.packet_identifier, seen.packet_identifier);
        assert!(again.dup, "a second delivery without DUP");
        publisher.publish("kept/t", "two", QoS::AtLeastOnce, false);
        second.expect("kept/t", "two", QoS::AtLeastOnce, false);
        assert!(
            !Client::hello(&broker, &Hello::new(version, "kept")).1,
            "clean start keeps"
        );
    }
    broker.stop();
}

/// Many connections of one id at once: each is answered or closed, and one survives.
/// `[MQTT5-3.1.4-3]`
#[test]
fn mqtt_3_1_4_3_a_storm_of_takeovers_leaves_one() {
    let broker = Broker::start();
    let open_many = || -> Vec<Client> {
        let open = |_| {
            let mut client = Client::raw(broker.address(), Version::V5);
            client.send_bytes(&Hello::persistent(Version::V5, "wanted").encode());
            client
        };
        (0..25).map(open).collect()
    };
    let mut clients: Vec<Client> = thread::scope(|scope| {
        let storm: Vec<_> = (0..4).map(|_| scope.spawn(open_many)).collect();
        storm
            .into_iter()
            .flat_map(|one| one.join().expect("it ran"))
            .collect()
    });
    // Every CONNECT has been handled when each has its CONNACK or its end.
    for client in &mut clients {
        client.receive_or_end();
    }
    let survivors = clients.iter_mut().filter_map(Client::answers_ping).count();
    assert_eq!(survivors, 1);
    let (mut client, present) = Client::hello(&broker, &Hello::persistent(Version::V5, "wanted"));
    assert!(present, "the session is lost");
    client.ping();
    broker.stop();
}
