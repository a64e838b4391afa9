//! What a shard must know, already validated.

use std::sync::Arc;

use ringbus_protocols::http::OriginList;
use ringbus_protocols::mqttsn::Settings;

use super::{Admission, Advertise, Rate};
use crate::auth::Mechanism;
use crate::base::Nanos;
use crate::config::{QueuePolicy, SharedStrategy, Versions};
use crate::pubsub::{Partitioner, RetainedQuota};
use crate::session::QueueLimit;

/// The settings of every shard of one process.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// How many shards there are, 1 to [`limits::SHARDS_MAX`](crate::base::limits::SHARDS_MAX).
    pub shards: u16,
    /// The largest packet a client may send, in bytes, header included.
    pub max_packet_size: u32,
    /// Bytes that wait for one client at most: unsent output, and its queue of QoS 1 and 2.
    pub queue_bytes: usize,
    /// QoS 1 and 2 messages that may wait for one client, beside those under way; 1 or more.
    pub queue_messages: usize,
    /// What gives way when there is no room.
    pub queue_policy: QueuePolicy,
    /// Who of a shared subscription gets the next message.
    pub shared_strategy: SharedStrategy,
    /// How long a connection may live before its CONNECT.
    pub connect_timeout: Nanos,
    /// MQTT versions spoken.
    pub versions: Versions,
    /// Whether payloads that are marked as text must be text.
    pub check_payload_format: bool,
    /// Seconds that a session outlives its connection at most; [`NEVER_EXPIRES`] for no bound.
    ///
    /// [`NEVER_EXPIRES`]: crate::session::NEVER_EXPIRES
    pub session_expiry_max: u32,
    /// Unacknowledged QoS 1 and 2 publishes that a v5 client may have under way, 1 or more.
    pub receive_maximum: u16,
    /// Topic aliases that a v5 client may set up, and that one may be sent.
    pub topic_alias_maximum: u16,
    /// PUBLISH packets of one client.
    pub publish_rate: Option<Rate>,
    /// What clients that ask are told; `%c` stands for the client identifier.
    pub response_information: Option<Box<str>>,
    /// Where clients are sent when they cannot stay.
    pub server_reference: Option<Box<str>>,
    /// What WebSocket listeners take.
    pub web: WebConfig,
    /// What NATS listeners take.
    pub nats: NatsConfig,
    /// What MQTT-SN listeners take.
    pub sn: SnConfig,
    /// Methods of extended authentication.
    pub mechanisms: Vec<Arc<dyn Mechanism>>,
    /// The longest paced wait in microseconds; 0 turns pacing off.
    pub pace_us_max: u32,
    /// How often the broker tells of itself below `$SYS`; 0 for never.
    pub sys_interval: Nanos,
    /// Which shard owns a topic.
    pub partitioner: Arc<Partitioner>,
    /// The hash of everything a stranger may choose, the same on every shard of the process.
    pub hasher: ahash::RandomState,
    /// The connections of the whole process, against their maximum.
    pub admission: Arc<Admission>,
    /// What the whole process retains, against its maximum.
    pub retained_quota: Arc<RetainedQuota>,
}

/// What WebSocket listeners take.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// Whose pages may connect, beside those of the same origin.
    pub origins: OriginList,
    /// Whether clients may have permessage-deflate.
    pub compression: bool,
    /// How long a client may be silent before it is pinged; zero for ever.
    pub ping: Nanos,
}

/// What NATS listeners take, and say of themselves.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// Names this process among others.
    pub server_id: Box<str>,
    /// Where it listens.
    pub host: Box<str>,
    /// The port there.
    pub port: u16,
    /// The longest line of a client, in bytes.
    pub control_line_max: usize,
    /// How long a client may be silent before it is pinged; zero for ever.
    pub ping: Nanos,
}

impl NatsConfig {
    /// Bytes of headers and payload of one message, so that with its subject it is within what an
    /// MQTT packet may have.
    #[must_use]
    pub fn payload_max(&self, max_packet_size: u32) -> usize {
        let max = max_packet_size as usize;
        max - (self.control_line_max + PACKET_ROOM).min(max / 2)
    }
}

/// Bytes of a packet beside subject and payload, and some to spare.
const PACKET_ROOM: usize = 1024;

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            server_id: "ringbus".into(),
            host: "127.0.0.1".into(),
            port: 4222,
            control_line_max: 4096,
            ping: Nanos::ZERO,
        }
    }
}

/// What MQTT-SN listeners take.
#[derive(Clone, Debug)]
pub struct SnConfig {
    /// What the gateways of all clients share.
    pub gateway: Settings,
    /// Filters of the topics that everybody may publish to at QoS −1. `None`: every topic where
    /// only this machine can send, else none.
    pub open_topics: Option<Vec<Box<str>>>,
    /// Where and how often the gateway says that it is there.
    pub advertise: Advertise,
    /// By the number of a UDP listener: whether only this machine reaches it.
    pub local_listeners: Vec<bool>,
    /// The clients of the whole process, against their maximum: they take no open files, as
    /// connections do.
    pub admission: Arc<Admission>,
}

/// Clients of MQTT-SN if nothing else is said: 256 MiB of them when they sleep.
const SN_CLIENTS_MAX: usize = 256 << 10;

impl Default for SnConfig {
    fn default() -> Self {
        Self {
            gateway: Settings::default(),
            open_topics: None,
            advertise: Advertise::default(),
            local_listeners: Vec::new(),
            admission: Arc::new(Admission::new(SN_CLIENTS_MAX)),
        }
    }
}

impl SnConfig {
    /// Whether only this machine reaches the UDP listener of that number.
    pub(super) fn is_local(&self, listener: u16) -> bool {
        let is_local = self.local_listeners.get(usize::from(listener));
        is_local.copied().unwrap_or(false)
    }
}

impl ShardConfig {
    /// What tests of shards start from.
    #[cfg(test)]
    pub(crate) fn of_tests(shards: u16) -> Self {
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let levels = crate::config::PartitionLevels::default();
        Self {
            shards,
            max_packet_size: 1 << 20,
            queue_bytes: 1 << 20,
            queue_messages: usize::MAX,
            queue_policy: QueuePolicy::DropNewest,
            shared_strategy: SharedStrategy::RoundRobin,
            connect_timeout: Nanos::from_secs(10),
            versions: Versions::ALL,
            check_payload_format: false,
            session_expiry_max: u32::MAX,
            receive_maximum: 20,
            topic_alias_maximum: 8,
            publish_rate: None,
            response_information: None,
            server_reference: None,
            web: WebConfig::default(),
            nats: NatsConfig::default(),
            sn: SnConfig {
                local_listeners: vec![true],
                ..SnConfig::default()
            },
            mechanisms: Vec::new(),
            pace_us_max: 0,
            sys_interval: Nanos::ZERO,
            partitioner: Arc::new(Partitioner::new(shards, levels, hasher.clone())),
            hasher,
            admission: Arc::new(Admission::new(100)),
            retained_quota: Arc::new(RetainedQuota::new(usize::MAX, usize::MAX)),
        }
    }

    /// The places of clients by datagrams, or of those by streams.
    pub(super) fn admission_of(&self, is_sn: bool) -> &Admission {
        match is_sn {
            true => &self.sn.admission,
            false => &self.admission,
        }
    }

    /// What may wait for one client at QoS 1 and 2.
    #[inline]
    pub(super) fn queue_limit(&self) -> QueueLimit {
        QueueLimit {
            bytes: self.queue_bytes,
            messages: self.queue_messages,
            drops_oldest: self.queue_policy == QueuePolicy::DropOldest,
        }
    }
}
