//! SUBACK: the server answers a SUBSCRIBE `[MQTT5-3.9]`.

use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, ReasonCode, Version,
};
use super::list::List;
use super::reason_in;
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
        let list = List::decode(header, body, version, Place::ACK)?;
        let allowed = if version.is_v5() { REASONS } else { REASONS_V3 };
        for &value in list.payload {
            reason_in(allowed, value, PacketType::SubAck)?;
        }
        Ok(Self {
            packet_identifier: list.packet_identifier,
            properties: list.properties,
            reasons: list.payload,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.list().encode(PacketType::SubAck, version, out);
        if !version.is_v5() {
            let start = out.len() - self.reasons.len();
            for reason in &mut out[start..] {
                *reason = (*reason).min(Code::UnspecifiedError as u8);
            }
        }
    }

    /// How many bytes [`SubAck::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        self.list().encoded_len(version)
    }

    fn list(&self) -> List<'a> {
        List {
            packet_identifier: self.packet_identifier,
            properties: self.properties,
            payload: self.reasons,
        }
    }
}
