//! UNSUBACK: the server answers an UNSUBSCRIBE `[MQTT5-3.11]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, ReasonCode, Version,
};
use super::{expect_end, packet_len, read_identifier, reason_in};
use crate::wire::{self, Reader};
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
        header.check_flags(version)?;
        let mut reader = Reader::new(body);
        let packet_identifier = read_identifier(&mut reader)?;
        if !version.is_v5() {
            expect_end(reader)?;
            return Ok(Self {
                packet_identifier,
                properties: Properties::default(),
                reasons: &[],
            });
        }
        let properties = Properties::read(&mut reader, Place::ACK)?;
        let reasons = reader.rest();
        if reasons.is_empty() {
            return Err(DecodeError::PayloadEmpty(PacketType::UnsubAck));
        }
        for &value in reasons {
            reason_in(REASONS, value, PacketType::UnsubAck)?;
        }
        Ok(Self {
            packet_identifier,
            properties,
            reasons,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        put_header(out, PacketType::UnsubAck, 0, self.remaining(version));
        wire::put_u16(out, self.packet_identifier.get());
        if version.is_v5() {
            self.properties.encode(out);
            out.extend_from_slice(self.reasons);
        }
    }

    /// How many bytes [`UnsubAck::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    fn remaining(&self, version: Version) -> usize {
        if !version.is_v5() {
            return 2;
        }
        2 + self.properties.encoded_len() + self.reasons.len()
    }
}
