//! The shard: one actor that owns its connections, their sessions and one partition of the topics.
//!
//! Sans-IO. It performs no I/O, reads no clock and draws no randomness but from its seed: a driver
//! feeds it a turn of inputs and carries out what it says. A turn is
//!
//! 1. [`Shard::begin_turn`] with the time,
//! 2. any number of [`on_accept`](Shard::on_accept), [`on_bytes`](Shard::on_bytes),
//!    [`on_sent`](Shard::on_sent) and [`on_closed`](Shard::on_closed),
//! 3. [`Shard::on_mail`],
//! 4. [`Shard::end_turn`], which fires timers and hands over mail,
//! 5. the effects, and one send per dirty connection.

mod acks;
mod admission;
mod alive;
mod authenticate;
mod config;
mod connect;
mod connection;
mod deliver;
mod dialect;
mod effects;
mod explain;
mod fast_path;
mod fault;
mod filters;
mod gathered;
mod leaks;
mod mail;
mod membership;
mod message;
mod mqttsn;
mod nats;
mod outbox;
mod output;
mod owned;
mod pacing;
mod publish;
mod rate;
mod receive;
mod replay;
mod route;
mod run;
mod sent_aliases;
mod session_end;
mod shared;
mod stomp;
mod subscribe;
mod sys;
mod template;
#[cfg(test)]
mod tests;

mod timers;
mod topics;
mod turn_away;
mod web;

pub use admission::Admission;
pub use config::{NatsConfig, ShardConfig, SnConfig, WebConfig};
pub use effects::{Closing, Effects};
pub use leaks::Leaks;
pub use message::{Batch, Mail, Outcome};
pub use mqttsn::{Advertise, Datagrams};
pub use output::{Output, Splice};
pub use pacing::Pace;
pub use rate::Rate;
pub use sys::Report;

use std::sync::Arc;

use crate::base::limits::RETAINED_STEP_MAX;
use crate::base::{ConnId, Key, Nanos, Peer, Scheme, SessionId, ShardId, Slab, Socket};
use crate::mailbox::Mailbox;
use crate::metrics::Counters;
use crate::session::SessionStore;
use connection::{Blocker, Connection, Dialect, Outgoing};
use deliver::Recipients;
use fast_path::Translation;
use filters::{LocalFilters, PendingSubAck};
use mqttsn::SnShared;
use nats::NatsShared;
use outbox::Outboxes;
use owned::{Partition, Targets};
use pacing::Pacing;
use sys::{Gauges, Sys};
use template::Templates;
use timers::Timers;
use topics::Memos;
use web::{Web, WebShared};

/// One shard.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    config: Arc<ShardConfig>,
    now: Nanos,
    random: fastrand::Rng,
    connections: Slab<Connection>,
    sessions: SessionStore,
    filters: LocalFilters,
    subacks: Slab<PendingSubAck>,
    partition: Partition,
    outboxes: Outboxes,
    outgoing: Outgoing,
    backlogs: Vec<Vec<u8>>,
    paused: Vec<(ConnId, Blocker)>,
    /// Something that one of them may wait for was sent after the end of the turn.
    may_resume: bool,
    timers: Timers,
    targets: Targets,
    memos: Memos,
    templates: Templates,
    /// Kept for its capacity; `None` while a run is delivered.
    translation: Option<Box<Translation>>,
    recipients: Recipients,
    properties: Vec<u8>,
    web: WebShared,
    nats: NatsShared,
    sn: SnShared,
    effects: Effects,
    counters: Counters,
    gauges: Gauges,
    sys: Option<Box<Sys>>,
    pacing: Pacing,
    /// Clients that did not keep up in this turn and are to be closed.
    overflowed: Vec<ConnId>,
    /// Shared filters whose owners are to be told how much their members have to do.
    loaded: Vec<Key>,
    /// Sessions that have another step of their backlog in the next turn.
    stepping: Vec<SessionId>,
    draining: bool,
}

impl Shard {
    /// An empty shard. `seed` decides what it would otherwise draw by chance.
    #[must_use]
    pub fn new(id: ShardId, config: Arc<ShardConfig>, now: Nanos, seed: u64) -> Self {
        Self {
            id,
            now,
            random: fastrand::Rng::with_seed(seed ^ u64::from(id.0)),
            connections: Slab::default(),
            sessions: SessionStore::new(config.hasher.clone()),
            filters: LocalFilters::new(config.hasher.clone()),
            subacks: Slab::default(),
            partition: Partition::new(config.hasher.clone(), config.retained_quota.clone()),
            outboxes: Outboxes::new(config.shards),
            outgoing: Outgoing::default(),
            backlogs: Vec::new(),
            paused: Vec::new(),
            may_resume: false,
            timers: Timers::default(),
            targets: Targets::new(config.shards),
            memos: Memos::new(),
            templates: Templates::default(),
            translation: None,
            recipients: Recipients::default(),
            properties: Vec::new(),
            web: WebShared::default(),
            nats: NatsShared::default(),
            sn: SnShared::new(id, &config, now),
            effects: Effects::default(),
            counters: Counters::default(),
            gauges: Gauges::default(),
            sys: Sys::new(id, &config, now),
            pacing: Pacing::new(config.pace_us_max),
            overflowed: Vec::new(),
            loaded: Vec::new(),
            stepping: Vec::new(),
            draining: false,
            config,
        }
    }

    /// Starts a turn at a time that never goes back.
    pub fn begin_turn(&mut self, now: Nanos) {
        debug_assert!(now >= self.now, "time never goes back");
        self.now = now;
        self.counters.turns += 1;
        self.step_backlogs();
    }

    /// A socket was accepted, on which `scheme` is spoken. `None` if no more connections are allowed: the driver closes it. A
    /// few beyond the maximum are kept, to be refused in the words of their CONNECT.
    pub fn on_accept(&mut self, socket: Socket, peer: Peer, scheme: Scheme) -> Option<ConnId> {
        let admission = self.config.admission_of(scheme == Scheme::MqttSn);
        let has_place = !self.draining && admission.enter();
        if !has_place {
            self.counters.refused += 1;
            if self.draining || !admission.enter_surplus() {
                return None;
            }
        }
        self.counters.accepted += 1;
        let deadline = self.now + self.config.connect_timeout;
        let id = self.insert_connection(socket, peer, deadline);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.has_place = has_place;
            conn.web = (scheme == Scheme::Ws).then(|| Box::new(Web::new()));
            if scheme == Scheme::Nats {
                conn.dialect = Dialect::Nats;
                self.greet_nats(id);
            }
        }
        Some(id)
    }

    pub(super) fn insert_connection(
        &mut self,
        socket: Socket,
        peer: Peer,
        deadline: Nanos,
    ) -> ConnId {
        let id = self
            .connections
            .insert_with(|id| Connection::new(id, socket, peer, deadline));
        self.arm_connection(id);
        id
    }

    /// The peer has ended its side of the stream. Whether the connection stays until it was told what
    /// it waits for: the shard closes it then, else it is gone, see [`Shard::on_closed`].
    pub fn on_end(&mut self, conn: ConnId) -> bool {
        self.end_nats(conn)
    }

    /// The network connection is gone: end of file, reset or a failed send. The driver closes the
    /// socket; the shard has forgotten it.
    pub fn on_closed(&mut self, conn: ConnId) {
        if let Some(held) = self.connections.get_mut(conn)
            && held.paused
            && held.has_unread()
        {
            // What it sent before still counts, a DISCONNECT above all: it is read when there is
            // room for what it causes.
            held.has_ended = true;
            return;
        }
        if let Some(output) = self.lose_connection(conn, true) {
            self.outgoing.recycle(output);
        }
    }

    /// Whether the connection is still this shard's: not closed, not handed over.
    #[inline]
    #[must_use]
    pub fn knows(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some()
    }

    /// The driver has written all of an output that it took; here it is back. May come after
    /// [`Shard::end_turn`], before the driver waits: there may be more to send then.
    pub fn on_sent(&mut self, conn: ConnId, output: Output) {
        self.outgoing.recycle(output);
        let Some(conn) = self.connections.get_mut(conn) else {
            return;
        };
        self.outgoing.sent(conn);
        self.may_resume |= conn.paused;
        if let Some(session) = conn.session {
            self.pump_backlog(session);
        }
    }

    /// Ends a turn: timers, retained replays, mail. The driver then wakes peers, carries out the
    /// effects and sends.
    pub fn end_turn(&mut self, mailbox: &mut Mailbox<Batch>) {
        self.close_overflowed();
        self.close_leaving();
        self.end_exhausted();
        self.close_ended();
        self.fire_timers();
        self.advertise();
        self.partition.retained.expire(self.now, RETAINED_STEP_MAX);
        self.step_replays();
        self.tell_of_itself();
        self.tell_loads();
        self.outboxes.flush(mailbox);
        self.resume_paused();
    }

    fn resume_paused(&mut self) {
        self.may_resume = false;
        if self.paused.is_empty() {
            return;
        }
        let (mut ended, mut resumed) = (Vec::new(), Vec::new());
        let mut paused = std::mem::take(&mut self.paused);
        paused.retain(|&(id, blocker)| {
            if self.is_blocked(blocker) {
                return true;
            }
            if let Some(conn) = self.connections.get_mut(id) {
                conn.paused = false;
                if conn.has_ended {
                    ended.push(id);
                } else if conn.is_sn() {
                    resumed.push(id);
                } else {
                    self.effects.resumed.push(id);
                }
            }
            false
        });
        self.paused = paused;
        for id in ended {
            self.on_bytes(id, &[]);
            self.on_closed(id);
        }
        for id in resumed {
            self.resume_sn(id);
        }
    }

    fn is_blocked(&self, blocker: Blocker) -> bool {
        match blocker {
            Blocker::PublishTo(owner) => self.outboxes.publish_full(owner),
            Blocker::Deliver => self.outboxes.deliver_full(),
            Blocker::Unsent(id) => self.connections.get(id).is_some_and(Connection::is_sending),
            Blocker::Unsettled(id) => {
                let conn = self.connections.get(id);
                conn.is_some_and(|conn| !conn.acks.is_empty())
            }
        }
    }

    /// A connection that has new output; each once.
    #[inline]
    pub fn take_dirty(&mut self) -> Option<ConnId> {
        self.outgoing.next_dirty()
    }

    /// What a connection has to send, unless an output of it is in flight. One without a socket has
    /// its datagrams among [`Shard::datagrams`].
    #[inline]
    pub fn take_output(&mut self, id: ConnId) -> Option<Output> {
        let conn = self.connections.get_mut(id)?;
        if conn.is_sn() {
            self.send_as_datagrams(id);
            return None;
        }
        self.outgoing.take(conn)
    }

    /// What the driver is to do with sockets; it empties the lists.
    pub fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// When the next turn is due at the latest, if nothing comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let retry = self.outboxes.retry_after().map(|after| self.now + after);
        let is_stepping = self.has_replay_work() || !self.stepping.is_empty();
        let step = is_stepping.then_some(self.now);
        let has_resumed = self.may_resume || !self.effects.resumed.is_empty();
        let resumed = has_resumed.then_some(self.now);
        let expiry = self.partition.retained.next_expiry();
        let sys = self.sys_deadline();
        let advertise = self.advertise_deadline();
        [
            self.timers.next(),
            retry,
            step,
            resumed,
            expiry,
            sys,
            advertise,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How to wait for the next turn. `cpu` tells the CPU time of this thread.
    pub fn pace(&mut self, now: Nanos, cpu: impl FnOnce() -> Nanos) -> Pace {
        let pace = self.pacing.end_of_turn(now, self.counters.work(), cpu);
        self.counters.paced += u64::from(pace != Pace::Block);
        pace
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether a drain has ended every connection and all mail has left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.connections.is_empty() && self.outboxes.waiting_items() == 0
    }

    /// What the shard has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            mail_batches: self.outboxes.batches_sent,
            mail_items: self.outboxes.items_sent,
            control_sent: self.outgoing.control_packets,
            bytes_sent: self.outgoing.bytes,
            publish_bytes_sent: self.outgoing.publish_bytes,
            ..self.counters
        }
    }
}
