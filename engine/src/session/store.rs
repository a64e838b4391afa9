//! The sessions of one shard, by key and by client identifier.

use std::collections::HashMap;
use std::sync::Arc;

use super::Session;
use crate::base::{SessionId, Slab};
use crate::pubsub::PublisherId;

/// The sessions whose home is this shard.
#[derive(Debug)]
pub struct SessionStore {
    by_client_id: HashMap<Arc<str>, SessionId, ahash::RandomState>,
    sessions: Slab<Session>,
    hasher: ahash::RandomState,
    /// The client identifier of those that have none.
    unnamed: Option<Arc<str>>,
}

impl SessionStore {
    /// None yet. Client identifiers are chosen by strangers: `hasher` is seeded.
    #[must_use]
    pub fn new(hasher: ahash::RandomState) -> Self {
        let by_client_id = HashMap::with_hasher(hasher.clone());
        Self {
            by_client_id,
            sessions: Slab::default(),
            hasher,
            unnamed: None,
        }
    }

    /// The session of a client identifier.
    #[must_use]
    pub fn find(&self, client_id: &str) -> Option<SessionId> {
        self.by_client_id.get(client_id).copied()
    }

    /// A new session under an identifier that has none.
    pub fn create(&mut self, client_id: &str) -> SessionId {
        let client_id: Arc<str> = client_id.into();
        let session = Session::new(client_id.clone(), &self.hasher);
        let id = self.sessions.insert_with(|_| session);
        let before = self.by_client_id.insert(client_id, id);
        assert!(before.is_none(), "a client identifier has one session");
        id
    }

    /// A new session of a client without an identifier: nobody else will find it.
    pub fn create_unnamed(&mut self, publisher: PublisherId) -> SessionId {
        let unnamed = Arc::clone(self.unnamed.get_or_insert_with(|| "".into()));
        let mut session = Session::new(unnamed, &self.hasher);
        session.publisher = publisher;
        self.sessions.insert_with(|_| session)
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(id)?;
        self.by_client_id.remove(&session.client_id);
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
}
