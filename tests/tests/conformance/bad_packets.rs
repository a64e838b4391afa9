//! Every malformed packet that the codec's tests know, and packets that are well-formed and wrong,
//! sent to the running program: it says the reason or closes, and an innocent client's traffic goes
//! on.

#[path = "../../../protocols/tests/cases/mod.rs"]
mod cases;
#[path = "../../../protocols/tests/common/notation.rs"]
pub mod notation;

use ringbus_protocols::mqtt::{PacketType, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

pub const ONE: QoS = QoS::AtLeastOnce;

/// Packets that a server cannot take from a client that has connected, whatever else they are:
/// name, versions, packet, Reason Code.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str, u8)] = &[
    // Once is enough [MQTT5-3.1.0-2].
    ("a second CONNECT 3.1", "345", "10 [ s'MQIsdp' 03 02 0000 s'i' ]", 0x82),
    ("a second CONNECT 3.1.1", "345", "10 [ s'MQTT' 04 02 0000 s'i' ]", 0x82),
    ("a second CONNECT 5.0", "345", "10 [ s'MQTT' 05 02 0000 00 s'i' ]", 0x82),
    // What only servers send.
    ("CONNACK", "34", "20 [ 00 00 ]", 0x82),
    ("CONNACK 5.0", "5", "20 [ 00 00 00 ]", 0x82),
    ("CONNACK of a refusal", "5", "20 [ 00 87 00 ]", 0x82),
    ("SUBACK", "34", "90 [ 0001 00 ]", 0x82),
    ("SUBACK of a failure", "34", "90 [ 0001 80 ]", 0x82),
    ("SUBACK 5.0", "5", "90 [ 0001 00 00 ]", 0x82),
    ("UNSUBACK", "34", "B0 [ 0001 ]", 0x82),
    ("UNSUBACK 5.0", "5", "B0 [ 0001 00 00 ]", 0x82),
    ("PINGRESP", "345", "D0 00", 0x82),
    // AUTH without a method in CONNECT [MQTT5-4.12.0-7].
    ("AUTH Success", "5", "F0 00", 0x82),
    ("AUTH Success with a method", "5", "F0 [ 00 [ 15 s'm' ] ]", 0x82),
    ("AUTH Continue", "5", "F0 [ 18 [ 15 s'm' ] ]", 0x82),
    ("AUTH Continue with data", "5", "F0 [ 18 [ 15 s'm' 16 s'd' ] ]", 0x82),
    ("AUTH Re-authenticate", "5", "F0 [ 19 [ 15 s'm' ] ]", 0x82),
    // Topic aliases [MQTT5-3.3.2-8] [MQTT5-3.3.2-9].
    ("an alias above the maximum", "5", "30 [ s'a' [ 23 0041 ] ]", 0x94),
    ("the highest alias", "5", "30 [ s'a' [ 23 FFFF ] ]", 0x94),
    ("an alias above the maximum without topic", "5", "30 [ 0000 [ 23 FFFF ] ]", 0x94),
    ("an alias above the maximum at QoS 1", "5", "32 [ s'a' 0001 [ 23 0041 ] ]", 0x94),
    ("an alias that is not known", "5", "30 [ 0000 [ 23 0001 ] ]", 0x82),
    ("an alias that is not known at QoS 2", "5", "34 [ 0000 0001 [ 23 0001 ] ]", 0x82),
    // Subscription Identifiers are the server's to send [MQTT5-3.3.4-6].
    ("PUBLISH with a subscription identifier", "5", "30 [ s'a' [ 0B01 ] ]", 0x82),
    ("PUBLISH with two subscription identifiers", "5", "30 [ s'a' [ 0B01 0B02 ] ]", 0x82),
    ("PUBLISH with the highest subscription identifier", "5", "32 [ s'a' 0001 [ 0BFFFFFF7F ] ]", 0x82),
    // Codes that clients do not send.
    ("PUBACK no matching subscribers", "5", "40 [ 0001 10 ]", 0x82),
    ("PUBREC no matching subscribers", "5", "50 [ 0001 10 ]", 0x82),
    ("DISCONNECT with a server reference", "5", "E0 [ 00 [ 1C s'x' ] ]", 0x82),
    ("DISCONNECT not authorized", "5", "E0 [ 87 ]", 0x82),
    ("DISCONNECT server busy", "5", "E0 [ 89 ]", 0x82),
    ("DISCONNECT server shutting down", "5", "E0 [ 8B ]", 0x82),
    ("DISCONNECT keep alive timeout", "5", "E0 [ 8D ]", 0x82),
    ("DISCONNECT session taken over", "5", "E0 [ 8E ]", 0x82),
    ("DISCONNECT topic filter invalid", "5", "E0 [ 8F ]", 0x82),
    ("DISCONNECT retain not supported", "5", "E0 [ 9A ]", 0x82),
    ("DISCONNECT QoS not supported", "5", "E0 [ 9B ]", 0x82),
    ("DISCONNECT use another server", "5", "E0 [ 9C ]", 0x82),
    ("DISCONNECT server moved", "5", "E0 [ 9D ]", 0x82),
    ("DISCONNECT shared subscriptions", "5", "E0 [ 9E ]", 0x82),
    ("DISCONNECT connection rate", "5", "E0 [ 9F ]", 0x82),
    ("DISCONNECT maximum connect time", "5", "E0 [ A0 ]", 0x82),
    ("DISCONNECT subscription identifiers", "5", "E0 [ A1 ]", 0x82),
    ("DISCONNECT wildcard subscriptions", "5", "E0 [ A2 ]", 0x82),
    // [MQTT5-3.14.2-2]
    ("DISCONNECT with an expiry that was zero", "5", "E0 [ 00 [ 11 00000001 ] ]", 0x82),
    ("DISCONNECT with an expiry of for ever", "5", "E0 [ 04 [ 11 FFFFFFFF ] ]", 0x82),
    // From its first bytes [MQTT5-3.1.2-24].
    ("a packet of 268,435,455 bytes", "5", "30 FFFFFF7F", 0x95),
    ("a packet of three MiB", "5", "30 8080C001", 0x95),
    ("SUBSCRIBE of three MiB", "5", "82 8080C001", 0x95),
    ("a packet of 268,435,455 bytes, 3", "34", "30 FFFFFF7F", 0x95),
    // [MQTT5-3.8.3-4]
    ("No Local on a shared subscription", "5", "82 [ 0001 00 s'$share/g/t' 04 ]", 0x82),
];

/// Well-formed first packets that are no CONNECT, and what is no MQTT at all.
const FIRST: &[&str] = &[
    "20 [ 00 00 ]",
    "30 [ s'a' ]",
    "40 [ 0001 ]",
    "50 [ 0001 ]",
    "62 [ 0001 ]",
    "70 [ 0001 ]",
    "82 [ 0001 s'a' 00 ]",
    "90 [ 0001 00 ]",
    "A2 [ 0001 s'a' ]",
    "B0 [ 0001 ]",
    "C0 00",
    "D0 00",
    "E0 00",
    "F0 00",
    "'GET / HTTP/1.1'",
    "1603 0100 A501 00",
    "10 FFFFFF7F",
];

/// A client that does nothing wrong, and sees to it that everything else goes on.
pub struct Innocent(pub Client);

impl Innocent {
    pub fn new(broker: &Broker) -> Self {
        let mut client = Client::open(broker, Version::V5, "innocent");
        client.subscribe("innocent/#", ONE);
        Self(client)
    }

    pub fn goes_on(&mut self, name: &str) {
        self.0.publish("innocent/t", name, QoS::ExactlyOnce, false);
        self.0.expect("innocent/t", name, ONE, false);
    }
}

fn versions(digits: &str) -> impl Iterator<Item = Version> {
    cases::versions(digits)
}

/// Sends a packet on a new connection of a client that has a will; how that connection ended.
pub fn after_connect(
    broker: &Broker,
    innocent: &mut Innocent,
    version: Version,
    case: (&str, &[u8]),
) -> Option<u8> {
    let (name, bytes) = case;
    let hello = Hello::new(version, "guilty").with_will("innocent/will", name, ONE, false);
    let (mut guilty, _) = Client::hello(broker, &hello);
    guilty.send_bytes(bytes);
    let got = guilty.disconnected();
    // It is as if the connection had been lost [MQTT5-3.1.2-8].
    innocent.0.expect("innocent/will", name, ONE, false);
    got
}

/// Sends a first packet; the code of the CONNACK, if one comes before the end.
pub fn before_connect(broker: &Broker, version: Version, bytes: &[u8]) -> Option<u8> {
    let mut stranger = Client::raw(broker.address(), version);
    stranger.send_bytes(bytes);
    // A packet that is cut short is waited for.
    stranger.finish_sending();
    stranger.end_of_bad_connect()
}

/// What a CONNECT that is wrong is answered with: nothing unless its version can be read.
fn refusal(bytes: &[u8], reason: u8) -> (Version, Option<u8>) {
    const UNSUPPORTED: u8 = 0x84;
    let is_connect = bytes[0] == 0x10;
    let body = bytes.get(2..).unwrap_or_default();
    let mqtt = body.strip_prefix(b"\0\x04MQTT");
    let level = mqtt
        .or(body.strip_prefix(b"\0\x06MQIsdp"))
        .and_then(<[u8]>::first);
    match level {
        Some(5) if is_connect && mqtt.is_some() => (Version::V5, Some(reason)),
        // MQTT 3 has one word for all of this [MQTT311-3.1.2-2].
        Some(_) if is_connect && reason == UNSUPPORTED => (Version::V3_1_1, Some(1)),
        _ => (Version::V3_1_1, None),
    }
}

/// `[MQTT5-1.5.4-1]` `[MQTT5-1.5.4-2]` `[MQTT5-1.5.5-1]` `[MQTT5-2.1.3-1]` `[MQTT5-2.2.1-3]`
/// `[MQTT5-3.1.0-2]` `[MQTT5-3.1.2-3]` `[MQTT5-3.1.2-9]` `[MQTT5-3.1.3-11]` `[MQTT5-3.3.1-4]`
/// `[MQTT5-3.3.2-2]` `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-14]` `[MQTT5-3.3.4-6]` `[MQTT5-3.8.3-2]`
/// `[MQTT5-3.8.3-5]` `[MQTT5-3.10.3-2]` `[MQTT5-3.14.2-1]` `[MQTT5-4.12.0-7]` `[MQTT5-4.13.1-1]`
/// `[MQTT5-4.13.2-1]` `[MQTT311-3.1.0-2]` `[MQTT311-3.3.1-4]` `[MQTT311-3.3.2-2]`
/// `[MQTT311-3.8.3-3]` `[MQTT311-3.10.3-2]` `[MQTT311-4.8.0-1]`
#[test]
fn mqtt_4_13_every_bad_packet_is_answered_by_its_reason_or_a_close() {
    let broker = Broker::start();
    let mut innocent = Innocent::new(&broker);
    let (mut variants, mut failures) = (0, Vec::new());
    let codec = cases::all().map(|&(name, digits, text, _, reason)| (name, digits, text, reason));
    for (name, digits, text, reason) in codec.chain(WRONG.iter().copied()) {
        let bytes = notation::bytes(text);
        let is_first = bytes[0] >> 4 == PacketType::Connect as u8 && !name.starts_with("a second");
        for version in versions(digits) {
            variants += 1;
            let (expected, got) = if is_first {
                let (version, expected) = refusal(&bytes, reason);
                (expected, before_connect(&broker, version, &bytes))
            } else {
                let expected = version.is_v5().then_some(reason);
                (
                    expected,
                    after_connect(&broker, &mut innocent, version, (name, &bytes)),
                )
            };
            if got != expected {
                failures.push(format!(
                    "{name} in {version}: {got:02X?}, not {expected:02X?}"
                ));
            }
        }
        innocent.goes_on(name);
    }
    for text in FIRST {
        variants += 1;
        let got = before_connect(&broker, Version::V5, &notation::bytes(text));
        if got.is_some() {
            failures.push(format!("{text} before CONNECT: {got:02X?}"));
        }
        innocent.goes_on(text);
    }
    println!("{variants} variants");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(variants >= 400, "{variants}");
    innocent.0.expect_nothing();
    broker.stop();
}
