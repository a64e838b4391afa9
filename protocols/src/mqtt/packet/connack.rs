//! CONNACK: the server answers a CONNECT `[MQTT5-3.2]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    ConnectReturnCode, DecodeError, FixedHeader, PacketType, Properties, ReasonCode, Version,
};
use super::{expect_end, packet_len, reason_in};
use crate::wire::Reader;
use ReasonCode as Code;

/// The Connect Reason Codes `[MQTT5-3.2.2-8]`.
const REASONS: &[ReasonCode] = &[
    Code::Success,
    Code::UnspecifiedError,
    Code::MalformedPacket,
    Code::ProtocolError,
    Code::ImplementationSpecificError,
    Code::UnsupportedProtocolVersion,
    Code::ClientIdentifierNotValid,
    Code::BadUserNameOrPassword,
    Code::NotAuthorized,
    Code::ServerUnavailable,
    Code::ServerBusy,
    Code::Banned,
    Code::BadAuthenticationMethod,
    Code::TopicNameInvalid,
    Code::PacketTooLarge,
    Code::QuotaExceeded,
    Code::PayloadFormatInvalid,
    Code::RetainNotSupported,
    Code::QoSNotSupported,
    Code::UseAnotherServer,
    Code::ServerMoved,
    Code::ConnectionRateExceeded,
];

/// CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server resumes a session. MQTT 3.1 cannot say so.
    pub session_present: bool,
    /// The outcome. In MQTT 3 the return code with the same meaning, see [`ConnectReturnCode`].
    pub reason: ReasonCode,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    /// Decodes the body of a CONNACK.
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
        let flags = reader.u8()?;
        // MQTT 3.1 does not use the byte.
        if flags > 1 && version != Version::V3_1 {
            return Err(DecodeError::ConnAckFlagsInvalid);
        }
        let session_present = flags == 1 && version != Version::V3_1;
        let value = reader.u8()?;
        let reason = if version.is_v5() {
            reason_in(REASONS, value, PacketType::ConnAck)?
        } else {
            let packet_type = PacketType::ConnAck;
            ConnectReturnCode::try_from(value)
                .map_err(|value| DecodeError::ReasonCodeInvalid { packet_type, value })?
                .reason()
        };
        if session_present && reason != ReasonCode::Success {
            return Err(DecodeError::SessionPresentWithRefusal);
        }
        let properties = if version.is_v5() {
            Properties::read(&mut reader, Place::CONNACK)?
        } else {
            Properties::default()
        };
        expect_end(reader)?;
        Ok(Self {
            session_present,
            reason,
            properties,
        })
    }

    /// Appends the packet. A reason that MQTT 3 has no return code for becomes Server
    /// unavailable; a server that follows `[MQTT311-3.2.2-6]` closes without a CONNACK instead.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        put_header(out, PacketType::ConnAck, 0, self.remaining(version));
        out.push(u8::from(self.session_present && version != Version::V3_1));
        if version.is_v5() {
            out.push(self.reason.into());
            self.properties.encode(out);
        } else {
            let code = ConnectReturnCode::from_reason(self.reason);
            out.push(code.unwrap_or(ConnectReturnCode::ServerUnavailable).into());
        }
    }

    /// How many bytes [`ConnAck::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    fn remaining(&self, version: Version) -> usize {
        2 + if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        }
    }
}
