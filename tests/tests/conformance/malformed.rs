//! Packets that break a rule: the reason that the clause names in version 5, a close in version 3,
//! and nothing at all for anybody else.

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// What is wrong, the bytes, the reason in version 5 (`None`: not wrong there), and whether it is
/// wrong in version 3.1.1.
type Case = (&'static str, &'static [u8], Option<u8>, bool);

const CASES: &[Case] = &[
    (
        "2.1.2-1 packet type 0 is reserved",
        &[0x00, 0x00],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 SUBSCRIBE flags are 2",
        &[0x80, 0x07, 0, 1, 0, 0, 1, b'a', 0],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 UNSUBSCRIBE flags are 2",
        &[0xA0, 0x06, 0, 1, 0, 0, 1, b'a'],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 PUBACK flags are 0",
        &[0x41, 0x02, 0, 1],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 PUBREC flags are 0",
        &[0x52, 0x02, 0, 1],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 PUBCOMP flags are 0",
        &[0x72, 0x02, 0, 1],
        Some(0x81),
        true,
    ),
    (
        "3.14.1-1 DISCONNECT flags are 0",
        &[0xE1, 0x00],
        Some(0x81),
        true,
    ),
    ("3.15.1-1 AUTH flags are 0", &[0xF1, 0x00], Some(0x81), true),
    (
        "1.5.5-1 a length of properties that is longer than need be",
        &[0x30, 0x05, 0, 1, b'a', 0x80, 0x00],
        Some(0x81),
        false,
    ),
    (
        "3.3.2-14 wildcard in a response topic",
        &[0x30, 0x08, 0, 1, b'a', 4, 0x08, 0, 1, b'#'],
        Some(0x81),
        false,
    ),
    (
        "3.3.2-13 a response topic that is no UTF-8",
        &[0x30, 0x08, 0, 1, b'a', 4, 0x08, 0, 1, 0xFF],
        Some(0x81),
        false,
    ),
    (
        "3.3.2-19 a content type that is no UTF-8",
        &[0x30, 0x08, 0, 1, b'a', 4, 0x03, 0, 1, 0xFF],
        Some(0x81),
        false,
    ),
    (
        "1.5.7-1 a name of a user property that is no UTF-8",
        &[0x30, 0x0B, 0, 1, b'a', 7, 0x26, 0, 1, 0xFF, 0, 1, b'v'],
        Some(0x81),
        false,
    ),
    (
        "1.5.7-1 a value of a user property that is no UTF-8",
        &[0x30, 0x0B, 0, 1, b'a', 7, 0x26, 0, 1, b'n', 0, 1, 0xFF],
        Some(0x81),
        false,
    ),
    (
        "3.8.3-1 a filter that is no UTF-8",
        &[0x82, 0x07, 0, 1, 0, 0, 1, 0xFF, 0],
        Some(0x81),
        true,
    ),
    (
        "3.10.3-1 a filter that is no UTF-8",
        &[0xA2, 0x06, 0, 1, 0, 0, 1, 0xFF],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 PINGREQ flags are 0",
        &[0xC1, 0x00],
        Some(0x81),
        true,
    ),
    (
        "2.1.3-1 PUBREL flags are 2",
        &[0x60, 0x02, 0, 1],
        Some(0x81),
        true,
    ),
    (
        "1.5.5-1 a length of five bytes",
        &[0x30, 0x80, 0x80, 0x80, 0x80, 0x01],
        Some(0x81),
        true,
    ),
    (
        "3.3.1-4 PUBLISH at QoS 3",
        &[0x36, 0x06, 0, 1, b'a', 0, 1, 0],
        Some(0x81),
        true,
    ),
    (
        "3.3.1-2 DUP at QoS 0",
        &[0x38, 0x04, 0, 1, b'a', 0],
        Some(0x81),
        true,
    ),
    (
        "3.3.2-2 wildcard in a topic name",
        &[0x30, 0x04, 0, 1, b'#', 0],
        Some(0x81),
        true,
    ),
    (
        "3.3.2-2 wildcard in a topic name",
        &[0x30, 0x06, 0, 3, b'a', b'/', b'+', 0],
        Some(0x81),
        true,
    ),
    (
        "4.7.3-2 U+0000 in a topic name",
        &[0x30, 0x04, 0, 1, 0, 0],
        Some(0x81),
        true,
    ),
    (
        "1.5.4-1 a surrogate in a topic name",
        &[0x30, 0x06, 0, 3, 0xED, 0xA0, 0x80, 0],
        Some(0x81),
        true,
    ),
    (
        "1.5.4-1 an overlong slash",
        &[0x30, 0x05, 0, 2, 0xC0, 0xAF, 0],
        Some(0x81),
        true,
    ),
    (
        "3.3.2-1 a topic longer than its packet",
        &[0x30, 0x04, 0, 9, b'a', 0],
        Some(0x81),
        true,
    ),
    (
        "2.2.1-3 PUBLISH with packet identifier 0",
        &[0x32, 0x06, 0, 1, b'a', 0, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "2.2.1-3 SUBSCRIBE with packet identifier 0",
        &[0x82, 0x07, 0, 0, 0, 0, 1, b'a', 0],
        Some(0x82),
        true,
    ),
    (
        "2.2.1-3 PUBACK with packet identifier 0",
        &[0x40, 0x02, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "3.3 PUBLISH without a packet identifier",
        &[0x32, 0x03, 0, 1, b'a'],
        Some(0x81),
        true,
    ),
    (
        "3.8.3-2 SUBSCRIBE without a filter",
        &[0x82, 0x03, 0, 1, 0],
        Some(0x82),
        true,
    ),
    (
        "3.10.3-2 UNSUBSCRIBE without a filter",
        &[0xA2, 0x03, 0, 1, 0],
        Some(0x82),
        true,
    ),
    (
        "3.8.3-5 reserved subscription options",
        &[0x82, 0x07, 0, 1, 0, 0, 1, b'a', 0x40],
        Some(0x81),
        true,
    ),
    (
        "3.8.3.1 subscription QoS 3",
        &[0x82, 0x07, 0, 1, 0, 0, 1, b'a', 0x03],
        Some(0x82),
        true,
    ),
    (
        "3.8.3.1 retain handling 3",
        &[0x82, 0x07, 0, 1, 0, 0, 1, b'a', 0x30],
        Some(0x82),
        true,
    ),
    (
        "3.8.2 subscription identifier 0",
        &[0x82, 0x09, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0],
        Some(0x82),
        false,
    ),
    (
        "3.8.2 two subscription identifiers",
        &[0x82, 0x0B, 0, 1, 4, 0x0B, 1, 0x0B, 2, 0, 1, b'a', 0],
        Some(0x82),
        false,
    ),
    (
        "3.12 PINGREQ with a body",
        &[0xC0, 0x01, 0],
        Some(0x81),
        true,
    ),
    (
        "1.1 CONNACK from a client",
        &[0x20, 0x03, 0, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "1.1 SUBACK from a client",
        &[0x90, 0x04, 0, 1, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "1.1 UNSUBACK from a client",
        &[0xB0, 0x04, 0, 1, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "1.1 PINGRESP from a client",
        &[0xD0, 0x00],
        Some(0x82),
        true,
    ),
    (
        "3.15 AUTH without authentication",
        &[0xF0, 0x00],
        Some(0x82),
        true,
    ),
    (
        "3.3.2.3.4 topic alias 0",
        &[0x30, 0x07, 0, 1, b'a', 3, 0x23, 0, 0],
        Some(0x94),
        false,
    ),
    (
        "3.3.2.3.4 an alias that is not known",
        &[0x30, 0x06, 0, 0, 3, 0x23, 0, 1],
        Some(0x82),
        false,
    ),
    (
        "3.3.2.1 neither topic nor alias",
        &[0x30, 0x03, 0, 0, 0],
        Some(0x82),
        true,
    ),
    (
        "3.3.2.3.2 payload format 2",
        &[0x30, 0x06, 0, 1, b'a', 2, 0x01, 2],
        Some(0x82),
        false,
    ),
    (
        "3.3.4-6 subscription identifier from a client",
        &[0x30, 0x06, 0, 1, b'a', 2, 0x0B, 1],
        Some(0x82),
        false,
    ),
    (
        "2.2.2.2 a property twice",
        &[0x30, 0x08, 0, 1, b'a', 4, 0x01, 0, 0x01, 0],
        Some(0x82),
        false,
    ),
    (
        "2.2.2.2 an unknown property",
        &[0x30, 0x06, 0, 1, b'a', 2, 0x7E, 0],
        Some(0x81),
        false,
    ),
    (
        "2.2.2.2 a property of another packet",
        &[0x30, 0x09, 0, 1, b'a', 5, 0x11, 0, 0, 0, 1],
        Some(0x81),
        false,
    ),
    (
        "2.2.2.1 properties longer than the packet",
        &[0x30, 0x04, 0, 1, b'a', 9],
        Some(0x81),
        false,
    ),
    (
        "3.4.2.1 PUBACK with an unknown reason",
        &[0x40, 0x03, 0, 1, 0x42],
        Some(0x82),
        false,
    ),
    (
        "3.14.2-1 DISCONNECT with a server's reason",
        &[0xE0, 0x02, 0x8E, 0],
        Some(0x82),
        false,
    ),
];

/// Version 3 has no property length: cases written for version 5 lose it where it would be taken
/// for something else. Those that need no change say the same in both.
fn in_version_3(name: &str, bytes: &[u8]) -> Vec<u8> {
    let drop_at = match bytes[0] & 0xF0 {
        0x30 if name.contains("QoS 3") || name.contains("identifier 0") => 7,
        0x80 | 0xA0 => 4,
        0x20 | 0xB0 => 4,
        0x90 => 4,
        _ => return bytes.to_vec(),
    };
    let mut bytes = bytes.to_vec();
    bytes.remove(drop_at);
    bytes[1] -= 1;
    bytes
}

/// Sends each bad packet on a fresh connection that has a will and a subscription, then checks
/// that a connection that did nothing wrong goes on as if nothing had been.
fn ask_all(version: Version) {
    let broker = Broker::start();
    let mut innocent = Client::open(&broker, Version::V5, "innocent");
    innocent.subscribe("innocent/#", QoS::AtLeastOnce);
    let mut failures = Vec::new();
    for (name, bytes, reason, wrong_in_3) in CASES {
        let v5 = version == Version::V5;
        if !v5 && !wrong_in_3 {
            continue;
        }
        let bytes = if v5 {
            bytes.to_vec()
        } else {
            in_version_3(name, bytes)
        };
        let hello =
            Hello::new(version, "guilty").with_will("innocent/will", name, QoS::AtLeastOnce, false);
        let (mut client, _) = Client::hello(&broker, &hello);
        println!("{name}");
        client.send_bytes(&bytes);
        let got = client.disconnected();
        if v5 && got != *reason {
            failures.push(format!("{name}: {got:02x?}, not {reason:02x?}"));
        }
        innocent.expect("innocent/will", name, QoS::AtLeastOnce, false);
        innocent.publish("innocent/t", name, QoS::ExactlyOnce, false);
        innocent.expect("innocent/t", name, QoS::AtLeastOnce, false);
    }
    innocent.expect_nothing();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    broker.stop();
}

/// `[MQTT5-1.5.4-1]` `[MQTT5-1.5.4-2]` `[MQTT5-1.5.5-1]` `[MQTT5-1.5.7-1]` `[MQTT5-2.1.3-1]`
/// `[MQTT5-2.2.1-3]` `[MQTT5-3.1.2-8]` `[MQTT5-3.3.1-2]` `[MQTT5-3.3.1-4]` `[MQTT5-3.3.2-1]`
/// `[MQTT5-3.3.2-2]` `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-13]` `[MQTT5-3.3.2-14]` `[MQTT5-3.3.2-19]`
/// `[MQTT5-3.3.4-6]` `[MQTT5-3.4.2-1]` `[MQTT5-3.6.1-1]` `[MQTT5-3.8.1-1]` `[MQTT5-3.8.3-1]`
/// `[MQTT5-3.8.3-2]` `[MQTT5-3.8.3-5]` `[MQTT5-3.10.1-1]` `[MQTT5-3.10.3-1]` `[MQTT5-3.10.3-2]`
/// `[MQTT5-3.14.1-1]` `[MQTT5-3.14.2-1]` `[MQTT5-3.15.1-1]` `[MQTT5-4.7.0-1]` `[MQTT5-4.7.3-1]`
/// `[MQTT5-4.7.3-2]` `[MQTT5-4.12.0-7]` `[MQTT5-4.13.1-1]` `[MQTT5-4.13.2-1]`
#[test]
fn mqtt5_4_13_malformed_packets_are_answered_with_their_reason() {
    ask_all(Version::V5);
}

/// `[MQTT311-1.5.3-1]` `[MQTT311-1.5.3-2]` `[MQTT311-2.2.2-1]` `[MQTT311-2.2.2-2]`
/// `[MQTT311-2.3.1-1]` `[MQTT311-3.1.2-8]` `[MQTT311-3.3.1-2]` `[MQTT311-3.3.1-4]`
/// `[MQTT311-3.3.2-1]` `[MQTT311-3.3.2-2]` `[MQTT311-3.6.1-1]` `[MQTT311-3.8.1-1]`
/// `[MQTT311-3.8.3-1]` `[MQTT311-3.8.3-3]` `[MQTT311-3.8.3-4]` `[MQTT311-3.10.1-1]`
/// `[MQTT311-3.10.3-1]` `[MQTT311-3.10.3-2]` `[MQTT311-3.14.1-1]` `[MQTT311-4.7.1-1]`
/// `[MQTT311-4.7.3-1]` `[MQTT311-4.7.3-2]` `[MQTT311-4.8.0-1]`
#[test]
fn mqtt311_4_8_0_1_malformed_packets_close_the_connection() {
    ask_all(Version::V3_1_1);
}

/// A packet that is wrong ends the connection where it stands: what came before is served, what
/// comes after is not.
/// `[MQTT5-4.13.1-1]`
#[test]
fn mqtt5_4_13_1_packets_before_the_wrong_one_count_and_those_behind_do_not() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("t", QoS::AtLeastOnce);
    let mut client = Client::open(&broker, Version::V5, "client");
    client.hold();
    client.send_publish("t", b"before", QoS::AtMostOnce, false);
    client.send_bytes(&[0x36, 0x06, 0, 1, b'a', 0, 1, 0]);
    client.send_publish("t", b"behind", QoS::AtMostOnce, false);
    client.release();
    assert_eq!(client.disconnected(), Some(0x81));
    watcher.expect("t", "before", QoS::AtMostOnce, false);
    watcher.expect_nothing();
    broker.stop();
}
