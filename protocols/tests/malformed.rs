//! Every way to break a packet that the specifications name: the rule that is reported and the
//! Reason Code that follows from it. Packets are in the notation of `common/notation.rs`.

mod cases;
mod common;

use std::collections::BTreeSet;

use common::notation;
use common::packets::allowed;
use ringbus_protocols::mqtt::{
    DecodeError, Frame, PACKET_SIZE_MAX, Packet, PacketType, PropertyId, Version, frame,
};

/// The first error of framing or decoding.
fn outcome(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    match frame(bytes, PACKET_SIZE_MAX)? {
        Frame::Complete {
            header,
            body,
            length,
        } => {
            assert_eq!(length, bytes.len(), "bytes after the packet");
            Packet::decode(header, body, version)
        }
        Frame::Incomplete { needed } => panic!("incomplete: {needed} of {}", bytes.len()),
    }
}

/// `[MQTT5-1.5.4-1]` `[MQTT5-1.5.4-2]` `[MQTT5-1.5.5-1]` `[MQTT5-1.5.7-1]` `[MQTT5-2.1.3-1]`
/// `[MQTT5-2.2.1-3]` `[MQTT5-3.1.2-3]` `[MQTT5-3.1.2-9]` `[MQTT5-3.1.2-11]` `[MQTT5-3.1.2-12]`
/// `[MQTT5-3.1.2-13]` `[MQTT5-3.1.2-17]` `[MQTT5-3.1.2-19]` `[MQTT5-3.1.3-3]` `[MQTT5-3.1.3-4]`
/// `[MQTT5-3.1.3-11]` `[MQTT5-3.3.1-2]` `[MQTT5-3.3.1-4]` `[MQTT5-3.3.2-1]` `[MQTT5-3.3.2-2]`
/// `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-13]` `[MQTT5-3.3.2-14]` `[MQTT5-3.3.2-19]` `[MQTT5-3.6.1-1]`
/// `[MQTT5-3.8.1-1]` `[MQTT5-3.8.3-1]` `[MQTT5-3.8.3-2]` `[MQTT5-3.8.3-5]` `[MQTT5-3.10.1-1]`
/// `[MQTT5-3.10.3-1]` `[MQTT5-3.10.3-2]` `[MQTT5-3.14.1-1]` `[MQTT5-3.15.1-1]` `[MQTT5-4.7.0-1]`
/// `[MQTT5-4.7.3-1]` `[MQTT5-4.7.3-2]` `[MQTT311-1.5.3-1]` `[MQTT311-1.5.3-2]` `[MQTT311-2.2.2-1]`
/// `[MQTT311-2.3.1-1]` `[MQTT311-3.1.2-3]` `[MQTT311-3.1.2-9]` `[MQTT311-3.1.2-11]`
/// `[MQTT311-3.1.2-13]` `[MQTT311-3.1.2-14]` `[MQTT311-3.1.2-15]` `[MQTT311-3.1.2-18]`
/// `[MQTT311-3.1.2-19]` `[MQTT311-3.1.2-21]` `[MQTT311-3.1.2-22]` `[MQTT311-3.1.3-3]`
/// `[MQTT311-3.1.3-4]` `[MQTT311-3.1.3-11]` `[MQTT311-3.3.1-2]` `[MQTT311-3.3.1-4]`
/// `[MQTT311-3.3.2-1]` `[MQTT311-3.3.2-2]` `[MQTT311-3.6.1-1]` `[MQTT311-3.8.1-1]`
/// `[MQTT311-3.8.3-1]` `[MQTT311-3.8.3-3]` `[MQTT311-3.8.3-4]` `[MQTT311-3.10.1-1]`
/// `[MQTT311-3.10.3-1]` `[MQTT311-3.10.3-2]` `[MQTT311-3.14.1-1]` `[MQTT311-4.7.1-1]`
/// `[MQTT311-4.7.3-1]` `[MQTT311-4.7.3-2]`
#[test]
fn every_case_reports_its_rule_and_reason() {
    let mut failures = Vec::new();
    for (name, digits, text, error, reason) in cases::all() {
        let bytes = notation::bytes(text);
        for version in cases::versions(digits) {
            let found = outcome(&bytes, version);
            let code = found.map_err(|error| u8::from(error.reason()));
            if found != Err(*error) || code != Err(*reason) {
                failures.push(format!(
                    "{name} in {version}: {found:?}, reason {code:02X?}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn cases_are_many_and_have_names_of_their_own() {
    let names: BTreeSet<_> = cases::all().map(|case| case.0).collect();
    assert_eq!(names.len(), cases::all().count());
    assert!(names.len() >= 300, "{}", names.len());
}

/// Every property in every place where table 2-4 of the specification does not list it.
#[test]
fn mqtt5_2_2_2_2_properties_are_refused_where_they_do_not_belong() {
    let places: [(&str, &str, &str, &[u8]); 15] = [
        (
            "CONNECT",
            "10 [ s'MQTT' 05 00 0000 [",
            "] s'' ]",
            allowed::CONNECT,
        ),
        (
            "will",
            "10 [ s'MQTT' 05 04 0000 00 s'' [",
            "] s'w' 0000 ]",
            allowed::WILL,
        ),
        ("CONNACK", "20 [ 00 00 [", "] ]", allowed::CONNACK),
        ("PUBLISH", "30 [ s'a' [", "] ]", allowed::PUBLISH),
        ("PUBACK", "40 [ 0001 00 [", "] ]", allowed::ACK),
        ("PUBREC", "50 [ 0001 00 [", "] ]", allowed::ACK),
        ("PUBREL", "62 [ 0001 00 [", "] ]", allowed::ACK),
        ("PUBCOMP", "70 [ 0001 00 [", "] ]", allowed::ACK),
        (
            "SUBSCRIBE",
            "82 [ 0001 [",
            "] s'a' 00 ]",
            allowed::SUBSCRIBE,
        ),
        ("SUBACK", "90 [ 0001 [", "] 00 ]", allowed::ACK),
        (
            "UNSUBSCRIBE",
            "A2 [ 0001 [",
            "] s'a' ]",
            allowed::UNSUBSCRIBE,
        ),
        ("UNSUBACK", "B0 [ 0001 [", "] 00 ]", allowed::ACK),
        ("DISCONNECT", "E0 [ 00 [", "] ]", allowed::DISCONNECT),
        ("AUTH without method", "F0 [ 18 [", "] ]", allowed::AUTH),
        ("AUTH", "F0 [ 18 [ 15 s'm'", "] ]", &[0x16, 0x1F]),
    ];
    for (name, head, tail, allowed) in places {
        for &id in PropertyId::ALL {
            let text = format!("{head} {} {tail}", example(id));
            let found = outcome(&notation::bytes(&text), Version::V5).map(|packet| {
                assert!(common::encode(&packet, Version::V5).len() > 3);
            });
            let expected = if allowed.contains(&(id as u8)) || id == PropertyId::UserProperty {
                alone(name, id)
            } else if name == "AUTH" && id == PropertyId::AuthenticationMethod {
                Err(DecodeError::PropertyDuplicate(id))
            } else {
                Err(DecodeError::PropertyNotAllowed(id))
            };
            assert_eq!(found, expected, "{id} in {name}");
        }
    }
}

/// What a packet with only this allowed property is.
fn alone(name: &str, id: PropertyId) -> Result<(), DecodeError> {
    match (name, id) {
        ("CONNECT", PropertyId::AuthenticationData) => {
            Err(DecodeError::AuthenticationDataWithoutMethod)
        }
        ("AUTH without method", id) if id != PropertyId::AuthenticationMethod => {
            Err(DecodeError::AuthenticationMethodMissing)
        }
        _ => Ok(()),
    }
}

/// Every property that may be there once, twice.
#[test]
fn properties_twice_are_protocol_errors() {
    let places: [(&str, &str, &[u8]); 9] = [
        ("10 [ s'MQTT' 05 00 0000 [", "] s'' ]", allowed::CONNECT),
        (
            "10 [ s'MQTT' 05 04 0000 00 s'' [",
            "] s'w' 0000 ]",
            allowed::WILL,
        ),
        ("20 [ 00 00 [", "] ]", allowed::CONNACK),
        ("30 [ s'a' [", "] ]", allowed::PUBLISH),
        ("40 [ 0001 00 [", "] ]", allowed::ACK),
        ("82 [ 0001 [", "] s'a' 00 ]", allowed::SUBSCRIBE),
        ("90 [ 0001 [", "] 00 ]", allowed::ACK),
        ("E0 [ 00 [", "] ]", allowed::DISCONNECT),
        ("F0 [ 18 [", "] ]", allowed::AUTH),
    ];
    for (head, tail, allowed) in places {
        for &id in allowed {
            let id = PropertyId::try_from(id).expect("assigned");
            let text = format!("{head} {0} 26 s'k' s'v' {0} {tail}", example(id));
            let bytes = notation::bytes(&text);
            let found = outcome(&bytes, Version::V5);
            if id == PropertyId::SubscriptionIdentifier && head.starts_with("30") {
                // A message that matched two subscriptions [MQTT5-3.3.4].
                assert!(found.is_ok(), "{found:?}");
                continue;
            }
            assert_eq!(
                found,
                Err(DecodeError::PropertyDuplicate(id)),
                "{head} {id}"
            );
        }
    }
}

/// A property with a value that is good wherever the property is.
fn example(id: PropertyId) -> String {
    use PropertyId as Id;
    let value = match id {
        Id::PayloadFormatIndicator
        | Id::RequestProblemInformation
        | Id::RequestResponseInformation
        | Id::MaximumQoS
        | Id::RetainAvailable
        | Id::WildcardSubscriptionAvailable
        | Id::SubscriptionIdentifierAvailable
        | Id::SharedSubscriptionAvailable => "01",
        Id::MessageExpiryInterval
        | Id::SessionExpiryInterval
        | Id::WillDelayInterval
        | Id::MaximumPacketSize => "0000 1000",
        Id::ServerKeepAlive | Id::ReceiveMaximum | Id::TopicAliasMaximum | Id::TopicAlias => "0005",
        Id::SubscriptionIdentifier => "07",
        Id::CorrelationData | Id::AuthenticationData => "0002 00FF",
        Id::UserProperty => "s'k' s'v'",
        Id::ContentType
        | Id::ResponseTopic
        | Id::AssignedClientIdentifier
        | Id::AuthenticationMethod
        | Id::ResponseInformation
        | Id::ServerReference
        | Id::ReasonString => "s'x'",
    };
    format!("{:02X} {value}", id as u8)
}

/// Every byte that is not a Reason Code of the packet.
/// `[MQTT5-3.4.2-1]` `[MQTT5-3.5.2-1]` `[MQTT5-3.6.2-1]` `[MQTT5-3.7.2-1]` `[MQTT5-3.14.2-1]`
/// `[MQTT5-3.15.2-1]`
#[test]
fn reason_codes_of_other_packets_are_protocol_errors() {
    let packets: [(&str, &str, PacketType, &[u8]); 9] = [
        (
            "20 [ 00",
            "00 ]",
            PacketType::ConnAck,
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
                0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
        ),
        ("40 [ 0001", "]", PacketType::PubAck, RECEIVED),
        ("50 [ 0001", "]", PacketType::PubRec, RECEIVED),
        ("62 [ 0001", "]", PacketType::PubRel, &[0x00, 0x92]),
        ("70 [ 0001", "]", PacketType::PubComp, &[0x00, 0x92]),
        (
            "90 [ 0001 00",
            "]",
            PacketType::SubAck,
            &[
                0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
            ],
        ),
        (
            "B0 [ 0001 00",
            "]",
            PacketType::UnsubAck,
            &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        ),
        (
            "E0 [",
            "]",
            PacketType::Disconnect,
            &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1,
                0xA2,
            ],
        ),
        (
            "F0 [",
            "[ 15 s'm' ] ]",
            PacketType::Auth,
            &[0x00, 0x18, 0x19],
        ),
    ];
    for (head, tail, packet_type, allowed) in packets {
        for value in 0..=u8::MAX {
            let bytes = notation::bytes(&format!("{head} {value:02X} {tail}"));
            let found = outcome(&bytes, Version::V5).map(|packet| packet.packet_type());
            if allowed.contains(&value) {
                assert_eq!(found, Ok(packet_type));
            } else {
                let error = DecodeError::ReasonCodeInvalid { packet_type, value };
                assert_eq!(found, Err(error));
            }
        }
    }
}

const RECEIVED: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

#[test]
fn mqtt5_3_1_2_24_a_packet_over_the_maximum_is_too_large() {
    let error = frame(&[0x30, 0xE7, 0x07], 1000).expect_err("1,002 bytes");
    assert_eq!(
        error,
        DecodeError::PacketTooLarge {
            length: 1002,
            maximum: 1000
        }
    );
    assert_eq!(u8::from(error.reason()), 0x95);
}

#[test]
fn every_error_is_a_sentence() {
    for case in cases::all() {
        let text = case.3.to_string();
        assert!(text.len() > 10 && !text.ends_with('.'), "{text}");
    }
}
