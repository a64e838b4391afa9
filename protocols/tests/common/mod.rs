//! Shared by the codec tests: a notation for packets, and random valid packets.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod notation;
pub mod packets;

use ringbus_protocols::mqtt::{DecodeError, Frame, PACKET_SIZE_MAX, Packet, Version, frame};

/// Decodes exactly one packet.
pub fn decode(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    match frame(bytes, PACKET_SIZE_MAX)? {
        Frame::Complete {
            header,
            body,
            length,
        } => {
            assert_eq!(length, bytes.len(), "bytes after the packet");
            Packet::decode(header, body, version)
        }
        Frame::Incomplete { needed } => panic!("incomplete: {needed} of {} bytes", bytes.len()),
    }
}

/// Encodes a packet and checks the promise about its length.
pub fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    assert_eq!(out.len(), packet.encoded_len(version), "{packet:?}");
    out
}
