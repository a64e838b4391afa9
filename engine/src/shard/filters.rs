//! The subscriber side of a filter: who wants it on this shard.

use ringbus_protocols::mqtt::{PacketIdentifier, QoS, ReasonCode};

use crate::base::{ConnId, Key, SessionId, Slab, Table, short};

/// The filters that sessions of this shard subscribe to.
#[derive(Debug)]
pub(super) struct LocalFilters {
    /// Slots of filters.
    by_name: Table,
    filters: Slab<LocalFilter>,
    hasher: ahash::RandomState,
}

/// One filter and its local subscribers.
#[derive(Debug)]
pub(super) struct LocalFilter {
    pub(super) name: Box<str>,
    pub(super) subscribers: Vec<Subscriber>,
    /// While owners have not said yet that it is active.
    pub(super) pending: Option<Box<PendingFilter>>,
    /// If it is a shared subscription: its members here.
    pub(super) shared: Option<Box<LocalMembers>>,
}

const _: () = assert!(size_of::<LocalFilter>() <= 56, "some clients have one each");

/// A filter that owners do not know yet.
#[derive(Debug)]
pub(super) struct PendingFilter {
    /// How many they are.
    pub(super) owners: u16,
    /// SUBACKs that wait for them.
    pub(super) waiters: Vec<Key>,
}

/// The members of a shared subscription on their home. The subscribers of the filter, those with a
/// connection first.
#[derive(Debug, Default)]
pub(super) struct LocalMembers {
    /// How many have a connection.
    pub(super) online: u32,
    /// Whose turn it is, among those.
    pub(super) turn: u32,
    /// The member that a sticky group stays with.
    pub(super) chosen: Option<SessionId>,
    /// Owners that say that other shards have members with a connection, one bit each.
    pub(super) elsewhere: u64,
    /// Whether the owners are to be told at the end of the turn how much the members have to do.
    pub(super) is_dirty: bool,
}

/// One subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    pub(super) options: SubscriptionOptions,
    /// 0 for none.
    pub(super) identifier: u32,
}

/// What a subscriber asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionOptions {
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
}

/// Something that a client is to be told when the owners of its filters have answered.
#[derive(Debug)]
pub(super) struct PendingSubAck {
    pub(super) conn: ConnId,
    pub(super) waiter: Waiter,
    pub(super) filters_pending: usize,
}

/// What waits for owners.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A SUBACK.
    SubAck {
        identifier: PacketIdentifier,
        reasons: Vec<ReasonCode>,
    },
    /// The acknowledgement of that number.
    Ack(u32),
    /// The answer to the request of a topic's socket.
    Upgrade,
}

impl LocalFilters {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self {
            by_name: Table::default(),
            filters: Slab::default(),
            hasher,
        }
    }

    /// The filter of that name, made if it is new; and whether it is.
    pub(super) fn obtain(&mut self, name: &str, is_shared: bool) -> (Key, bool) {
        if let Some(key) = self.find(name) {
            return (key, false);
        }
        let filter = LocalFilter {
            name: name.into(),
            subscribers: Vec::new(),
            pending: None,
            shared: is_shared.then(Box::default),
        };
        let key = self.filters.insert_with(|_| filter);
        self.by_name.insert(self.hash(name), key.index);
        (key, true)
    }

    pub(super) fn find(&self, name: &str) -> Option<Key> {
        let is_it = |filter: &LocalFilter| *filter.name == *name;
        self.filters.find(&self.by_name, self.hash(name), is_it)
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&LocalFilter> {
        self.filters.get(key)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut LocalFilter> {
        self.filters.get_mut(key)
    }

    /// Forgets a filter that nobody wants any more.
    pub(super) fn remove(&mut self, key: Key) -> Option<LocalFilter> {
        let filter = self.filters.remove(key)?;
        self.by_name.remove(self.hash(&filter.name), key.index);
        Some(filter)
    }

    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    fn hash(&self, name: &str) -> u32 {
        short(self.hasher.hash_one(name))
    }
}

impl LocalFilter {
    /// Takes the subscriber at a position out; returns the one that moved there, if any.
    pub(super) fn take(&mut self, position: u32) -> Option<SessionId> {
        self.subscribers.swap_remove(position as usize);
        self.subscribers
            .get(position as usize)
            .map(|moved| moved.session)
    }
}
