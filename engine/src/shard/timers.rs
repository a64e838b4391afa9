//! Deadlines of connections and sessions.
//!
//! A heap of wake-up times, at most one live entry for each connection and each session. Deadlines
//! mostly move away (every packet does that), so an entry that comes up early is set anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Shard;
use super::connection::Dialect;
use super::fault::Fault;
use crate::base::{ConnId, Nanos, SessionId};

/// The wake-up times.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Nanos, Timer)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Connection(ConnId),
    Session(SessionId),
}

impl Timers {
    /// The earliest wake-up.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn push(&mut self, at: Nanos, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, Timer)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Shard {
    /// Makes sure that the connection wakes the shard at its deadline at the latest.
    pub(super) fn arm_connection(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let deadline = conn.deadline();
        if deadline < conn.armed_at {
            conn.armed_at = deadline;
            self.timers.push(deadline, Timer::Connection(id));
        }
    }

    /// Makes sure that a session without a connection wakes the shard at its next deadline.
    pub(super) fn arm_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let will_at = session
            .will
            .as_ref()
            .and_then(|will| will.due_at)
            .unwrap_or(Nanos::MAX);
        let deadline = session.ends_at.min(will_at);
        if deadline < session.armed_at {
            session.armed_at = deadline;
            self.timers.push(deadline, Timer::Session(id));
        }
    }

    pub(super) fn fire_timers(&mut self) {
        while let Some((at, timer)) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Connection(id) => self.on_connection_timer(id, at),
                Timer::Session(id) => self.on_session_timer(id, at),
            }
        }
    }

    fn on_connection_timer(&mut self, id: ConnId, at: Nanos) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.armed_at != at {
            return; // A later entry that an earlier one has replaced.
        }
        conn.armed_at = Nanos::MAX;
        if conn.deadline() > self.now {
            self.arm_connection(id);
            return;
        }
        // A paused connection is silent because it is not read.
        if conn.paused {
            conn.last_received = self.now;
            self.excuse_silence(id);
            self.excuse_nats_silence(id);
            self.excuse_sn(id);
            self.arm_connection(id);
            return;
        }
        if conn.silence_ends() > self.now {
            return match conn.dialect {
                Dialect::Nats => self.on_nats_timer(id),
                _ if conn.is_sn() => self.on_sn_timer(id),
                _ => self.on_web_timer(id),
            };
        }
        if conn.session.is_none() {
            self.refuse(id, Fault::CONNECT_TIME, &[]);
            return;
        }
        // [MQTT311-3.1.2-24] [MQTT5-3.1.2-22]
        self.close(id, Some(Fault::KEEP_ALIVE), true);
    }

    fn on_session_timer(&mut self, id: SessionId, at: Nanos) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.armed_at != at {
            return;
        }
        session.armed_at = Nanos::MAX;
        if session.conn.is_some() {
            return;
        }
        if session.ends_at <= now {
            self.counters.sessions_expired += 1;
            self.end_session(id);
            return;
        }
        self.publish_due_will(id);
        self.arm_session(id);
    }
}
