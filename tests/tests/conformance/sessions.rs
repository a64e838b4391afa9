//! Session state: sections 3.1.2.4, 3.1.2.11.2, 3.2.2.1 and 4.1.

use crate::BOTH;
use ringbus_protocols::mqtt::{PropertiesBuf, Property, QoS, ReasonCode, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

const ONE: QoS = QoS::AtLeastOnce;

/// `[MQTT5-3.1.2-4]` `[MQTT5-3.1.2-5]` `[MQTT5-3.1.2-6]` `[MQTT5-3.1.3-2]` `[MQTT5-3.1.4-4]`
/// `[MQTT5-3.2.2-1]` `[MQTT5-3.2.2-2]` `[MQTT5-3.2.2-3]` `[MQTT311-3.1.2-4]` `[MQTT311-3.1.2-6]`
/// `[MQTT311-3.1.3-2]` `[MQTT311-3.1.4-3]` `[MQTT311-3.2.2-1]` `[MQTT311-3.2.2-2]`
/// `[MQTT311-3.2.2-3]`
#[test]
fn mqtt_3_1_2_4_clean_start_discards_and_its_absence_resumes() {
    let broker = Broker::start();
    for version in BOTH {
        let (client, present) = Client::hello(&broker, &Hello::persistent(version, "client"));
        assert!(!present, "a session that never was");
        client.disconnect();
        let (client, present) = Client::hello(&broker, &Hello::persistent(version, "client"));
        assert!(present, "the session was lost");
        client.disconnect();
        let (client, present) = Client::hello(&broker, &Hello::new(version, "client"));
        assert!(!present, "clean start resumed");
        client.disconnect();
        let (client, present) = Client::hello(&broker, &Hello::persistent(version, "client"));
        assert!(!present, "the discarded session came back");
        client.disconnect();
        drop(Client::open(&broker, version, "client"));
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-5]` `[MQTT5-3.1.2-23]` `[MQTT5-3.2.0-2]` `[MQTT5-4.5.0-1]` `[MQTT311-3.1.2-4]`
/// `[MQTT311-3.1.2-5]` `[MQTT311-4.1.0-1]` `[MQTT311-4.5.0-1]`
#[test]
fn mqtt_4_1_subscriptions_and_messages_wait_for_an_absent_client() {
    let broker = Broker::start();
    for version in BOTH {
        for number in 0..4 {
            let hello = Hello::persistent(version, &format!("away{number}"));
            let (mut client, _) = Client::hello(&broker, &hello);
            client.subscribe("kept/+", QoS::ExactlyOnce);
            if number % 2 == 0 {
                client.disconnect()
            } else {
                client.cut()
            }
            let mut publisher = Client::open(&broker, version, "publisher");
            for value in 0..30 {
                let qos = if value % 2 == 0 {
                    ONE
                } else {
                    QoS::ExactlyOnce
                };
                publisher.publish("kept/t", &value.to_string(), qos, false);
            }
            let (mut client, present) = Client::hello(&broker, &hello);
            assert!(present);
            for value in 0..30 {
                let qos = if value % 2 == 0 {
                    ONE
                } else {
                    QoS::ExactlyOnce
                };
                client.expect("kept/t", &value.to_string(), qos, false);
            }
            publisher.publish("kept/t", "live", ONE, false);
            client.expect("kept/t", "live", ONE, false);
            client.expect_nothing();
            client.disconnect();
            drop(Client::open(&broker, version, &format!("away{number}")));
        }
    }
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-3.2.2-3]` `[MQTT5-4.1.0-2]` `[MQTT311-3.1.2-6]` `[MQTT311-3.2.2-3]`
#[test]
fn mqtt_3_1_2_6_a_clean_session_ends_with_its_connection() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "clean");
        client.subscribe("clean/t", ONE);
        client.disconnect();
        let mut publisher = Client::open(&broker, version, "publisher");
        publisher.publish("clean/t", "to nobody", ONE, false);
        let (mut client, present) = Client::hello(&broker, &Hello::persistent(version, "clean"));
        assert!(!present);
        publisher.publish("clean/t", "to nobody", ONE, false);
        client.expect_nothing();
        drop(Client::open(&broker, version, "clean"));
    }
    broker.stop();
}

/// `[MQTT5-3.2.2-3]` `[MQTT5-4.1.0-2]`
#[test]
fn mqtt5_3_1_2_11_2_without_an_expiry_interval_a_session_ends_with_its_connection() {
    let broker = Broker::start();
    let mut hello = Hello::new(Version::V5, "zero");
    hello.clean_start = false;
    let (client, _) = Client::hello(&broker, &hello);
    client.disconnect();
    let (_client, present) = Client::hello(&broker, &hello);
    assert!(!present);
    broker.stop();
}

/// `[MQTT5-4.1.0-2]` `[MQTT5-4.13.1-1]`
#[test]
fn mqtt5_3_14_2_2_2_disconnect_changes_the_expiry_interval_but_not_from_zero() {
    let broker = Broker::start();
    let mut expiry = PropertiesBuf::new();
    expiry.push(Property::SessionExpiryInterval(0));
    let hello = Hello::persistent(Version::V5, "shorter");
    let (client, _) = Client::hello(&broker, &hello);
    client.disconnect_with(ReasonCode::NormalDisconnection, expiry.as_properties());
    assert!(
        !Client::hello(&broker, &hello).1,
        "the session outlived DISCONNECT"
    );

    let mut expiry = PropertiesBuf::new();
    expiry.push(Property::SessionExpiryInterval(60));
    let mut client = Client::open(&broker, Version::V5, "longer");
    client.send(&ringbus_protocols::mqtt::Packet::Disconnect(
        ringbus_protocols::mqtt::Disconnect {
            reason: ReasonCode::NormalDisconnection,
            properties: expiry.as_properties(),
        },
    ));
    assert_eq!(client.disconnected(), Some(0x82));
    broker.stop();
}

/// A session survives a change of the protocol version of its client.
/// `[MQTT5-3.1.3-2]` `[MQTT311-3.1.3-2]`
#[test]
fn sessions_are_of_a_client_not_of_a_protocol_version() {
    let broker = Broker::start();
    let (mut client, _) = Client::hello(&broker, &Hello::persistent(Version::V3_1_1, "both"));
    client.subscribe("both/t", ONE);
    client.disconnect();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    publisher.publish("both/t", "kept", ONE, false);
    let (mut client, present) = Client::hello(&broker, &Hello::persistent(Version::V5, "both"));
    assert!(present);
    client.expect("both/t", "kept", ONE, false);
    broker.stop();
}
