//! AUTH: extended authentication, MQTT 5.0 only `[MQTT5-3.15]`.

use super::super::header::put_header;
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketType, Properties, PropertyId, ReasonCode, Version,
};
use super::{expect_end, packet_len, reason_in};
use crate::wire::Reader;

/// The Authenticate Reason Codes `[MQTT5-3.15.2-1]`.
const REASONS: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::ContinueAuthentication,
    ReasonCode::ReAuthenticate,
];

/// AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Has the Authentication Method, unless all there is to say is Success.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Decodes the body of an AUTH.
    ///
    /// # Errors
    /// The first rule that the packet breaks; MQTT 3 has no such packet.
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        if !version.is_v5() {
            return Err(DecodeError::PacketTypeReserved(PacketType::Auth as u8));
        }
        header.check_flags(version)?;
        let mut reader = Reader::new(body);
        // Both fields can be left out together [MQTT5-3.15.2.1].
        if reader.is_empty() {
            return Ok(Self {
                reason: ReasonCode::Success,
                properties: Properties::default(),
            });
        }
        let reason = reason_in(REASONS, reader.u8()?, PacketType::Auth)?;
        let properties = Properties::read(&mut reader, Place::AUTH)?;
        if !properties.has(PropertyId::AuthenticationMethod) {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        expect_end(reader)?;
        Ok(Self { reason, properties })
    }

    /// Appends the packet, in its shortest form.
    ///
    /// # Panics
    /// If `version` is not 5.0.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        assert!(version.is_v5(), "MQTT {version} has no AUTH");
        let remaining = self.remaining();
        put_header(out, PacketType::Auth, 0, remaining);
        if remaining > 0 {
            out.push(self.reason.into());
            self.properties.encode(out);
        }
    }

    /// How many bytes [`Auth::encode`] appends.
    pub fn encoded_len(&self, _: Version) -> usize {
        packet_len(self.remaining())
    }

    fn remaining(&self) -> usize {
        if self.reason == ReasonCode::Success && self.properties.is_empty() {
            return 0;
        }
        1 + self.properties.encoded_len()
    }
}
