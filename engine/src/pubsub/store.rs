//! The retained messages of one partition with what they weigh and when they end, and the bound on
//! those of all partitions.

use super::{BROKER_TOPICS, Retained, Stored};
use crate::base::Nanos;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much the whole process retains, and how much it may. Counts, not a lock.
///
/// A message weighs its record: topic, payload, properties and a few bytes. What the broker itself
/// retains below `$SYS/` weighs nothing: a full store must not silence it.
#[derive(Debug)]
pub struct RetainedQuota {
    messages: Count,
    bytes: Count,
}

#[derive(Debug)]
struct Count {
    held: AtomicUsize,
    max: usize,
}

impl Count {
    fn new(max: usize) -> Self {
        let held = AtomicUsize::new(0);
        Self { held, max }
    }

    /// Takes that much, or nothing.
    fn take(&self, wanted: usize) -> bool {
        let add = |held: usize| held.checked_add(wanted).filter(|&sum| sum <= self.max);
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.is_ok()
    }

    fn give_back(&self, amount: usize) {
        let before = self.held.fetch_sub(amount, Ordering::Relaxed);
        assert!(before >= amount, "what was taken is given back once");
    }
}

impl RetainedQuota {
    /// Nothing held, at most so much allowed; `usize::MAX` for no bound.
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            messages: Count::new(messages_max),
            bytes: Count::new(bytes_max),
        }
    }

    /// Room for a message, in the place of one that weighs `old`. Changes nothing if there is none.
    fn take(&self, old: Option<usize>, new: usize) -> bool {
        let Some(old) = old else {
            let has_place = self.messages.take(1);
            let fits = has_place && self.bytes.take(new);
            if has_place && !fits {
                self.messages.give_back(1);
            }
            return fits;
        };
        if new > old {
            return self.bytes.take(new - old);
        }
        self.bytes.give_back(old - new);
        true
    }

    fn give_back(&self, bytes: usize) {
        self.messages.give_back(1);
        self.bytes.give_back(bytes);
    }
}

/// How many messages, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// The messages.
    pub messages: usize,
    /// The bytes of their records.
    pub bytes: usize,
}

/// See the module. To read, it is a [`Retained`].
#[derive(Debug)]
pub struct RetainedStore {
    values: Retained<Stored>,
    /// One entry for each value that expires, so that replacing values piles nothing up.
    expiries: BTreeSet<(Nanos, Box<str>)>,
    clients: Weight,
    quota: Arc<RetainedQuota>,
}

impl Deref for RetainedStore {
    type Target = Retained<Stored>;

    fn deref(&self) -> &Retained<Stored> {
        &self.values
    }
}

impl RetainedStore {
    /// No message.
    #[must_use]
    pub fn new(quota: Arc<RetainedQuota>) -> Self {
        Self {
            values: Retained::new(),
            expiries: BTreeSet::new(),
            clients: Weight::default(),
            quota,
        }
    }

    /// Retains a message, unless there is no room. Then its topic has none any more: a later
    /// subscriber would get an older value than those who were there.
    pub fn set(&mut self, topic: &str, stored: Stored) -> bool {
        let new = stored.charge();
        if is_counted(topic) {
            let old = self.values.get(topic).map(Stored::charge);
            if !self.quota.take(old, new) {
                self.clear(topic);
                return false;
            }
            self.clients.messages += usize::from(old.is_none());
            self.clients.bytes = self.clients.bytes + new - old.unwrap_or(0);
        }
        let expires_at = stored.message().expires_at;
        if let Some(old) = self.values.insert(topic, stored) {
            self.forget_expiry(topic, &old);
        }
        if expires_at < Nanos::MAX {
            self.expiries.insert((expires_at, topic.into()));
        }
        true
    }

    /// Retains nothing for a topic any more.
    pub fn clear(&mut self, topic: &str) {
        let Some(old) = self.values.remove(topic) else {
            return;
        };
        self.forget_expiry(topic, &old);
        if is_counted(topic) {
            let bytes = old.charge();
            self.quota.give_back(bytes);
            self.clients.messages -= 1;
            self.clients.bytes -= bytes;
        }
    }

    fn forget_expiry(&mut self, topic: &str, old: &Stored) {
        let expires_at = old.message().expires_at;
        if expires_at < Nanos::MAX {
            self.expiries.remove(&(expires_at, topic.into()));
        }
    }

    /// When the next message expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Nanos> {
        self.expiries.first().map(|(expires_at, _)| *expires_at)
    }

    /// Lets go of messages whose time is over, `limit` of them at most.
    pub fn expire(&mut self, now: Nanos, limit: usize) {
        for _ in 0..limit {
            if self.next_expiry().is_none_or(|next| next > now) {
                return;
            }
            let (_, topic) = self.expiries.pop_first().expect("it was just looked at");
            self.clear(&topic);
        }
    }

    /// What clients have retained here.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.clients
    }
}

fn is_counted(topic: &str) -> bool {
    !topic.starts_with(BROKER_TOPICS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::{Message, PublisherId};
    use proptest::prelude::*;
    use ringbus_protocols::mqtt::QoS;
    use std::collections::BTreeMap;

    fn stored(topic: &str, payload_len: usize, expires_at: Nanos) -> Stored {
        Stored::new(&Message {
            topic,
            payload: &vec![b'x'; payload_len],
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at,
            publisher: PublisherId::default(),
        })
    }

    fn held(quota: &RetainedQuota) -> (usize, usize) {
        let of = |count: &Count| count.held.load(Ordering::Relaxed);
        (of(&quota.messages), of(&quota.bytes))
    }

    #[test]
    fn a_value_that_does_not_fit_takes_the_old_one_along() {
        let small = stored("t", 10, Nanos::MAX);
        let quota = Arc::new(RetainedQuota::new(2, 3 * small.charge()));
        let mut store = RetainedStore::new(quota.clone());
        assert!(store.set("t", small.clone()));
        assert!(store.set("t", stored("t", 20, Nanos::MAX)), "in its place");
        assert!(!store.set("t", stored("t", 200, Nanos::MAX)));
        assert!(store.get("t").is_none());
        assert_eq!(held(&quota), (0, 0));
        assert!(store.set("t", small.clone()) && store.set("u", small.clone()));
        assert!(!store.set("v", small), "a third message");
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn what_the_broker_says_of_itself_weighs_nothing() {
        let quota = Arc::new(RetainedQuota::new(0, 0));
        let mut store = RetainedStore::new(quota.clone());
        assert!(store.set("$SYS/x", stored("$SYS/x", 9, Nanos::MAX)));
        assert!(!store.set("$SYSTEM", stored("$SYSTEM", 9, Nanos::MAX)));
        assert_eq!((held(&quota), store.weight()), ((0, 0), Weight::default()));
        store.clear("$SYS/x");
        assert!(store.is_empty());
    }

    #[test]
    fn a_step_lets_go_of_no_more_than_its_limit() {
        let mut store = RetainedStore::new(Arc::new(RetainedQuota::new(100, usize::MAX)));
        for topic in ["a", "b", "c"] {
            store.set(topic, stored(topic, 1, Nanos(5)));
        }
        store.expire(Nanos(4), 9);
        assert_eq!(store.len(), 3);
        store.expire(Nanos(5), 2);
        assert_eq!((store.len(), store.next_expiry()), (1, Some(Nanos(5))));
        store.expire(Nanos(5), 2);
        assert_eq!((store.len(), store.next_expiry()), (0, None));
    }

    proptest! {
        /// Against a plain map: values, weights and times agree after every step.
        #[test]
        fn agrees_with_a_plain_map(
            steps in prop::collection::vec((0..5_u64, 0..60_usize, 0..40_u64), 1..200),
        ) {
            let (messages_max, bytes_max) = (4, 150);
            let quota = Arc::new(RetainedQuota::new(messages_max, bytes_max));
            let mut store = RetainedStore::new(quota.clone());
            let mut plain: BTreeMap<String, (usize, u64)> = BTreeMap::new();
            for (now, (topic, len, life)) in (0..).zip(steps) {
                store.expire(Nanos(now), usize::MAX);
                plain.retain(|_, (_, ends)| *ends > now);
                let topic = format!("t{topic}");
                plain.remove(&topic);
                if len == 0 {
                    store.clear(&topic);
                } else {
                    let ends = if life == 0 { u64::MAX } else { now + life };
                    let value = stored(&topic, len, Nanos(ends));
                    let bytes: usize = plain.values().map(|(bytes, _)| bytes).sum();
                    let fits = plain.len() < messages_max && bytes + value.charge() <= bytes_max;
                    if fits {
                        plain.insert(topic.clone(), (value.charge(), ends));
                    }
                    prop_assert_eq!(store.set(&topic, value), fits);
                }
                let bytes = plain.values().map(|(bytes, _)| bytes).sum();
                let weight = Weight { messages: plain.len(), bytes };
                prop_assert_eq!(store.weight(), weight);
                prop_assert_eq!(held(&quota), (weight.messages, weight.bytes));
                prop_assert_eq!(store.len(), plain.len());
                let mortal = plain.values().map(|(_, ends)| *ends).filter(|&ends| ends < u64::MAX);
                prop_assert_eq!(store.next_expiry(), mortal.min().map(Nanos));
            }
        }
    }
}
