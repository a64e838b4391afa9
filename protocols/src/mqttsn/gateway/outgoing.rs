//! What the client has to answer, and what waits behind it.

use std::collections::VecDeque;

use crate::mqtt::QoS;

use super::super::packet::{LONG_LENGTH, flag};
use super::super::{Packet, TopicRef};

/// Messages on their way to the client.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Behind a REGISTER, or behind the exchange.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) waiting_bytes: usize,
    /// The one message at QoS 1 or 2 that is not acknowledged.
    pub(super) exchange: Option<Exchange>,
    pub(super) registering: Option<Registering>,
    /// The memory of the last exchange, for the next one.
    spare: Vec<u8>,
}

impl Outgoing {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.exchange.is_none() && self.registering.is_none()
    }

    /// Begins an exchange with a PUBLISH that is sent now.
    pub(super) fn begin(&mut self, message: Message, retry: Retry) {
        self.exchange = Some(Exchange {
            message,
            step: Step::Published,
            retry,
        });
    }

    /// A message in the memory of the last one.
    pub(super) fn message(&mut self, packet: &Packet<'_>, head: Head) -> Message {
        let mut datagram = std::mem::take(&mut self.spare);
        datagram.clear();
        super::super::encode(packet, &mut datagram);
        Message {
            head,
            registered_anew: 0,
            datagram,
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.spare = exchange.message.datagram;
        }
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        if let Waiting::Message(message) = &waiting {
            self.waiting_bytes += message.datagram.len();
        }
        self.waiting.push_back(waiting);
    }

    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        if let Waiting::Message(message) = &first {
            self.waiting_bytes -= message.datagram.len();
        }
        Some(first)
    }
}

/// Something that is sent when its turn comes.
#[derive(Debug)]
pub(super) enum Waiting {
    Message(Message),
    /// PUBREL of an exchange of an earlier connection.
    Release(u16),
}

/// What is known of a PUBLISH without reading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) qos: QoS,
    /// 0 at QoS 0.
    pub(super) msg_id: u16,
    pub(super) topic: TopicRef,
}

/// A PUBLISH, encoded.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) head: Head,
    /// How often the client did not know the topic id, and was told it again.
    pub(super) registered_anew: u8,
    pub(super) datagram: Vec<u8>,
}

impl Message {
    /// Nothing but the identifier: for PUBREL.
    pub(super) fn released(msg_id: u16) -> Self {
        Self {
            head: Head {
                qos: QoS::ExactlyOnce,
                msg_id,
                topic: TopicRef::Normal(0),
            },
            registered_anew: 0,
            datagram: Vec::new(),
        }
    }

    /// The message was sent before.
    pub(super) fn set_dup(&mut self) {
        let flags = self.flags_offset();
        self.datagram[flags] |= flag::DUP;
    }

    /// The message goes by another topic id.
    pub(super) fn set_topic_id(&mut self, id: u16) {
        let flags = self.flags_offset();
        self.datagram[flags] &= !flag::TOPIC_ID_TYPE;
        self.datagram[flags + 1..flags + 3].copy_from_slice(&id.to_be_bytes());
        self.head.topic = TopicRef::Normal(id);
    }

    /// Flags are behind Length and MsgType.
    fn flags_offset(&self) -> usize {
        match self.datagram.first() {
            Some(&LONG_LENGTH) => 4,
            _ => 2,
        }
    }
}

/// A message at QoS 1 or 2 that the client has not acknowledged.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) message: Message,
    pub(super) step: Step,
    pub(super) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The client has to say PUBACK or PUBREC.
    Published,
    /// The broker has to say PUBREL.
    Received,
    /// The client has to say PUBCOMP.
    Released,
}

/// A topic id that the client was told and has not acknowledged.
#[derive(Debug)]
pub(super) struct Registering {
    pub(super) topic_id: u16,
    pub(super) msg_id: u16,
    pub(super) retry: Retry,
}

/// When something is sent again, and how often it was `[MQTTSN-6.13]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub(super) at: u64,
    pub(super) count: u8,
}

impl Retry {
    pub(super) const NEVER: Self = Self {
        at: u64::MAX,
        count: 0,
    };

    pub(super) const fn first(now: u64, retry_ns: u64) -> Self {
        Self {
            at: now.saturating_add(retry_ns),
            count: 0,
        }
    }
}
