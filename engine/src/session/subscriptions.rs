//! What one session subscribes to.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::base::Key;

/// A session's subscriptions: the filter's key → the position in its list of subscribers.
///
/// Very many sessions have one subscription or none: those cost nothing on the heap.
#[derive(Debug, Default)]
pub struct Subscriptions(Held);

/// Hashes keys that this process gives out, which nobody can aim. It takes no room.
type OwnKeys = BuildHasherDefault<ahash::AHasher>;

#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "few have many, all pay for the place"
)]
enum Held {
    #[default]
    None,
    One(Key, u32),
    Many(Box<HashMap<Key, u32, OwnKeys>>),
}

const _: () = assert!(
    size_of::<Subscriptions>() == 16,
    "a million of them are kept"
);

impl Subscriptions {
    /// The position in a filter's list, if it is subscribed to.
    #[inline]
    #[must_use]
    pub fn get(&self, filter: Key) -> Option<u32> {
        match &self.0 {
            Held::None => None,
            Held::One(held, position) => (*held == filter).then_some(*position),
            Held::Many(all) => all.get(&filter).copied(),
        }
    }

    /// Notes the position in a filter's list, one that is subscribed to or a new one.
    pub fn insert(&mut self, filter: Key, position: u32) {
        match &mut self.0 {
            Held::None => self.0 = Held::One(filter, position),
            Held::One(held, old) if *held == filter => *old = position,
            &mut Held::One(held, old) => {
                let all = HashMap::from_iter([(held, old), (filter, position)]);
                self.0 = Held::Many(Box::new(all));
            }
            Held::Many(all) => {
                all.insert(filter, position);
            }
        }
    }

    /// Takes one out and returns its position in the filter's list.
    pub fn remove(&mut self, filter: Key) -> Option<u32> {
        match &mut self.0 {
            Held::None => None,
            &mut Held::One(held, position) => {
                if held != filter {
                    return None;
                }
                self.0 = Held::None;
                Some(position)
            }
            Held::Many(all) => {
                let position = all.remove(&filter);
                if all.is_empty() {
                    self.0 = Held::None;
                }
                position
            }
        }
    }

    /// Takes all of them out, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = (Key, u32)> + use<> {
        let (one, many) = match std::mem::take(&mut self.0) {
            Held::None => (None, None),
            Held::One(filter, position) => (Some((filter, position)), None),
            Held::Many(all) => (None, Some(all)),
        };
        one.into_iter().chain(many.into_iter().flat_map(|all| *all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(index: u32) -> Key {
        Key {
            index,
            generation: 7,
        }
    }

    proptest! {
        #[test]
        fn they_agree_with_a_map(
            operations in prop::collection::vec((any::<bool>(), 0u32..4, any::<u32>()), 0..60),
        ) {
            let mut subscriptions = Subscriptions::default();
            let mut model = HashMap::new();
            for (insert, index, position) in operations {
                if insert {
                    subscriptions.insert(key(index), position);
                    model.insert(key(index), position);
                } else {
                    prop_assert_eq!(subscriptions.remove(key(index)), model.remove(&key(index)));
                }
                for index in 0..4 {
                    let found = subscriptions.get(key(index));
                    prop_assert_eq!(found, model.get(&key(index)).copied());
                }
            }
            let drained: HashMap<Key, u32> = subscriptions.drain().collect();
            prop_assert_eq!(drained, model);
            prop_assert_eq!(subscriptions.drain().count(), 0);
        }
    }
}
