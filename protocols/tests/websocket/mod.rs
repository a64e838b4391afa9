//! Reads a stream in pieces, and an independent decoder to compare with.
#![allow(dead_code)]

pub mod oracle;

use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::{Event, Kind, Limits, Mode, Receiver, Role};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Message(Kind, Vec<u8>),
    /// The part of a stream up to a control frame or the end.
    Stream(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

/// Everything that was read, and the code of the violation that ended it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    pub read: Vec<Read>,
    /// What has arrived of a message.
    pub partial: Vec<u8>,
    pub violation: Option<u16>,
}

/// How a receiver is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub role: Role,
    pub mode: Mode,
    pub limits: Limits,
    pub agreed: Option<Agreed>,
}

impl Setup {
    pub const fn new(role: Role, mode: Mode) -> Self {
        Self {
            role,
            mode,
            limits: Limits {
                message_bytes_max: 300,
                fragments_max: 6,
                takes_text: true,
            },
            agreed: None,
        }
    }

    pub fn receiver(&self) -> Receiver {
        let receiver = Receiver::new(self.role, self.mode);
        match &self.agreed {
            Some(agreed) => receiver.with_deflate(agreed),
            None => receiver,
        }
    }

    /// Reads `pieces` one after the other.
    pub fn read<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
        let mut receiver = self.receiver();
        let mut inflater = Inflater::new();
        let mut reading = Reading::default();
        for piece in pieces {
            self.read_piece(&mut receiver, piece, &mut reading, &mut inflater);
        }
        reading
    }

    pub fn read_piece(
        &self,
        receiver: &mut Receiver,
        piece: &[u8],
        reading: &mut Reading,
        inflater: &mut Inflater,
    ) {
        let mut rest = piece;
        loop {
            match receiver.read(rest, &mut reading.partial, &self.limits, inflater) {
                Err(violation) => {
                    reading.violation = Some(violation.code.get());
                    return;
                }
                Ok((used, Event::More)) => {
                    assert_eq!(used, rest.len(), "all is used up without an event");
                    return;
                }
                Ok((used, event)) => {
                    rest = &rest[used..];
                    reading.push(receiver, event, self.mode);
                }
            }
        }
    }
}

impl Reading {
    fn push(&mut self, receiver: &Receiver, event: Event, mode: Mode) {
        if mode == Mode::Stream && !self.partial.is_empty() {
            let part = std::mem::take(&mut self.partial);
            self.read.push(Read::Stream(part));
        }
        let control = || receiver.control().to_vec();
        self.read.push(match event {
            Event::More => unreachable!(),
            Event::Message(kind) => Read::Message(kind, std::mem::take(&mut self.partial)),
            Event::Ping => Read::Ping(control()),
            Event::Pong => Read::Pong(control()),
            Event::Close(code) => Read::Close(code.map(|code| code.get())),
        });
    }

    /// The same without what is of no interest after a violation: a part of a message.
    pub fn settled(mut self, mode: Mode) -> Self {
        if self.violation.is_some() && mode == Mode::Messages {
            self.partial.clear();
        }
        self
    }
}
