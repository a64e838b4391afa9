//! The receiving half of a connection, of a server or of a client `[RFC6455 6.2]`.

mod control;
mod head;

use super::close::{self, CloseCode, Violation};
use super::deflate::{Agreed, Incoming, Inflater};
use super::frame::{Kind, MASKED_HEADER_BYTES_MAX, Opcode};
use super::mask::unmask;
use super::utf8::Utf8;
use control::Control;
use head::Head;

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The peer masks all it sends `[RFC6455 5.1]`.
    Server,
    /// The peer masks nothing.
    Client,
}

/// What messages mean to the protocol above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each message is reported at its end.
    Messages,
    /// Payloads are one stream of bytes, and where messages end does not matter.
    Stream,
}

/// What a peer may send. More of it closes the connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest message, after inflating. In [`Mode::Stream`] only compressed messages are
    /// bounded: of others nothing is kept here.
    pub message_bytes_max: usize,
    /// The most frames that a message may be cut into.
    pub fragments_max: u32,
    /// Whether text is taken; if not, it is closed with [`CloseCode::UNSUPPORTED_DATA`].
    pub takes_text: bool,
}

/// Why [`Receiver::read`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// All input was used; more is needed.
    More,
    /// A message is complete, and the payload ends with it. Only in [`Mode::Messages`].
    Message(Kind),
    /// To be answered with a pong that has the same payload: [`Receiver::control`].
    Ping,
    /// An answer, or unasked; with a payload too.
    Pong,
    /// The peer closes, and says why or does not. Whatever follows is ignored.
    Close(Option<CloseCode>),
}

/// Where in the stream of frames the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Data,
    Control,
    /// After a close frame or a violation: nothing counts any more.
    End,
}

/// Takes frames apart, whatever pieces they arrive in.
///
/// Between messages it owns nothing but the window of its inflater, if the peer compresses with
/// context takeover, and the payload of the last control frame until the next read.
#[derive(Debug)]
pub struct Receiver {
    /// Payload bytes that the frame still has.
    remaining: u64,
    /// Payload bytes that the message has, with those that its newest frame announced.
    announced: u64,
    control: Option<Box<Control>>,
    deflate: Option<Box<Incoming>>,
    /// Frames that the message has.
    fragments: u32,
    /// What masks the next payload byte, and those after it.
    key: [u8; 4],
    /// The part of a header that has arrived.
    header: [u8; MASKED_HEADER_BYTES_MAX],
    header_len: u8,
    utf8: Utf8,
    role: Role,
    mode: Mode,
    place: Place,
    /// The message whose frames arrive.
    message: Option<Kind>,
    is_compressed: bool,
    /// Of the frame that arrives.
    opcode: Opcode,
    fin: bool,
}

/// There may be a million of them.
const _: () = assert!(size_of::<Receiver>() <= 72);

impl Receiver {
    /// A receiver at the first byte after the handshake.
    pub fn new(role: Role, mode: Mode) -> Self {
        Self {
            remaining: 0,
            announced: 0,
            control: None,
            deflate: None,
            fragments: 0,
            key: [0; 4],
            header: [0; MASKED_HEADER_BYTES_MAX],
            header_len: 0,
            utf8: Utf8::default(),
            role,
            mode,
            place: Place::Header,
            message: None,
            is_compressed: false,
            opcode: Opcode::Continuation,
            fin: false,
        }
    }

    /// The same with permessage-deflate, as the handshake agreed on it.
    #[must_use]
    pub fn with_deflate(mut self, agreed: &Agreed) -> Self {
        self.deflate = Some(Box::new(Incoming::new(agreed, self.role)));
        self
    }

    /// Reads from `input` and appends the payload of data frames to `payload`, unmasked and
    /// inflated. Says how many bytes of the input it used, and why it stopped; if no event stopped
    /// it, that is all of them. A compressed message is appended at its end, others as they
    /// arrive.
    ///
    /// # Errors
    /// A [`Violation`] at the first byte that shows it, except that a close frame and a compressed
    /// message are judged when they are whole. What `payload` got before it stays valid in
    /// [`Mode::Stream`], and is part of a message in [`Mode::Messages`].
    pub fn read(
        &mut self,
        input: &[u8],
        payload: &mut Vec<u8>,
        limits: &Limits,
        inflater: &mut Inflater,
    ) -> Result<(usize, Event), Violation> {
        self.control = self.control.take().filter(|control| !control.is_read);
        let result = self.read_frames(input, payload, limits, inflater);
        if result.is_err() {
            self.end();
        }
        result
    }

    /// The payload of the control frame that stopped the last read.
    pub fn control(&self) -> &[u8] {
        self.control.as_ref().map_or(&[], |control| control.bytes())
    }

    /// Whether the connection is between messages.
    pub fn is_idle(&self) -> bool {
        self.place == Place::Header && self.header_len == 0 && self.message.is_none()
    }

    fn read_frames(
        &mut self,
        input: &[u8],
        payload: &mut Vec<u8>,
        limits: &Limits,
        inflater: &mut Inflater,
    ) -> Result<(usize, Event), Violation> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.place {
                Place::End => return Ok((input.len(), Event::More)),
                Place::Header => match self.take_head(rest, limits)? {
                    None => return Ok((input.len(), Event::More)),
                    Some((head, length)) => {
                        used += length;
                        self.begin_frame(&head);
                        continue;
                    }
                },
                Place::Data => used += self.take_payload(rest, payload)?,
                Place::Control => used += self.take_control(rest),
            }
            if self.remaining > 0 {
                return Ok((used, Event::More));
            }
            if let Some(event) = self.end_frame(payload, limits, inflater)? {
                return Ok((used, event));
            }
        }
    }

    #[inline]
    fn begin_frame(&mut self, head: &Head) {
        self.opcode = head.opcode;
        self.fin = head.fin;
        self.key = head.key;
        self.remaining = head.payload_len;
        if head.opcode.is_control() {
            self.place = Place::Control;
            return;
        }
        self.place = Place::Data;
        if let Some(kind) = head.begins() {
            self.message = Some(kind);
            self.is_compressed = head.rsv1;
            self.announced = 0;
            self.fragments = 0;
        }
        self.announced = self.announced.saturating_add(head.payload_len);
        self.fragments += 1;
    }

    /// Takes what `input` has of a data frame's payload, and says how much that is.
    #[inline]
    fn take_payload(&mut self, input: &[u8], payload: &mut Vec<u8>) -> Result<usize, Violation> {
        let part = self.part_of_frame(input);
        let taken = match &mut self.deflate {
            Some(incoming) if self.is_compressed => incoming.compressed(),
            _ => payload,
        };
        let start = taken.len();
        taken.extend_from_slice(part);
        if self.role == Role::Server {
            unmask(&mut taken[start..], self.key, 0);
            self.key.rotate_left(part.len() % 4);
        }
        if self.message == Some(Kind::Text) && !self.is_compressed {
            let checked = self.utf8.check(&taken[start..]);
            checked.map_err(|error| {
                taken.truncate(start + error.at);
                Violation::not_utf8("a text is not UTF-8")
            })?;
        }
        Ok(part.len())
    }

    fn take_control(&mut self, input: &[u8]) -> usize {
        let part = self.part_of_frame(input);
        // Most pings are empty, and then nothing is allocated.
        if !part.is_empty() {
            let control = self.control.get_or_insert_default();
            control.extend(part, self.key);
        }
        part.len()
    }

    /// The part of `input` that belongs to the frame, which is no longer awaited then.
    #[inline]
    fn part_of_frame<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.remaining).map_or(input.len(), |n| n.min(input.len()));
        self.remaining -= length as u64;
        &input[..length]
    }

    #[inline]
    fn end_frame(
        &mut self,
        payload: &mut Vec<u8>,
        limits: &Limits,
        inflater: &mut Inflater,
    ) -> Result<Option<Event>, Violation> {
        self.place = Place::Header;
        if self.opcode.is_control() {
            return self.end_control().map(Some);
        }
        if !self.fin {
            return Ok(None);
        }
        let kind = self.end_message(payload, limits, inflater)?;
        Ok((self.mode == Mode::Messages).then_some(Event::Message(kind)))
    }

    fn end_control(&mut self) -> Result<Event, Violation> {
        if let Some(control) = &mut self.control {
            control.is_read = true;
        }
        Ok(match self.opcode {
            Opcode::Ping => Event::Ping,
            Opcode::Pong => Event::Pong,
            _ => {
                let code = close::parse(self.control())?;
                self.end();
                Event::Close(code)
            }
        })
    }

    #[inline]
    fn end_message(
        &mut self,
        payload: &mut Vec<u8>,
        limits: &Limits,
        inflater: &mut Inflater,
    ) -> Result<Kind, Violation> {
        let kind = self.message.take().expect("a data frame is of a message");
        let start = payload.len();
        if let Some(incoming) = &mut self.deflate
            && self.is_compressed
        {
            incoming.inflate(payload, limits.message_bytes_max, inflater)?;
        }
        if kind == Kind::Text {
            let rest = if self.is_compressed {
                start
            } else {
                payload.len()
            };
            let checked = self.utf8.check(&payload[rest..]);
            let whole = checked.and_then(|()| self.utf8.finish());
            whole.map_err(|_| Violation::not_utf8("a text is not UTF-8"))?;
        }
        Ok(kind)
    }

    /// Whatever arrives from now on is ignored, and what it would have needed is let go.
    fn end(&mut self) {
        self.place = Place::End;
        self.deflate = None;
        self.message = None;
    }
}
