//! UNSUBSCRIBE: the client ends subscriptions `[MQTT5-3.10]`.

use super::super::property::Place;
use super::super::{DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, Version};
use super::list::List;
use crate::wire::{self, Reader};

/// UNSUBSCRIBE, decoded. To send one, see [`Unsubscribe::encode_from`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What the UNSUBACK will refer to.
    pub packet_identifier: PacketIdentifier,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
    /// The payload, every filter checked.
    payload: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the body of an UNSUBSCRIBE.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        let list = List::decode(header, body, version, Place::UNSUBSCRIBE)?;
        let mut reader = Reader::new(list.payload);
        while !reader.is_empty() {
            reader.string()?;
        }
        Ok(Self {
            packet_identifier: list.packet_identifier,
            properties: list.properties,
            payload: list.payload,
        })
    }

    /// The topic filters, in the order of the packet: well-formed UTF-8 without U+0000, otherwise
    /// not checked.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new(self.payload);
        // Every filter was read once: an error is the end.
        std::iter::from_fn(move || reader.string().ok())
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.list().encode(PacketType::Unsubscribe, version, out);
    }

    /// How many bytes [`Unsubscribe::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        self.list().encoded_len(version)
    }

    /// Appends an UNSUBSCRIBE of `filters`.
    ///
    /// # Panics
    /// If `filters` is empty or a filter is longer than 65,535 bytes.
    pub fn encode_from(
        packet_identifier: PacketIdentifier,
        properties: &Properties<'_>,
        filters: &[&str],
        version: Version,
        out: &mut Vec<u8>,
    ) {
        assert!(
            !filters.is_empty(),
            "an UNSUBSCRIBE has at least one topic filter"
        );
        let mut payload = Vec::new();
        for filter in filters {
            wire::put_str(&mut payload, filter);
        }
        Unsubscribe {
            packet_identifier,
            properties: *properties,
            payload: &payload,
        }
        .encode(version, out);
    }

    fn list(&self) -> List<'a> {
        List {
            packet_identifier: self.packet_identifier,
            properties: self.properties,
            payload: self.payload,
        }
    }
}
