//! What a client says first.

use ringbus_protocols::mqtt::{Connect, PropertiesBuf, Property, QoS, Version, Will};
use ringbus_protocols::topic::TopicName;

/// What a client says in CONNECT.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The protocol version, here and for every later packet.
    pub version: Version,
    /// The client identifier; may be empty.
    pub client_id: String,
    /// Clean start, or clean session in version 3.
    pub clean_start: bool,
    /// Keep alive; 0 is none.
    pub keep_alive_seconds: u16,
    /// The will, if any.
    pub will: Option<Last>,
    /// Properties of version 5.
    pub properties: PropertiesBuf,
}

/// A will.
#[derive(Clone, Debug)]
pub struct Last {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties.
    pub properties: PropertiesBuf,
}

impl Hello {
    /// A clean session of this client, keep alive off.
    pub fn new(version: Version, client_id: &str) -> Hello {
        Hello {
            version,
            client_id: client_id.to_owned(),
            clean_start: true,
            keep_alive_seconds: 0,
            will: None,
            properties: PropertiesBuf::new(),
        }
    }

    /// A session that stays when the network goes.
    pub fn persistent(version: Version, client_id: &str) -> Hello {
        let mut hello = Hello::new(version, client_id);
        hello.clean_start = false;
        hello.with(Property::SessionExpiryInterval(600))
    }

    /// With a property of version 5; version 3 has none and ignores it.
    pub fn with(mut self, property: Property<'_>) -> Hello {
        if self.version == Version::V5 {
            self.properties.push(property);
        }
        self
    }

    /// With a will.
    pub fn with_will(mut self, topic: &str, payload: &str, qos: QoS, retain: bool) -> Hello {
        self.will = Some(Last {
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec(),
            qos,
            retain,
            properties: PropertiesBuf::new(),
        });
        self
    }

    /// With a keep alive.
    pub fn with_keep_alive(mut self, seconds: u16) -> Hello {
        self.keep_alive_seconds = seconds;
        self
    }

    /// The CONNECT packet.
    pub fn encode(&self) -> Vec<u8> {
        let will = self.will.as_ref().map(|last| Will {
            topic: TopicName::parse(&last.topic).expect("a topic name"),
            payload: &last.payload,
            qos: last.qos,
            retain: last.retain,
            properties: last.properties.as_properties(),
        });
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_seconds: self.keep_alive_seconds,
            client_id: &self.client_id,
            will,
            username: None,
            password: None,
            properties: self.properties.as_properties(),
        };
        let mut bytes = Vec::new();
        connect.encode(&mut bytes);
        bytes
    }
}
