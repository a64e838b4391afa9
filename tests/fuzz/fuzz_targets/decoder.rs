//! Any bytes as a stream of MQTT packets, in every version: no panic, no read past the end, and
//! what decodes encodes to the same packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::mqtt::connection::{Connection, Input};
use ringbus_protocols::mqtt::{Frame, PACKET_SIZE_MAX, Packet, PropertyId, Version, frame};

fuzz_target!(|stream: &[u8]| {
    for version in Version::ALL {
        decode_stream(stream, version);
    }
    assert_eq!(
        receive(stream, stream.len()),
        receive(stream, 1),
        "pieces change the meaning"
    );
});

/// Decodes packet after packet until one is bad or incomplete.
fn decode_stream(stream: &[u8], version: Version) {
    let mut rest = stream;
    loop {
        match frame(rest, PACKET_SIZE_MAX) {
            Err(error) => {
                assert!(error.reason().is_error());
                return;
            }
            Ok(Frame::Incomplete { needed }) => {
                assert!(needed > rest.len());
                return;
            }
            Ok(Frame::Complete {
                header,
                body,
                length,
            }) => {
                assert_eq!(body, &rest[length - body.len()..length]);
                match Packet::decode(header, body, version) {
                    Ok(packet) => check_packet(&packet, version),
                    Err(error) => assert!(error.reason().is_error()),
                }
                rest = &rest[length..];
            }
        }
    }
}

/// A packet that was taken survives the round trip, and its encoding is the shortest there is.
fn check_packet(packet: &Packet<'_>, version: Version) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    assert_eq!(bytes.len(), packet.encoded_len(version));
    let Ok(Frame::Complete {
        header,
        body,
        length,
    }) = frame(&bytes, PACKET_SIZE_MAX)
    else {
        panic!("an encoded packet is not a whole frame: {bytes:02X?}");
    };
    assert_eq!(length, bytes.len());
    let again = Packet::decode(header, body, version).expect("what was encoded decodes");
    assert_eq!(&again, packet);
    if let Packet::Publish(publish) = packet {
        let properties = &publish.properties;
        let read: usize = properties
            .iter()
            .map(|property| property.encoded_len())
            .sum();
        assert_eq!(
            read,
            properties.as_raw().len(),
            "the walk stops before the end"
        );
        let aliased = publish.topic.is_empty();
        assert!(!aliased || properties.has(PropertyId::TopicAlias));
        assert_eq!(
            properties.topic_alias().is_some(),
            properties.has(PropertyId::TopicAlias)
        );
    }
}

/// How many packets a server takes from `stream` when it arrives in pieces of `size` bytes, and
/// whether it stops at an error.
fn receive(stream: &[u8], size: usize) -> (usize, bool) {
    let mut connection = Connection::server(PACKET_SIZE_MAX);
    let (mut start, mut end, mut count) = (0, 0, 0);
    while end < stream.len() {
        end = stream.len().min(end + size);
        loop {
            match connection.receive(&stream[start..end]) {
                Ok(Input::Packet { length, .. }) => {
                    start += length;
                    count += 1;
                }
                Ok(Input::Incomplete { .. }) => break,
                Err(_) => return (count, true),
            }
        }
    }
    (count, false)
}
