//! The owner side: this shard's partition of the topic space.

use crate::base::{Key, SessionId, ShardId, Slab};
use crate::pubsub::{Groups, RetainedQuota, RetainedStore, Slot, Trie};
use ringbus_protocols::topic::{SharedFilter, TopicFilter};
use std::sync::Arc;

/// One partition: filters and the shards that want them, retained messages, replays.
pub(super) struct Partition {
    pub(super) trie: Trie,
    // By slot of the trie: each shard that wants the filter, and its key for it.
    interest: Vec<Interest>,
    /// Shared subscriptions to filters of the trie.
    pub(super) groups: Groups,
    /// Groups that the message at hand is for.
    pub(super) matched_groups: Vec<Key>,
    pub(super) retained: RetainedStore,
    pub(super) replays: Slab<Replay>,
    /// Replays whose subscribers have room.
    pub(super) pulled: Vec<Key>,
    found: Vec<Slot>,
    /// Changes whenever a filter comes or goes.
    pub(super) epoch: u64,
}

/// Each shard that wants a filter, and its key for it. Most filters are wanted by one.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "few have several, all pay for the place"
)]
enum Interest {
    #[default]
    Nobody,
    One((ShardId, Key)),
    Several(Box<Vec<(ShardId, Key)>>),
}

const _: () = assert!(size_of::<Interest>() == 16, "one for each filter");

impl Interest {
    #[inline]
    fn as_slice(&self) -> &[(ShardId, Key)] {
        match self {
            Self::Nobody => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }

    fn add(&mut self, new: (ShardId, Key)) {
        *self = match std::mem::take(self) {
            Self::Nobody => Self::One(new),
            Self::One(one) => Self::Several(Box::new(vec![one, new])),
            Self::Several(mut all) => {
                all.push(new);
                Self::Several(all)
            }
        };
    }

    fn remove(&mut self, gone: (ShardId, Key)) {
        match self {
            Self::One(one) if *one == gone => *self = Self::Nobody,
            Self::Several(all) if all.contains(&gone) => {
                all.retain(|entry| *entry != gone);
                if let [one] = all[..] {
                    *self = Self::One(one);
                }
            }
            _ => panic!("an attachment is detached once"),
        }
    }
}

/// A walk over the retained messages on behalf of one new subscription.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) home: ShardId,
    pub(super) session: SessionId,
    pub(super) local: Key,
    pub(super) filter: Box<str>,
    /// The last topic that was looked at.
    pub(super) after: Option<String>,
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition")
            .field("filters", &self.trie.len())
            .field("retained", &self.retained.len())
            .finish_non_exhaustive()
    }
}

impl Partition {
    pub(super) fn new(hasher: ahash::RandomState, quota: Arc<RetainedQuota>) -> Self {
        Self {
            trie: Trie::new(hasher.clone()),
            interest: Vec::new(),
            groups: Groups::new(hasher),
            matched_groups: Vec::new(),
            retained: RetainedStore::new(quota),
            replays: Slab::default(),
            pulled: Vec::new(),
            found: Vec::new(),
            epoch: 0,
        }
    }

    /// A shard wants a filter from here on.
    pub(super) fn attach(&mut self, filter: &TopicFilter<'_>, home: ShardId, local: Key) {
        self.epoch += 1;
        let shared = shared(filter.as_str());
        let (slot, _) = match &shared {
            Some(shared) => self.trie.insert(&shared.filter),
            None => self.trie.insert(filter),
        };
        let at = slot.index();
        if self.interest.len() <= at {
            self.interest.resize_with(at + 1, Interest::default);
        }
        match shared {
            Some(_) => self.groups.attach(filter.as_str(), slot, home, local),
            None => self.interest[at].add((home, local)),
        }
    }

    /// A shard no longer wants a filter under that key.
    pub(super) fn detach(&mut self, filter: &str, home: ShardId, local: Key) {
        self.epoch += 1;
        if shared(filter).is_some() {
            if let Some(slot) = self.groups.detach(home, local) {
                self.forget_unwanted(slot);
            }
            return;
        }
        let slot = self
            .trie
            .get(filter)
            .expect("a filter is attached before it is detached");
        self.interest[slot.index()].remove((home, local));
        self.forget_unwanted(slot);
    }

    fn forget_unwanted(&mut self, slot: Slot) {
        let is_wanted = !self.interest[slot.index()].as_slice().is_empty();
        if !is_wanted && self.groups.of(slot).is_empty() {
            self.trie.remove(slot);
        }
    }

    /// Sorts the keys of all matching filters by the shard that wants them. The result of the
    /// previous call must have been cleared.
    #[inline]
    pub(super) fn route(&mut self, topic: &str, topic_hash: u64, targets: &mut Targets) {
        self.found.clear();
        self.trie.matches(topic, topic_hash, &mut self.found);
        for slot in &self.found {
            for &(home, local) in self.interest[slot.index()].as_slice() {
                targets.add(home, local);
            }
        }
        if !self.groups.is_empty() {
            self.match_groups();
        }
    }

    fn match_groups(&mut self) {
        for &slot in &self.found {
            self.matched_groups.extend_from_slice(self.groups.of(slot));
        }
    }

    /// References to filters that shards hold here.
    pub(super) fn attachments(&self) -> usize {
        let plain: usize = self.interest.iter().map(|all| all.as_slice().len()).sum();
        plain + self.groups.attachments()
    }
}

/// The parts of a shared subscription; `None` for any other filter.
pub(super) fn shared(filter: &str) -> Option<SharedFilter<'_>> {
    SharedFilter::parse(filter).expect("SUBSCRIBE is checked")
}

/// The filters that matched, by the shard that wants them.
#[derive(Debug)]
pub(super) struct Targets {
    by_shard: Vec<Vec<Key>>,
    // One bit per shard with at least one filter.
    wanted: u64,
}

impl Targets {
    pub(super) fn new(shards: u16) -> Self {
        Self {
            by_shard: vec![Vec::new(); usize::from(shards)],
            wanted: 0,
        }
    }

    #[inline]
    fn add(&mut self, home: ShardId, local: Key) {
        self.by_shard[home.index()].push(local);
        self.wanted |= 1 << home.0;
    }

    /// Whether nobody wants it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wanted == 0
    }

    /// The filter of that shard, if it is the only one and nobody else wants the message.
    #[inline]
    pub(super) fn only_filter(&self, shard: ShardId) -> Option<Key> {
        match self.by_shard[shard.index()].as_slice() {
            [only] if self.wanted == 1 << shard.0 => Some(*only),
            _ => None,
        }
    }

    /// The next shard that wants it, with its filters; then forgets both.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(ShardId, &mut Vec<Key>)> {
        if self.wanted == 0 {
            return None;
        }
        let shard = ShardId(u16::try_from(self.wanted.trailing_zeros()).expect("below 64"));
        self.wanted &= self.wanted - 1;
        Some((shard, &mut self.by_shard[shard.index()]))
    }

    /// Keeps an emptied list for the next message.
    #[inline]
    pub(super) fn give_back(&mut self, shard: ShardId, filters: Vec<Key>) {
        debug_assert!(filters.is_empty(), "they were delivered to");
        self.by_shard[shard.index()] = filters;
    }
}
