//! SUBACK: the server answers a SUBSCRIBE `[MQTT5-3.9]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, ReasonCode, Version,
};
use super::{packet_len, read_identifier, reason_in};
use crate::wire::{self, Reader};
use ReasonCode as Code;

/// The Subscribe Reason Codes `[MQTT5-3.9.3-2]`.
const REASONS: &[ReasonCode] = &[
    Code::GrantedQoS0,
    Code::GrantedQoS1,
    Code::GrantedQoS2,
    Code::UnspecifiedError,
    Code::ImplementationSpecificError,
    Code::NotAuthorized,
    Code::TopicFilterInvalid,
    Code::PacketIdentifierInUse,
    Code::QuotaExceeded,
    Code::SharedSubscriptionsNotSupported,
    Code::SubscriptionIdentifiersNotSupported,
    Code::WildcardSubscriptionsNotSupported,
];
/// The return codes of MQTT 3.1.1 `[MQTT311-3.9.3-2]`. MQTT 3.1 has no Failure, but servers send
/// it there too, for want of another word.
const REASONS_V3: &[ReasonCode] = &[
    Code::GrantedQoS0,
    Code::GrantedQoS1,
    Code::GrantedQoS2,
    Code::UnspecifiedError,
];

/// SUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The SUBSCRIBE that it answers.
    pub packet_identifier: PacketIdentifier,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
    /// A Reason Code per topic filter, in their order. In MQTT 3 every failure is 0x80.
    pub reasons: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// Decodes the body of a SUBACK.
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
        let (properties, allowed) = if version.is_v5() {
            (Properties::read(&mut reader, Place::ACK)?, REASONS)
        } else {
            (Properties::default(), REASONS_V3)
        };
        let reasons = reader.rest();
        if reasons.is_empty() {
            return Err(DecodeError::PayloadEmpty(PacketType::SubAck));
        }
        for &value in reasons {
            reason_in(allowed, value, PacketType::SubAck)?;
        }
        Ok(Self {
            packet_identifier,
            properties,
            reasons,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        put_header(out, PacketType::SubAck, 0, self.remaining(version));
        wire::put_u16(out, self.packet_identifier.get());
        if version.is_v5() {
            self.properties.encode(out);
            out.extend_from_slice(self.reasons);
        } else {
            out.extend(
                self.reasons
                    .iter()
                    .map(|&reason| reason.min(Code::UnspecifiedError as u8)),
            );
        }
    }

    /// How many bytes [`SubAck::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    fn remaining(&self, version: Version) -> usize {
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        2 + properties + self.reasons.len()
    }
}
