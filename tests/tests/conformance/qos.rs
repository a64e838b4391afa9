//! The QoS 1 and QoS 2 protocol flows: section 4.3 and 4.4.

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, PacketType, Properties, PropertiesBuf, Property, Publish, QoS,
    ReasonCode, Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

fn ack(packet_identifier: PacketIdentifier) -> Ack<'static> {
    with_reason(packet_identifier, ReasonCode::Success)
}

fn with_reason(packet_identifier: PacketIdentifier, reason: ReasonCode) -> Ack<'static> {
    Ack {
        packet_identifier,
        reason,
        properties: Properties::default(),
    }
}

fn publish(topic: &str, packet_identifier: PacketIdentifier, dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        qos: QoS::ExactlyOnce,
        topic,
        packet_identifier: Some(packet_identifier),
        payload: b"two",
        ..Publish::default()
    })
}

/// `[MQTT5-2.2.1-5]` `[MQTT5-4.3.3-8]` `[MQTT5-4.3.3-10]` `[MQTT5-4.3.3-11]` `[MQTT5-4.3.3-12]`
/// `[MQTT311-2.3.1-6]` `[MQTT311-4.3.3-2]`
#[test]
fn mqtt_4_3_3_10_a_qos_2_publish_sent_again_is_delivered_once() {
    let broker = Broker::start();
    for version in BOTH {
        let mut subscriber = Client::open(&broker, version, "subscriber");
        subscriber.subscribe("two", QoS::ExactlyOnce);
        let mut client = Client::open(&broker, version, "publisher");
        let identifier = client.new_packet_identifier();
        for dup in [false, true, true] {
            client.send(&publish("two", identifier, dup));
            assert_eq!(client.ack(PacketType::PubRec), (identifier, 0));
        }
        client.send(&Packet::PubRel(ack(identifier)));
        assert_eq!(client.ack(PacketType::PubComp), (identifier, 0));
        subscriber.expect("two", "two", QoS::ExactlyOnce, false);
        subscriber.expect_nothing();
        // The identifier is free again: the same one is a new message.
        client.send(&publish("two", identifier, false));
        assert_eq!(client.ack(PacketType::PubRec), (identifier, 0));
        client.send(&Packet::PubRel(ack(identifier)));
        assert_eq!(client.ack(PacketType::PubComp), (identifier, 0));
        subscriber.expect("two", "two", QoS::ExactlyOnce, false);
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-5]` `[MQTT5-3.1.2-23]` `[MQTT5-4.3.3-10]` `[MQTT311-3.1.2-4]` `[MQTT311-4.1.0-1]`
/// `[MQTT311-4.3.3-2]`
#[test]
fn mqtt_4_3_3_a_qos_2_publish_survives_a_reconnect_of_its_publisher() {
    let broker = Broker::start();
    for version in BOTH {
        let mut subscriber = Client::open(&broker, version, "subscriber");
        subscriber.subscribe("two", QoS::ExactlyOnce);
        let hello = Hello::persistent(version, "publisher");
        let (mut client, _) = Client::hello(&broker, &hello);
        let identifier = client.new_packet_identifier();
        client.send(&publish("two", identifier, false));
        client.ack(PacketType::PubRec);
        client.cut();
        let (mut client, present) = Client::hello(&broker, &hello);
        assert!(present);
        client.send(&publish("two", identifier, true));
        assert_eq!(client.ack(PacketType::PubRec), (identifier, 0));
        client.send(&Packet::PubRel(ack(identifier)));
        assert_eq!(client.ack(PacketType::PubComp), (identifier, 0));
        client.disconnect();
        subscriber.expect("two", "two", QoS::ExactlyOnce, false);
        subscriber.expect_nothing();
        assert!(Client::hello(&broker, &Hello::persistent(version, "publisher")).1);
        drop(Client::open(&broker, version, "publisher"));
    }
    broker.stop();
}

/// `[MQTT5-3.7.2-1]` `[MQTT5-3.12.4-1]` `[MQTT5-4.3.3-11]` `[MQTT311-3.12.4-1]` `[MQTT311-4.3.3-2]`
#[test]
fn mqtt5_3_7_2_1_pubrel_of_nothing_is_answered_with_packet_identifier_not_found() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "unknown");
        let identifier = PacketIdentifier::new(77).expect("above zero");
        client.send(&Packet::PubRel(ack(identifier)));
        let reason = if version == Version::V5 { 0x92 } else { 0 };
        assert_eq!(client.ack(PacketType::PubComp), (identifier, reason));
        client.ping();
    }
    broker.stop();
}

/// `[MQTT5-3.6.2-1]`
#[test]
fn mqtt_4_3_acknowledgements_of_nothing_do_no_harm() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "unasked");
        let identifier = PacketIdentifier::new(9).expect("above zero");
        client.send(&Packet::PubAck(ack(identifier)));
        client.send(&Packet::PubComp(ack(identifier)));
        client.send(&Packet::PubRec(ack(identifier)));
        let (released, reason) = client.ack(PacketType::PubRel);
        assert_eq!(
            (released, reason),
            (identifier, if version == Version::V5 { 0x92 } else { 0 })
        );
        client.subscribe("unasked", QoS::ExactlyOnce);
        client.publish("unasked", "works", QoS::ExactlyOnce, false);
        client.expect("unasked", "works", QoS::ExactlyOnce, false);
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-1]` `[MQTT5-4.3.2-2]` `[MQTT5-4.3.2-3]` `[MQTT5-4.3.3-2]` `[MQTT5-4.3.3-3]`
/// `[MQTT5-4.3.3-5]` `[MQTT5-4.3.3-6]` `[MQTT5-4.4.0-1]` `[MQTT311-2.3.1-4]` `[MQTT311-3.3.1-1]`
/// `[MQTT311-4.3.2-1]` `[MQTT311-4.3.3-1]` `[MQTT311-4.4.0-1]` `[MQTT311-4.6.0-1]`
#[test]
fn mqtt_4_4_0_1_unacknowledged_messages_come_again_after_a_reconnect_and_only_then() {
    let broker = Broker::start();
    for version in BOTH {
        let hello = Hello::persistent(version, "again");
        let (mut client, _) = Client::hello(&broker, &hello);
        client.subscribe("again/1", QoS::AtLeastOnce);
        client.subscribe("again/2", QoS::ExactlyOnce);
        let mut publisher = Client::open(&broker, version, "publisher");
        publisher.publish("again/1", "one", QoS::AtLeastOnce, false);
        let one = client.message_unacknowledged();
        publisher.publish("again/2", "two", QoS::ExactlyOnce, false);
        let two = client.message_unacknowledged();
        publisher.publish("again/2", "three", QoS::ExactlyOnce, false);
        let three = client.message_unacknowledged();
        let released = three.packet_identifier.expect("QoS 2");
        client.send(&Packet::PubRec(ack(released)));
        assert_eq!(client.ack(PacketType::PubRel), (released, 0));
        client.expect_nothing();
        client.cut();
        let (mut client, present) = Client::hello(&broker, &hello);
        assert!(present);
        // In their first order `[MQTT5-4.6.0-1]`, with DUP, as PUBREL where PUBREC had come.
        for first in [&one, &two] {
            let second = client.message_unacknowledged();
            assert!(second.dup && !first.dup);
            assert_eq!(second.packet_identifier, first.packet_identifier);
            assert_eq!(
                (&second.topic, &second.payload),
                (&first.topic, &first.payload)
            );
        }
        assert_eq!(client.ack(PacketType::PubRel), (released, 0));
        client.send(&Packet::PubComp(ack(released)));
        client.acknowledge(&one);
        client.acknowledge(&two);
        client.expect_nothing();
        drop(Client::open(&broker, version, "again"));
    }
    broker.stop();
}

/// `[MQTT5-4.4.0-2]`
#[test]
fn mqtt5_4_3_3_a_pubrec_with_an_error_ends_the_delivery() {
    let broker = Broker::start();
    let hello = Hello::persistent(Version::V5, "refuses");
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("refused", QoS::ExactlyOnce);
    client.publish("refused", "no", QoS::ExactlyOnce, false);
    let message = client.message_unacknowledged();
    let identifier = message.packet_identifier.expect("QoS 2");
    client.send(&Packet::PubRec(with_reason(
        identifier,
        ReasonCode::QuotaExceeded,
    )));
    client.expect_nothing();
    client.cut();
    let (mut client, _) = Client::hello(&broker, &hello);
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT5-4.4.0-2]`
#[test]
fn mqtt5_4_4_0_2_a_puback_with_an_error_ends_the_delivery() {
    let broker = Broker::start();
    let hello = Hello::persistent(Version::V5, "refuses").with(Property::ReceiveMaximum(1));
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("refused", QoS::AtLeastOnce);
    client.publish("refused", "no", QoS::AtLeastOnce, false);
    let message = client.message_unacknowledged();
    let identifier = message.packet_identifier.expect("QoS 1");
    let refusal = with_reason(identifier, ReasonCode::ImplementationSpecificError);
    client.send(&Packet::PubAck(refusal));
    client.ping();
    client.cut();
    let (mut client, _) = Client::hello(&broker, &hello);
    client.publish("refused", "yes", QoS::AtLeastOnce, false);
    client.expect("refused", "yes", QoS::AtLeastOnce, false);
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT5-4.3.3-9]`
#[test]
fn mqtt5_4_3_3_9_after_a_pubrec_that_refuses_the_identifier_is_a_new_message() {
    let broker = Broker::start_with(&["--check-payload-format"]);
    let mut client = Client::open(&broker, Version::V5, "client");
    client.subscribe("text", QoS::ExactlyOnce);
    let identifier = client.new_packet_identifier();
    let mut text = PropertiesBuf::new();
    text.push(Property::PayloadFormatIndicator(true));
    for payload in [&b"\xFF"[..], b"\xFF", b"text"] {
        client.send(&Packet::Publish(Publish {
            qos: QoS::ExactlyOnce,
            topic: "text",
            packet_identifier: Some(identifier),
            properties: text.as_properties(),
            payload,
            ..Publish::default()
        }));
        let reason = if payload == b"text" { 0 } else { 0x99 };
        assert_eq!(client.ack(PacketType::PubRec), (identifier, reason));
    }
    client.send(&Packet::PubRel(ack(identifier)));
    assert_eq!(client.ack(PacketType::PubComp), (identifier, 0));
    client.expect("text", "text", QoS::ExactlyOnce, false);
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT5-2.2.1-4]` `[MQTT5-4.3.2-1]` `[MQTT5-4.3.3-1]` `[MQTT311-2.3.1-4]` `[MQTT311-4.3.2-1]`
/// `[MQTT311-4.3.3-1]`
#[test]
fn mqtt_2_2_1_4_identifiers_of_messages_under_way_differ() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "window");
        client.subscribe("window", QoS::ExactlyOnce);
        let mut publisher = Client::open(&broker, version, "publisher");
        let mut under_way = Vec::new();
        for number in 0..20 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            publisher.publish("window", &number.to_string(), qos, false);
            under_way.push(client.message_unacknowledged());
        }
        let mut identifiers: Vec<_> = under_way.iter().map(|m| m.packet_identifier).collect();
        identifiers.sort();
        identifiers.dedup();
        assert_eq!(identifiers.len(), 20);
        for message in &under_way {
            client.acknowledge(message);
        }
        client.expect_nothing();
    }
    broker.stop();
}

/// Fifty QoS 2 publishes in one write, from a client that never heard of windows.
/// `[MQTT311-4.3.3-2]` `[MQTT311-4.6.0-3]`
#[test]
fn mqtt311_4_3_3_pipelined_qos_2_publishes_do_not_stall() {
    let broker = Broker::start();
    let mut subscriber = Client::open(&broker, Version::V3_1_1, "subscriber");
    subscriber.subscribe("pipeline", QoS::ExactlyOnce);
    let mut client = Client::open(&broker, Version::V3_1_1, "publisher");
    client.hold();
    let identifiers: Vec<_> = (0..50)
        .map(|n: u32| {
            let payload = n.to_string();
            client
                .send_publish("pipeline", payload.as_bytes(), QoS::ExactlyOnce, false)
                .expect("QoS 2")
        })
        .collect();
    client.release();
    for identifier in &identifiers {
        assert_eq!(client.ack(PacketType::PubRec), (*identifier, 0));
        client.send(&Packet::PubRel(ack(*identifier)));
    }
    for identifier in &identifiers {
        assert_eq!(client.ack(PacketType::PubComp), (*identifier, 0));
    }
    for number in 0..50 {
        subscriber.expect("pipeline", &number.to_string(), QoS::ExactlyOnce, false);
    }
    broker.stop();
}

/// Acknowledgements leave in the order in which the publishes came, whatever shards they visit.
/// `[MQTT5-4.6.0-2]` `[MQTT311-4.6.0-2]`
#[test]
fn mqtt_4_6_0_2_acknowledgements_keep_the_order_of_the_publishes() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "acks");
        client.hold();
        let identifiers: Vec<_> = (0..100)
            .map(|n| {
                let topic = format!("acks/{n}");
                client
                    .send_publish(&topic, b"x", QoS::AtLeastOnce, false)
                    .expect("QoS 1")
            })
            .collect();
        client.release();
        for identifier in identifiers {
            assert_eq!(client.ack(PacketType::PubAck).0, identifier);
        }
    }
    broker.stop().assert_mail_crossed();
}
