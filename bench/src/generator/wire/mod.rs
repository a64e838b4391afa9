//! The protocols the generator speaks, reduced to what a load needs.
//!
//! The scanners read only what they verify: the kind of a frame, its length, and the stamp at the
//! start of a message's payload. They allocate nothing and are monomorphised into the loop.

pub mod mqtt;
mod mqttsn;
mod nats;
mod raw;
mod resp;
mod topic;
mod ws;

pub use mqtt::Mqtt;
pub use mqttsn::MqttSn;
pub use nats::Nats;
pub use raw::Raw;
pub use resp::Resp;
pub use topic::Topic;
pub use ws::{SUBPROTOCOL, Ws};

use super::link::Link;
use super::websocket::Keys;
use ringbus_protocols::websocket::frame::{Opcode, put_masked};
use ringbus_protocols::websocket::mask::unmask;
use std::io;

/// Bytes at the start of every payload: run, stream, sequence.
pub const STAMP_BYTES: usize = 16;

/// Which message this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run that sent it; other runs' messages are foreign
    pub run: u32,
    /// The publisher (and, if it has several topics, the topic)
    pub stream: u32,
    /// Its place among the stream's messages, from 0
    pub sequence: u64,
}

impl Stamp {
    /// Writes the stamp at the start of `payload`.
    #[inline]
    pub fn write(self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.run.to_le_bytes());
        payload[4..8].copy_from_slice(&self.stream.to_le_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_le_bytes());
    }

    /// Reads the stamp at the start of `payload`; `None` if the payload is too short for one.
    #[inline]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (stamp, _) = payload.split_first_chunk::<STAMP_BYTES>()?;
        let [a, b, c, d, e, f, g, h, sequence @ ..] = *stamp;
        Some(Self {
            run: u32::from_le_bytes([a, b, c, d]),
            stream: u32::from_le_bytes([e, f, g, h]),
            sequence: u64::from_le_bytes(sequence),
        })
    }
}

/// What a frame means to the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message of the load; an acknowledgement is due if `qos` is above 0
    Message {
        /// Which one
        stamp: Stamp,
        /// Quality of service of this delivery
        qos: u8,
        /// Packet identifier, 0 at QoS 0
        id: u16,
    },
    /// A message that carries no stamp: not of this load
    Unstamped,
    /// The publisher's message is acknowledged for good (PUBACK, PUBCOMP)
    Completed,
    /// The broker has a QoS 2 message (PUBREC): release it
    Received(u16),
    /// The publisher released a QoS 2 message (PUBREL): complete it
    Released(u16),
    /// The broker asks for a sign of life
    Ping,
    /// The broker refuses something or says goodbye
    Refused(&'static str),
    /// Nothing the load cares for
    Other,
}

/// The next frame of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The bytes end before the frame can be understood
    NeedMore,
    /// A frame. `length` may exceed what is there: the rest is payload nobody looks at
    Frame {
        /// Whole length in bytes
        length: usize,
        /// Its meaning
        incoming: Incoming,
    },
}

/// Writes of a stream that are prepared, and handed to the kernel, together.
pub const WRITES_MAX: usize = 32;

/// Bytes prepared at a time, unless one write has more.
const PREPARED_BYTES: usize = 256 * 1024;

/// Messages of one stream, encoded once and stamped before they are sent.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    stride: usize,
    write_bytes: usize,
    batch: usize,
    stamp_offset: usize,
    id_offset: Option<usize>,
    frames: Option<Frames>,
}

/// Masked WebSocket frames around messages. What does not change is masked once.
#[derive(Clone, Debug)]
struct Frames {
    header_bytes: usize,
    /// Of a whole frame
    bytes: usize,
    /// The mask of each prepared frame
    keys: Vec<[u8; 4]>,
}

impl Template {
    /// Some writes of `batch` messages, whose stamp and packet identifier lie at these offsets.
    fn new(message: &[u8], batch: usize, stamp_offset: usize, id_offset: Option<usize>) -> Self {
        let write_bytes = message.len() * batch;
        Self {
            bytes: message.repeat(batch * writes_prepared(write_bytes)),
            stride: message.len(),
            write_bytes,
            batch,
            stamp_offset,
            id_offset,
            frames: None,
        }
    }

    /// The same in WebSocket frames of so many messages, of which there are whole ones in a write.
    fn in_frames(self, messages: usize) -> Self {
        let payload = self.bytes[..self.stride].repeat(messages);
        let mut frame = Vec::new();
        put_masked(&mut frame, Opcode::Binary, true, false, [0; 4], &payload);
        let write_bytes = frame.len() * (self.batch / messages);
        let count = writes_prepared(write_bytes) * (self.batch / messages);
        let keys: Vec<_> = Keys::new(1).take(count).collect();
        let mut bytes = Vec::with_capacity(frame.len() * count);
        for &key in &keys {
            put_masked(&mut bytes, Opcode::Binary, true, false, key, &payload);
        }
        Self {
            bytes,
            write_bytes,
            frames: Some(Frames {
                header_bytes: frame.len() - payload.len(),
                bytes: frame.len(),
                keys,
            }),
            ..self
        }
    }

    /// Bytes of one message on the wire, without frames around it.
    pub fn message_bytes(&self) -> usize {
        self.stride
    }

    /// Bytes of one write.
    #[inline]
    pub fn write_bytes(&self) -> usize {
        self.write_bytes
    }

    /// Writes that can be stamped at a time.
    #[inline]
    pub fn writes_max(&self) -> u64 {
        (self.bytes.len() / self.write_bytes) as u64
    }

    /// Stamps so many writes, from `first` on, and returns the bytes to send.
    ///
    /// `next_id` gives packet identifiers; it is asked only above QoS 0.
    #[inline]
    pub fn stamp(
        &mut self,
        first: Stamp,
        writes: usize,
        mut next_id: impl FnMut() -> u16,
    ) -> &[u8] {
        let mut stamp = first;
        let length = writes * self.write_bytes;
        if self.frames.is_some() {
            self.stamp_frames(stamp, length, next_id);
            return &self.bytes[..length];
        }
        for message in self.bytes[..length].chunks_exact_mut(self.stride) {
            stamp.write(&mut message[self.stamp_offset..]);
            stamp.sequence += 1;
            if let Some(offset) = self.id_offset {
                message[offset..offset + 2].copy_from_slice(&next_id().to_be_bytes());
            }
        }
        &self.bytes[..length]
    }

    fn stamp_frames(&mut self, mut stamp: Stamp, length: usize, mut next_id: impl FnMut() -> u16) {
        let Some(frames) = &self.frames else { return };
        let parts = self.bytes[..length].chunks_exact_mut(frames.bytes);
        for (frame, &key) in parts.zip(&frames.keys) {
            let payload = &mut frame[frames.header_bytes..];
            for start in (0..payload.len()).step_by(self.stride) {
                let at = start + self.stamp_offset;
                stamp.write(&mut payload[at..]);
                unmask(&mut payload[at..at + STAMP_BYTES], key, at);
                stamp.sequence += 1;
                if let Some(offset) = self.id_offset {
                    let id = &mut payload[start + offset..start + offset + 2];
                    id.copy_from_slice(&next_id().to_be_bytes());
                    unmask(id, key, start + offset);
                }
            }
        }
    }
}

/// Writes of so many bytes that are prepared.
fn writes_prepared(write_bytes: usize) -> usize {
    (PREPARED_BYTES / write_bytes).clamp(1, WRITES_MAX)
}

/// What to publish: the shape of a template.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Topic, with `/` between levels
    pub topic: &'a str,
    /// Quality of service
    pub qos: u8,
    /// Payload bytes
    pub payload_bytes: usize,
    /// Messages in a write
    pub batch: usize,
}

/// A protocol.
pub trait Wire {
    /// Publishers send datagrams, one a message, and do not connect. What is lost is counted and
    /// is no fault.
    const SENDS_DATAGRAMS: bool = false;
    /// Understands the first frame of `bytes`.
    fn next(bytes: &[u8]) -> io::Result<Next>;
    /// Encodes the messages of a stream.
    fn template(shape: Shape<'_>) -> Template;
    /// Greets the broker and waits until it accepts; returns the most unacknowledged messages
    /// it takes.
    fn connect(link: &mut Link, client_id: &str) -> io::Result<u16>;
    /// Subscribes and waits until the broker confirms.
    fn subscribe(link: &mut Link, filters: &[String], qos: u8) -> io::Result<()>;
    /// Gets ready to publish to these topics.
    fn announce(_link: &mut Link, _topics: &[String]) -> io::Result<()> {
        Ok(())
    }
    /// Appends the answer to a ping.
    fn pong(_out: &mut Vec<u8>) {}
    /// Appends the acknowledgement of a message received at `qos`.
    fn acknowledge(_qos: u8, _id: u16, _out: &mut Vec<u8>) {}
    /// Appends the release of a QoS 2 message sent.
    fn release(_id: u16, _out: &mut Vec<u8>) {}
    /// Appends the completion of a QoS 2 message received.
    fn complete(_id: u16, _out: &mut Vec<u8>) {}
}

/// A payload of `bytes` bytes that compresses and compares like text, not like zeros.
fn payload(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}

/// Error for bytes that are not the protocol.
fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the broker sent {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds every prefix of two messages: the scanner says NeedMore or understands the frame, and
    /// once it understands it, longer prefixes change nothing.
    pub(super) fn every_prefix<W: Wire>(message: &[u8], expected: Incoming) {
        let mut understood = false;
        for end in 0..=message.len() {
            match W::next(&message[..end]).unwrap() {
                Next::NeedMore => assert!(!understood, "understood, then not, at {end}"),
                Next::Frame { length, incoming } => {
                    assert_eq!(length, message.len());
                    assert_eq!(incoming, expected);
                    understood = true;
                }
            }
        }
        assert!(understood);
    }

    #[test]
    fn a_template_stamps_each_message_of_a_batch() {
        let mut template = Template::new(&[0xaa; 20], 3, 4, Some(0));
        let mut id = 6;
        let first = Stamp {
            run: 1,
            stream: 2,
            sequence: 40,
        };
        let bytes = template.stamp(first, 1, || {
            id += 1;
            id
        });
        assert_eq!(bytes.len(), 60);
        for (index, message) in bytes.chunks(20).enumerate() {
            let stamp = Stamp::read(&message[4..]).unwrap();
            assert_eq!(
                stamp,
                Stamp {
                    sequence: 40 + index as u64,
                    ..first
                }
            );
            assert_eq!(
                message[..4],
                [0, 7 + u8::try_from(index).unwrap(), 0xaa, 0xaa]
            );
        }
    }

    #[test]
    fn a_short_payload_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; STAMP_BYTES - 1]), None);
    }
}
