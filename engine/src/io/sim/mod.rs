//! The simulator: shards, their mailboxes, connections and time in one thread, from one seed.
//!
//! It drives [`Shard`] exactly as the drivers for real sockets do (the same order of calls in a
//! turn, the same rules for receiving before and after CONNECT), but every delay, split of the
//! input, blocked send and order of turns is drawn from a seed. A shard runs only when it has
//! something to do: input, a wake for mail, a finished send, the end of a paced wait or a deadline it
//! named itself, so a deadline or a wake that is missing shows as a stall.

mod chance;
mod datagrams;
mod link;
mod turn;
mod wait;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::{Nanos, Scheme, Socket};
use crate::mailbox::{self, Mailbox, Wake};
use crate::shard::{Batch, Shard, ShardConfig};

pub use chance::Chance;
pub use datagrams::DatagramFaults;
use datagrams::{Network, UnderWay};
use link::{Link, Stage};
use wait::{Bell, Rest};

/// What goes wrong, how often, and how slow everything is.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of 100 receives, how many return only some of the bytes there are.
    pub short_read_percent: u64,
    /// Of 100 sends, how many take only some of the bytes.
    pub short_write_percent: u64,
    /// The longest delay of a segment, in either direction.
    pub delay_max: Nanos,
    /// Of 100 turns, how many let other shards run between handing over mail and the effects.
    pub interleave_percent: u64,
    /// The most a turn takes beyond what its work costs.
    pub turn_max: Nanos,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            short_read_percent: 30,
            short_write_percent: 30,
            delay_max: Nanos(2_000_000),
            interleave_percent: 20,
            turn_max: Nanos(50_000),
        }
    }
}

/// What the client end of a connection sees.
#[derive(Debug, Default)]
pub struct Received {
    /// The bytes that arrived since the last look.
    pub bytes: Vec<u8>,
    /// The server has closed the connection; nothing follows `bytes`.
    pub closed: bool,
}

/// One shard with what its driver keeps.
struct Seat {
    shard: Shard,
    mailbox: Mailbox<Batch>,
    listening: VecDeque<(Nanos, Socket)>,
    /// From clients, with their addresses.
    datagrams: UnderWay<(SocketAddr, Vec<u8>)>,
    /// The connections this shard's driver looks after.
    sockets: Vec<Socket>,
    frozen_until: Nanos,
    /// The turn's mail is handed over, its effects are not yet applied.
    in_turn: bool,
    turns: u64,
    rest: Rest,
    bell: Arc<Bell>,
    /// When the turn began: the time that pacing is told.
    began: Nanos,
    /// The CPU time of this shard's thread.
    cpu: Nanos,
    /// Messages that CPU time was taken for.
    messages: u64,
}

impl Seat {
    /// A shard whose first turn comes at once: it tells it the time.
    fn new(shard: Shard, mailbox: Mailbox<Batch>, bell: Arc<Bell>) -> Seat {
        Seat {
            shard,
            mailbox,
            listening: VecDeque::new(),
            datagrams: UnderWay::new(),
            sockets: Vec::new(),
            frozen_until: Nanos(0),
            in_turn: false,
            turns: 0,
            rest: Rest::Awake,
            bell,
            began: Nanos(0),
            cpu: Nanos(0),
            messages: 0,
        }
    }
}

/// N shards under one virtual clock.
pub struct Sim {
    now: Nanos,
    chance: Chance,
    faults: Faults,
    seats: Vec<Seat>,
    links: Vec<Link>,
    network: Network,
    /// `--pace-us`: no wait is longer.
    pace_max: Nanos,
}

/// Everything settles within so many turns, or the run says that it does not.
const SETTLE_TURNS_MAX: u64 = 2_000_000;

impl Sim {
    /// A broker of `config.shards` shards with mailboxes of `mailbox_capacity` batches.
    #[must_use]
    pub fn new(config: ShardConfig, mailbox_capacity: usize, faults: Faults, seed: u64) -> Sim {
        let mut chance = Chance::new(seed);
        let shards = config.shards;
        let config = Arc::new(config);
        let now = Nanos(1_000_000_000);
        let bells: Vec<Arc<Bell>> = (0..shards).map(|_| Arc::default()).collect();
        let wakers = bells.iter().map(|bell| Arc::clone(bell) as _).collect();
        let seats = mailbox::mesh(shards, mailbox_capacity, wakers)
            .into_iter()
            .zip(bells)
            .map(|(mailbox, bell)| {
                let shard = Shard::new(mailbox.shard(), Arc::clone(&config), now, chance.draw());
                Seat::new(shard, mailbox, bell)
            })
            .collect();
        Sim {
            now,
            chance,
            faults,
            seats,
            links: Vec::new(),
            network: Network::default(),
            pace_max: Nanos::from_micros(u64::from(config.pace_us_max)),
        }
    }

    /// The virtual clock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.seats.len()
    }

    /// One shard, to look at its counters and leaks.
    #[must_use]
    pub fn shard(&self, index: usize) -> &Shard {
        &self.seats[index].shard
    }

    /// Turns run by all shards.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.seats.iter().map(|seat| seat.turns).sum()
    }

    /// Paced waits of all shards.
    #[must_use]
    pub fn paced_waits(&self) -> u64 {
        let seats = self.seats.iter();
        seats.map(|seat| seat.shard.counters().paced).sum()
    }

    /// PUBLISH packets that shards handled in runs.
    #[must_use]
    pub fn in_runs(&self) -> u64 {
        let in_runs = |seat: &Seat| seat.shard.counters().in_runs;
        self.seats.iter().map(in_runs).sum()
    }

    /// Batches of mail handed to another shard, by all shards.
    #[must_use]
    pub fn mail_batches(&self) -> u64 {
        self.seats
            .iter()
            .map(|seat| seat.mailbox.counters().pushes)
            .sum()
    }

    /// Batches that found a queue full.
    #[must_use]
    pub fn mail_refusals(&self) -> u64 {
        self.seats
            .iter()
            .map(|seat| seat.mailbox.counters().refusals)
            .sum()
    }

    /// Opens a connection that the given shard will accept. `window_bytes` is how much the client
    /// side holds before the server's sends block.
    pub fn connect(&mut self, shard: usize, window_bytes: usize) -> Socket {
        self.connect_to(Scheme::Mqtt, shard, window_bytes)
    }

    /// As [`Sim::connect`], to a listener of that scheme.
    pub fn connect_to(&mut self, scheme: Scheme, shard: usize, window_bytes: usize) -> Socket {
        let socket = Socket::try_from(self.links.len()).expect("fewer than 2^31 connections");
        self.links.push(Link::new(window_bytes, scheme));
        let ready = self.delayed();
        self.seats[shard].listening.push_back((ready, socket));
        socket
    }

    /// Puts bytes on the way to the server.
    pub fn send(&mut self, socket: Socket, bytes: &[u8]) {
        let ready = self.delayed();
        self.link(socket).to_server.write(bytes, ready);
    }

    /// Takes at most `max` bytes that have arrived at the client.
    pub fn receive(&mut self, socket: Socket, max: usize) -> Received {
        let now = self.now;
        let link = self.link(socket);
        let bytes = link.to_client.read(now, max);
        Received {
            bytes,
            closed: link.to_client.at_end(now),
        }
    }

    /// True when the client side of a connection has something to see.
    #[must_use]
    pub fn has_news(&self, socket: Socket) -> bool {
        let ready = self.links[index(socket)].to_client.ready_at();
        ready.is_some_and(|at| at <= self.now)
    }

    /// How many bytes are on the way from client to server or wait there.
    #[must_use]
    pub fn unsent(&self, socket: Socket) -> usize {
        let link = &self.links[index(socket)];
        link.to_server.queued() + link.kept.len()
    }

    /// The client closes the connection in order: what it sent arrives, then the end.
    pub fn close(&mut self, socket: Socket) {
        let at = self.delayed();
        self.link(socket).to_server.finish(at);
    }

    /// The client vanishes with a reset: some of what is under way is lost, in both directions.
    pub fn reset(&mut self, socket: Socket) {
        let keep = self.chance.index(4);
        let at = self.delayed();
        let now = self.now;
        let link = self.link(socket);
        link.to_server.cut(keep, at);
        link.to_client.cut(0, now);
        link.reset = true;
    }

    /// True when the server holds nothing of this connection any more.
    #[must_use]
    pub fn is_gone(&self, socket: Socket) -> bool {
        self.links[index(socket)].stage == Stage::Gone
    }

    /// True when the server has ended the connection, whether the client can see it yet or not.
    #[must_use]
    pub fn is_ended(&self, socket: Socket) -> bool {
        let stage = &self.links[index(socket)].stage;
        matches!(stage, Stage::Lingering { .. } | Stage::Gone)
    }

    /// Stops a shard for this long, as if its thread did not run.
    pub fn freeze(&mut self, shard: usize, duration: Nanos) {
        self.seats[shard].frozen_until = Nanos(self.now.0 + duration.0);
    }

    /// Every shard drains, as on SIGTERM.
    pub fn start_drain(&mut self) {
        for seat in &mut self.seats {
            seat.shard.start_drain();
            seat.bell.wake();
        }
    }

    /// Runs one turn of one shard that has work, drawn by chance. When none has work now, time
    /// jumps to the next event, but not beyond `limit`; false when it reached the limit.
    pub fn step(&mut self, limit: Nanos) -> bool {
        let count = self.seats.len();
        let first = self.chance.index(count);
        let mut next: Option<Nanos> = None;
        for offset in 0..count {
            let seat = (first + offset) % count;
            match self.due(seat) {
                Some(at) if at <= self.now => {
                    self.turn(seat);
                    self.spend(seat);
                    self.rest(seat);
                    return true;
                }
                Some(at) => next = Some(next.map_or(at, |n| n.min(at))),
                None => {}
            }
        }
        match next {
            Some(at) if at <= limit => self.now = at,
            _ => {
                self.now = self.now.max(limit);
                return false;
            }
        }
        true
    }

    /// Runs until `limit`.
    ///
    /// # Panics
    /// When the shards never come to rest.
    pub fn run_until(&mut self, limit: Nanos) {
        for _ in 0..SETTLE_TURNS_MAX {
            if self.now >= limit || !self.step(limit) {
                return;
            }
        }
        panic!(
            "the shards do not come to rest: {SETTLE_TURNS_MAX} turns, now {:?}",
            self.now
        );
    }

    /// True when bytes or mail are under way anywhere; timers do not count.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.seats.iter().any(|seat| self.why_busy(seat).is_some())
    }

    /// What is under way, for a message about a simulation that finds no rest.
    #[must_use]
    pub fn unrest(&self) -> Vec<String> {
        let seats = self.seats.iter().enumerate();
        let busy = seats.filter_map(|(at, seat)| Some((at, self.why_busy(seat)?)));
        busy.map(|(at, why)| format!("shard {at}: {why}")).collect()
    }

    fn why_busy(&self, seat: &Seat) -> Option<&'static str> {
        let moving = seat.sockets.iter().any(|&socket| {
            let link = &self.links[index(socket)];
            link.stage == Stage::Handed || link.next_event(self.now).is_some()
        });
        match () {
            () if seat.rest == Rest::Awake || seat.bell.is_rung() => Some("awake"),
            () if matches!(seat.rest, Rest::Paced(_)) => Some("a paced wait"),
            () if seat.frozen_until > self.now => Some("frozen"),
            () if !seat.listening.is_empty() => Some("connections to accept"),
            () if !seat.datagrams.is_empty() => Some("datagrams"),
            () if seat.mailbox.has_mail() => Some("mail"),
            () if moving => Some("bytes to or from a client"),
            () => None,
        }
    }

    fn link(&mut self, socket: Socket) -> &mut Link {
        &mut self.links[index(socket)]
    }

    fn delayed(&mut self) -> Nanos {
        let delay = if self.chance.percent(50) {
            self.chance.below(self.faults.delay_max.0 / 20 + 1)
        } else {
            self.chance.below(self.faults.delay_max.0 + 1)
        };
        Nanos(self.now.0 + delay)
    }
}

fn index(socket: Socket) -> usize {
    usize::try_from(socket).expect("sockets are numbered from 0")
}
