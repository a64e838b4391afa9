//! PUBACK, PUBREC, PUBREL and PUBCOMP: one form, four meanings `[MQTT5-3.4]` to `[MQTT5-3.7]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, ReasonCode, Version,
};
use super::{expect_end, packet_len, read_identifier, reason_in};
use crate::wire::{self, Reader};
use ReasonCode as Code;

/// The Reason Codes of PUBACK and PUBREC `[MQTT5-3.4.2-1]` `[MQTT5-3.5.2-1]`.
const RECEIVED: &[ReasonCode] = &[
    Code::Success,
    Code::NoMatchingSubscribers,
    Code::UnspecifiedError,
    Code::ImplementationSpecificError,
    Code::NotAuthorized,
    Code::TopicNameInvalid,
    Code::PacketIdentifierInUse,
    Code::QuotaExceeded,
    Code::PayloadFormatInvalid,
];
/// The Reason Codes of PUBREL and PUBCOMP `[MQTT5-3.6.2-1]` `[MQTT5-3.7.2-1]`.
const RELEASED: &[ReasonCode] = &[Code::Success, Code::PacketIdentifierNotFound];

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The PUBLISH that it is about.
    pub packet_identifier: PacketIdentifier,
    /// The outcome; always Success in MQTT 3.
    pub reason: ReasonCode,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// Success, without properties.
    #[inline]
    pub fn new(packet_identifier: PacketIdentifier) -> Self {
        Self::with_reason(packet_identifier, ReasonCode::Success)
    }

    /// A reason without properties.
    #[inline]
    pub fn with_reason(packet_identifier: PacketIdentifier, reason: ReasonCode) -> Self {
        Self {
            packet_identifier,
            reason,
            properties: Properties::default(),
        }
    }

    /// Decodes a PUBACK that is Success, without properties. `None` for all others, also for bad
    /// ones: [`Ack::decode`] knows the rules.
    #[inline]
    pub(super) fn decode_plain(header: FixedHeader, body: &'a [u8]) -> Option<Self> {
        match *body {
            [high, low] if header.flags == 0 => {
                PacketIdentifier::new(u16::from_be_bytes([high, low])).map(Self::new)
            }
            _ => None,
        }
    }

    /// Decodes the body of the packet type in `header`.
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
        // Reason Code and Property Length can be left out from the end [MQTT5-3.4.2.1].
        if reader.is_empty() {
            return Ok(Self::new(packet_identifier));
        }
        if !version.is_v5() {
            return Err(DecodeError::TrailingBytes);
        }
        let allowed = match header.packet_type {
            PacketType::PubAck | PacketType::PubRec => RECEIVED,
            _ => RELEASED,
        };
        let reason = reason_in(allowed, reader.u8()?, header.packet_type)?;
        let mut properties = Properties::default();
        if !reader.is_empty() {
            properties = Properties::read(&mut reader, Place::ACK)?;
        }
        expect_end(reader)?;
        Ok(Self {
            packet_identifier,
            reason,
            properties,
        })
    }

    /// Appends the packet as `packet_type`, in its shortest form.
    ///
    /// # Panics
    /// If `packet_type` is none of the four.
    #[inline]
    pub fn encode(&self, packet_type: PacketType, version: Version, out: &mut Vec<u8>) {
        assert!(
            (PacketType::PubAck..=PacketType::PubComp).contains(&packet_type),
            "{packet_type} does not acknowledge a PUBLISH"
        );
        let flags = packet_type.fixed_flags();
        let remaining = self.remaining(version);
        if remaining == 2 {
            // One for every message: all four bytes at once.
            let [high, low] = self.packet_identifier.get().to_be_bytes();
            out.extend_from_slice(&[((packet_type as u8) << 4) | flags, 2, high, low]);
            return;
        }
        put_header(out, packet_type, flags, remaining);
        wire::put_u16(out, self.packet_identifier.get());
        out.push(self.reason.into());
        if remaining > 3 {
            self.properties.encode(out);
        }
    }

    /// How many bytes [`Ack::encode`] appends.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    #[inline]
    fn remaining(&self, version: Version) -> usize {
        if !version.is_v5() {
            2
        } else if !self.properties.is_empty() {
            3 + self.properties.encoded_len()
        } else if self.reason != ReasonCode::Success {
            3
        } else {
            2
        }
    }
}
