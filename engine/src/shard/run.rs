//! Runs: QoS 0 messages of one publisher to one topic, handled as one.
//!
//! A publisher that writes several messages in one go, or whose writes were gathered while the
//! shard was busy, mostly sends them to one topic. Their packets differ in the payload alone and a
//! subscriber of the same version gets the same bytes, so a run of them is recognised by its
//! headers, routed once and copied to each subscriber in one piece.

use bytes::BufMut;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::websocket::frame::{Opcode, put_frame};
use ringbus_protocols::wire;

use crate::base::Nanos;
use crate::base::limits::SHARED_PAYLOAD_BYTES_MIN;
use crate::pubsub::{Message, PublisherId};

use super::route::{Carried, SamePacket};

/// PUBLISH, QoS 0, neither DUP nor RETAIN.
pub(super) const PUBLISH: u8 = 0x30;
/// Bytes of a run at most, so that its copies stay small enough to share a turn.
pub(super) const RUN_BYTES_MAX: usize = 64 << 10;

/// Consecutive PUBLISH packets that differ in their payloads alone: QoS 0, no RETAIN, no
/// properties, one valid topic, payloads small enough to be copied, lengths in their shortest form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) packets: Packets<'a>,
    pub(super) publisher: PublisherId,
}

/// The packets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packets<'a> {
    /// One after another.
    pub(super) bytes: &'a [u8],
    pub(super) count: u32,
    /// The length of the longest.
    pub(super) longest: u32,
    pub(super) is_v5: bool,
}

impl<'a> Packets<'a> {
    /// The longest run at the start of `bytes`, none of its packets above `bytes_max`.
    ///
    /// `head` is what follows the fixed header: the topic with its length and, in v5, the empty
    /// properties.
    #[inline]
    pub(super) fn find(bytes: &'a [u8], head: &[u8], bytes_max: u32, is_v5: bool) -> Option<Self> {
        let longest_max = head.len() + SHARED_PAYLOAD_BYTES_MIN;
        let (mut end, mut count, mut longest) = (0, 0, 0);
        while end < RUN_BYTES_MAX
            && let Some((start, body_len)) = fixed_header(&bytes[end..])
            && let Some(body) = bytes[end + start..].get(..body_len)
            && body.starts_with(head)
            && body_len < longest_max
            && start + body_len <= bytes_max as usize
        {
            end += start + body_len;
            count += 1;
            longest = longest.max(start + body_len);
        }
        let longest = u32::try_from(longest).expect("below the longest packet that is copied");
        (count > 0).then_some(Self {
            bytes: &bytes[..end],
            count,
            longest,
            is_v5,
        })
    }

    /// The first of them, so many at most; `None` for none.
    pub(super) fn first(self, count_max: u32) -> Option<Self> {
        if self.count <= count_max {
            return Some(self);
        }
        let lengths = self.iter().take(count_max as usize);
        let end = lengths.map(|(packet, ..)| packet.len()).sum();
        (count_max > 0).then_some(Self {
            bytes: &self.bytes[..end],
            count: count_max,
            ..self
        })
    }

    /// The packets one by one: each whole, its topic, its payload.
    fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a str, &'a [u8])> {
        let mut rest = self.bytes;
        let properties = usize::from(self.is_v5);
        std::iter::from_fn(move || {
            let (start, body_len) = fixed_header(rest)?;
            let (packet, after) = rest.split_at(start + body_len);
            rest = after;
            let body = &packet[start..];
            let (length, body) = body.split_at(2);
            let topic_len = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let (topic, body) = body.split_at(topic_len);
            let topic = std::str::from_utf8(topic).expect("a run has a validated topic");
            Some((packet, topic, &body[properties..]))
        })
    }

    /// Their payloads.
    pub(super) fn payloads(self) -> impl Iterator<Item = &'a [u8]> {
        let topic_len = 2 + self.topic().len() + usize::from(self.is_v5);
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (start, body_len) = fixed_header(rest)?;
            let (packet, after) = rest.split_at(start + body_len);
            rest = after;
            Some(&packet[start + topic_len..])
        })
    }

    /// The topic of all of them.
    pub(super) fn topic(self) -> &'a str {
        let (_, topic, _) = self.iter().next().expect("a run has a packet");
        topic
    }

    /// Writes the same messages as frames of WebSockets: without properties nothing is text.
    pub(super) fn put_frames(self, out: &mut Vec<u8>) {
        for (_, _, payload) in self.iter() {
            put_frame(out, Opcode::Binary, payload);
        }
    }

    /// Writes the same messages for subscribers of the other version; returns the longest packet.
    pub(super) fn translate(self, out: &mut Vec<u8>) -> u32 {
        // The empty properties, and perhaps a second byte of length.
        let growth = if self.is_v5 { 0 } else { 2 };
        out.reserve(self.bytes.len() + self.count as usize * growth);
        let mut longest = 0;
        for (_, topic, payload) in self.iter() {
            let start = out.len();
            let properties = usize::from(!self.is_v5);
            let body_len = 2 + topic.len() + properties + payload.len();
            out.push(PUBLISH);
            wire::put_varint(out, u32::try_from(body_len).expect("packets are bounded"));
            wire::put_str(out, topic);
            out.extend_from_slice(&[0][..properties]);
            out.extend_from_slice(payload);
            longest = longest.max(out.len() - start);
        }
        u32::try_from(longest).expect("packets are bounded")
    }
}

/// The lengths of the fixed header and of what follows, if the packet is one that a run can have.
#[inline]
fn fixed_header(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes {
        [PUBLISH, length, ..] if length < 0x80 => Some((2, usize::from(length))),
        [PUBLISH, low, high @ 1..0x80, ..] => {
            Some((3, usize::from(low & 0x7F) | usize::from(high) << 7))
        }
        _ => None,
    }
}

impl<'a> Run<'a> {
    /// Its messages one by one, for subscribers that get them otherwise.
    pub(super) fn carried(&self) -> impl Iterator<Item = Carried<'a>> {
        let publisher = self.publisher;
        let is_v5 = self.packets.is_v5;
        self.packets.iter().map(move |(bytes, topic, payload)| {
            let message = Message {
                topic,
                payload,
                properties: &[],
                qos: QoS::AtMostOnce,
                retain: false,
                expires_at: Nanos::MAX,
                publisher,
            };
            let mut carried = Carried::new(message, 0, None);
            carried.packet = Some(SamePacket { bytes, is_v5 });
            carried
        })
    }

    /// Appends the record that travels in mail.
    pub(super) fn write_record(&self, out: &mut impl BufMut) {
        out.put_u64_le(self.publisher.to_bits());
        out.put_u32_le(self.packets.count);
        out.put_u32_le(self.packets.longest);
        out.put_u8(u8::from(self.packets.is_v5));
        out.put_slice(self.packets.bytes);
    }

    /// Reads back what [`Run::write_record`] wrote in this process.
    pub(super) fn parse_record(record: &'a [u8]) -> Self {
        let (publisher, rest) = record.split_first_chunk().expect("a record is whole");
        let (count, rest) = rest.split_first_chunk().expect("a record is whole");
        let (longest, rest) = rest.split_first_chunk().expect("a record is whole");
        let (is_v5, bytes) = rest.split_first().expect("a record is whole");
        Self {
            packets: Packets {
                bytes,
                count: u32::from_le_bytes(*count),
                longest: u32::from_le_bytes(*longest),
                is_v5: *is_v5 != 0,
            },
            publisher: PublisherId::from_bits(u64::from_le_bytes(*publisher)),
        }
    }
}
