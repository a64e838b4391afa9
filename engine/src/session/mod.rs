//! What a client's session remembers, connected or not. Sans-IO; lives on the client's home shard.

mod inbound;
mod outbound;
mod store;

pub use inbound::Inbound;
pub use outbound::{AckError, Delivery, GroupRef, Outbound, QueueLimit, Transmit};
pub use store::SessionStore;

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{ConnId, Key, Nanos, ShardId};
use crate::pubsub::{PublisherId, Stored};

/// A session that never expires [MQTT5-3.1.2-23].
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// Who it is as a publisher.
    pub publisher: PublisherId,
    /// Its connection, while it has one.
    pub conn: Option<ConnId>,
    /// Seconds it outlives its connection; 0 ends it at once, [`NEVER_EXPIRES`] never.
    pub expiry_seconds: u32,
    /// When it ends, while it has no connection.
    pub ends_at: Nanos,
    /// When its timer fires; [`Nanos::MAX`] if it has none.
    pub armed_at: Nanos,
    /// What to publish if the connection is lost.
    pub will: Option<Box<StoredWill>>,
    /// The subscriptions: the filter's key → the position in its list of subscribers.
    pub subscriptions: HashMap<Key, u32, ahash::RandomState>,
    /// Those of the subscriptions that are shared.
    pub shared: Vec<Key>,
    /// Messages to the client.
    pub outbound: Outbound,
    /// QoS 2 messages from the client that are not released yet.
    pub inbound: Inbound,
    /// Retained replays under way for it.
    pub replays: Vec<ReplayRef>,
}

/// A will as it waits for its moment.
#[derive(Debug)]
pub struct StoredWill {
    /// The message.
    pub message: Stored,
    /// Seconds between the loss of the connection and the will [MQTT5-3.1.3.2.2].
    pub delay_seconds: u32,
    /// Seconds the message lives once it is published; `None` for ever.
    pub expiry_seconds: Option<u32>,
    /// When it is due, once the connection is lost.
    pub due_at: Option<Nanos>,
}

/// A replay of retained messages that some owner feeds to this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRef {
    /// The owner.
    pub owner: ShardId,
    /// The owner's key.
    pub replay: Key,
}

impl Session {
    /// Whether it takes part in a shared subscription, or holds a message of one.
    #[inline]
    #[must_use]
    pub fn has_shared(&self) -> bool {
        !self.shared.is_empty() || self.outbound.shared() > 0
    }

    /// A new session of a client that has just connected.
    #[must_use]
    pub fn new(client_id: Arc<str>, hasher: ahash::RandomState) -> Self {
        Self {
            publisher: PublisherId::of(&client_id, &hasher),
            client_id,
            conn: None,
            expiry_seconds: 0,
            ends_at: Nanos::MAX,
            armed_at: Nanos::MAX,
            will: None,
            subscriptions: HashMap::with_hasher(hasher),
            shared: Vec::new(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            replays: Vec::new(),
        }
    }
}
