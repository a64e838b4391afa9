//! What is sent again, and when: after long absences, and never without one.

use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, PacketType, Properties, Publish, QoS, ReasonCode, Version,
};
use ringbus_tests::client::Hello;
use ringbus_tests::simulation::{Actor, Scene, play};

const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];
const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
const YEAR: u64 = 365 * 24 * 3600;

/// A client whose session outlives any absence.
fn lasting(version: Version, client_id: &str) -> Hello {
    let mut hello = Hello::new(version, client_id);
    hello.clean_start = false;
    hello.with(ringbus_protocols::mqtt::Property::SessionExpiryInterval(
        u32::MAX,
    ))
}

fn back(scene: &Scene, hello: &Hello) -> Actor {
    scene.pass_seconds(YEAR);
    let (client, present) = scene.hello(hello);
    assert!(present, "the session is lost");
    client
}

fn ack(packet_identifier: PacketIdentifier) -> Ack<'static> {
    Ack {
        packet_identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    }
}

/// Unacknowledged messages, with the same identifiers, marked, and in their order.
/// `[MQTT5-4.4.0-1]` `[MQTT5-3.3.1-1]` `[MQTT5-4.6.0-1]` `[MQTT5-4.3.2-2]` `[MQTT5-4.3.3-2]`
/// `[MQTT311-4.4.0-1]` `[MQTT311-3.3.1-1]` `[MQTT311-4.6.0-1]`
#[test]
fn mqtt_4_4_0_1_unacknowledged_messages_come_again_after_an_absence() {
    play(|scene| {
        for version in BOTH {
            let hello = lasting(version, "away");
            let (mut away, _) = scene.hello(&hello);
            away.subscribe("again/#", TWO);
            let mut publisher = scene.open(Version::V5, "publisher");
            for number in 0..12 {
                let qos = if number % 2 == 0 { ONE } else { TWO };
                publisher.publish("again/t", &number.to_string(), qos, false);
            }
            let first: Vec<_> = (0..12).map(|_| away.message_unacknowledged()).collect();
            // Some are acknowledged, and not in order.
            away.send(&Packet::PubAck(ack(first[4]
                .packet_identifier
                .expect("QoS 1"))));
            away.ping();
            away.cut();
            for _ in 0..2 {
                away = back(scene, &hello);
                for before in first.iter().filter(|one| one.payload != b"4") {
                    let again = away.message_unacknowledged();
                    assert!(again.dup && !before.dup, "{again:?}");
                    let what = |message: &ringbus_tests::client::Message| {
                        (
                            message.packet_identifier,
                            message.payload.clone(),
                            message.qos,
                        )
                    };
                    assert_eq!(what(&again), what(before));
                }
                away.expect_nothing();
                away.cut();
            }
            scene.open(version, "away").disconnect();
        }
    });
}

/// A message that was received, PUBREC, is not sent again: its PUBREL is.
/// `[MQTT5-4.4.0-1]` `[MQTT5-4.3.3-4]` `[MQTT5-4.3.3-6]` `[MQTT311-4.4.0-1]` `[MQTT311-4.6.0-4]`
#[test]
fn mqtt_4_4_0_1_pubrel_comes_again_after_an_absence() {
    play(|scene| {
        for version in BOTH {
            let hello = lasting(version, "away");
            let (mut away, _) = scene.hello(&hello);
            away.subscribe("release", TWO);
            let mut publisher = scene.open(Version::V5, "publisher");
            for payload in ["a", "b", "c"] {
                publisher.publish("release", payload, TWO, false);
            }
            let mut identifiers = Vec::new();
            for _ in 0..3 {
                let message = away.message_unacknowledged();
                let identifier = message.packet_identifier.expect("QoS 2");
                away.send(&Packet::PubRec(ack(identifier)));
                assert_eq!(away.ack(PacketType::PubRel).0, identifier);
                identifiers.push(identifier);
            }
            for _ in 0..2 {
                away.cut();
                away = back(scene, &hello);
                for &identifier in &identifiers {
                    assert_eq!(away.ack(PacketType::PubRel), (identifier, 0));
                }
                away.expect_nothing();
            }
            for identifier in identifiers {
                away.send(&Packet::PubComp(ack(identifier)));
            }
            away.ping();
            away = back(scene, &hello);
            away.expect_nothing();
            drop(away);
            scene.open(version, "away").disconnect();
        }
    });
}

/// What the client began before its absence, it may finish after it, and it is delivered once.
/// `[MQTT5-4.3.3-10]` `[MQTT5-4.3.3-11]` `[MQTT5-4.3.3-12]` `[MQTT311-4.3.3-2]`
#[test]
fn mqtt_4_3_3_a_client_finishes_its_exchange_after_an_absence() {
    play(|scene| {
        for version in BOTH {
            let mut subscriber = scene.open(Version::V5, "subscriber");
            subscriber.subscribe("once", TWO);
            let hello = lasting(version, "publisher");
            let (mut publisher, _) = scene.hello(&hello);
            let identifier = publisher.new_packet_identifier();
            for dup in [false, true, true] {
                publisher.send(&Packet::Publish(Publish {
                    dup,
                    qos: TWO,
                    topic: "once",
                    packet_identifier: Some(identifier),
                    payload: b"one",
                    ..Publish::default()
                }));
                assert_eq!(publisher.ack(PacketType::PubRec), (identifier, 0));
                publisher.cut();
                publisher = back(scene, &hello);
            }
            subscriber.expect_nothing();
            publisher.send(&Packet::PubRel(ack(identifier)));
            assert_eq!(publisher.ack(PacketType::PubComp), (identifier, 0));
            subscriber.expect("once", "one", TWO, false);
            subscriber.expect_nothing();
            drop(publisher);
            scene.open(version, "publisher").disconnect();
        }
    });
}

/// On one connection nothing is sent twice, however long the client takes.
/// `[MQTT5-4.4.0-1]`
#[test]
fn mqtt5_4_4_0_1_nothing_is_sent_again_on_the_same_connection() {
    play(|scene| {
        let (mut slow, _) = scene.hello(&lasting(Version::V5, "slow"));
        slow.subscribe("slow", TWO);
        let mut publisher = scene.open(Version::V5, "publisher");
        publisher.publish("slow", "one", ONE, false);
        publisher.publish("slow", "two", TWO, false);
        let first = slow.message_unacknowledged();
        let second = slow.message_unacknowledged();
        scene.pass_seconds(YEAR);
        slow.expect_nothing();
        let identifier = second.packet_identifier.expect("QoS 2");
        slow.send(&Packet::PubRec(ack(identifier)));
        assert_eq!(slow.ack(PacketType::PubRel).0, identifier);
        scene.pass_seconds(YEAR);
        slow.expect_nothing();
        slow.acknowledge(&first);
        slow.send(&Packet::PubComp(ack(identifier)));
        slow.expect_nothing();
    });
}
