//! QoS 2 messages from a client between PUBLISH and PUBREL.

use std::collections::BTreeMap;

use ringbus_protocols::mqtt::PacketIdentifier;

use crate::pubsub::Stored;

/// Messages received at QoS 2 and not released yet: routed on PUBREL, once.
#[derive(Debug, Default)]
pub struct Inbound {
    waiting: BTreeMap<PacketIdentifier, Stored>,
    bytes: usize,
}

impl Inbound {
    /// No messages.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Whether a PUBLISH of that identifier is a repetition [MQTT5-4.3.3-10].
    #[must_use]
    pub fn contains(&self, identifier: PacketIdentifier) -> bool {
        self.waiting.contains_key(&identifier)
    }

    /// Keeps a message until its release.
    pub fn keep(&mut self, identifier: PacketIdentifier, message: Stored) {
        self.bytes += message.charge();
        let before = self.waiting.insert(identifier, message);
        assert!(
            before.is_none(),
            "a repetition is recognised before it is kept"
        );
    }

    /// Takes the message that a PUBREL releases.
    pub fn release(&mut self, identifier: PacketIdentifier) -> Option<Stored> {
        let message = self.waiting.remove(&identifier)?;
        self.bytes -= message.charge();
        Some(message)
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The bytes they are charged with.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
