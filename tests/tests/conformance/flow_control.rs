//! Receive maximum and maximum packet size: sections 3.1.2.11, 3.2.2.3 and 4.9.

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, PacketType, Properties, Property, Publish, QoS, ReasonCode,
    Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// `[MQTT5-3.3.4-9]` `[MQTT5-3.3.4-10]` `[MQTT5-4.9.0-1]` `[MQTT5-4.9.0-2]` `[MQTT5-4.9.0-3]`
#[test]
fn mqtt5_3_3_4_9_no_more_than_receive_maximum_messages_are_under_way() {
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "narrow").with(Property::ReceiveMaximum(3));
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("narrow/#", QoS::ExactlyOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for number in 0..12 {
        let qos = if number % 2 == 0 {
            QoS::AtLeastOnce
        } else {
            QoS::ExactlyOnce
        };
        publisher.publish("narrow/t", &number.to_string(), qos, false);
    }
    let mut under_way: Vec<_> = (0..3).map(|_| client.message_unacknowledged()).collect();
    client.expect_nothing();
    // All else goes on.
    client.subscribe("narrow/other", QoS::AtMostOnce);
    client.unsubscribe(&["narrow/other"]);
    client.publish("elsewhere", "", QoS::ExactlyOnce, false);
    // QoS 0 is not counted. Another topic: order is per topic.
    publisher.publish("narrow/free", "free", QoS::AtMostOnce, false);
    client.expect("narrow/free", "free", QoS::AtMostOnce, false);
    for number in 3..15 {
        let oldest = under_way.remove(0);
        assert_eq!(oldest.payload, (number - 3).to_string().as_bytes());
        client.acknowledge(&oldest);
        if number < 12 {
            under_way.push(client.message_unacknowledged());
        }
        client.expect_nothing();
    }
    broker.stop();
}

/// PUBREC does not free a place, PUBCOMP does `[MQTT5-4.9.0-2]`.
/// `[MQTT5-3.3.4-9]` `[MQTT5-4.3.3-4]` `[MQTT5-4.3.3-5]`
#[test]
fn mqtt5_4_9_0_2_a_qos_2_message_is_under_way_until_pubcomp() {
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "one").with(Property::ReceiveMaximum(1));
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("one", QoS::ExactlyOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    publisher.publish("one", "first", QoS::ExactlyOnce, false);
    publisher.publish("one", "second", QoS::ExactlyOnce, false);
    let first = client.message_unacknowledged();
    let identifier = first.packet_identifier.expect("QoS 2");
    let ack = ringbus_protocols::mqtt::Ack {
        packet_identifier: identifier,
        reason: ReasonCode::Success,
        properties: ringbus_protocols::mqtt::Properties::default(),
    };
    client.send(&Packet::PubRec(ack));
    assert_eq!(client.ack(PacketType::PubRel), (identifier, 0));
    client.expect_nothing();
    client.send(&Packet::PubComp(ack));
    client.expect("one", "second", QoS::ExactlyOnce, false);
    broker.stop();
}

/// A client that pipelines more than the Receive Maximum that it was told.
/// `[MQTT5-3.3.4-7]`
#[test]
fn mqtt5_3_3_4_7_more_than_the_servers_receive_maximum_is_refused() {
    let broker = Broker::start();
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&Hello::new(Version::V5, "greedy").encode());
    let maximum = client.connected(|connack| connack.properties.receive_maximum());
    let maximum = maximum.expect("less than 65,535");
    // QoS 2 without PUBREL stays under way for as long as the client likes.
    client.hold();
    for _ in 0..=maximum {
        client.send_publish("greedy", b"", QoS::ExactlyOnce, false);
    }
    client.release();
    for _ in 0..maximum {
        assert_eq!(client.ack(PacketType::PubRec).1, 0);
    }
    assert_eq!(client.disconnected(), Some(0x93));
    broker.stop();
}

/// Version 3 has no Receive Maximum: all packet identifiers may be under way at once.
#[test]
fn mqtt311_a_client_that_pipelines_every_identifier_never_stalls() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V3_1_1, "pipelines");
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.hold();
        for number in 1..=u16::MAX {
            let topic = ["pipe/a", "pipe/b", "pipe/c"][usize::from(number % 3)];
            client.send(&Packet::Publish(Publish {
                qos,
                topic,
                packet_identifier: PacketIdentifier::new(number),
                ..Publish::default()
            }));
        }
        client.release();
        let exchange: &[PacketType] = match qos {
            QoS::ExactlyOnce => &[PacketType::PubRec, PacketType::PubComp],
            _ => &[PacketType::PubAck],
        };
        for &wanted in exchange {
            client.hold();
            for number in 1..=u16::MAX {
                let identifier = PacketIdentifier::new(number).expect("from 1");
                assert_eq!(client.ack(wanted), (identifier, 0));
                if wanted == PacketType::PubRec {
                    client.send(&Packet::PubRel(Ack {
                        packet_identifier: identifier,
                        reason: ReasonCode::Success,
                        properties: Properties::default(),
                    }));
                }
            }
            client.release();
        }
    }
    broker.stop();
}

/// What cannot be kept for now, here more QoS 2 messages without PUBREL than `--queue-bytes`, costs
/// its sender the connection, and nobody else anything.
/// `[MQTT311-4.8.0-2]`
#[test]
fn mqtt_4_8_0_2_what_finds_no_room_closes_the_connection_it_came_on() {
    let flags = ["--queue-bytes", "64KiB", "--max-packet-size", "16KiB"];
    let broker = Broker::start_with(&flags);
    let mut other = Client::open(&broker, Version::V5, "other");
    other.subscribe("other", QoS::ExactlyOnce);
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        for _ in 0..8 {
            client.send_publish("kept", &[b'x'; 10_000], QoS::ExactlyOnce, false);
        }
        for _ in 0..6 {
            client.ack(PacketType::PubRec);
        }
        let told = (version == Version::V5).then_some(0x97);
        assert_eq!(client.disconnected(), told);
        other.publish("other", "goes on", QoS::ExactlyOnce, false);
        other.expect("other", "goes on", QoS::ExactlyOnce, false);
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-24]` `[MQTT5-3.1.2-25]`
#[test]
fn mqtt5_3_1_2_24_messages_above_the_clients_maximum_packet_size_are_not_sent() {
    let broker = Broker::start();
    // As if they had been sent and acknowledged: no place under way is taken, nobody waits, and
    // nothing comes after a reconnect.
    let hello = Hello::persistent(Version::V5, "small")
        .with(Property::MaximumPacketSize(100))
        .with(Property::ReceiveMaximum(1));
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("small/t", QoS::ExactlyOnce);
    let mut other = Client::open(&broker, Version::V5, "other");
    other.subscribe("small/t", QoS::ExactlyOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let large = "x".repeat(200);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publisher.publish("small/t", &large, qos, false);
        publisher.publish("small/t", "fits", qos, false);
        client.expect("small/t", "fits", qos, false);
        other.expect("small/t", &large, qos, false);
        other.expect("small/t", "fits", qos, false);
    }
    client.expect_nothing();
    client.disconnect();
    publisher.publish("small/t", &large, QoS::AtLeastOnce, false);
    publisher.publish("small/t", "fits", QoS::AtLeastOnce, false);
    let (mut client, present) = Client::hello(&broker, &hello);
    assert!(present);
    client.expect("small/t", "fits", QoS::AtLeastOnce, false);
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.2.2-15]`
#[test]
fn mqtt5_3_2_2_15_packets_above_the_servers_maximum_are_refused() {
    let broker = Broker::start_with(&["--max-packet-size", "1000"]);
    for version in BOTH {
        let mut client = Client::open(&broker, version, "large");
        // 2 + 2 + 5 + 1 (properties) and the payload: exactly 1000 in version 5.
        let payload = if version == Version::V5 { 989 } else { 990 };
        client.subscribe("large", QoS::AtMostOnce);
        client.publish("large", &"x".repeat(payload), QoS::AtMostOnce, false);
        assert_eq!(client.message().payload.len(), payload);
        client.send_publish("large", &[b'x'; 1000], QoS::AtMostOnce, false);
        assert_eq!(
            client.disconnected(),
            (version == Version::V5).then_some(0x95)
        );
    }
    broker.stop();
}

/// The refusal needs the fixed header only: no byte of the body is waited for.
/// `[MQTT5-3.2.2-15]`
#[test]
fn mqtt5_3_2_2_15_a_large_remaining_length_is_refused_at_once() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "announces");
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        assert_eq!(
            client.disconnected(),
            (version == Version::V5).then_some(0x95)
        );
    }
    broker.stop();
}
