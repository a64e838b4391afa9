//! What a client's session remembers, connected or not. Sans-IO; lives on the client's home shard.

mod inbound;
mod outbound;
mod store;
mod subscriptions;

pub use inbound::Inbound;
pub use outbound::{AckError, Delivery, GroupRef, Outbound, QueueLimit, Transmit};
pub use store::SessionStore;
pub use subscriptions::Subscriptions;

use crate::base::{ConnId, Key, Nanos, ShardId};
use crate::pubsub::{PublisherId, Stored};
use ringbus_protocols::mqtt::PacketIdentifier;
use ringbus_protocols::mqttsn::Will;

/// A session that never expires [MQTT5-3.1.2-23].
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    /// The client identifier; empty if it has none.
    pub client_id: Box<str>,
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
    /// The subscriptions.
    pub subscriptions: Subscriptions,
    /// Messages to the client.
    pub outbound: Outbound,
    /// What few sessions have.
    rare: Option<Box<Rare>>,
}

/// What few sessions have, so that the others are small.
#[derive(Debug, Default)]
pub struct Rare {
    /// The will of a client of MQTT-SN, while it is not connected [MQTTSN-6.3].
    pub kept_will: Option<Box<Will>>,
    /// Those of the subscriptions that are shared.
    pub shared: Vec<Key>,
    /// Retained replays under way for it.
    pub replays: Vec<ReplayRef>,
    /// QoS 2 messages from the client that are not released yet.
    pub inbound: Inbound,
}

const _: () = assert!(size_of::<Session>() <= 176, "a million of them are kept");

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
        !self.shared().is_empty() || self.outbound.shared() > 0
    }

    /// The will that was kept for the next connection, which may replace it.
    #[must_use]
    pub fn take_kept_will(&mut self) -> Option<Box<Will>> {
        self.rare.as_deref_mut()?.kept_will.take()
    }

    /// Those of the subscriptions that are shared.
    #[inline]
    #[must_use]
    pub fn shared(&self) -> &[Key] {
        self.rare.as_deref().map_or(&[], |rare| &rare.shared)
    }

    /// Retained replays under way for it.
    #[inline]
    #[must_use]
    pub fn replays(&self) -> &[ReplayRef] {
        self.rare.as_deref().map_or(&[], |rare| &rare.replays)
    }

    /// QoS 2 messages from the client that are not released yet.
    #[inline]
    #[must_use]
    pub fn inbound(&self) -> &Inbound {
        const NONE: &Inbound = &Inbound::new();
        self.rare.as_deref().map_or(NONE, |rare| &rare.inbound)
    }

    /// Takes the message that a PUBREL releases.
    pub fn release(&mut self, identifier: PacketIdentifier) -> Option<Stored> {
        self.rare.as_deref_mut()?.inbound.release(identifier)
    }

    /// What few sessions have, made if it is not there.
    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// It takes part in no shared subscription any more.
    pub fn forget_shared(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.shared = Vec::new();
        }
    }

    /// Takes the replays out.
    #[must_use]
    pub fn take_replays(&mut self) -> Vec<ReplayRef> {
        let rare = self.rare.as_deref_mut();
        rare.map(|rare| std::mem::take(&mut rare.replays))
            .unwrap_or_default()
    }

    /// A new session of a client that has just connected.
    #[must_use]
    pub fn new(client_id: &str, hasher: &ahash::RandomState) -> Self {
        Self {
            publisher: PublisherId::of(client_id, hasher),
            client_id: client_id.into(),
            conn: None,
            expiry_seconds: 0,
            ends_at: Nanos::MAX,
            armed_at: Nanos::MAX,
            will: None,
            subscriptions: Subscriptions::default(),
            outbound: Outbound::default(),
            rare: None,
        }
    }
}
