//! STOMP 1.2, 1.1 and 1.0 in WebSocket messages: `destination` is a topic or a topic filter.
//!
//! `ack:auto` is QoS 0, the other modes are QoS 1. A `receipt` makes a SEND one of QoS 1. Receipts
//! leave in the order of their frames: one says that everything before it was done.

mod beats;
mod frames;
mod message;
mod publish;
mod subscriptions;

use std::collections::VecDeque;

use ringbus_protocols::mqtt::PacketIdentifier;
use ringbus_protocols::stomp::{Decoder, Version};

use crate::base::Nanos;
use beats::Beats;
pub(super) use message::{Way, put_error, put_messages, put_receipt};
use subscriptions::Subscriptions;

/// What STOMP remembers of a connection.
#[derive(Debug, Default)]
pub(super) struct Stomp {
    /// `None` before CONNECT.
    version: Option<Version>,
    decoder: Decoder,
    beats: Beats,
    subscriptions: Subscriptions,
    /// Receipts that wait for their turn.
    receipts: VecDeque<Box<str>>,
    /// Messages that the client has yet to acknowledge, oldest first.
    unacked: VecDeque<Unacked>,
    /// Messages that it was sent.
    sent: u64,
}

/// A message that was sent by a subscription with acknowledgements.
#[derive(Clone, Copy, Debug)]
struct Unacked {
    /// Its `message-id` and `ack`.
    number: u64,
    identifier: PacketIdentifier,
    subscription: u32,
}

impl Stomp {
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            version: None,
            decoder: Decoder::default(),
            beats: Beats::new(now),
            subscriptions: Subscriptions::default(),
            receipts: VecDeque::new(),
            unacked: VecDeque::new(),
            sent: 0,
        }
    }

    /// When it needs attention if nothing comes.
    pub(super) fn deadline(&self) -> Nanos {
        self.beats.next()
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Nanos) {
        self.beats.heard(now);
    }

    fn version(&self) -> Version {
        self.version.unwrap_or(Version::V1_2)
    }
}
