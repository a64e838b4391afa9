//! The sessions of one shard, by key and by client identifier.

use super::Session;
use crate::base::{SessionId, Slab, Table, short};
use crate::pubsub::PublisherId;

/// The sessions whose home is this shard.
#[derive(Debug)]
pub struct SessionStore {
    /// Slots of sessions, those without a client identifier left out.
    by_client_id: Table,
    sessions: Slab<Session>,
    hasher: ahash::RandomState,
}

impl SessionStore {
    /// None yet. Client identifiers are chosen by strangers: `hasher` is seeded.
    #[must_use]
    pub fn new(hasher: ahash::RandomState) -> Self {
        Self {
            by_client_id: Table::default(),
            sessions: Slab::default(),
            hasher,
        }
    }

    /// The session of a client identifier.
    #[must_use]
    pub fn find(&self, client_id: &str) -> Option<SessionId> {
        let is_its = |held: &Session| *held.client_id == *client_id;
        let hash = self.hash(client_id);
        self.sessions.find(&self.by_client_id, hash, is_its)
    }

    /// A new session under an identifier that has none.
    pub fn create(&mut self, client_id: &str) -> SessionId {
        assert!(
            !client_id.is_empty(),
            "one without has no name to be found by"
        );
        let before = self.find(client_id);
        assert!(before.is_none(), "a client identifier has one session");
        let session = Session::new(client_id, &self.hasher);
        let id = self.sessions.insert_with(|_| session);
        self.by_client_id.insert(self.hash(client_id), id.index);
        id
    }

    /// A new session of a client without an identifier: nobody else will find it.
    pub fn create_unnamed(&mut self, publisher: PublisherId) -> SessionId {
        let mut session = Session::new("", &self.hasher);
        session.publisher = publisher;
        self.sessions.insert_with(|_| session)
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(id)?;
        if !session.client_id.is_empty() {
            let hash = self.hash(&session.client_id);
            self.by_client_id.remove(hash, id.index);
        }
        Some(session)
    }

    /// A session, unless it has ended.
    #[inline]
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// A session to change, unless it has ended.
    #[inline]
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many slots for sessions there are, in use or not.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.sessions.slots()
    }

    /// The sessions in a range of slots.
    pub fn in_slots(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = &Session> {
        self.sessions.in_slots(range)
    }

    /// The keys of all sessions.
    pub fn keys(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.keys()
    }

    fn hash(&self, client_id: &str) -> u32 {
        short(self.hasher.hash_one(client_id))
    }
}
