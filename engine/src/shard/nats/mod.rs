//! The NATS client protocol on a bare stream: subjects are topics, spelt otherwise.
//!
//! A subscription is one of QoS 0, a queue group a shared subscription. `+OK` and PONG leave in the
//! order of what they answer: when the subscriptions before are active and the messages before are
//! routed, so a client may take a PONG for a barrier, as it does with other servers.

mod headers;
mod info;
mod message;
mod ops;
mod piece;
mod pieces;
mod publish;
mod run;
mod subscribe;
mod subscriptions;

use std::collections::VecDeque;

use crate::base::{ConnId, Nanos};
use crate::pubsub::Message;
use crate::shard::Shard;
use crate::shard::alive::{Alive, Verdict};
use crate::shard::connection::Connection;
use crate::shard::fault::Fault;
use crate::shard::filters::Subscriber;
use crate::shard::gathered::Gathered;
use crate::shard::topics::Remembered;
use pieces::Pieces;
use ringbus_protocols::nats::writer;
use subscriptions::Subscriptions;

pub(super) use message::{put_answer, put_messages};
pub(super) use pieces::Lines;
pub(super) use run::append_run;

/// What the NATS client protocol remembers of a connection.
#[derive(Debug)]
pub(super) struct Nats {
    options: Options,
    subscriptions: Subscriptions,
    /// Where to say what became of messages that are on their way, oldest first.
    replies: VecDeque<Box<[u8]>>,
    alive: Alive,
    /// `None` before the first PUB, and while its messages are delivered.
    last: Option<Box<LastSubject>>,
    /// The client has ended its side.
    has_ended: bool,
}

/// What CONNECT asked for.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of CONNECT by that name"
)]
struct Options {
    verbose: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
}

/// The subject that a connection published to last, and what follows from it.
#[derive(Debug, Default)]
struct LastSubject {
    subject: Vec<u8>,
    /// The line of the last op that was gathered, else empty: the next is mostly like it.
    line: Vec<u8>,
    /// The payload of that op.
    payload_len: usize,
    topic: String,
    known: Remembered,
    /// Whether its messages may be part of a run: clients do not publish to the broker's own topics.
    may_gather: bool,
}

/// What the NATS connections of a shard share.
#[derive(Debug, Default)]
pub(super) struct NatsShared {
    /// Ops of the connection that is being read.
    pieces: Pieces,
    /// The same as packets, for others than NATS clients.
    gathered: Gathered,
    /// Those, while a run is delivered.
    others: Vec<Subscriber>,
    /// Subscriptions that have had as many messages as they wanted.
    exhausted: Vec<(ConnId, Box<[u8]>)>,
    /// Connections whose client has ended its side.
    ended: Vec<ConnId>,
}

impl Nats {
    /// Before CONNECT: who types by hand is told that it was understood.
    fn new() -> Self {
        Self {
            options: Options {
                verbose: true,
                echo: true,
                headers: false,
                no_responders: false,
            },
            subscriptions: Subscriptions::default(),
            replies: VecDeque::new(),
            alive: Alive::default(),
            last: None,
            has_ended: false,
        }
    }

    /// When it needs attention if nothing comes.
    pub(super) fn deadline(&self) -> Nanos {
        self.alive.next
    }
}

impl Shard {
    /// A connection of a NATS listener was accepted: the server speaks first.
    pub(super) fn greet_nats(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.nats.ping);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let mut nats = Nats::new();
        nats.alive.start(now, interval);
        conn.nats = Some(Box::new(nats));
        self.put_info(id, false);
        if let Err(fault) = self.check_room(id) {
            self.put_nats_farewell(id, fault);
            return self.close(id, None, false);
        }
        self.open_unnamed(id);
        self.arm_connection(id);
    }

    pub(super) fn on_nats_timer(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.nats.ping);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let Some(nats) = conn.nats.as_deref_mut() else {
            return;
        };
        if nats.alive.next <= now {
            match nats.alive.judge(now, interval) {
                Verdict::Wait => {}
                Verdict::Ping => writer::put_ping(self.outgoing.open(conn)),
                Verdict::Gone => return self.close(id, Some(Fault::NO_PONG), true),
            }
        }
        self.arm_connection(id);
    }

    /// A connection that is not read is not silent.
    pub(super) fn excuse_nats_silence(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.nats.ping);
        if let Some(nats) = self.nats_mut(id) {
            nats.alive.start(now, interval);
        }
    }

    /// A client that has ended its side, as a pipe into `nc` does, is told all the same what became
    /// of what it sent.
    pub(super) fn end_nats(&mut self, id: ConnId) -> bool {
        let Some(nats) = self.nats_mut(id) else {
            return false;
        };
        if !nats.has_ended {
            nats.has_ended = true;
            self.nats.ended.push(id);
        }
        true
    }

    /// Closes those that have nothing left to wait for.
    pub(super) fn close_ended(&mut self) {
        if self.nats.ended.is_empty() {
            return;
        }
        let mut ended = std::mem::take(&mut self.nats.ended);
        ended.retain(|&id| {
            let Some(conn) = self.connections.get(id) else {
                return false;
            };
            let waits = conn.paused || !conn.acks.is_empty();
            if !waits {
                self.close(id, None, true);
            }
            waits
        });
        self.nats.ended.append(&mut ended);
    }

    fn nats_mut(&mut self, id: ConnId) -> Option<&mut Nats> {
        self.connections.get_mut(id)?.nats.as_deref_mut()
    }
}

/// What a message is as a packet, near enough to hold it against the limit.
fn weight(message: &Message<'_>) -> usize {
    const PACKET_ROOM: usize = 16;
    message.topic.len() + message.properties.len() + message.payload.len() + PACKET_ROOM
}

impl Connection {
    fn is_verbose(&self) -> bool {
        let nats = self.nats.as_deref();
        nats.is_some_and(|nats| nats.options.verbose)
    }
}
