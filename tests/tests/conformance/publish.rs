//! PUBLISH: section 3.3.

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Packet, PacketType, PropertiesBuf, Property, Publish, QoS, SubscribeFilter, Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// `[MQTT5-2.2.1-2]` `[MQTT5-2.2.1-5]` `[MQTT5-3.3.1-2]` `[MQTT5-3.3.4-1]` `[MQTT5-3.8.4-8]`
/// `[MQTT5-4.3.1-1]` `[MQTT5-4.3.2-4]` `[MQTT5-4.3.3-8]` `[MQTT5-4.3.3-11]` `[MQTT311-2.3.1-5]`
/// `[MQTT311-2.3.1-6]` `[MQTT311-3.3.1-2]` `[MQTT311-3.3.4-1]` `[MQTT311-3.8.4-6]`
/// `[MQTT311-4.3.1-1]` `[MQTT311-4.3.2-2]`
#[test]
fn mqtt_3_3_5_1_a_message_comes_with_the_lower_of_both_qos() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        let mut subscriber = Client::open(&broker, version, "subscriber");
        for granted in QOS {
            let topic = format!("qos/{}", u8::from(granted));
            subscriber.subscribe(&topic, granted);
            for sent in QOS {
                publisher.publish(&topic, "hello", sent, false);
                subscriber.expect(&topic, "hello", sent.min(granted), false);
            }
        }
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-3]` `[MQTT311-3.3.1-3]`
#[test]
fn mqtt_3_3_1_3_dup_of_the_publisher_is_not_passed_on() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "dup");
        client.subscribe("dup", QoS::AtLeastOnce);
        let packet_identifier = Some(client.new_packet_identifier());
        client.send(&Packet::Publish(Publish {
            dup: true,
            qos: QoS::AtLeastOnce,
            topic: "dup",
            packet_identifier,
            ..Publish::default()
        }));
        assert!(!client.message().dup);
    }
    broker.stop();
}

/// `[MQTT5-4.5.0-1]` `[MQTT5-4.6.0-5]` `[MQTT5-4.6.0-6]` `[MQTT311-4.5.0-1]` `[MQTT311-4.6.0-5]`
/// `[MQTT311-4.6.0-6]`
#[test]
fn mqtt_4_6_0_6_messages_of_a_publisher_and_topic_keep_their_order() {
    let broker = Broker::start();
    for version in BOTH {
        for qos in QOS {
            let mut publisher = Client::open(&broker, version, "publisher");
            let mut one = Client::open(&broker, version, "one");
            let mut other = Client::open(&broker, version, "other");
            one.subscribe("order/#", qos);
            other.subscribe("+/x", qos);
            for number in 0..200 {
                publisher.publish("order/x", &number.to_string(), qos, false);
            }
            for subscriber in [&mut one, &mut other] {
                for number in 0..200 {
                    subscriber.expect("order/x", &number.to_string(), qos, false);
                }
            }
        }
    }
    broker.stop();
}

#[test]
fn mqtt_3_3_4_large_payloads_arrive_whole() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        let mut subscriber = Client::open(&broker, version, "subscriber");
        subscriber.subscribe("large", QoS::ExactlyOnce);
        for size in [
            0,
            1,
            127,
            128,
            4095,
            4096,
            4097,
            16_383,
            16_384,
            65_536,
            1 << 20,
        ] {
            for qos in QOS {
                let payload = "abc".repeat(size / 3 + 1);
                publisher.publish("large", &payload[..size], qos, false);
                subscriber.expect("large", &payload[..size], qos, false);
            }
        }
    }
    broker.stop();
}

/// `[MQTT5-3.3.2-4]` `[MQTT5-3.3.2-15]` `[MQTT5-3.3.2-16]` `[MQTT5-3.3.2-17]` `[MQTT5-3.3.2-18]`
/// `[MQTT5-3.3.2-20]`
#[test]
fn mqtt5_3_3_2_properties_are_passed_on_unaltered() {
    let broker = Broker::start();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let mut subscriber = Client::open(&broker, Version::V5, "subscriber");
    subscriber.subscribe("props", QoS::AtLeastOnce);
    let hello = Hello::persistent(Version::V5, "away");
    let (mut away, _) = Client::hello(&broker, &hello);
    away.subscribe("props", QoS::AtLeastOnce);
    away.disconnect();
    let mut properties = PropertiesBuf::new();
    for property in [
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("props/reply"),
        Property::CorrelationData(&[0, 1, 0xFF]),
        Property::UserProperty(("b", "2")),
        Property::UserProperty(("a", "1")),
        Property::UserProperty(("b", "2")),
    ] {
        properties.push(property);
    }
    let packet_identifier = Some(publisher.new_packet_identifier());
    publisher.send(&Packet::Publish(Publish {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "props",
        packet_identifier,
        properties: properties.as_properties(),
        payload: b"kept",
        ..Publish::default()
    }));
    publisher.ack(PacketType::PubAck);
    // To one that is there, from the queue of one that was away, and to one that comes later.
    let (away, _) = Client::hello(&broker, &hello);
    let mut late = Client::open(&broker, Version::V5, "late");
    late.subscribe("props", QoS::AtLeastOnce);
    for mut client in [subscriber, away, late] {
        let got = client.message();
        assert_eq!(got.properties, properties.as_properties().as_raw());
    }
    publisher.publish("props", "", QoS::AtLeastOnce, true);
    // Version 3 gets the same message without them.
    let mut old = Client::open(&broker, Version::V3_1_1, "old");
    old.subscribe("props", QoS::AtLeastOnce);
    publisher.publish("props", "plain", QoS::AtLeastOnce, false);
    old.expect("props", "plain", QoS::AtLeastOnce, false);
    broker.stop();
}

/// `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-12]`
#[test]
fn mqtt5_3_3_2_3_topic_alias_stands_for_its_topic_until_it_is_set_anew() {
    let broker = Broker::start();
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&Hello::new(Version::V5, "alias").encode());
    let maximum = client.connected(|connack| connack.properties.topic_alias_maximum());
    let maximum = maximum.expect("this broker takes topic aliases");
    client.subscribe("alias/#", QoS::AtLeastOnce);
    for alias in [1, maximum] {
        client.send_aliased("alias/t/one", alias);
        client.send_aliased("", alias);
        client.send_aliased("alias/t/two", alias);
        client.send_aliased("", alias);
        for topic in ["alias/t/one", "alias/t/one", "alias/t/two", "alias/t/two"] {
            client.expect(topic, "aliased", QoS::AtMostOnce, false);
        }
    }
    // Too high, unknown, and zero.
    for (topic, alias, reason) in [
        ("a", maximum.saturating_add(1), 0x94),
        ("", 2, 0x82),
        ("a", 0, 0x94),
    ] {
        let mut other = Client::open(&broker, Version::V5, "other");
        if alias <= maximum {
            other.send_aliased(topic, alias);
            assert_eq!(other.disconnected(), Some(reason), "{topic:?} {alias}");
        }
    }
    broker.stop();
}

/// The broker never invents an alias for a client that allows none.
/// `[MQTT5-2.2.2-1]` `[MQTT5-3.1.2-27]`
#[test]
fn mqtt5_3_1_2_27_no_alias_is_sent_to_a_client_without_topic_alias_maximum() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "plain");
    client.subscribe("plain/#", QoS::AtLeastOnce);
    for _ in 0..20 {
        client.publish("plain/topic", "x", QoS::AtLeastOnce, false);
        let got = client.message();
        assert_eq!(
            (got.topic.as_str(), got.properties.as_slice()),
            ("plain/topic", &[][..])
        );
    }
    broker.stop();
}

/// However many topics there are, an alias is one of those that the client takes, and stands for
/// the topic that it came with.
/// `[MQTT5-3.1.2-26]` `[MQTT5-3.3.2-11]`
#[test]
fn mqtt5_3_1_2_26_no_alias_is_above_the_clients_topic_alias_maximum() {
    const MAXIMUM: u16 = 2;
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "aliases").with(Property::TopicAliasMaximum(MAXIMUM));
    let (mut client, _) = Client::hello(&broker, &hello);
    client.subscribe("aliases/t/#", QoS::AtMostOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let mut known = std::collections::HashMap::new();
    for number in 0..30 {
        let topic = format!("aliases/t/{}", number % 5);
        publisher.publish(&topic, &topic, QoS::AtLeastOnce, false);
        let received = client.receive_only(PacketType::Publish);
        let Packet::Publish(publish) = received.packet() else {
            unreachable!("by its type")
        };
        let Some(alias) = publish.properties.topic_alias() else {
            assert_eq!(publish.topic, topic);
            continue;
        };
        assert!((1..=MAXIMUM).contains(&alias), "{alias}");
        if !publish.topic.is_empty() {
            known.insert(alias, publish.topic.to_owned());
        }
        assert_eq!(known.get(&alias), Some(&topic));
    }
    broker.stop();
}

/// `[MQTT5-3.4.2-1]` `[MQTT5-3.5.2-1]` `[MQTT5-3.7.2-1]`
#[test]
fn mqtt5_3_4_2_1_puback_says_whether_anyone_subscribed() {
    let broker = Broker::start();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut publisher = Client::open(&broker, Version::V5, "publisher");
        for number in 0..8 {
            let topic = format!("lonely/{number}");
            // At QoS 2 a message is routed on PUBREL, so PUBREC cannot know yet.
            let alone = if qos == QoS::AtLeastOnce { 0x10 } else { 0 };
            assert_eq!(
                publisher.publish(&topic, "anyone?", qos, false),
                alone,
                "{topic}"
            );
            let mut subscriber = Client::open(&broker, Version::V5, "subscriber");
            subscriber.subscribe(&topic, QoS::AtMostOnce);
            assert_eq!(
                publisher.publish(&topic, "anyone?", qos, false),
                0,
                "{topic}"
            );
            subscriber.disconnect();
        }
    }
    broker.stop();
}

/// `[MQTT5-3.3.4-2]` `[MQTT5-3.3.4-3]` `[MQTT5-3.3.4-4]` `[MQTT5-3.3.4-5]`
#[test]
fn mqtt5_3_3_4_overlapping_subscriptions_give_one_copy_with_the_highest_qos_and_all_identifiers() {
    let broker = Broker::start();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for (number, root) in ["a", "b", "c", "d"].iter().enumerate() {
        let mut client = Client::open(&broker, Version::V5, &format!("overlap{number}"));
        let filters = [
            (format!("{root}/#"), QoS::AtMostOnce, Some(1)),
            (format!("{root}/+"), QoS::ExactlyOnce, Some(200_000)),
            (format!("{root}/b"), QoS::AtLeastOnce, Some(3)),
            ("+/b/#".to_owned(), QoS::AtLeastOnce, None),
            (format!("{root}/c"), QoS::AtLeastOnce, Some(5)),
        ];
        for (filter, qos, identifier) in &filters {
            client.subscribe_codes(&[SubscribeFilter::new(filter, *qos)], *identifier);
        }
        for sent in QOS {
            let topic = format!("{root}/b");
            publisher.publish(&topic, "one", sent, false);
            let got = client.message();
            assert_eq!((got.topic.as_str(), got.qos), (topic.as_str(), sent));
            let mut identifiers = got.subscription_identifiers;
            identifiers.sort_unstable();
            assert_eq!(identifiers, [1, 3, 200_000], "{topic}");
        }
        client.expect_nothing();
    }
    broker.stop();
}

/// Also when the message had to wait for its client, and when it is sent again.
/// `[MQTT5-3.3.4-2]` `[MQTT5-3.3.4-3]` `[MQTT5-3.3.4-4]`
#[test]
fn mqtt5_3_3_4_3_subscription_identifiers_wait_with_their_message() {
    let broker = Broker::start();
    let hello = Hello::persistent(Version::V5, "away");
    let (mut away, _) = Client::hello(&broker, &hello);
    for (filter, qos, identifier) in [
        ("ids/t", QoS::AtLeastOnce, Some(268_435_455)),
        ("ids/+", QoS::ExactlyOnce, None),
        ("#", QoS::AtMostOnce, Some(1)),
    ] {
        away.subscribe_codes(&[SubscribeFilter::new(filter, qos)], identifier);
    }
    away.disconnect();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    publisher.publish("ids/t", "waits", QoS::ExactlyOnce, false);
    for dup in [false, true] {
        let (mut away, present) = Client::hello(&broker, &hello);
        assert!(present);
        let got = away.message_unacknowledged();
        assert_eq!((got.qos, got.dup), (QoS::ExactlyOnce, dup));
        let mut identifiers = got.subscription_identifiers;
        identifiers.sort_unstable();
        assert_eq!(identifiers, [1, 268_435_455]);
        away.expect_nothing();
        away.cut();
    }
    broker.stop();
}

/// `[MQTT311-3.3.5-1]`
#[test]
fn mqtt311_3_3_5_1_overlapping_subscriptions_give_one_copy_with_the_highest_qos() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V3_1_1, "overlap");
    for (filter, qos) in [
        ("o/#", QoS::AtMostOnce),
        ("o/+", QoS::ExactlyOnce),
        ("+/x", QoS::AtLeastOnce),
    ] {
        client.subscribe(filter, qos);
    }
    client.publish("o/x", "one", QoS::ExactlyOnce, false);
    client.expect("o/x", "one", QoS::ExactlyOnce, false);
    client.expect_nothing();
    broker.stop();
}
