//! The numbers of one shard.

use super::board::{Board, News};
use crate::metrics::Counters;
use crate::pubsub::Weight;
use crate::session::SessionStore;
use crate::shard::Shard;

/// Slots of sessions that are looked at in one interval.
const SESSIONS_STEP_MAX: usize = 4096;

/// What goes up and down with clients, kept as plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Clients past their CONNECT.
    pub connected: u64,
    /// Subscriptions of all sessions, without the shared ones.
    pub subscriptions: u64,
    /// Shared subscriptions of all sessions.
    pub shared_subscriptions: u64,
}

impl Gauges {
    /// The gauge that counts such subscriptions.
    pub(in crate::shard) fn subscriptions(&mut self, are_shared: bool) -> &mut u64 {
        match are_shared {
            true => &mut self.shared_subscriptions,
            false => &mut self.subscriptions,
        }
    }
}

/// What one shard tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it has counted.
    pub counters: Counters,
    /// What its clients hold.
    pub gauges: Gauges,
    /// Open connections, before and after their CONNECT.
    pub connections: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// What clients have retained there.
    pub retained: Weight,
    /// What waits in its sessions.
    pub waiting: Weight,
}

impl Report {
    /// Whether something happened since, other than telling of it.
    pub(super) fn differs(&self, later: &Self) -> bool {
        self.deeds() != later.deeds()
    }

    fn deeds(mut self) -> Self {
        self.counters.turns = 0;
        self.counters.paced = 0;
        self.counters.mail_batches = 0;
        self.counters.mail_items = 0;
        self.counters.mail_received = 0;
        self
    }

    /// Writes what is new to the shard's own topics.
    pub(super) fn write(&self, board: &mut Board, news: &mut News) {
        let held = [
            ("connections", self.connections),
            ("sessions", self.sessions),
            ("subscriptions", self.gauges.subscriptions),
            ("shared_subscriptions", self.gauges.shared_subscriptions),
            ("retained", self.retained.messages as u64),
            ("retained_bytes", self.retained.bytes as u64),
        ];
        for (topic, value) in held.into_iter().chain(self.counters.named()) {
            board.write(topic, value, news);
        }
    }
}

/// Adds up what waits in sessions, a bounded number of them at a time: the sum is that of the last
/// whole round, which takes one interval as long as there are few.
#[derive(Debug, Default)]
pub(in crate::shard) struct Stocktaking {
    at: usize,
    so_far: Weight,
    whole: Weight,
}

impl Stocktaking {
    fn go_on(&mut self, sessions: &SessionStore) -> Weight {
        let until = self.at + SESSIONS_STEP_MAX;
        for session in sessions.in_slots(self.at..until) {
            self.so_far.messages += session.outbound.len() + session.inbound().len();
            self.so_far.bytes += session.outbound.bytes() + session.inbound().bytes();
        }
        self.at = until;
        if until >= sessions.slots() {
            self.whole = std::mem::take(&mut self.so_far);
            self.at = 0;
        }
        self.whole
    }
}

impl Shard {
    /// What it would tell of itself now.
    pub(super) fn report(&self, stocktaking: &mut Stocktaking) -> Report {
        Report {
            counters: self.counters(),
            gauges: self.gauges,
            connections: self.connections.len() as u64,
            sessions: self.sessions.len() as u64,
            retained: self.partition.retained.weight(),
            waiting: stocktaking.go_on(&self.sessions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Nanos;
    use crate::pubsub::{Message, PublisherId, Stored};
    use crate::session::{Delivery, QueueLimit};
    use ringbus_protocols::mqtt::QoS;

    fn delivery() -> Delivery {
        let message = Message {
            topic: "t",
            payload: b"x",
            properties: &[],
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at: Nanos::MAX,
            publisher: PublisherId::default(),
        };
        Delivery {
            stored: Stored::new(&message),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_identifiers: Box::default(),
            group: None,
        }
    }

    #[test]
    fn many_sessions_are_counted_over_several_intervals() {
        let mut sessions = SessionStore::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let few = SESSIONS_STEP_MAX / 2;
        let mut stocktaking = Stocktaking::default();
        for n in 0..SESSIONS_STEP_MAX + few {
            let id = sessions.create(&n.to_string());
            let outbound = &mut sessions.get_mut(id).expect("just made").outbound;
            assert_eq!(outbound.push(delivery(), &QueueLimit::NONE), 0);
            if n + 1 == few {
                assert_eq!(stocktaking.go_on(&sessions).messages, few);
            }
        }
        let all = SESSIONS_STEP_MAX + few;
        let seen: Vec<usize> = std::iter::repeat_with(|| stocktaking.go_on(&sessions).messages)
            .take(4)
            .collect();
        assert_eq!(seen, [few, all, all, all]);
    }
}
