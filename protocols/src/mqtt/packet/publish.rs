//! PUBLISH: an application message `[MQTT5-3.3]`.

use super::super::header::{DUP, put_header};
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, PropertyId, QoS, Version,
};
use super::{packet_len, read_identifier};
use crate::topic::{TopicError, TopicName};
use crate::wire::{self, Reader, prefixed_len, varint_len};

const RETAIN: u8 = 0b0001;
const QOS_SHIFT: u8 = 1;

/// PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publish<'a> {
    /// Sent before. Never with QoS 0 `[MQTT5-3.3.1-2]`.
    pub dup: bool,
    /// Quality of Service.
    pub qos: QoS,
    /// To be retained (to the server), or was retained (from the server) `[MQTT5-3.3.1.3]`.
    pub retain: bool,
    /// A topic name; empty only where a topic alias stands for it.
    pub topic: &'a str,
    /// There if the QoS is over 0.
    pub packet_identifier: Option<PacketIdentifier>,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
    /// The content of the message.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Decodes the body of a PUBLISH. Copies and allocates nothing.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    #[inline]
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        header.check_flags(version)?;
        let invalid = |_| DecodeError::FlagsInvalid(PacketType::Publish);
        let qos = QoS::try_from((header.flags >> QOS_SHIFT) & 0b11).map_err(invalid)?;
        let mut reader = Reader::new(body);
        let topic = reader.string()?;
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(read_identifier(&mut reader)?),
        };
        let properties = if version.is_v5() {
            Properties::read(&mut reader, Place::PUBLISH)?
        } else {
            Properties::default()
        };
        if let Err(error) = TopicName::parse(topic) {
            check_alias(error, version, &properties)?;
        }
        Ok(Self {
            dup: header.flags & DUP != 0,
            qos,
            retain: header.flags & RETAIN != 0,
            topic,
            packet_identifier,
            properties,
            payload: reader.rest(),
        })
    }

    /// Appends the packet.
    ///
    /// # Panics
    /// If the packet is longer than MQTT can say, or `packet_identifier` is there with QoS 0 or
    /// missing with a higher one.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.encode_without_payload(version, out);
        out.extend_from_slice(self.payload);
    }

    /// Appends everything before the payload, the length of which is counted: for a payload that
    /// reaches the socket by another way.
    ///
    /// # Panics
    /// As [`Publish::encode`].
    #[inline]
    pub fn encode_without_payload(&self, version: Version, out: &mut Vec<u8>) {
        assert_eq!(
            self.packet_identifier.is_some(),
            self.qos != QoS::AtMostOnce,
            "a packet identifier is there if and only if the QoS is over 0"
        );
        put_header(
            out,
            PacketType::Publish,
            self.flags(),
            self.remaining(version),
        );
        wire::put_str(out, self.topic);
        if let Some(identifier) = self.packet_identifier {
            wire::put_u16(out, identifier.get());
        }
        if version.is_v5() {
            self.properties.encode(out);
        }
    }

    /// How many bytes [`Publish::encode`] appends.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Where in the encoded packet the two bytes of the packet identifier are, so that one
    /// encoding can be sent under many identifiers; `None` at QoS 0.
    #[inline]
    pub fn packet_identifier_offset(&self, version: Version) -> Option<usize> {
        self.packet_identifier?;
        let remaining = super::super::header::remaining_length(self.remaining(version));
        Some(1 + varint_len(remaining) + prefixed_len(self.topic.len()))
    }

    #[inline]
    fn flags(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        let retain = if self.retain { RETAIN } else { 0 };
        dup | (u8::from(self.qos) << QOS_SHIFT) | retain
    }

    #[inline]
    fn remaining(&self, version: Version) -> usize {
        let identifier = if self.packet_identifier.is_some() {
            2
        } else {
            0
        };
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        prefixed_len(self.topic.len()) + identifier + properties + self.payload.len()
    }
}

/// An empty topic is good where an alias stands for it `[MQTT5-3.3.2.1]`.
#[cold]
fn check_alias(
    error: TopicError,
    version: Version,
    properties: &Properties<'_>,
) -> Result<(), DecodeError> {
    match error {
        TopicError::Empty if properties.has(PropertyId::TopicAlias) => Ok(()),
        TopicError::Empty if version.is_v5() => Err(DecodeError::TopicMissing),
        _ => Err(DecodeError::TopicNameInvalid(error)),
    }
}
