//! What a shard does between two turns, decided as a driver decides it, and what turns cost.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Sim, index};
use crate::base::Nanos;
use crate::mailbox::Wake;
use crate::shard::Pace;

/// CPU time of a turn, however little it does: the system calls.
const TURN_COST: Nanos = Nanos::from_micros(8);
/// CPU time of a message received, delivered, or come by mail.
const MESSAGE_COST: Nanos = Nanos(100);

/// Where a shard is between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The next turn follows at once.
    Awake,
    /// It sleeps until then, whatever happens.
    Paced(Nanos),
    /// It sleeps until an event; for mail, somebody has to ring.
    Asleep,
}

/// What wakes a shard that sleeps: the eventfd of a real driver.
#[derive(Default)]
pub(super) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    pub(super) fn is_rung(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn hush(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Sim {
    /// CPU time that a shard has used.
    #[must_use]
    pub fn cpu(&self, shard: usize) -> Nanos {
        self.seats[shard].cpu
    }

    /// When the paced wait that a shard is in ends.
    #[must_use]
    pub fn paced_until(&self, shard: usize) -> Option<Nanos> {
        match self.seats[shard].rest {
            Rest::Paced(until) => Some(until),
            Rest::Awake | Rest::Asleep => None,
        }
    }

    /// Whether mail for a shard waits.
    #[must_use]
    pub fn has_mail(&self, shard: usize) -> bool {
        self.seats[shard].mailbox.has_mail()
    }

    /// A shard begins a turn: whatever let it rest is over.
    pub(super) fn wake(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        if seat.rest == Rest::Asleep {
            seat.mailbox.finish_sleep();
        }
        seat.bell.hush();
        seat.rest = Rest::Awake;
        seat.began = self.now;
    }

    /// Time passes for what the shard did since the last call, and by chance.
    pub(super) fn spend(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let counters = seat.shard.counters();
        let messages = counters.work() + counters.delivered;
        let cost = TURN_COST.0 + MESSAGE_COST.0 * (messages - seat.messages);
        seat.messages = messages;
        seat.cpu.0 += cost;
        self.now.0 += cost + self.chance.range(1, self.faults.turn_max.0);
    }

    /// A turn is over: the same decision, in the same order, as in the drivers' `Host::wait`.
    pub(super) fn rest(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let offers = |&socket: &_| self.links[index(socket)].offer;
        if seat.in_turn || seat.sockets.iter().any(offers) {
            return;
        }
        if let Pace::Sleep(span) = seat.shard.pace(seat.began, || seat.cpu) {
            assert!(span <= self.pace_max, "a wait of {span:?}");
            seat.rest = Rest::Paced(self.now + span);
        } else if seat.mailbox.prepare_sleep() {
            seat.rest = Rest::Asleep;
        } else {
            seat.mailbox.finish_sleep();
        }
    }

    /// When the shard next has something to do.
    pub(super) fn due(&self, at: usize) -> Option<Nanos> {
        let seat = &self.seats[at];
        let due = match seat.rest {
            Rest::Awake => Some(self.now),
            Rest::Paced(until) => Some(until),
            Rest::Asleep if seat.bell.is_rung() => Some(self.now),
            Rest::Asleep => {
                let accept = seat.listening.front().map(|waiting| waiting.0);
                let datagram = seat.datagrams.keys().next().map(|key| key.0);
                let sockets = seat.sockets.iter();
                let io = sockets
                    .filter_map(|&s| self.links[index(s)].next_event(self.now))
                    .min();
                let events = [accept, datagram, io, seat.shard.next_deadline()];
                events.into_iter().flatten().min()
            }
        };
        due.map(|at| at.max(seat.frozen_until))
    }
}
