//! Holes that other brokers are known for, each with a test of its own.

use crate::bad_packets::{Innocent, ONE, after_connect, before_connect, notation};
use ringbus_protocols::mqtt::{Ack, Connect, Packet, PacketType, Property, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// A length of five bytes, in each place where there is a length.
/// `[MQTT5-1.5.5-1]`
#[test]
fn regression_a_variable_byte_integer_of_five_bytes() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    for (name, text) in [
        ("remaining length", "30 8080808001"),
        ("remaining length of one", "C0 8180808000"),
        ("property length", "30 [ s'a' 8080808000 ]"),
        (
            "subscription identifier",
            "82 [ 0001 [ 0B 8180808000 ] s'a' 00 ]",
        ),
    ] {
        let bytes = notation::bytes(text);
        let got = after_connect(&broker, &mut innocent, Version::V5, (name, &bytes));
        assert_eq!(got, Some(0x81), "{name}");
        innocent.goes_on(name);
    }
    broker.stop();
}

/// Identifiers and user names that look like topic filters are names and nothing else: they match
/// nothing, and the one text that is made of them leaves them out.
#[test]
fn regression_wildcards_in_a_client_identifier_or_user_name() {
    let broker = Broker::start_with(&["--response-information", "replies/%c"]);
    let mut innocent = Innocent::new(&broker);
    for (number, name) in ["+", "#", "a/#", "+/+", "$share/g/#", "innocent"]
        .iter()
        .enumerate()
    {
        let mut guilty = Client::raw(broker.address(), Version::V5);
        let client_id = if *name == "innocent" { "guilty" } else { name };
        let asks = Hello::new(Version::V5, "").with(Property::RequestResponseInformation(true));
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id,
            will: None,
            username: Some(name),
            password: None,
            properties: asks.properties.as_properties(),
        };
        let mut bytes = Vec::new();
        connect.encode(&mut bytes);
        guilty.send_bytes(&bytes);
        let told = guilty
            .connected(|connack| connack.properties.response_information().map(str::to_owned));
        let is_plain = !client_id.contains(['+', '#']);
        assert_eq!(told, is_plain.then(|| format!("replies/{client_id}")));
        innocent.goes_on(&number.to_string());
        guilty.expect_nothing();
    }
    broker.stop();
}

/// Filters that nobody has: they cost nothing, and nobody waits for them.
#[test]
fn regression_unsubscribe_storms() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    let mut guilty = Client::open(&broker, Version::V5, "guilty");
    let filters: Vec<String> = (0..1_000).map(|n| format!("nobody/{n}/+/#")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let round = |guilty: &mut Client| {
        let codes = guilty.unsubscribe(&filters);
        assert!(codes.len() == 1_000 && codes.iter().all(|&code| code == 0x11));
    };
    round(&mut guilty);
    let before = broker.resident_bytes();
    for number in 0..100 {
        round(&mut guilty);
        innocent.goes_on(&number.to_string());
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes after 100,000 filters");
    broker.stop();
}

/// QoS 2 messages that are never released: bounded by the receive maximum or the queue's bytes, and
/// the same way when it is the client that never answers.
/// `[MQTT5-3.3.4-9]`
#[test]
fn regression_unanswered_pubrec_does_not_grow() {
    let broker = Broker::start_with(&["--queue-bytes", "2MiB"]);
    let mut innocent = Innocent::new(&broker);
    let payload = vec![b'x'; 1 << 10];
    for (version, expected) in [(Version::V5, Some(0x93)), (Version::V3_1_1, None)] {
        let mut guilty = Client::open(&broker, version, "guilty");
        let mut answered = 0;
        let reason = loop {
            guilty.send_publish("t", &payload, QoS::ExactlyOnce, false);
            match guilty.receive_or_end() {
                Some(packet) if packet.is_of(PacketType::PubRec) => answered += 1,
                Some(packet) => break packet.disconnect_reason(),
                None => break None,
            }
        };
        assert_eq!(reason, expected, "after {answered}");
        assert!(answered < 3_000, "{answered} of 1 KiB in 2 MiB");
        innocent.goes_on("pubrec");
    }
    // And towards a client that takes QoS 2 messages and says nothing.
    let mut deaf = Client::open(&broker, Version::V5, "deaf");
    deaf.subscribe("deaf", QoS::ExactlyOnce);
    let before = broker.resident_bytes();
    for _ in 0..10_000 {
        innocent
            .0
            .send_publish("deaf", &payload, QoS::ExactlyOnce, false);
        let (identifier, _) = innocent.0.ack(PacketType::PubRec);
        let released = Ack::new(identifier);
        innocent.0.send(&Packet::PubRel(released));
        innocent.0.ack(PacketType::PubComp);
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of 10 MiB");
    innocent.goes_on("deaf");
    drop(deaf);
    broker.stop();
}

/// `[MQTT5-2.2.2-1]`
#[test]
fn regression_a_property_length_past_the_packet() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    for (name, text) in [
        ("PUBLISH", "30 [ s'a' 7F ]"),
        ("PUBLISH by far", "30 [ s'a' FFFFFF7F ]"),
        ("PUBACK", "40 [ 0001 00 7F ]"),
        ("SUBSCRIBE", "82 [ 0001 7F s'a' 00 ]"),
        ("UNSUBSCRIBE", "A2 [ 0001 7F s'a' ]"),
        ("DISCONNECT", "E0 [ 00 7F ]"),
        ("AUTH", "F0 [ 18 7F 15 s'm' ]"),
    ] {
        let bytes = notation::bytes(text);
        let got = after_connect(&broker, &mut innocent, Version::V5, (name, &bytes));
        assert_eq!(got, Some(0x81), "{name}");
    }
    let connect = notation::bytes("10 [ s'MQTT' 05 02 0000 7F s'i' ]");
    assert_eq!(before_connect(&broker, Version::V5, &connect), Some(0x81));
    innocent.goes_on("CONNECT");
    broker.stop();
}

/// `[MQTT5-3.1.3-11]` `[MQTT5-3.3.2-2]` `[MQTT311-3.1.3-10]`
#[test]
fn regression_a_will_topic_with_a_wildcard() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    innocent.0.subscribe("#", ONE);
    for topic in ["#", "+", "a/+", "innocent/#"] {
        let five = format!("10 [ s'MQTT' 05 06 0000 00 s'i' 00 s'{topic}' s'p' ]");
        let got = before_connect(&broker, Version::V5, &notation::bytes(&five));
        assert_eq!(got, Some(0x81), "{topic}");
        let three = format!("10 [ s'MQTT' 04 06 0000 s'i' s'{topic}' s'p' ]");
        let got = before_connect(&broker, Version::V3_1_1, &notation::bytes(&three));
        assert_eq!(got, None, "{topic}");
    }
    innocent.goes_on("no will came");
    innocent.0.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-9]`
#[test]
fn regression_topic_alias_zero_and_above_the_maximum() {
    let broker = Broker::start_with(&["--topic-alias-max", "3"]);
    let mut innocent = Innocent::new(&broker);
    for alias in [0, 4, u16::MAX] {
        for topic in ["innocent/x", ""] {
            let mut guilty = Client::open(&broker, Version::V5, "guilty");
            guilty.send_aliased(topic, alias);
            assert_eq!(guilty.disconnected(), Some(0x94), "{alias} {topic}");
        }
    }
    innocent.goes_on("aliases");
    innocent.0.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.8.3-2]` `[MQTT5-3.10.3-2]` `[MQTT311-3.8.3-3]` `[MQTT311-3.10.3-2]`
#[test]
fn regression_subscribe_and_unsubscribe_without_a_filter() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    for (version, text, expected) in [
        (Version::V3_1, "82 [ 0001 ]", None),
        (Version::V3_1_1, "82 [ 0001 ]", None),
        (Version::V5, "82 [ 0001 00 ]", Some(0x82)),
        (Version::V5, "82 [ 0001 [ 0B01 ] ]", Some(0x82)),
        (Version::V3_1_1, "A2 [ 0001 ]", None),
        (Version::V5, "A2 [ 0001 00 ]", Some(0x82)),
    ] {
        let bytes = notation::bytes(text);
        let got = after_connect(&broker, &mut innocent, version, (text, &bytes));
        assert_eq!(got, expected, "{text}");
        innocent.goes_on(text);
    }
    broker.stop();
}

/// Topics and filters of 65,535 bytes in 32,768 levels: they are served like any other, on the
/// stack of a shard. What a walk costs is asked of the trie itself.
/// `[MQTT5-4.7.3-3]` `[MQTT311-4.7.3-3]`
#[test]
fn regression_topics_with_thirty_thousand_levels() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    let deep = format!("{}b", "a/".repeat(32_767));
    assert_eq!(deep.len(), 65_535);
    let mixed = "a/+/".repeat(16_383) + "+/b";
    let plus = "+/".repeat(32_767) + "+";
    let mut guilty = Client::open(&broker, Version::V5, "guilty");
    for filter in [
        &deep,
        &mixed,
        &plus,
        &("+/".repeat(32_000) + "#"),
        &"a/#".to_owned(),
    ] {
        guilty.subscribe(filter, ONE);
        guilty.publish(&deep, "deep", ONE, true);
        expect_deep(&mut guilty, &deep, b"deep", false);
        innocent.goes_on("deep");
        // Retained, it is found again, and cleared.
        let mut late = Client::open(&broker, Version::V3_1_1, "late");
        late.subscribe(filter, ONE);
        expect_deep(&mut late, &deep, b"deep", true);
        late.disconnect();
        guilty.publish(&deep, "", ONE, true);
        expect_deep(&mut guilty, &deep, b"", false);
        assert_eq!(guilty.unsubscribe(&[filter]), [0]);
    }
    innocent.goes_on("at the end");
    broker.stop();
}

/// Without the topic in the message of a failure.
fn expect_deep(client: &mut Client, topic: &str, payload: &[u8], retain: bool) {
    let message = client.message();
    let got = (message.payload.as_slice(), message.retain);
    assert_eq!(got, (payload, retain));
    assert!(message.topic == topic, "another topic");
}
