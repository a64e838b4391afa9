//! Which packets may come from which side, and in which order.

mod common;

use common::notation::bytes;
use common::packets::encoded;
use proptest::prelude::*;
use ringbus_protocols::mqtt::connection::{Connection, Input};
use ringbus_protocols::mqtt::{Connect, DecodeError, PacketType, Properties, Version};
use ringbus_protocols::mqtt::{PropertiesBuf, Property, PropertyId, ReasonCode};

const CONNECT_5: &str = "10 [ s'MQTT' 05 02 003C 00 s'id' ]";
const CONNECT_5_AUTH: &str = "10 [ s'MQTT' 05 02 003C [ 15 s'm' ] s'id' ]";
const CONNECT_311: &str = "10 [ s'MQTT' 04 02 003C s'id' ]";
const CONNACK_5: &str = "20 [ 00 00 00 ]";
const CONNACK_311: &str = "20 [ 00 00 ]";
const AUTH: &str = "F0 [ 18 [ 15 s'm' ] ]";

/// Receives packets one by one; the types of those that were taken, then the error.
fn receive(
    connection: &mut Connection,
    packets: &[&str],
) -> (Vec<PacketType>, Option<DecodeError>) {
    let mut taken = Vec::new();
    for text in packets {
        let bytes = bytes(text);
        match connection.receive(&bytes) {
            Ok(Input::Packet { packet, length }) => {
                assert_eq!(length, bytes.len());
                taken.push(packet.packet_type());
            }
            Ok(Input::Incomplete { needed }) => panic!("{text} needs {needed} bytes"),
            Err(error) => return (taken, Some(error)),
        }
    }
    (taken, None)
}

fn server(packets: &[&str]) -> Option<DecodeError> {
    receive(&mut Connection::server(1 << 20), packets).1
}

fn client(version: Version, method: bool, packets: &[&str]) -> Option<DecodeError> {
    let mut properties = PropertiesBuf::new();
    if method {
        properties.push(Property::AuthenticationMethod("m"));
    }
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "id",
        will: None,
        username: None,
        password: None,
        properties: properties.as_properties(),
    };
    receive(&mut Connection::client(&connect), packets).1
}

fn unexpected(packet_type: PacketType) -> Option<DecodeError> {
    Some(DecodeError::PacketUnexpected(packet_type))
}

/// `[MQTT5-3.1.0-1]` `[MQTT311-3.1.0-1]`
#[test]
fn mqtt5_3_1_0_1_the_first_packet_is_connect() {
    assert_eq!(server(&["C0 00"]), unexpected(PacketType::PingReq));
    assert_eq!(server(&["30 [ s'a' 00 ]"]), unexpected(PacketType::Publish));
    // Not even decoded: there is no version yet.
    assert_eq!(server(&["30 [ FFFF ]"]), unexpected(PacketType::Publish));
    assert_eq!(server(&[AUTH]), unexpected(PacketType::Auth));
    // From the first byte on.
    let error = Connection::server(1 << 20).receive(&[0x30]);
    assert_eq!(error.err(), unexpected(PacketType::Publish));
}

/// `[MQTT5-3.1.0-2]` `[MQTT311-3.1.0-2]`
#[test]
fn mqtt5_3_1_0_2_a_second_connect_is_a_protocol_error() {
    for connect in [CONNECT_5, CONNECT_311] {
        let error = server(&[connect, connect]);
        assert_eq!(error, unexpected(PacketType::Connect));
        assert_eq!(
            error.map(DecodeError::reason),
            Some(ReasonCode::ProtocolError)
        );
    }
}

#[test]
fn mqtt5_3_1_4_packets_may_follow_connect_at_once() {
    for (connect, publish) in [(CONNECT_5, "30 [ s'a' 00 ]"), (CONNECT_311, "30 [ s'a' ]")] {
        let mut connection = Connection::server(1 << 20);
        let (taken, error) = receive(&mut connection, &[connect, publish, "C0 00", "E0 00"]);
        assert_eq!((taken.len(), error), (4, None));
    }
}

#[test]
fn the_version_of_connect_decodes_the_rest() {
    assert_eq!(
        server(&[CONNECT_311, "40 [ 0001 00 ]"]),
        Some(DecodeError::TrailingBytes)
    );
    assert_eq!(server(&[CONNECT_5, "40 [ 0001 00 ]"]), None);
}

/// `[MQTT5-3.14.4-1]`
#[test]
fn nothing_is_received_after_disconnect_or_an_error() {
    assert_eq!(
        server(&[CONNECT_5, "E0 00", "C0 00"]),
        unexpected(PacketType::PingReq)
    );
    let mut connection = Connection::server(1 << 20);
    assert!(
        receive(&mut connection, &[CONNECT_5, "C0 [ 00 ]"])
            .1
            .is_some()
    );
    assert_eq!(
        receive(&mut connection, &["C0 00"]).1,
        unexpected(PacketType::PingReq)
    );
}

#[test]
fn packets_of_a_server_are_refused_by_a_server() {
    for (packet, packet_type) in [
        (CONNACK_5, PacketType::ConnAck),
        ("90 [ 0001 00 00 ]", PacketType::SubAck),
        ("B0 [ 0001 00 00 ]", PacketType::UnsubAck),
        ("D0 00", PacketType::PingResp),
    ] {
        assert_eq!(server(&[CONNECT_5, packet]), unexpected(packet_type));
    }
}

#[test]
fn packets_of_a_client_are_refused_by_a_client() {
    for (packet, packet_type) in [
        (CONNECT_5, PacketType::Connect),
        ("82 [ 0001 00 s'a' 00 ]", PacketType::Subscribe),
        ("A2 [ 0001 00 s'a' ]", PacketType::Unsubscribe),
        ("C0 00", PacketType::PingReq),
    ] {
        assert_eq!(
            client(Version::V5, false, &[CONNACK_5, packet]),
            unexpected(packet_type)
        );
    }
}

#[test]
fn both_sides_take_what_goes_both_ways() {
    let both = [
        "30 [ s'a' 00 ]",
        "40 [ 0001 ]",
        "50 [ 0001 ]",
        "62 [ 0001 ]",
        "70 [ 0001 ]",
    ];
    for packet in both {
        assert_eq!(server(&[CONNECT_5, packet]), None);
        assert_eq!(client(Version::V5, false, &[CONNACK_5, packet]), None);
    }
}

#[test]
fn mqtt5_3_2_0_1_a_client_expects_connack_first() {
    let publish = "30 [ s'a' 00 ]";
    assert_eq!(
        client(Version::V5, false, &[publish]),
        unexpected(PacketType::Publish)
    );
    assert_eq!(
        client(Version::V5, false, &["D0 00"]),
        unexpected(PacketType::PingResp)
    );
    assert_eq!(client(Version::V5, false, &[CONNACK_5, publish]), None);
    assert_eq!(
        client(Version::V5, false, &[CONNACK_5, CONNACK_5]),
        unexpected(PacketType::ConnAck)
    );
    assert_eq!(
        client(Version::V3_1_1, false, &[CONNACK_311, "30 [ s'a' ]"]),
        None
    );
    let refused = [CONNACK_311, "D0 00"].map(|text| text.replace("00 00 ]", "00 05 ]"));
    let refused = refused.each_ref().map(String::as_str);
    assert_eq!(
        client(Version::V3_1_1, false, &refused),
        unexpected(PacketType::PingResp)
    );
}

/// `[MQTT5-3.3.4-6]`
#[test]
fn mqtt5_3_3_4_6_no_subscription_identifier_from_a_client() {
    let publish = "30 [ s'a' [ 0B01 ] ]";
    let id = PropertyId::SubscriptionIdentifier;
    assert_eq!(
        server(&[CONNECT_5, publish]),
        Some(DecodeError::PropertyUnexpected(id))
    );
    assert_eq!(client(Version::V5, false, &[CONNACK_5, publish]), None);
}

#[test]
fn mqtt5_3_4_2_1_only_a_server_finds_no_matching_subscribers() {
    let error = Some(DecodeError::ReasonCodeUnexpected(
        ReasonCode::NoMatchingSubscribers,
    ));
    for ack in ["40 [ 0001 10 ]", "50 [ 0001 10 ]"] {
        assert_eq!(server(&[CONNECT_5, ack]), error);
        assert_eq!(client(Version::V5, false, &[CONNACK_5, ack]), None);
    }
}

/// `[MQTT5-3.14.2-1]`
#[test]
fn mqtt5_3_14_2_disconnect_has_codes_and_properties_of_a_side() {
    let session_expiry = "E0 [ 00 [ 11 00000001 ] ]";
    let server_reference = "E0 [ 80 [ 1C s'x' ] ]";
    let id = PropertyId::SessionExpiryInterval;
    let unexpected = Some(DecodeError::PropertyUnexpected(id));
    assert_eq!(
        client(Version::V5, false, &[CONNACK_5, session_expiry]),
        unexpected
    );
    assert_eq!(server(&[CONNECT_5, session_expiry]), None);
    let unexpected = Some(DecodeError::PropertyUnexpected(PropertyId::ServerReference));
    assert_eq!(server(&[CONNECT_5, server_reference]), unexpected);
    assert_eq!(
        client(Version::V5, false, &[CONNACK_5, server_reference]),
        None
    );

    for (code, from_client, from_server) in [
        (0x00, true, true),
        (0x04, true, false),
        (0x80, true, true),
        (0x81, true, true),
        (0x82, true, true),
        (0x83, true, true),
        (0x87, false, true),
        (0x89, false, true),
        (0x8B, false, true),
        (0x8D, false, true),
        (0x8E, false, true),
        (0x8F, false, true),
        (0x90, true, true),
        (0x93, true, true),
        (0x94, true, true),
        (0x95, true, true),
        (0x96, true, true),
        (0x97, true, true),
        (0x98, true, true),
        (0x99, true, true),
        (0x9A, false, true),
        (0x9B, false, true),
        (0x9C, false, true),
        (0x9D, false, true),
        (0x9E, false, true),
        (0x9F, false, true),
        (0xA0, false, true),
        (0xA1, false, true),
        (0xA2, false, true),
    ] {
        let packet = format!("E0 [ {code:02X} ]");
        assert_eq!(
            server(&[CONNECT_5, &packet]).is_none(),
            from_client,
            "{packet}"
        );
        let taken = client(Version::V5, false, &[CONNACK_5, &packet]).is_none();
        assert_eq!(taken, from_server, "{packet}");
    }
}

#[test]
fn mqtt311_3_14_only_clients_disconnect() {
    assert_eq!(server(&[CONNECT_311, "E0 00"]), None);
    let packets = [CONNACK_311, "E0 00"];
    let error = client(Version::V3_1_1, false, &packets);
    assert_eq!(error, unexpected(PacketType::Disconnect));
}

#[test]
fn mqtt5_4_12_auth_needs_a_method_and_its_time() {
    let again = "F0 [ 19 [ 15 s'm' ] ]";
    let done = "F0 [ 00 [ 15 s'm' ] ]";
    // [MQTT5-4.12.0-7]; what it takes from a server is the client's affair.
    assert_eq!(server(&[CONNECT_5, AUTH]), unexpected(PacketType::Auth));
    assert_eq!(
        client(Version::V5, false, &[AUTH]),
        unexpected(PacketType::Auth)
    );
    // [MQTT5-3.1.2-30]
    assert_eq!(
        server(&[CONNECT_5_AUTH, "C0 00"]),
        unexpected(PacketType::PingReq)
    );
    assert_eq!(server(&[CONNECT_5_AUTH, AUTH, "E0 00"]), None);
    assert_eq!(
        server(&[CONNECT_5_AUTH, again]),
        unexpected(PacketType::Auth)
    );

    let mut connection = Connection::server(1 << 20);
    assert_eq!(receive(&mut connection, &[CONNECT_5_AUTH, AUTH]).1, None);
    connection.accepted();
    assert_eq!(
        receive(&mut connection, &["C0 00", again, AUTH, "C0 00"]).1,
        None
    );

    assert_eq!(
        client(Version::V5, true, &[AUTH, CONNACK_5, AUTH, done]),
        None
    );
    assert_eq!(
        client(Version::V5, true, &[done]),
        unexpected(PacketType::Auth)
    );
    let code = |code| Some(DecodeError::ReasonCodeUnexpected(code));
    assert_eq!(
        client(Version::V5, true, &[again]),
        code(ReasonCode::ReAuthenticate)
    );
    assert_eq!(server(&[CONNECT_5_AUTH, done]), code(ReasonCode::Success));
}

#[test]
fn accepting_before_connect_opens_nothing() {
    let mut connection = Connection::server(1 << 20);
    connection.accepted();
    assert_eq!(
        receive(&mut connection, &["C0 00"]).1,
        unexpected(PacketType::PingReq)
    );
}

#[test]
fn a_client_keeps_the_maximum_packet_size_that_it_announced() {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MaximumPacketSize(4));
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "id",
        will: None,
        username: None,
        password: None,
        properties: properties.as_properties(),
    };
    let error = receive(&mut Connection::client(&connect), &[CONNACK_5]).1;
    assert_eq!(
        error,
        Some(DecodeError::PacketTooLarge {
            length: 5,
            maximum: 4
        })
    );
    let connect = Connect {
        properties: Properties::default(),
        ..connect
    };
    assert_eq!(
        receive(&mut Connection::client(&connect), &[CONNACK_5]).1,
        None
    );
}

proptest! {
    /// Any stream of packets gives the same answers in one piece and byte by byte.
    #[test]
    fn a_stream_byte_by_byte_is_the_same_stream(packets in prop::collection::vec(encoded(), 0..6)) {
        let connect = CONNECT_5;
        let mut stream = bytes(connect);
        stream.extend(packets.iter().flat_map(|(_, bytes)| bytes));
        let whole = answers(&stream, stream.len());
        prop_assert_eq!(&answers(&stream, 1), &whole);
        prop_assert_eq!(&answers(&stream, 7), &whole);
    }
}

/// What a server makes of `stream` when it arrives in pieces of `size` bytes.
fn answers(stream: &[u8], size: usize) -> Vec<String> {
    let mut connection = Connection::server(1 << 20);
    let mut answers = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = stream.len().min(end + size);
        loop {
            match connection.receive(&stream[start..end]) {
                Ok(Input::Packet { packet, length }) => {
                    answers.push(format!("{packet:?}"));
                    start += length;
                }
                Ok(Input::Incomplete { needed }) => {
                    assert!(start + needed > end);
                    break;
                }
                Err(error) => {
                    answers.push(format!("{error:?}"));
                    return answers;
                }
            }
        }
    }
    answers
}
