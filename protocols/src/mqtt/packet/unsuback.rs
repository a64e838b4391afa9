//! UNSUBACK: the server answers an UNSUBSCRIBE `[MQTT5-3.11]`.

use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, ReasonCode, Version,
};
use super::list::List;
use super::{expect_end, read_identifier, reason_in};
use crate::wire::Reader;
use ReasonCode as Code;

/// The Unsubscribe Reason Codes `[MQTT5-3.11.3-2]`.
const REASONS: &[ReasonCode] = &[
    Code::Success,
    Code::NoSubscriptionExisted,
    Code::UnspecifiedError,
    Code::ImplementationSpecificError,
    Code::NotAuthorized,
    Code::TopicFilterInvalid,
    Code::PacketIdentifierInUse,
];

/// UNSUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The UNSUBSCRIBE that it answers.
    pub packet_identifier: PacketIdentifier,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
    /// A Reason Code per topic filter, in their order. Empty in MQTT 3, which has none.
    pub reasons: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    /// Decodes the body of an UNSUBACK.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        if !version.is_v5() {
            header.check_flags(version)?;
            let mut reader = Reader::new(body);
            let packet_identifier = read_identifier(&mut reader)?;
            expect_end(reader)?;
            return Ok(Self {
                packet_identifier,
                properties: Properties::default(),
                reasons: &[],
            });
        }
        let list = List::decode(header, body, version, Place::ACK)?;
        for &value in list.payload {
            reason_in(REASONS, value, PacketType::UnsubAck)?;
        }
        Ok(Self {
            packet_identifier: list.packet_identifier,
            properties: list.properties,
            reasons: list.payload,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.list(version)
            .encode(PacketType::UnsubAck, version, out);
    }

    /// How many bytes [`UnsubAck::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        self.list(version).encoded_len(version)
    }

    fn list(&self, version: Version) -> List<'a> {
        List {
            packet_identifier: self.packet_identifier,
            properties: self.properties,
            payload: if version.is_v5() { self.reasons } else { &[] },
        }
    }
}
