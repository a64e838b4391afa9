//! The subscriptions of one connection. Several may have one destination: the shard sees one
//! subscriber then, and each of them gets its copy.

use crate::base::limits::STOMP_SUBSCRIPTIONS_MAX;

/// How a subscription acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    /// Not at all.
    Auto,
    /// A message and all before it.
    Client,
    /// Each message by itself.
    Individual,
}

/// One SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Box<str>,
    pub(super) ack: AckMode,
    /// Its number on the connection.
    pub(super) number: u32,
}

/// A topic filter, and who wants it.
#[derive(Debug)]
struct Destination {
    filter: Box<str>,
    subscriptions: Vec<Subscription>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    // By subscription identifier, from 1.
    destinations: Vec<Option<Destination>>,
    numbers: u32,
    len: usize,
}

/// What a SUBSCRIBE asks of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The identifier that messages of this filter come with.
    pub(super) identifier: u32,
    /// Whether any subscription to it acknowledges.
    pub(super) acknowledges: bool,
}

impl Subscriptions {
    /// Adds one.
    ///
    /// # Errors
    /// In words: the id is taken, or there are too many.
    pub(super) fn add(
        &mut self,
        filter: &str,
        id: &str,
        ack: AckMode,
    ) -> Result<Wanted, &'static str> {
        if self.len == STOMP_SUBSCRIPTIONS_MAX {
            return Err("the connection has as many subscriptions as one may have");
        }
        if self.iter().any(|(_, subscription)| &*subscription.id == id) {
            return Err("the id is that of another subscription");
        }
        self.numbers = self.numbers.wrapping_add(1);
        self.len += 1;
        let subscription = Subscription {
            id: id.into(),
            ack,
            number: self.numbers,
        };
        let at = self.place(filter);
        let destination = self.destinations[at].get_or_insert_with(|| Destination {
            filter: filter.into(),
            subscriptions: Vec::new(),
        });
        destination.subscriptions.push(subscription);
        let mut all = destination.subscriptions.iter();
        Ok(Wanted {
            identifier: u32::try_from(at + 1).expect("fewer than 2^32"),
            acknowledges: all.any(|one| one.ack != AckMode::Auto),
        })
    }

    /// Where a filter is, or a free place.
    fn place(&mut self, filter: &str) -> usize {
        let mut entries = self.destinations.iter();
        let is_its = |entry: &Option<Destination>| {
            entry.as_ref().is_some_and(|known| &*known.filter == filter)
        };
        if let Some(at) = entries.position(is_its) {
            return at;
        }
        let free = self.destinations.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            self.destinations.push(None);
            self.destinations.len() - 1
        })
    }

    /// Removes one. Returns its filter, and whether that is wanted no more; `None` if the id is
    /// unknown.
    pub(super) fn remove(&mut self, id: &str) -> Option<(Box<str>, bool)> {
        let entries = self.destinations.iter_mut();
        for entry in entries {
            let Some(destination) = entry else { continue };
            let mut all = destination.subscriptions.iter();
            let Some(at) = all.position(|one| &*one.id == id) else {
                continue;
            };
            destination.subscriptions.remove(at);
            self.len -= 1;
            let filter = destination.filter.clone();
            let is_last = destination.subscriptions.is_empty();
            if is_last {
                *entry = None;
            }
            return Some((filter, is_last));
        }
        None
    }

    /// Those with that identifier.
    pub(super) fn with(&self, identifier: u32) -> &[Subscription] {
        let at = (identifier as usize).wrapping_sub(1);
        let entry = self.destinations.get(at).and_then(Option::as_ref);
        entry.map_or(&[], |destination| &destination.subscriptions)
    }

    /// How a subscription acknowledges, unless it is gone.
    pub(super) fn mode_of(&self, number: u32) -> Option<AckMode> {
        let mut all = self.iter();
        all.find(|(_, one)| one.number == number)
            .map(|(_, one)| one.ack)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Subscription)> {
        let entries = self.destinations.iter().flatten();
        entries.flat_map(|destination| {
            let filter = &*destination.filter;
            destination
                .subscriptions
                .iter()
                .map(move |one| (filter, one))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AckMode, STOMP_SUBSCRIPTIONS_MAX, Subscriptions, Wanted};

    #[test]
    fn one_destination_has_one_identifier() {
        let mut all = Subscriptions::default();
        let wanted = |identifier, acknowledges| {
            Ok(Wanted {
                identifier,
                acknowledges,
            })
        };
        assert_eq!(all.add("a", "1", AckMode::Auto), wanted(1, false));
        assert_eq!(all.add("b", "2", AckMode::Client), wanted(2, true));
        assert_eq!(all.add("a", "3", AckMode::Individual), wanted(1, true));
        assert!(all.add("c", "1", AckMode::Auto).is_err(), "the id is taken");
        assert_eq!(all.with(1).len(), 2);
        assert_eq!(all.remove("1"), Some(("a".into(), false)));
        assert_eq!(all.remove("3"), Some(("a".into(), true)));
        assert_eq!(all.remove("3"), None);
        assert!(all.with(1).is_empty());
        assert_eq!(all.add("d", "4", AckMode::Auto), wanted(1, false));
    }

    #[test]
    fn a_connection_has_so_many_and_no_more() {
        let mut all = Subscriptions::default();
        for number in 0..STOMP_SUBSCRIPTIONS_MAX {
            let id = number.to_string();
            assert!(all.add("a", &id, AckMode::Auto).is_ok(), "{number}");
        }
        assert!(all.add("a", "more", AckMode::Auto).is_err());
        assert!(all.remove("7").is_some());
        assert!(all.add("a", "more", AckMode::Auto).is_ok());
    }
}
