//! A message as the engine carries it: borrowed while it is routed, one record when it must stay.
//!
//! The record is the one format of everything that outlives a turn or leaves a shard: mail,
//! retained messages, offline queues and inflight windows. Little-endian:
//!
//! ```text
//! flags u8 | topic length u16 | publisher u64 | [properties length u32] | [expiry u64]
//! | topic | properties | payload
//! ```

use bytes::Bytes;
use ringbus_protocols::mqtt::{PropertiesIter, Property, QoS};

use crate::base::Nanos;

const QOS_MASK: u8 = 0b0000_0011;
const RETAIN: u8 = 0b0000_0100;
const HAS_PROPERTIES: u8 = 0b0000_1000;
const HAS_EXPIRY: u8 = 0b0001_0000;
const FIXED_BYTES: usize = 1 + 2 + 8;

/// Who published: enough to recognise a client that asked not to get its own (No Local).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherId(u64);

impl PublisherId {
    /// The identity of a client identifier, whichever session it has [MQTT5-3.8.3-3].
    ///
    /// A keyed hash: two clients share one by chance once in 2^64, and nobody can aim at it.
    #[must_use]
    pub fn of(client_id: &str, hasher: &ahash::RandomState) -> Self {
        Self(hasher.hash_one(client_id))
    }

    /// As it travels in records.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Half of it, to choose by what [`PublisherId::to_bits`] has not been used for.
    #[must_use]
    pub fn folded(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What [`PublisherId::to_bits`] gave.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A message on its way, borrowed from the buffer it arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The topic name, validated.
    pub topic: &'a str,
    /// The application's bytes.
    pub payload: &'a [u8],
    /// The v5 properties that travel with it, encoded, without length prefix: no message expiry
    /// interval, no topic alias, no subscription identifier.
    pub properties: &'a [u8],
    /// The level it was published at.
    pub qos: QoS,
    /// Published with the RETAIN flag.
    pub retain: bool,
    /// When the message expires; [`Nanos::MAX`] for never.
    pub expires_at: Nanos,
    /// The client that published it.
    pub publisher: PublisherId,
}

impl<'a> Message<'a> {
    /// The exact length of its record.
    #[must_use]
    pub fn record_len(&self) -> usize {
        let properties = if self.properties.is_empty() {
            0
        } else {
            4 + self.properties.len()
        };
        let expiry = if self.expires_at == Nanos::MAX { 0 } else { 8 };
        FIXED_BYTES + properties + expiry + self.topic.len() + self.payload.len()
    }

    /// Appends its record.
    pub fn write_record(&self, out: &mut impl bytes::BufMut) {
        let mut flags = self.qos as u8;
        flags |= if self.retain { RETAIN } else { 0 };
        flags |= if self.properties.is_empty() {
            0
        } else {
            HAS_PROPERTIES
        };
        flags |= if self.expires_at == Nanos::MAX {
            0
        } else {
            HAS_EXPIRY
        };
        out.put_u8(flags);
        out.put_u16_le(u16::try_from(self.topic.len()).expect("a topic name fits its wire length"));
        out.put_u64_le(self.publisher.0);
        if flags & HAS_PROPERTIES != 0 {
            let length = u32::try_from(self.properties.len());
            out.put_u32_le(length.expect("properties fit a packet"));
        }
        if flags & HAS_EXPIRY != 0 {
            out.put_u64_le(self.expires_at.0);
        }
        out.put_slice(self.topic.as_bytes());
        out.put_slice(self.properties);
        out.put_slice(self.payload);
    }

    /// Reads back what [`Message::write_record`] wrote in this process.
    ///
    /// # Panics
    /// On anything else: records never come from a peer.
    #[must_use]
    pub fn parse_record(record: &'a [u8]) -> Self {
        let mut reader = RecordReader(record);
        let flags = reader.take(1)[0];
        let topic_len = u16::from_le_bytes(reader.array());
        let publisher = PublisherId(u64::from_le_bytes(reader.array()));
        let mut properties_len = 0;
        if flags & HAS_PROPERTIES != 0 {
            properties_len = u32::from_le_bytes(reader.array()) as usize;
        }
        let mut expires_at = Nanos::MAX;
        if flags & HAS_EXPIRY != 0 {
            expires_at = Nanos(u64::from_le_bytes(reader.array()));
        }
        let topic = reader.take(usize::from(topic_len));
        let properties = reader.take(properties_len);
        Self {
            topic: std::str::from_utf8(topic).expect("records hold validated topics"),
            payload: reader.0,
            properties,
            qos: QoS::try_from(flags & QOS_MASK).expect("records hold validated levels"),
            retain: flags & RETAIN != 0,
            expires_at,
            publisher,
        }
    }

    /// Whether its publisher says that the payload is text; `None` if it does not say
    /// [MQTT5-3.3.2.3.2].
    #[must_use]
    pub fn is_text(&self) -> Option<bool> {
        PropertiesIter::new(self.properties).find_map(|property| match property {
            Property::PayloadFormatIndicator(is_text) => Some(is_text),
            _ => None,
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: Nanos) -> bool {
        self.expires_at <= now
    }
}

struct RecordReader<'a>(&'a [u8]);

impl<'a> RecordReader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N)
            .try_into()
            .expect("take gives what was asked for")
    }
}

/// A message that stays: its record, shared by everything that refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(Bytes);

impl Stored {
    /// Copies a borrowed message into a record of its own.
    #[must_use]
    pub fn new(message: &Message<'_>) -> Self {
        let mut record = Vec::with_capacity(message.record_len());
        message.write_record(&mut record);
        Self(Bytes::from(record))
    }

    /// Takes over a record that stands alone in its allocation.
    #[must_use]
    pub fn from_record(record: Bytes) -> Self {
        Self(record)
    }

    /// The record itself, to be referenced by mail.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        &self.0
    }

    /// The message within.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        Message::parse_record(&self.0)
    }

    /// The payload by reference.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.0.slice_ref(self.message().payload)
    }

    /// Bytes it is charged with in a bounded queue.
    #[must_use]
    pub fn charge(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, PublisherId, Stored};
    use crate::base::Nanos;
    use proptest::prelude::*;
    use ringbus_protocols::mqtt::QoS;

    proptest! {
        #[test]
        fn a_record_gives_its_message_back(
            topic in "[a-z/]{1,40}",
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            properties in proptest::collection::vec(any::<u8>(), 0..50),
            qos in 0u8..3,
            retain: bool,
            expires_at in prop_oneof![Just(u64::MAX), any::<u64>()],
            publisher: u64,
        ) {
            let message = Message {
                topic: &topic,
                payload: &payload,
                properties: &properties,
                qos: QoS::try_from(qos).unwrap(),
                retain,
                expires_at: Nanos(expires_at),
                publisher: PublisherId::from_bits(publisher),
            };
            let stored = Stored::new(&message);
            prop_assert_eq!(stored.message(), message);
            prop_assert_eq!(stored.charge(), message.record_len());
            prop_assert_eq!(&stored.payload()[..], &payload[..]);
        }
    }
}
