//! PUBLISH: an application message `[MQTT5-3.3]`.

use super::super::header::{DUP, put_header};
use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, PropertyId, QoS, Version,
};
use super::{packet_len, read_identifier};
use crate::topic::{TopicError, TopicName, is_plain};
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
    // Out of line, the result is written field by field and read back in vectors by whoever moves
    // it: a stall that costs more than the decoding.
    #[inline(always)]
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        Self::decode_expecting(header, body, version, "")
    }

    /// Decodes the body for a reader who expects the topic of an earlier packet: where it comes
    /// again it is not checked again. `expected` is empty or a valid topic name.
    ///
    /// # Errors
    /// As [`Publish::decode`].
    #[inline(always)]
    pub fn decode_expecting(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
        expected: &'a str,
    ) -> Result<Self, DecodeError> {
        match Self::decode_plain(header, body, version, expected) {
            Some(publish) => Ok(publish),
            None => Self::decode_any(header, body, version),
        }
    }

    /// Decodes what most packets are: a topic of plain ASCII and no properties. `None` for all
    /// others, also for bad ones: [`Publish::decode_any`] knows the rules.
    #[inline(always)]
    pub(super) fn decode_plain(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
        expected: &'a str,
    ) -> Option<Self> {
        let qos = qos(header.flags)?;
        let mut reader = Reader::new(body);
        let name = reader.binary().ok()?;
        let topic = if name == expected.as_bytes() {
            expected
        } else if is_plain(name) {
            wire::utf8(name).ok()?
        } else {
            return None;
        };
        if topic.is_empty() {
            return None;
        }
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(PacketIdentifier::new(reader.u16().ok()?)?),
        };
        if version.is_v5() && reader.u8().ok()? != 0 {
            return None;
        }
        Some(Self {
            dup: header.flags & DUP != 0,
            qos,
            retain: header.flags & RETAIN != 0,
            topic,
            packet_identifier,
            properties: Properties::EMPTY,
            payload: reader.rest(),
        })
    }

    #[inline(never)]
    fn decode_any(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        let qos = qos(header.flags).ok_or(DecodeError::FlagsInvalid(PacketType::Publish))?;
        let mut reader = Reader::new(body);
        let topic = reader.string()?;
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(read_identifier(&mut reader)?),
        };
        let properties = if version.is_v5() {
            Properties::read(&mut reader, Place::PUBLISH)?
        } else {
            Properties::EMPTY
        };
        check_topic(topic, version, &properties)?;
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

/// The QoS in the flags; `None` for QoS 3 `[MQTT5-3.3.1-4]` and DUP with QoS 0
/// `[MQTT5-3.3.1-2]`.
#[inline]
fn qos(flags: u8) -> Option<QoS> {
    match flags & !RETAIN {
        0b0000 => Some(QoS::AtMostOnce),
        0b0010 | 0b1010 => Some(QoS::AtLeastOnce),
        0b0100 | 0b1100 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

/// A topic is a topic name, or empty where an alias stands for it `[MQTT5-3.3.2.1]`.
fn check_topic(
    topic: &str,
    version: Version,
    properties: &Properties<'_>,
) -> Result<(), DecodeError> {
    match TopicName::parse(topic) {
        Ok(_) => Ok(()),
        Err(TopicError::Empty) if properties.has(PropertyId::TopicAlias) => Ok(()),
        Err(TopicError::Empty) if version.is_v5() => Err(DecodeError::TopicMissing),
        Err(error) => Err(DecodeError::TopicNameInvalid(error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Short bodies of few kinds of bytes: every way to leave the quick path is taken.
        #[test]
        fn the_quick_path_agrees_with_the_rules(
            flags in 0..16_u8,
            topic_length in 0..4_u8,
            rest in prop::collection::vec(prop::sample::select(b"\0\0\x01a/#+\xC3\xA9".to_vec()), 0..9),
        ) {
            let body = [&[0, topic_length], rest.as_slice()].concat();
            let packet_type = PacketType::Publish;
            let header = FixedHeader { packet_type, flags, remaining_length: 0 };
            for version in Version::ALL {
                if let Some(publish) = Publish::decode_plain(header, &body, version, "") {
                    prop_assert_eq!(Publish::decode_any(header, &body, version), Ok(publish));
                }
            }
        }
    }
}
