//! What SUBSCRIBE, UNSUBSCRIBE and their answers have in common: a packet identifier, properties,
//! and a list that fills the rest of the packet.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, Version};
use super::{packet_len, read_identifier};
use crate::wire::{self, Reader};

/// The body of such a packet; what stands in the list is not looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) packet_identifier: PacketIdentifier,
    /// Empty in MQTT 3.
    pub(super) properties: Properties<'a>,
    pub(super) payload: &'a [u8],
}

impl<'a> List<'a> {
    /// Decodes a body in which `place` says which properties may be. The list is not empty.
    pub(super) fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
        place: Place,
    ) -> Result<Self, DecodeError> {
        header.check_flags(version)?;
        let mut reader = Reader::new(body);
        let packet_identifier = read_identifier(&mut reader)?;
        let properties = if version.is_v5() {
            Properties::read(&mut reader, place)?
        } else {
            Properties::default()
        };
        if reader.is_empty() {
            return Err(DecodeError::PayloadEmpty(header.packet_type));
        }
        Ok(Self {
            packet_identifier,
            properties,
            payload: reader.rest(),
        })
    }

    /// Appends the packet.
    pub(super) fn encode(&self, packet_type: PacketType, version: Version, out: &mut Vec<u8>) {
        let flags = packet_type.fixed_flags();
        put_header(out, packet_type, flags, self.remaining(version));
        wire::put_u16(out, self.packet_identifier.get());
        if version.is_v5() {
            self.properties.encode(out);
        }
        out.extend_from_slice(self.payload);
    }

    /// How many bytes [`List::encode`] appends.
    pub(super) fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    fn remaining(&self, version: Version) -> usize {
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        2 + properties + self.payload.len()
    }
}
