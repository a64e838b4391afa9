//! Identifiers that travel between a shard, its driver and its peers.

use std::fmt;

/// One shard of this process, numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The position of this shard in a table with one entry per shard.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one shard's [`Slab`](super::Slab): its slot, and which occupant of that slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The slot.
    pub index: u32,
    /// How often the slot had been given out before.
    pub generation: u32,
}

/// A connection of one shard. The generation makes a late completion of a closed connection
/// harmless to its successor.
pub type ConnId = Key;

/// A session of one shard, connected or not.
pub type SessionId = Key;

impl Key {
    /// One word that holds both, generation in the upper half.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`Key::to_u64`].
    #[must_use]
    pub fn from_u64(word: u64) -> Self {
        let low = u32::try_from(word & u64::from(u32::MAX)).expect("masked to 32 bits");
        let high = u32::try_from(word >> 32).expect("shifted to 32 bits");
        Self {
            index: low,
            generation: high,
        }
    }
}

/// What a driver knows a connection's socket by: a file descriptor, or a number in the simulator.
pub type Socket = i32;

/// What is spoken on connections of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// MQTT on the bare stream.
    #[default]
    Mqtt,
    /// HTTP, and on it WebSocket.
    Ws,
    /// The NATS client protocol.
    Nats,
    /// MQTT-SN, in datagrams.
    MqttSn,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Ws => "ws",
            Self::Nats => "nats",
            Self::MqttSn => "mqttsn",
        }
    }

    /// The port where a URL names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Ws => 8000,
            Self::Nats => 4222,
            Self::MqttSn => 1884,
        }
    }
}

/// The other end of a connection, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer(pub Option<std::net::SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("a local socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnId;

    #[test]
    fn conn_id_survives_its_word() {
        let conn = ConnId {
            index: 7,
            generation: u32::MAX,
        };
        assert_eq!(ConnId::from_u64(conn.to_u64()), conn);
    }
}
