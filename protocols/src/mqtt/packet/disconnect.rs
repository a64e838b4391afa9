//! DISCONNECT: the last packet of a side `[MQTT5-3.14]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{DecodeError, FixedHeader, PacketType, Properties, ReasonCode, Version};
use super::{expect_end, packet_len, reason_in};
use crate::wire::Reader;
use ReasonCode as Code;

/// The Disconnect Reason Codes of either side `[MQTT5-3.14.2-1]`.
const REASONS: &[ReasonCode] = &[
    Code::NormalDisconnection,
    Code::DisconnectWithWill,
    Code::UnspecifiedError,
    Code::MalformedPacket,
    Code::ProtocolError,
    Code::ImplementationSpecificError,
    Code::NotAuthorized,
    Code::ServerBusy,
    Code::ServerShuttingDown,
    Code::KeepAliveTimeout,
    Code::SessionTakenOver,
    Code::TopicFilterInvalid,
    Code::TopicNameInvalid,
    Code::ReceiveMaximumExceeded,
    Code::TopicAliasInvalid,
    Code::PacketTooLarge,
    Code::MessageRateTooHigh,
    Code::QuotaExceeded,
    Code::AdministrativeAction,
    Code::PayloadFormatInvalid,
    Code::RetainNotSupported,
    Code::QoSNotSupported,
    Code::UseAnotherServer,
    Code::ServerMoved,
    Code::SharedSubscriptionsNotSupported,
    Code::ConnectionRateExceeded,
    Code::MaximumConnectTime,
    Code::SubscriptionIdentifiersNotSupported,
    Code::WildcardSubscriptionsNotSupported,
];

/// DISCONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; always Normal disconnection in MQTT 3.
    pub reason: ReasonCode,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A reason without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Self {
            reason,
            properties: Properties::default(),
        }
    }

    /// Decodes the body of a DISCONNECT.
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
        // Reason Code and Property Length can be left out from the end [MQTT5-3.14.2.1].
        if reader.is_empty() {
            return Ok(Self::new(ReasonCode::NormalDisconnection));
        }
        if !version.is_v5() {
            return Err(DecodeError::TrailingBytes);
        }
        let reason = reason_in(REASONS, reader.u8()?, PacketType::Disconnect)?;
        let mut properties = Properties::default();
        if !reader.is_empty() {
            properties = Properties::read(&mut reader, Place::DISCONNECT)?;
        }
        expect_end(reader)?;
        Ok(Self { reason, properties })
    }

    /// Appends the packet in its shortest form.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let remaining = self.remaining(version);
        put_header(out, PacketType::Disconnect, 0, remaining);
        if remaining > 0 {
            out.push(self.reason.into());
        }
        if remaining > 1 {
            self.properties.encode(out);
        }
    }

    /// How many bytes [`Disconnect::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    fn remaining(&self, version: Version) -> usize {
        if !version.is_v5() {
            0
        } else if !self.properties.is_empty() {
            1 + self.properties.encoded_len()
        } else if self.reason != ReasonCode::NormalDisconnection {
            1
        } else {
            0
        }
    }
}
