//! The topic filters of one partition, and which of them match a topic.
//!
//! Filters without a wildcard are found by one probe of a hash table, with the hash that travels with
//! the message. The others form a trie by level, walked breadth first. What a filter means to its
//! subscribers stays with the caller, under the filter's [`Slot`].

mod branches;
mod levels;
#[cfg(test)]
mod tests;
mod text;

use crate::base::{Table, short};
use ahash::RandomState;
use branches::Branches;
use ringbus_protocols::topic::TopicFilter;
use text::Text;

/// A filter's number while it is in its [`Trie`]. Small, dense, and reused after removal, so it
/// indexes a vector of the caller's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

const NONE: u32 = u32::MAX;

const _: () = assert!(size_of::<Entry>() == 64);

/// The node of a filter that has no wildcard.
const EXACT: u32 = u32::MAX;

/// One cache line.
#[repr(align(64))]
struct Entry {
    text: Text<54>,
    /// The node where a wildcard filter ends, or [`EXACT`]; of a free entry, the next free one.
    node: u32,
    used: bool,
}

/// A set of topic filters with a matcher.
///
/// Memory: per filter 64 bytes, which hold its text up to 54 bytes, and 11 to 21 bytes of index; per
/// wildcard branch 32 bytes and as much index. An empty trie holds none.
pub struct Trie {
    entries: Vec<Entry>,
    free: u32,
    len: usize,
    text_bytes: usize,
    by_text: Table,
    branches: Branches,
    hasher: RandomState,
}

impl Trie {
    /// An empty trie. Every shard of a process uses clones of one hasher: a topic's hash travels in
    /// mail.
    pub fn new(hasher: RandomState) -> Trie {
        Trie {
            entries: Vec::new(),
            free: NONE,
            len: 0,
            text_bytes: 0,
            by_text: Table::default(),
            branches: Branches::new(hasher.clone()),
            hasher,
        }
    }

    /// The keyed hash of a topic name or filter, for [`Trie::matches`] on any shard.
    #[inline]
    pub fn hash(&self, topic: &str) -> u64 {
        self.hasher.hash_one(topic)
    }

    /// Adds a filter: its slot, and whether it is new.
    pub fn insert(&mut self, filter: &TopicFilter<'_>) -> (Slot, bool) {
        let text = filter.as_str();
        let hash = short(self.hash(text));
        if let Some(slot) = self.find(text, hash) {
            return (slot, false);
        }
        let slot = self.add_entry(text);
        self.by_text.insert(hash, slot.0);
        if !filter.is_exact() {
            self.entries[slot.index()].node = self.branches.insert(text, slot);
        }
        self.len += 1;
        self.text_bytes += self.entries[slot.index()].text.heap_bytes();
        (slot, true)
    }

    /// The slot of a filter.
    pub fn get(&self, filter: &str) -> Option<Slot> {
        self.find(filter, short(self.hash(filter)))
    }

    /// Removes a filter and every branch that only it needed.
    ///
    /// # Panics
    /// If the slot holds no filter: that is the caller's bug.
    pub fn remove(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot.index()];
        assert!(entry.used, "a slot is removed once");
        let text = std::mem::take(&mut entry.text);
        let node = std::mem::replace(&mut entry.node, self.free);
        entry.used = false;
        self.free = slot.0;
        if node != EXACT {
            self.branches.remove(text.as_str(), node);
        }
        self.by_text.remove(short(self.hash(text.as_str())), slot.0);
        self.len -= 1;
        self.text_bytes -= text.heap_bytes();
        if self.len == 0 {
            self.entries = Vec::new();
            self.free = NONE;
        }
    }

    /// Appends the slot of each filter that matches a valid topic name to `found`, once each.
    ///
    /// `topic_hash` is [`Trie::hash`] of the topic. Without wildcard filters the cost is one probe.
    /// With them it is bounded by the topic's levels plus the number of trie nodes whose prefix
    /// matches, each of them visited once: at depth d at most min(2^d, nodes at that depth), so a
    /// topic of 30,000 levels costs 30,000 steps, and many combinations of `+` cost only those
    /// that somebody subscribed to. `$`-topics match no leading wildcard [MQTT5-4.7.2-1].
    #[inline]
    pub fn matches(&self, topic: &str, topic_hash: u64, found: &mut Vec<Slot>) {
        if let Some(slot) = self.find(topic, short(topic_hash)) {
            found.push(slot);
        }
        self.branches.matches(topic, found);
    }

    /// The text of a filter.
    pub fn filter(&self, slot: Slot) -> &str {
        debug_assert!(self.entries[slot.index()].used, "a free slot has no filter");
        self.entries[slot.index()].text.as_str()
    }

    /// The number of filters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap, allocator overhead aside. 0 when empty.
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.text_bytes
            + self.by_text.heap_bytes()
            + self.branches.heap_bytes()
    }

    #[inline]
    fn find(&self, text: &str, hash: u32) -> Option<Slot> {
        self.by_text
            .find(hash, |slot| self.entries[slot as usize].text.is(text))
            .map(Slot)
    }

    fn add_entry(&mut self, text: &str) -> Slot {
        let entry = Entry {
            text: Text::new(text),
            node: EXACT,
            used: true,
        };
        if self.free == NONE {
            self.entries.push(entry);
            let slot = u32::try_from(self.entries.len() - 1).expect("memory ends before 2^32");
            return Slot(slot);
        }
        let slot = self.free;
        self.free = std::mem::replace(&mut self.entries[slot as usize], entry).node;
        Slot(slot)
    }
}
