//! What is encoded decodes to the same packet, at every split of the input; damaged packets never
//! do harm.

mod common;

use common::packets::{encoded, packet};
use common::{decode, encode};
use proptest::prelude::*;
use ringbus_protocols::mqtt::connection::{Connection, Input};
use ringbus_protocols::mqtt::{
    Connect, DecodeError, Frame, PACKET_SIZE_MAX, Packet, Properties, PropertiesBuf, Property,
    PropertyId, Publish, QoS, ReasonCode, Version, frame,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn packets_survive_the_round_trip((version, packet) in packet()) {
        let bytes = encode(&packet, version);
        prop_assert_eq!(decode(&bytes, version), Ok(packet));
    }

    #[test]
    fn frame_finds_the_packet_at_every_split((_, bytes) in encoded(), tail in any::<[u8; 3]>()) {
        for split in 0..bytes.len() {
            let Ok(Frame::Incomplete { needed }) = frame(&bytes[..split], PACKET_SIZE_MAX) else {
                panic!("complete or refused at {split}: {bytes:02X?}");
            };
            prop_assert!(split < needed && needed <= bytes.len());
        }
        let mut stream = bytes.clone();
        stream.extend(tail);
        match frame(&stream, PACKET_SIZE_MAX) {
            Ok(Frame::Complete { length, body, .. }) => {
                prop_assert_eq!(length, bytes.len());
                prop_assert_eq!(body, &bytes[bytes.len() - body.len()..]);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn frame_keeps_the_maximum_packet_size((_, bytes) in encoded()) {
        let length = u32::try_from(bytes.len()).expect("short");
        prop_assert!(frame(&bytes, length).is_ok());
        let refused = Err(DecodeError::PacketTooLarge { length, maximum: length - 1 });
        prop_assert_eq!(frame(&bytes, length - 1), refused);
    }

    /// A body that ends early is refused, except where the specification lets a packet do so.
    #[test]
    fn cut_bodies_are_refused_or_mean_the_same((version, bytes) in encoded(), cut in 0.0..1.0) {
        let Ok(Frame::Complete { mut header, body, .. }) = frame(&bytes, PACKET_SIZE_MAX) else {
            panic!("a whole packet");
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below len")]
        let length = (body.len() as f64 * cut) as usize;
        header.remaining_length = u32::try_from(length).expect("short");
        if let Ok(packet) = Packet::decode(header, &body[..length], version) {
            let again = encode(&packet, version_of(&packet, version));
            prop_assert_eq!(decode(&again, version), Ok(packet));
        }
    }

    /// Bytes changed, inserted or removed: no panic, and what is taken is what it seems to be.
    #[test]
    fn mutated_packets_do_no_harm(
        (version, mut bytes) in encoded(),
        other in common::packets::version(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        for (index, value, kind) in changes {
            let index = index.index(bytes.len());
            match kind {
                0 => bytes[index] = value,
                1 => bytes.insert(index, value),
                2 if bytes.len() > 1 => drop(bytes.remove(index)),
                _ => bytes[index] ^= 1 << (value & 7),
            }
        }
        for version in [version, other] {
            check_taken(&bytes, version);
        }
    }

    #[test]
    fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for version in Version::ALL {
            check_taken(&bytes, version);
        }
        let mut connection = Connection::server(PACKET_SIZE_MAX);
        let mut rest = bytes.as_slice();
        while let Ok(Input::Packet { length, .. }) = connection.receive(rest) {
            prop_assert!(length > 0);
            rest = &rest[length..];
        }
    }
}

/// CONNECT brings its own version.
fn version_of(packet: &Packet<'_>, version: Version) -> Version {
    match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    }
}

/// If `bytes` start with a packet, it survives the round trip, and its getters read it.
fn check_taken(bytes: &[u8], version: Version) {
    let Ok(Frame::Complete {
        header,
        body,
        length,
    }) = frame(bytes, PACKET_SIZE_MAX)
    else {
        return;
    };
    assert!(length <= bytes.len());
    let Ok(packet) = Packet::decode(header, body, version) else {
        return;
    };
    let version = version_of(&packet, version);
    let again = encode(&packet, version);
    assert_eq!(decode(&again, version), Ok(packet));
}

#[test]
fn lengths_around_each_size_of_the_remaining_length() {
    for size in [
        0, 120, 122, 123, 124, 16_378, 16_379, 16_380, 2_097_146, 2_097_148,
    ] {
        let payload = vec![7; size];
        let publish = Publish {
            topic: "a/b",
            payload: &payload,
            ..Publish::default()
        };
        let packet = Packet::Publish(publish);
        for version in Version::ALL {
            let bytes = encode(&packet, version);
            assert_eq!(decode(&bytes, version), Ok(packet));
            let mut head = Vec::new();
            publish.encode_without_payload(version, &mut head);
            assert_eq!(bytes[..head.len()], head);
            assert_eq!(head.len() + size, bytes.len());
        }
    }
}

#[test]
fn the_packet_identifier_is_where_the_offset_says() {
    for (topic, size) in [("a", 0), ("a/long/topic", 300), ("é", 20_000)] {
        let payload = vec![1; size];
        let publish = Publish {
            qos: QoS::ExactlyOnce,
            topic,
            packet_identifier: ringbus_protocols::mqtt::PacketIdentifier::new(0xABCD),
            payload: &payload,
            ..Publish::default()
        };
        for version in Version::ALL {
            let offset = publish.packet_identifier_offset(version).expect("QoS 2");
            let bytes = encode(&Packet::Publish(publish), version);
            assert_eq!(bytes[offset..offset + 2], [0xAB, 0xCD]);
        }
    }
    assert_eq!(
        Publish::default().packet_identifier_offset(Version::V5),
        None
    );
}

/// Every property, those that may repeat several times.
const PROPERTIES: [Property<'static>; 30] = [
    Property::PayloadFormatIndicator(true),
    Property::MessageExpiryInterval(7),
    Property::ContentType("text/plain"),
    Property::ResponseTopic("r/t"),
    Property::CorrelationData(b"\0\x01"),
    Property::SubscriptionIdentifier(1),
    Property::SubscriptionIdentifier(268_435_455),
    Property::SubscriptionIdentifier(300),
    Property::SessionExpiryInterval(u32::MAX),
    Property::AssignedClientIdentifier("id"),
    Property::ServerKeepAlive(60),
    Property::AuthenticationMethod("SCRAM"),
    Property::AuthenticationData(b"data"),
    Property::RequestProblemInformation(false),
    Property::WillDelayInterval(9),
    Property::RequestResponseInformation(true),
    Property::ResponseInformation("info"),
    Property::ServerReference("elsewhere"),
    Property::ReasonString("because"),
    Property::ReceiveMaximum(20),
    Property::TopicAliasMaximum(10),
    Property::TopicAlias(3),
    Property::MaximumQoS(QoS::AtLeastOnce),
    Property::RetainAvailable(true),
    Property::UserProperty(("k", "v")),
    Property::UserProperty(("k", "w")),
    Property::MaximumPacketSize(1024),
    Property::WildcardSubscriptionAvailable(true),
    Property::SubscriptionIdentifierAvailable(false),
    Property::SharedSubscriptionAvailable(true),
];

fn all_properties() -> PropertiesBuf {
    PROPERTIES.into_iter().collect()
}

#[test]
fn every_property_is_found() {
    let properties = all_properties();
    let all = properties.as_properties();
    assert!(PropertyId::ALL.iter().all(|&id| all.has(id)));
    assert_eq!(PropertyId::ALL.len(), 27);
    let lengths = all.iter().map(|property| property.encoded_len());
    assert_eq!(lengths.sum::<usize>(), all.as_raw().len());
    let none = Properties::default();
    assert!(PropertyId::ALL.iter().all(|&id| !none.has(id)));
    assert_eq!((none.topic_alias(), none.iter().next()), (None, None));
}

#[test]
fn getters_find_the_properties_of_a_message() {
    let properties = all_properties();
    let all = properties.as_properties();
    assert_eq!(all.payload_format_indicator(), Some(true));
    assert_eq!(all.message_expiry_interval(), Some(7));
    assert_eq!(all.content_type(), Some("text/plain"));
    assert_eq!(all.response_topic(), Some("r/t"));
    assert_eq!(all.correlation_data(), Some(b"\0\x01".as_slice()));
    assert_eq!(all.subscription_identifier(), Some(1));
    assert!(all.subscription_identifiers().eq([1, 268_435_455, 300]));
    assert_eq!(all.topic_alias(), Some(3));
    assert!(all.user_properties().eq([("k", "v"), ("k", "w")]));
}

#[test]
fn getters_find_the_properties_of_a_connection() {
    let properties = all_properties();
    let all = properties.as_properties();
    assert_eq!(all.session_expiry_interval(), Some(u32::MAX));
    assert_eq!(all.assigned_client_identifier(), Some("id"));
    assert_eq!(all.server_keep_alive(), Some(60));
    assert_eq!(all.authentication_method(), Some("SCRAM"));
    assert_eq!(all.authentication_data(), Some(b"data".as_slice()));
    assert_eq!(all.request_problem_information(), Some(false));
    assert_eq!(all.will_delay_interval(), Some(9));
    assert_eq!(all.request_response_information(), Some(true));
    assert_eq!(all.response_information(), Some("info"));
    assert_eq!(all.server_reference(), Some("elsewhere"));
    assert_eq!(all.reason_string(), Some("because"));
    assert_eq!(all.receive_maximum(), Some(20));
    assert_eq!(all.topic_alias_maximum(), Some(10));
    assert_eq!(all.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(all.retain_available(), Some(true));
    assert_eq!(all.maximum_packet_size(), Some(1024));
    assert_eq!(all.wildcard_subscription_available(), Some(true));
    assert_eq!(all.subscription_identifier_available(), Some(false));
    assert_eq!(all.shared_subscription_available(), Some(true));
}

/// MQTT 3.1, "User name": the Remaining Length takes precedence over the flags.
#[test]
fn mqtt31_flags_may_announce_credentials_that_are_not_there() {
    let bytes = common::notation::bytes("10 [ s'MQIsdp' 03 C2 003C s'id' ]");
    let Ok(Packet::Connect(connect)) = decode(&bytes, Version::V3_1) else {
        panic!("a valid CONNECT of MQTT 3.1");
    };
    assert_eq!((connect.username, connect.password), (None, None));
}

/// `[MQTT311-3.2.2-6]`
#[test]
fn a_refusal_is_in_the_version_that_was_asked_for() {
    use ReasonCode::{MalformedPacket, NotAuthorized, UnsupportedProtocolVersion};
    for (text, reason, expected) in [
        ("10 [ s'MQTT' 05 FF ]", NotAuthorized, Some(Version::V5)),
        ("10 [ s'MQTT' 05 FF ]", MalformedPacket, Some(Version::V5)),
        ("10 [ s'MQTT' 04 ]", NotAuthorized, Some(Version::V3_1_1)),
        ("10 [ s'MQIsdp' 03 ]", NotAuthorized, Some(Version::V3_1)),
        // MQTT 3 has no word for it.
        ("10 [ s'MQTT' 04 ]", MalformedPacket, None),
        ("10 [ s'MQTT' 06 ]", MalformedPacket, None),
        // Cut short behind the version.
        ("10 7F s'MQTT' 05", MalformedPacket, Some(Version::V5)),
        // Cut short before it, no MQTT, no CONNECT, no length.
        ("10 [ s'MQTT' ]", NotAuthorized, None),
        ("10 [ s'HTTP' 05 ]", UnsupportedProtocolVersion, None),
        ("30 [ s'MQTT' 05 ]", NotAuthorized, None),
        ("10 FF FF FF FF 01 s'MQTT' 05", NotAuthorized, None),
        ("", NotAuthorized, None),
    ] {
        let bytes = common::notation::bytes(text);
        let refusal = Connect::refusal(&bytes, reason);
        let version = refusal.map(|refusal| refusal.version);
        assert_eq!(version, expected, "{text} {reason}");
    }
}

#[test]
fn mqtt311_3_1_2_2_a_level_that_is_not_known_is_refused_in_the_form_of_3_1_1() {
    for text in ["s'MQTT' 00", "s'MQTT' 03", "s'MQTT' 06", "s'MQIsdp' 04"] {
        let bytes = common::notation::bytes(&format!("10 [ {text} ]"));
        let refusal = Connect::refusal(&bytes, ReasonCode::UnsupportedProtocolVersion);
        let version = refusal.map(|refusal| refusal.version);
        assert_eq!(version, Some(Version::V3_1_1), "{text}");
    }
}
