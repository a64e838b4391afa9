//! PUBLISH packets as subscribers get them: encoded once per shape, copied per subscriber.

use ringbus_protocols::mqtt::{PacketIdentifier, QoS, Version};
use ringbus_protocols::wire;

use super::dialect::{frame_kind, put_topic_message};

use crate::base::Nanos;
use crate::base::limits::SHARED_PAYLOAD_BYTES_MIN;
use crate::pubsub::Message;

const PUBLISH: u8 = 0x30;
const DUP: u8 = 0x08;
const RETAIN: u8 = 0x01;
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const TOPIC_ALIAS: u8 = 0x23;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How one subscriber wants a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) version: Version,
    pub(super) qos: QoS,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) identifier: Option<PacketIdentifier>,
    pub(super) subscription_identifiers: &'a [u32],
    pub(super) naming: Naming,
}

/// How a packet names its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// In full.
    Full,
    /// In full, with the alias that stands for it from then on.
    Introduce(u16),
    /// By its alias.
    Alias(u16),
}

impl Naming {
    fn alias(self) -> Option<u16> {
        match self {
            Self::Full => None,
            Self::Introduce(alias) | Self::Alias(alias) => Some(alias),
        }
    }

    fn topic(self, topic: &str) -> &str {
        match self {
            Self::Full | Self::Introduce(_) => topic,
            Self::Alias(_) => "",
        }
    }
}

/// Whether a payload goes to sockets by reference instead of being copied.
#[inline]
pub(super) fn is_shared(message: &Message<'_>) -> bool {
    message.payload.len() >= SHARED_PAYLOAD_BYTES_MIN
}

/// Appends the packet; a payload that is shared is left to the caller. Returns the length of the
/// whole packet, payload included.
pub(super) fn encode(
    out: &mut Vec<u8>,
    shape: &Shape<'_>,
    message: &Message<'_>,
    now: Nanos,
) -> usize {
    let start = out.len();
    let lengths = Lengths::of(shape, message, now);
    let retain = if shape.retain { RETAIN } else { 0 };
    let dup = if shape.dup { DUP } else { 0 };
    out.reserve(lengths.remaining + 5);
    out.push(PUBLISH | dup | (shape.qos as u8) << 1 | retain);
    wire::put_varint(
        out,
        u32::try_from(lengths.remaining).expect("messages fit a packet"),
    );
    wire::put_str(out, shape.naming.topic(message.topic));
    if let Some(identifier) = shape.identifier {
        wire::put_u16(out, identifier.get());
    }
    if shape.version == Version::V5 {
        put_properties(out, &lengths, shape, message);
    }
    if is_shared(message) {
        return out.len() - start + message.payload.len();
    }
    out.extend_from_slice(message.payload);
    out.len() - start
}

struct Lengths {
    remaining: usize,
    properties: usize,
    expiry_seconds: Option<u32>,
}

impl Lengths {
    #[inline]
    fn of(shape: &Shape<'_>, message: &Message<'_>, now: Nanos) -> Self {
        let identifier = if shape.identifier.is_some() { 2 } else { 0 };
        let topic = shape.naming.topic(message.topic);
        let mut remaining = 2 + topic.len() + identifier + message.payload.len();
        if shape.version != Version::V5 {
            return Self {
                remaining,
                properties: 0,
                expiry_seconds: None,
            };
        }
        let expiry_seconds = seconds_left(message, now);
        let mut properties = message.properties.len();
        properties += if expiry_seconds.is_some() { 5 } else { 0 };
        properties += if shape.naming.alias().is_some() { 3 } else { 0 };
        for &identifier in shape.subscription_identifiers {
            properties += 1 + wire::varint_len(identifier);
        }
        let length = u32::try_from(properties).expect("properties fit a packet");
        remaining += wire::varint_len(length) + properties;
        Self {
            remaining,
            properties,
            expiry_seconds,
        }
    }
}

/// The seconds the message has left, rounded up [MQTT5-3.3.2-6].
fn seconds_left(message: &Message<'_>, now: Nanos) -> Option<u32> {
    if message.expires_at == Nanos::MAX {
        return None;
    }
    let left = (message.expires_at - now).0.div_ceil(NANOS_PER_SECOND);
    Some(u32::try_from(left).unwrap_or(u32::MAX))
}

#[inline]
fn put_properties(out: &mut Vec<u8>, lengths: &Lengths, shape: &Shape<'_>, message: &Message<'_>) {
    wire::put_varint(
        out,
        u32::try_from(lengths.properties).expect("checked with the lengths"),
    );
    out.extend_from_slice(message.properties);
    if let Some(seconds) = lengths.expiry_seconds {
        out.push(MESSAGE_EXPIRY_INTERVAL);
        wire::put_u32(out, seconds);
    }
    if let Some(alias) = shape.naming.alias() {
        out.push(TOPIC_ALIAS);
        wire::put_u16(out, alias);
    }
    for &identifier in shape.subscription_identifiers {
        out.push(SUBSCRIPTION_IDENTIFIER);
        wire::put_varint(out, identifier);
    }
}

/// The QoS 0 encodings of the message that is being delivered.
#[derive(Debug, Default)]
pub(super) struct Templates {
    // By version and RETAIN flag: all that differs between QoS 0 subscribers without identifiers.
    slots: [Template; 4],
    // For topic sockets that take what is not marked as text, and others.
    frames: [Vec<u8>; 2],
}

#[derive(Debug, Default)]
struct Template {
    bytes: Vec<u8>,
    packet_len: usize,
}

impl Templates {
    /// Forgets the previous message.
    #[inline]
    pub(super) fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.bytes.clear();
        }
        for frame in &mut self.frames {
            frame.clear();
        }
    }

    /// The frame for topic sockets; a payload that is shared is left to the caller.
    #[inline]
    pub(super) fn frame(&mut self, message: &Message<'_>, takes_unmarked_text: bool) -> &[u8] {
        let frame = &mut self.frames[usize::from(takes_unmarked_text)];
        if frame.is_empty() {
            let kind = frame_kind(message, takes_unmarked_text);
            put_topic_message(frame, message, kind);
        }
        frame
    }

    /// The encoding for subscribers of that version, and the length of the whole packet.
    #[inline]
    pub(super) fn get(
        &mut self,
        version: Version,
        retain: bool,
        message: &Message<'_>,
        now: Nanos,
    ) -> (&[u8], usize) {
        let at = usize::from(version == Version::V5) * 2 + usize::from(retain);
        let slot = &mut self.slots[at];
        if slot.bytes.is_empty() {
            let shape = Shape {
                version,
                qos: QoS::AtMostOnce,
                dup: false,
                retain,
                identifier: None,
                subscription_identifiers: &[],
                naming: Naming::Full,
            };
            slot.packet_len = encode(&mut slot.bytes, &shape, message, now);
        }
        (&slot.bytes, slot.packet_len)
    }
}
