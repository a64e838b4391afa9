//! The subscriptions of one connection, by `sid` and by filter. Several may have one filter: the
//! shard sees one subscriber then, and each of them gets its copy; of one queue group, one does.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::limits::NATS_SUBSCRIPTIONS_MAX;

/// One SUB.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sid: Box<[u8]>,
    /// Messages that it had.
    delivered: u64,
    /// Messages that it wants.
    max: u64,
}

/// A topic filter, and who wants it.
#[derive(Debug)]
struct Filter {
    name: Arc<str>,
    is_queue: bool,
    /// Whose turn it is in a queue group.
    turn: usize,
    subscriptions: Vec<Subscription>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    // By subscription identifier, from 1.
    filters: Vec<Option<Filter>>,
    free: Vec<u32>,
    by_name: HashMap<Arc<str>, u32, ahash::RandomState>,
    by_sid: HashMap<Box<[u8]>, u32, ahash::RandomState>,
}

/// What became of a SUB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The identifier that messages of this filter come with.
    Identifier(u32),
    /// The `sid` has a subscription already: nothing changes.
    Known,
    /// There are too many.
    Full,
}

impl Subscriptions {
    pub(super) fn add(&mut self, filter: &str, is_queue: bool, sid: &[u8]) -> Added {
        if self.by_sid.contains_key(sid) {
            return Added::Known;
        }
        if self.by_sid.len() >= NATS_SUBSCRIPTIONS_MAX {
            return Added::Full;
        }
        let identifier = self.place(filter, is_queue);
        self.by_sid.insert(sid.into(), identifier);
        if let Some(filter) = self.get_mut(identifier) {
            filter.subscriptions.push(Subscription {
                sid: sid.into(),
                delivered: 0,
                max: u64::MAX,
            });
        }
        Added::Identifier(identifier)
    }

    /// The identifier of a filter, which has a place from now on.
    fn place(&mut self, name: &str, is_queue: bool) -> u32 {
        if let Some(&identifier) = self.by_name.get(name) {
            return identifier;
        }
        let identifier = self.free.pop().unwrap_or_else(|| {
            self.filters.push(None);
            u32::try_from(self.filters.len()).expect("fewer than 2^32")
        });
        let name: Arc<str> = name.into();
        self.by_name.insert(name.clone(), identifier);
        self.filters[identifier as usize - 1] = Some(Filter {
            name,
            is_queue,
            turn: 0,
            subscriptions: Vec::new(),
        });
        identifier
    }

    /// Ends one after so many messages in all. Returns whether it has had them already.
    pub(super) fn limit(&mut self, sid: &[u8], max: u64) -> bool {
        let Some(&identifier) = self.by_sid.get(sid) else {
            return false;
        };
        let Some(filter) = self.get_mut(identifier) else {
            return false;
        };
        let mut all = filter.subscriptions.iter_mut();
        let Some(one) = all.find(|one| *one.sid == *sid) else {
            return false;
        };
        one.max = max;
        one.delivered >= max
    }

    /// Removes one. Returns its filter if nobody else here wants that.
    pub(super) fn remove(&mut self, sid: &[u8]) -> Option<Arc<str>> {
        let identifier = self.by_sid.remove(sid)?;
        let at = identifier as usize - 1;
        let filter = self.filters[at].as_mut()?;
        filter.subscriptions.retain(|one| *one.sid != *sid);
        if !filter.subscriptions.is_empty() {
            return None;
        }
        let filter = self.filters[at].take()?;
        self.by_name.remove(&filter.name);
        self.free.push(identifier);
        Some(filter.name)
    }

    /// Counts messages for all with that identifier, of a queue group for one of them, and gives
    /// each `sid` with how many of them it gets and whether it wants no more.
    #[inline]
    pub(super) fn count(
        &mut self,
        identifier: u32,
        messages: u64,
        mut each: impl FnMut(&[u8], u64, bool),
    ) {
        let Some(filter) = self.get_mut(identifier) else {
            return;
        };
        let mut give = |one: &mut Subscription| {
            let given = messages.min(one.max - one.delivered.min(one.max));
            one.delivered += given;
            if given > 0 {
                each(&one.sid, given, one.delivered >= one.max);
            }
        };
        if !filter.is_queue {
            return filter.subscriptions.iter_mut().for_each(give);
        }
        filter.turn = (filter.turn + 1) % filter.subscriptions.len().max(1);
        let from = filter.turn;
        let (before, after) = filter.subscriptions.split_at_mut(from);
        let mut in_turn = after.iter_mut().chain(before);
        if let Some(one) = in_turn.find(|one| one.delivered < one.max) {
            give(one);
        }
    }

    /// The only `sid` of that identifier, if there is one that has no limit.
    #[inline]
    pub(super) fn only(&self, identifier: u32) -> Option<&[u8]> {
        let at = (identifier as usize).wrapping_sub(1);
        let filter = self.filters.get(at)?.as_ref()?;
        match &filter.subscriptions[..] {
            [only] if only.max == u64::MAX => Some(&only.sid),
            _ => None,
        }
    }

    /// Counts messages for [`Subscriptions::only`].
    #[inline]
    pub(super) fn count_only(&mut self, identifier: u32, messages: u64) {
        if let Some(filter) = self.get_mut(identifier)
            && let [only] = &mut filter.subscriptions[..]
        {
            only.delivered += messages;
        }
    }

    /// The filters that are no queue groups, each with one of its `sid`s.
    pub(super) fn filters(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.filters.iter().flatten();
        let all = all.filter(|filter| !filter.is_queue);
        all.filter_map(|filter| Some((&*filter.name, &*filter.subscriptions.first()?.sid)))
    }

    #[inline]
    fn get_mut(&mut self, identifier: u32) -> Option<&mut Filter> {
        let at = (identifier as usize).wrapping_sub(1);
        self.filters.get_mut(at)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::{Added, Subscriptions};

    fn counted(all: &mut Subscriptions, identifier: u32, messages: u64) -> Vec<(u8, u64, bool)> {
        let mut given = Vec::new();
        all.count(identifier, messages, |sid, count, is_last| {
            given.push((sid[0], count, is_last));
        });
        given
    }

    #[test]
    fn one_filter_has_one_identifier() {
        let mut all = Subscriptions::default();
        assert_eq!(all.add("a", false, b"1"), Added::Identifier(1));
        assert_eq!(all.add("b", false, b"2"), Added::Identifier(2));
        assert_eq!(all.add("a", false, b"3"), Added::Identifier(1));
        assert_eq!(all.add("c", false, b"1"), Added::Known);
        assert_eq!(
            counted(&mut all, 1, 5),
            [(b'1', 5, false), (b'3', 5, false)]
        );
        assert_eq!(all.remove(b"1"), None);
        assert_eq!(all.only(1), Some(&b"3"[..]));
        assert_eq!(all.remove(b"3").as_deref(), Some("a"));
        assert_eq!(all.remove(b"3"), None);
        assert_eq!(all.add("d", false, b"4"), Added::Identifier(1));
    }

    #[test]
    fn a_limit_counts_what_came_before_it() {
        let mut all = Subscriptions::default();
        all.add("a", false, b"1");
        counted(&mut all, 1, 3);
        assert!(!all.limit(b"1", 5));
        assert_eq!(all.only(1), None);
        assert_eq!(counted(&mut all, 1, 4), [(b'1', 2, true)]);
        assert_eq!(counted(&mut all, 1, 4), []);
        assert!(all.limit(b"1", 5));
        assert!(!all.limit(b"unknown", 1));
    }

    #[test]
    fn of_a_queue_group_one_gets_each_message() {
        let mut all = Subscriptions::default();
        for sid in [b"1", b"2", b"3"] {
            all.add("$share/q/a", true, sid);
        }
        let got: Vec<u8> = (0..6).map(|_| counted(&mut all, 1, 1)[0].0).collect();
        assert_eq!(got, *b"231231");
    }
}
