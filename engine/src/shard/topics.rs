//! What depends on a topic name alone, computed once while a publisher stays with its topic.
//!
//! Most publishers send to one topic again and again. The name of a connection's last PUBLISH, its
//! hash and owner are kept, and so is the answer of the partition if exactly one local filter
//! matched: it holds until any filter comes or goes. This is a memory of pure functions, so unlike a
//! route cache at the publisher it cannot reorder anything.

use ringbus_protocols::wire;

use crate::base::{ConnId, Key, ShardId};

/// Connections share this many memories; two that meet in one only lose speed.
const MEMOS: usize = 256;
/// Longer names are not remembered.
const NAME_BYTES_MAX: usize = 256;

/// A valid topic name and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic<'a> {
    pub(super) name: &'a str,
    pub(super) hash: u64,
    pub(super) owner: ShardId,
    /// The one local filter that matches and no other shard's does, if that is known.
    pub(super) only_filter: Option<Key>,
}

/// What is remembered of a topic beside its name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remembered {
    pub(super) hash: u64,
    pub(super) owner: ShardId,
    /// The one local filter that matched last, and in which epoch of the partition.
    only_filter: Option<(Key, u64)>,
}

impl Remembered {
    pub(super) fn of(topic: &Topic<'_>) -> Self {
        Self {
            hash: topic.hash,
            owner: topic.owner,
            only_filter: None,
        }
    }

    /// The topic of that name, with what still holds.
    #[inline]
    pub(super) fn topic<'a>(&self, name: &'a str, epoch: u64) -> Topic<'a> {
        let known = self.only_filter.filter(|&(_, then)| then == epoch);
        Topic {
            name,
            hash: self.hash,
            owner: self.owner,
            only_filter: known.map(|(filter, _)| filter),
        }
    }

    /// Notes what the partition answered in that epoch.
    pub(super) fn learn(&mut self, only_filter: Key, epoch: u64) {
        self.only_filter = Some((only_filter, epoch));
    }
}

/// The topic that a connection published to last.
#[derive(Debug, Default)]
pub(super) struct Memo {
    name: String,
    /// The name as PUBLISH packets carry it, with its length before and a 0 behind.
    head: Vec<u8>,
    hash: u64,
    owner: ShardId,
    only_filter: Option<Key>,
    epoch: u64,
}

impl Memo {
    /// The name to expect; empty if there is none.
    #[inline]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How the variable header of a PUBLISH to that name starts, with no properties in v5.
    #[inline]
    pub(super) fn head(&self, is_v5: bool) -> &[u8] {
        &self.head[..self.head.len() - usize::from(!is_v5)]
    }

    /// What is known of the remembered topic.
    #[inline]
    pub(super) fn known(&self, epoch: u64) -> Known {
        let is_current = self.epoch == epoch;
        Known {
            hash: self.hash,
            owner: self.owner,
            only_filter: self.only_filter.filter(|_| is_current),
        }
    }

    /// What is known of a topic, if it is the remembered one.
    #[inline]
    pub(super) fn recall<'a>(&self, name: &'a str, epoch: u64) -> Option<Topic<'a>> {
        let is_same = std::ptr::eq(name, self.name.as_str()) || name == self.name;
        if !is_same || name.is_empty() {
            return None;
        }
        let Known {
            hash,
            owner,
            only_filter,
        } = self.known(epoch);
        Some(Topic {
            name,
            hash,
            owner,
            only_filter,
        })
    }
}

/// What a memory holds of its topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) hash: u64,
    pub(super) owner: ShardId,
    pub(super) only_filter: Option<Key>,
}

/// The memories of one shard.
#[derive(Debug)]
pub(super) struct Memos {
    slots: Vec<Option<Box<Memo>>>,
    /// The name that the current packet taught, until it is done with.
    fresh: Memo,
    has_fresh: bool,
    /// What the partition answered to the current packet, and in which epoch.
    answer: Option<(Key, u64)>,
}

impl Memos {
    pub(super) fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(MEMOS).collect(),
            fresh: Memo::default(),
            has_fresh: false,
            answer: None,
        }
    }

    /// A connection's memory, if it holds a name.
    #[inline]
    pub(super) fn get(&self, conn: ConnId) -> Option<&Memo> {
        let memo = self.slots[slot(conn)].as_deref();
        memo.filter(|memo| !memo.name.is_empty())
    }

    /// Notes the one filter that matched the remembered topic.
    pub(super) fn learn_filter(&mut self, conn: ConnId, only_filter: Key, epoch: u64) {
        if let Some(memo) = &mut self.slots[slot(conn)] {
            memo.only_filter = Some(only_filter);
            memo.epoch = epoch;
        }
    }

    /// Takes a connection's memory out for one packet.
    #[inline]
    pub(super) fn take(&mut self, conn: ConnId) -> Box<Memo> {
        self.answer = None;
        self.slots[slot(conn)].take().unwrap_or_default()
    }

    /// Notes a name that was not remembered.
    #[inline]
    pub(super) fn learn_name(&mut self, topic: &Topic<'_>) {
        if topic.name.len() > NAME_BYTES_MAX {
            return;
        }
        self.fresh.name.clear();
        self.fresh.name.push_str(topic.name);
        self.fresh.head.clear();
        wire::put_str(&mut self.fresh.head, topic.name);
        self.fresh.head.push(0);
        self.fresh.hash = topic.hash;
        self.fresh.owner = topic.owner;
        self.fresh.only_filter = None;
        self.has_fresh = true;
    }

    /// Notes the one filter that matched.
    #[inline]
    pub(super) fn learn_answer(&mut self, only_filter: Key, epoch: u64) {
        self.answer = Some((only_filter, epoch));
    }

    /// What the partition answered since it was forgotten.
    pub(super) fn answer(&self) -> Option<(Key, u64)> {
        self.answer
    }

    /// Forgets that, before another packet.
    pub(super) fn forget_answer(&mut self) {
        self.answer = None;
    }

    /// Puts a connection's memory back, with what its packet taught.
    #[inline]
    pub(super) fn put_back(&mut self, conn: ConnId, mut memo: Box<Memo>) {
        if self.has_fresh {
            std::mem::swap(&mut *memo, &mut self.fresh);
            self.has_fresh = false;
        }
        if let Some((only_filter, epoch)) = self.answer {
            memo.only_filter = Some(only_filter);
            memo.epoch = epoch;
        }
        self.slots[slot(conn)] = Some(memo);
    }
}

#[inline]
fn slot(conn: ConnId) -> usize {
    conn.index as usize % MEMOS
}
