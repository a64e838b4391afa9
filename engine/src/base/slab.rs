//! A slab whose keys carry a generation, so that a stale key finds nothing.

use super::{Key, Table};

/// Values in slots that are reused; each reuse has the next generation.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    /// Puts the value of `make`, which is told its key, into a free slot.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 slots fit in memory")
        });
        let slot = &mut self.slots[index as usize];
        let key = Key {
            index,
            generation: slot.generation,
        };
        slot.value = Some(make(key));
        self.len += 1;
        key
    }

    /// Takes the value out; its key finds nothing from here on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.len -= 1;
        Some(value)
    }

    /// The value under a key that is not stale.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// The value under a key that is not stale, to change it.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// The key of the value for which `is` holds, by a table that has the slots of values under
    /// their hashes.
    #[inline]
    #[must_use]
    pub fn find(&self, by: &Table, hash: u32, is: impl Fn(&T) -> bool) -> Option<Key> {
        let value = |index: u32| self.slots.get(index as usize)?.value.as_ref();
        let index = by.find(hash, |index| value(index).is_some_and(&is))?;
        let generation = self.slots.get(index as usize)?.generation;
        Some(Key { index, generation })
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many slots there are, in use or not.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The values in a range of slots, which may reach beyond the last.
    pub fn in_slots(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = &T> {
        let slots = self.slots.iter().skip(range.start).take(range.len());
        slots.filter_map(|slot| slot.value.as_ref())
    }

    /// Every key in use, in slot order.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(at, slot)| {
                let index = u32::try_from(at).expect("insert_with keeps indices in 32 bits");
                Key {
                    index,
                    generation: slot.generation,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{Slab, Table};

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert_with(|_| "first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert_with(|_| "second");
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn values_are_found_by_their_slots_in_a_table() {
        let (mut slab, mut table) = (Slab::default(), Table::default());
        let stale = slab.insert_with(|_| "stale");
        slab.remove(stale);
        let keys = ["one", "two"].map(|value| slab.insert_with(|_| value));
        for key in keys {
            // The same hash for both: the values decide.
            table.insert(7, key.index);
        }
        let find = |hash, value: &str| slab.find(&table, hash, |held| *held == value);
        assert_eq!(["one", "two"].map(|value| find(7, value)), keys.map(Some));
        assert_eq!((find(7, "stale"), find(8, "one")), (None, None));
    }
}
