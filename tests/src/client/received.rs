//! What a client gets.

use ringbus_protocols::mqtt::{FixedHeader, Packet, PacketIdentifier, PacketType, QoS, Version};

/// An application message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic name.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The QoS it came with.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// The packet identifier, above QoS 0.
    pub packet_identifier: Option<PacketIdentifier>,
    /// Subscription identifiers, in order of arrival.
    pub subscription_identifiers: Vec<u32>,
    /// Seconds until it expires.
    pub message_expiry_interval: Option<u32>,
    /// All properties, as they came.
    pub properties: Vec<u8>,
}

/// A packet as received.
#[derive(Clone, Debug)]
pub struct Received {
    pub(super) header: FixedHeader,
    pub(super) body: Vec<u8>,
    pub(super) version: Version,
}

impl Received {
    /// The packet; the test fails if the broker sent something malformed.
    pub fn packet(&self) -> Packet<'_> {
        Packet::decode(self.header, &self.body, self.version)
            .unwrap_or_else(|error| panic!("the broker sent a malformed packet: {error} {self:?}"))
    }

    /// Whether it is a PUBLISH.
    pub fn is_publish(&self) -> bool {
        self.header.packet_type == PacketType::Publish
    }

    /// Whether it is of that type.
    pub fn is_of(&self, packet_type: PacketType) -> bool {
        self.header.packet_type == packet_type
    }

    /// What follows its fixed header.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The reason on the wire, if it is a DISCONNECT.
    pub fn disconnect_reason(&self) -> Option<u8> {
        match self.packet() {
            Packet::Disconnect(disconnect) => Some(disconnect.reason as u8),
            _ => None,
        }
    }

    /// The message, if it is a PUBLISH.
    ///
    /// # Panics
    /// If it is anything else.
    #[must_use]
    pub fn message(&self) -> Message {
        let Packet::Publish(publish) = self.packet() else {
            panic!("not a PUBLISH: {self:?}")
        };
        Message {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_identifier: publish.packet_identifier,
            subscription_identifiers: publish.properties.subscription_identifiers().collect(),
            message_expiry_interval: publish.properties.message_expiry_interval(),
            properties: publish.properties.as_raw().to_vec(),
        }
    }
}
