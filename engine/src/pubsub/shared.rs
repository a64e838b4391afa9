//! The shared subscriptions of one partition: to which shard the next message of a group goes
//! [MQTT5-4.8.2]. Which of its members there gets it is that shard's to say.
//!
//! A group is a share name with a filter. The owner knows of each shard how many members it has,
//! how many of them are connected and how much they have to do; shards tell it when that changes.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::base::{Key, ShardId, Slab};
use crate::config::SharedStrategy;
use crate::pubsub::{PublisherId, Slot};

/// What a shard says of its members of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those with a connection.
    pub online: u32,
    /// All of them.
    pub all: u32,
    /// Messages that they have and have not acknowledged.
    pub inflight: u32,
}

/// Where a message has been tried already. A message makes at most two rounds over the shards: to
/// members that are connected and have room, then to any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    // One bit per shard that could not take it in this round.
    refused: u64,
    /// The second round: whoever is asked takes it, connected or not, and drops what its queue has
    /// no room for.
    pub is_last: bool,
}

impl Attempt {
    /// A shard could not take it.
    pub fn refuse(&mut self, shard: ShardId) {
        self.refused |= 1 << shard.0;
    }

    /// The second round.
    #[must_use]
    pub fn last() -> Self {
        Self {
            refused: 0,
            is_last: true,
        }
    }

    fn may_try(self, shard: ShardId) -> bool {
        self.refused & 1 << shard.0 == 0
    }
}

/// A shard whose answer to "does anybody else have a member that is connected" has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The shard.
    pub home: ShardId,
    /// Its key of the filter.
    pub local: Key,
    /// The answer.
    pub online: bool,
}

/// The groups of one partition.
#[derive(Debug)]
pub struct Groups {
    groups: Slab<Group>,
    by_name: HashMap<Box<str>, Key, ahash::RandomState>,
    by_home: HashMap<(ShardId, Key), Key, ahash::RandomState>,
    // By slot of the trie: the groups of that filter.
    by_slot: HashMap<Slot, Vec<Key>, ahash::RandomState>,
}

#[derive(Debug)]
struct Group {
    name: Box<str>,
    slot: Slot,
    homes: Vec<Home>,
    /// The shard that a sticky group stays with.
    chosen: Option<ShardId>,
}

#[derive(Debug)]
struct Home {
    shard: ShardId,
    local: Key,
    members: Members,
    /// Messages it is owed; the one that is owed most is next.
    credit: i64,
    /// What it was last told of the others.
    told: bool,
}

impl Groups {
    /// None yet. Clients choose the names: `hasher` is seeded.
    #[must_use]
    pub fn new(hasher: ahash::RandomState) -> Self {
        Self {
            groups: Slab::default(),
            by_name: HashMap::with_hasher(hasher.clone()),
            by_home: HashMap::with_hasher(hasher.clone()),
            by_slot: HashMap::with_hasher(hasher),
        }
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The groups of a filter.
    #[must_use]
    pub fn of(&self, slot: Slot) -> &[Key] {
        self.by_slot.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// How many shards have a key for a group, all groups together.
    #[must_use]
    pub fn attachments(&self) -> usize {
        self.by_home.len()
    }

    /// A shard has members of the group from here on.
    pub fn attach(&mut self, name: &str, slot: Slot, shard: ShardId, local: Key) {
        let key = match self.by_name.get(name) {
            Some(&key) => key,
            None => self.create(name, slot),
        };
        let group = self.groups.get_mut(key).expect("its name leads to it");
        group.homes.push(Home {
            shard,
            local,
            members: Members::default(),
            credit: 0,
            told: false,
        });
        self.by_home.insert((shard, local), key);
    }

    fn create(&mut self, name: &str, slot: Slot) -> Key {
        let group = Group {
            name: name.into(),
            slot,
            homes: Vec::new(),
            chosen: None,
        };
        let key = self.groups.insert_with(|_| group);
        self.by_name.insert(name.into(), key);
        self.by_slot.entry(slot).or_default().push(key);
        key
    }

    /// A shard has no more members under that key. Returns the slot of the filter if that was its
    /// last group.
    pub fn detach(&mut self, shard: ShardId, local: Key) -> Option<Slot> {
        let key = self.by_home.remove(&(shard, local));
        let key = key.expect("a group is attached before it is detached, and detached once");
        let group = self.groups.get_mut(key).expect("a shard is attached to it");
        group
            .homes
            .retain(|home| home.local != local || home.shard != shard);
        if !group.homes.is_empty() {
            return None;
        }
        let group = self.groups.remove(key).expect("it was just there");
        self.by_name.remove(&group.name);
        let others = self
            .by_slot
            .get_mut(&group.slot)
            .expect("it is one of them");
        others.retain(|&other| other != key);
        others.is_empty().then(|| {
            self.by_slot.remove(&group.slot);
            group.slot
        })
    }

    /// A shard says what has become of its members. `changed` learns which shards have to be told.
    /// Nothing happens if the shard is not attached, yet or any more.
    pub fn update(
        &mut self,
        shard: ShardId,
        local: Key,
        members: Members,
        changed: &mut Vec<Elsewhere>,
    ) {
        let Some(group) = self
            .by_home
            .get(&(shard, local))
            .and_then(|&key| self.groups.get_mut(key))
        else {
            return;
        };
        for home in &mut group.homes {
            if (home.shard, home.local) == (shard, local) {
                home.members = members;
            }
        }
        group.note_elsewhere(changed);
    }

    /// Which shard the next message of a group goes to, and its key of the group. `None` if no shard
    /// is left to try, or if the group is gone.
    pub fn next(
        &mut self,
        group: Key,
        strategy: SharedStrategy,
        publisher: PublisherId,
        attempt: Attempt,
        chance: u64,
    ) -> Option<(ShardId, Key)> {
        let group = self.groups.get_mut(group)?;
        let any_online = group
            .candidates(attempt)
            .any(|home| home.members.online > 0);
        let weight = |home: &Home| match home.members {
            _ if !attempt.may_try(home.shard) => 0,
            Members { online, .. } if any_online => online,
            Members { all, .. } if attempt.is_last => all,
            _ => 0,
        };
        let total: u64 = group.homes.iter().map(|home| u64::from(weight(home))).sum();
        if total == 0 {
            return None;
        }
        let at = match strategy {
            SharedStrategy::RoundRobin => group.in_turn(weight),
            SharedStrategy::Random => group.at_weight(weight, chance % total),
            SharedStrategy::HashClient => group.at_weight(weight, publisher.to_bits() % total),
            SharedStrategy::Sticky => group.sticky(weight),
            SharedStrategy::LeastInflight => group.least_loaded(weight),
        };
        let home = &mut group.homes[at];
        home.members.inflight += 1;
        Some((home.shard, home.local))
    }
}

impl Group {
    fn candidates(&self, attempt: Attempt) -> impl Iterator<Item = &Home> {
        self.homes
            .iter()
            .filter(move |home| attempt.may_try(home.shard))
    }

    /// Each shard as often as it has members, evenly mixed: everybody is owed their weight, the one
    /// that is owed most pays for all.
    fn in_turn(&mut self, weight: impl Fn(&Home) -> u32) -> usize {
        let mut next = None;
        let mut total = 0;
        for at in 0..self.homes.len() {
            let home = &mut self.homes[at];
            let share = weight(home);
            if share == 0 {
                continue;
            }
            home.credit += i64::from(share);
            total += i64::from(share);
            if next.is_none_or(|(most, _)| home.credit > most) {
                next = Some((home.credit, at));
            }
        }
        let (_, at) = next.expect("the weights add up to more than 0");
        self.homes[at].credit -= total;
        at
    }

    /// The shard in whose part of the sum of the weights `position` lies.
    fn at_weight(&self, weight: impl Fn(&Home) -> u32, mut position: u64) -> usize {
        let found = self.homes.iter().position(|home| {
            let share = u64::from(weight(home));
            if position < share {
                return true;
            }
            position -= share;
            false
        });
        found.expect("the position is below the sum of the weights")
    }

    fn sticky(&mut self, weight: impl Fn(&Home) -> u32) -> usize {
        let stays = |home: &Home| Some(home.shard) == self.chosen && weight(home) > 0;
        let at = self.homes.iter().position(stays);
        let at = at.unwrap_or_else(|| self.at_weight(&weight, 0));
        self.chosen = Some(self.homes[at].shard);
        at
    }

    /// The shard whose members have the least to do each; in turn among equals.
    fn least_loaded(&mut self, weight: impl Fn(&Home) -> u32) -> usize {
        let load = |home: &Home| {
            let per_member = u64::from(home.members.inflight) << 16;
            per_member / u64::from(weight(home)).max(1)
        };
        let tried = self.homes.iter().filter(|home| weight(home) > 0);
        let least = tried.map(load).min().unwrap_or(0);
        let equal = |home: &Home| if load(home) == least { weight(home) } else { 0 };
        self.in_turn(equal)
    }

    fn note_elsewhere(&mut self, changed: &mut Vec<Elsewhere>) {
        let has_members = |home: &&Home| home.members.online > 0;
        let homes_online = self.homes.iter().filter(has_members).count();
        for home in &mut self.homes {
            let online = homes_online > usize::from(home.members.online > 0);
            if home.told != online {
                home.told = online;
                changed.push(Elsewhere {
                    home: home.shard,
                    local: home.local,
                    online,
                });
            }
        }
    }
}
