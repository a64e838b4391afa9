//! The validated configuration: what every other module takes for granted.

use super::advertise;
use super::cpus::{Machine, parse_list};
use super::error::{ConfigError, Problem};
use super::flags::Given;
use super::listen::{self, Listener};
use super::partition::PartitionLevels;
use super::quantity;
use super::shared_strategy::{SHARED_STRATEGIES, SharedStrategy};
use super::versions::Versions;
use crate::base::limits::SHARDS_MAX;
use ringbus_protocols::http::OriginList;
use ringbus_protocols::mqttsn::PredefinedTopics;
use ringbus_protocols::topic::TopicFilter;
use std::net::SocketAddr;
use std::time::Duration;

/// The largest packet MQTT can express: a 4-byte remaining length and its header.
const PACKET_BYTES_MAX: u64 = 268_435_455 + 5;
/// A CONNECT without a client id is 14 bytes; a smaller limit would refuse everyone.
const PACKET_BYTES_MIN: u64 = 16;
const QUEUE_BYTES_DEFAULT: usize = 8 << 20;
const QUEUE_BYTES_RANGE: (u64, u64) = (1 << 10, 64 << 30);
const CONNECTIONS_MAX: u64 = 1 << 24;
const PACE_US_MAX: u64 = 10_000;
const RATE_MAX: u64 = 10_000_000;
const TEXT_BYTES_MAX: usize = 1024;
/// What a CONNECT of the common clients needs.
const NATS_CONTROL_LINE_MIN: u64 = 512;
const NATS_CONTROL_LINE_MAX: u64 = 64 << 10;
const QUEUED_MESSAGES_MAX: u64 = 1 << 30;
const RETAINED_MESSAGES_MAX: u64 = 1 << 32;
const RETAINED_BYTES_MAX: u64 = 1 << 40;
/// The most whole days below the value that means for ever.
const SESSION_EXPIRY_MAX: Duration = Duration::from_secs(49_710 * 86_400);
/// What the Duration field of ADVERTISE can say [MQTTSN-5.4.1].
const ADVERTISE_INTERVAL_MAX: Duration = Duration::from_secs(65_535);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Everything `ringbus serve` was asked to do. Made only by [`Config::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many shards; 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// CPUs to pin shards to, ascending and not empty. Shard `i` runs on the
    /// `i mod len`th: see [`Config::cpu_of`].
    pub cpus: Vec<usize>,
    /// How topics map to shards.
    pub partition_levels: PartitionLevels,
    /// Where to accept; not empty, no two alike.
    pub listeners: Vec<Listener>,
    /// Whose pages may connect to WebSocket listeners.
    pub ws_origins: OriginList,
    /// Whether WebSocket clients may have permessage-deflate.
    pub ws_compression: bool,
    /// How long a WebSocket client may be silent before it is pinged; zero is off.
    pub ws_ping: Duration,
    /// The longest line of a NATS client, 512 B to 64 KiB.
    pub nats_control_line_max: usize,
    /// How long a NATS client may be silent before it is pinged; zero for ever.
    pub nats_ping: Duration,
    /// Topic ids that MQTT-SN clients know beforehand.
    pub mqttsn_topics: PredefinedTopics,
    /// Filters of topics that need no connection; `None`: every topic on a loopback listener,
    /// none on any other.
    pub mqttsn_open_topics: Option<Vec<Box<str>>>,
    /// MQTT-SN clients of all shards together.
    pub mqttsn_clients_max: usize,
    /// How long an MQTT-SN client may take to acknowledge before it is sent the same again.
    pub mqttsn_retry: Duration,
    /// Where MQTT-SN gateways say that they are there; each address has a listener that
    /// reaches it, [`Config::advertised_by`].
    pub mqttsn_advertise: Vec<SocketAddr>,
    /// Seconds from one such message to the next, 1 or more.
    pub mqttsn_advertise_interval: u16,
    /// The largest packet taken, in bytes, header included.
    pub max_packet_size: u32,
    /// Connections of all shards together; `None`: what open files allow.
    pub max_connections: Option<usize>,
    /// Bytes that may wait for one session; at least `max_packet_size`.
    pub queue_bytes: usize,
    /// QoS 1 and 2 messages that may wait for one client, 1 or more.
    pub queue_messages: usize,
    /// What gives way when there is no room.
    pub queue_policy: QueuePolicy,
    /// Retained messages of all topics; `usize::MAX`: no bound.
    pub retained_messages_max: usize,
    /// Bytes of retained messages of all topics; `usize::MAX`: no bound.
    pub retained_bytes_max: usize,
    /// Topic aliases per connection, each way.
    pub topic_alias_max: u16,
    /// Who of a shared subscription gets the next message.
    pub shared_strategy: SharedStrategy,
    /// PUBLISH packets a second of one client.
    pub publish_rate_max: Option<u32>,
    /// CONNECT packets a second of all clients.
    pub connect_rate_max: Option<u32>,
    /// What clients that ask are told; `%c` stands for the client identifier.
    pub response_information: Option<String>,
    /// Where clients are sent that cannot stay.
    pub server_reference: Option<String>,
    /// From accept to a complete CONNECT.
    pub connect_timeout: Duration,
    /// Seconds that a session outlives its connection at most; `u32::MAX`: for ever.
    pub session_expiry_max: u32,
    /// MQTT versions spoken.
    pub versions: Versions,
    /// Whether payloads that are marked as text must be text.
    pub check_payload_format: bool,
    /// From the first signal to the exit.
    pub drain_timeout: Duration,
    /// The longest paced wait in microseconds; 0 is off.
    pub pace_us_max: u32,
    /// Between two updates of `$SYS`; zero is off.
    pub sys_interval: Duration,
    /// The network driver.
    pub io: IoChoice,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Least level logged.
    pub log_level: LogLevel,
}

/// What gives way when no more may wait for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePolicy {
    /// The message that came last.
    DropNewest,
    /// Those that have waited longest; at QoS 0, where they may be half sent, the newest.
    DropOldest,
    /// The client: it is told 0x97 and closed. Without a connection, the newest message.
    Disconnect,
}

/// The network driver asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoChoice {
    /// Ring where the kernel allows it, else epoll.
    Auto,
    /// io_uring, our own loop.
    Ring,
    /// epoll.
    Epoll,
    /// One glommio executor per shard.
    Glommio,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The least level logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

const QUEUE_POLICIES: [(&str, QueuePolicy); 3] = [
    ("drop-newest", QueuePolicy::DropNewest),
    ("drop-oldest", QueuePolicy::DropOldest),
    ("disconnect", QueuePolicy::Disconnect),
];

const IO_CHOICES: [(&str, IoChoice); 4] = [
    ("auto", IoChoice::Auto),
    ("ring", IoChoice::Ring),
    ("epoll", IoChoice::Epoll),
    ("glommio", IoChoice::Glommio),
];
const LOG_FORMATS: [(&str, LogFormat); 3] = [
    ("auto", LogFormat::Auto),
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
];
const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl Config {
    /// Validates what was given, for this machine.
    ///
    /// # Errors
    /// The first value that cannot be used, as a line for the operator.
    pub fn new(given: &Given, machine: &Machine) -> Result<Config, ConfigError> {
        let reader = Reader { given };
        let flags = &given.flags;
        let cpus = reader.cpus(machine)?;
        let max_packet_size = reader.max_packet_size()?;
        let listeners = reader.listeners()?;
        Ok(Config {
            shards: reader.shards(machine, &cpus)?,
            cpus,
            partition_levels: reader.partition_levels()?,
            ws_origins: reader.ws_origins()?,
            ws_compression: flags.ws_compression,
            ws_ping: reader.duration_or_off("ws-ping", &flags.ws_ping)?,
            nats_control_line_max: reader.nats_control_line_max()?,
            nats_ping: reader.duration_or_off("nats-ping", &flags.nats_ping)?,
            mqttsn_advertise: reader.mqttsn_advertise(&listeners)?,
            mqttsn_advertise_interval: reader.mqttsn_advertise_interval()?,
            listeners,
            mqttsn_topics: reader.mqttsn_topics()?,
            mqttsn_open_topics: reader.mqttsn_open_topics()?,
            mqttsn_clients_max: reader.mqttsn_clients_max()?,
            mqttsn_retry: reader.duration(
                "mqttsn-retry",
                &flags.mqttsn_retry,
                Duration::from_millis(100),
            )?,
            max_packet_size,
            max_connections: reader.max_connections()?,
            queue_bytes: reader.queue_bytes(max_packet_size)?,
            queue_messages: reader.queue_messages()?,
            queue_policy: reader.one_of("queue-policy", &flags.queue_policy, &QUEUE_POLICIES)?,
            retained_messages_max: reader.retained_messages_max()?,
            retained_bytes_max: reader.retained_bytes_max()?,
            topic_alias_max: reader.topic_alias_max()?,
            shared_strategy: reader.one_of(
                "shared-strategy",
                &flags.shared_strategy,
                &SHARED_STRATEGIES,
            )?,
            publish_rate_max: reader.rate("max-publish-rate", flags.max_publish_rate.as_deref())?,
            connect_rate_max: reader.rate("max-connect-rate", flags.max_connect_rate.as_deref())?,
            response_information: reader.text(
                "response-information",
                flags.response_information.as_deref(),
            )?,
            server_reference: reader.text("server-reference", flags.server_reference.as_deref())?,
            connect_timeout: reader.duration(
                "connect-timeout",
                &flags.connect_timeout,
                Duration::from_millis(10),
            )?,
            session_expiry_max: reader.session_expiry_max()?,
            versions: reader.versions()?,
            check_payload_format: flags.check_payload_format,
            drain_timeout: reader.duration(
                "drain-timeout",
                &flags.drain_timeout,
                Duration::ZERO,
            )?,
            pace_us_max: reader.pace_us()?,
            sys_interval: reader.duration_or_off("sys-interval", &flags.sys_interval)?,
            io: reader.one_of("io", &flags.io, &IO_CHOICES)?,
            log_format: reader.one_of("log-format", &flags.log_format, &LOG_FORMATS)?,
            log_level: reader.one_of("log-level", &flags.log_level, &LOG_LEVELS)?,
        })
    }

    /// The CPU that a shard is pinned to. More shards than CPUs share them in turn.
    pub fn cpu_of(&self, shard: usize) -> usize {
        self.cpus[shard % self.cpus.len()]
    }

    /// The CPUs that shards are pinned to, ascending.
    pub fn cpus_in_use(&self) -> Vec<usize> {
        let used = self.cpus.len().min(usize::from(self.shards));
        self.cpus[..used].to_vec()
    }

    /// Whether only this machine can connect.
    pub fn is_local_only(&self) -> bool {
        self.listeners.iter().all(Listener::is_local)
    }
}

/// Reads single flags; each method names its flag once, for value and error.
struct Reader<'a> {
    given: &'a Given,
}

impl Reader<'_> {
    fn fail(&self, flag: &'static str, value: &str, problem: Problem) -> ConfigError {
        ConfigError::new(flag, self.given.origin(flag), value, problem)
    }

    fn count(
        &self,
        flag: &'static str,
        value: &str,
        min: u64,
        max: u64,
    ) -> Result<u64, ConfigError> {
        quantity::count(value, min..=max).map_err(|problem| self.fail(flag, value, problem))
    }

    fn size(
        &self,
        flag: &'static str,
        value: &str,
        min: u64,
        max: u64,
    ) -> Result<u64, ConfigError> {
        quantity::size(value, min..=max).map_err(|problem| self.fail(flag, value, problem))
    }

    fn duration(
        &self,
        flag: &'static str,
        value: &str,
        min: Duration,
    ) -> Result<Duration, ConfigError> {
        quantity::duration(value, min..=TEN_MINUTES)
            .map_err(|problem| self.fail(flag, value, problem))
    }

    fn session_expiry_max(&self) -> Result<u32, ConfigError> {
        let Some(text) = &self.given.flags.max_session_expiry else {
            return Ok(u32::MAX);
        };
        let span = quantity::duration(text, Duration::from_secs(1)..=SESSION_EXPIRY_MAX);
        let span = span.map_err(|problem| self.fail("max-session-expiry", text, problem))?;
        Ok(u32::try_from(span.as_secs()).expect("the range ends below 2^32"))
    }

    fn queue_messages(&self) -> Result<usize, ConfigError> {
        let Some(text) = &self.given.flags.max_queued_messages else {
            return Ok(usize::MAX);
        };
        let count = self.count("max-queued-messages", text, 1, QUEUED_MESSAGES_MAX)?;
        Ok(usize::try_from(count).expect("the range ends at 2^30"))
    }

    fn retained_messages_max(&self) -> Result<usize, ConfigError> {
        let Some(text) = &self.given.flags.max_retained_messages else {
            return Ok(usize::MAX);
        };
        let count = self.count("max-retained-messages", text, 0, RETAINED_MESSAGES_MAX)?;
        Ok(usize::try_from(count).expect("the range ends at 2^32"))
    }

    fn retained_bytes_max(&self) -> Result<usize, ConfigError> {
        let Some(text) = &self.given.flags.max_retained_bytes else {
            return Ok(usize::MAX);
        };
        let bytes = self.size("max-retained-bytes", text, 0, RETAINED_BYTES_MAX)?;
        Ok(usize::try_from(bytes).expect("the range ends at 2^40"))
    }

    fn versions(&self) -> Result<Versions, ConfigError> {
        let text = &self.given.flags.versions;
        Versions::parse(text).map_err(|problem| self.fail("versions", text, problem))
    }

    fn one_of<T: Copy>(
        &self,
        flag: &'static str,
        value: &str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let chosen = choices.iter().find(|(name, _)| *name == value);
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let fix = format!("choose {}", names.join(", "));
            self.fail(flag, value, Problem::new("is not a choice", fix))
        })
    }

    fn cpus(&self, machine: &Machine) -> Result<Vec<usize>, ConfigError> {
        match &self.given.flags.cpuset {
            None => Ok(machine.allowed_cpus.clone()),
            Some(list) => parse_list(list, &machine.allowed_cpus)
                .map_err(|problem| self.fail("cpuset", list, problem)),
        }
    }

    fn shards(&self, machine: &Machine, cpus: &[usize]) -> Result<u16, ConfigError> {
        let shards = match (&self.given.flags.shards, &self.given.flags.cpuset) {
            (Some(text), _) => self.count("shards", text, 1, u64::from(SHARDS_MAX))?,
            (None, Some(_)) => cpus.len() as u64,
            // A cgroup quota leaves less than the CPUs we may run on; threads
            // beyond it would only wait for each other.
            (None, None) => cpus.len().min(machine.parallelism) as u64,
        };
        Ok(u16::try_from(shards)
            .unwrap_or(SHARDS_MAX)
            .clamp(1, SHARDS_MAX))
    }

    fn partition_levels(&self) -> Result<PartitionLevels, ConfigError> {
        let flag = "partition-levels";
        let mut levels = PartitionLevels::default();
        for text in self.given.each(flag, &self.given.flags.partition_levels) {
            levels
                .add(text)
                .map_err(|problem| self.fail(flag, text, problem))?;
        }
        Ok(levels)
    }

    fn listeners(&self) -> Result<Vec<Listener>, ConfigError> {
        let flag = "listen";
        let mut listeners: Vec<Listener> = Vec::new();
        for url in self.given.each(flag, &self.given.flags.listen) {
            let parsed = listen::parse(url).map_err(|problem| self.fail(flag, url, problem))?;
            for listener in parsed {
                if listeners.contains(&listener) && !listener.takes_any_port() {
                    let problem = Problem::new("is listed twice", "remove one of the two");
                    return Err(self.fail(flag, url, problem));
                }
                listeners.push(listener);
            }
        }
        Ok(listeners)
    }

    fn max_packet_size(&self) -> Result<u32, ConfigError> {
        let text = &self.given.flags.max_packet_size;
        let bytes = self.size("max-packet-size", text, PACKET_BYTES_MIN, PACKET_BYTES_MAX)?;
        Ok(u32::try_from(bytes).expect("the range ends below 2^32"))
    }

    fn max_connections(&self) -> Result<Option<usize>, ConfigError> {
        let Some(text) = &self.given.flags.max_connections else {
            return Ok(None);
        };
        let count = self.count("max-connections", text, 1, CONNECTIONS_MAX)?;
        Ok(Some(
            usize::try_from(count).expect("the range ends at 2^24"),
        ))
    }

    fn queue_bytes(&self, max_packet_size: u32) -> Result<usize, ConfigError> {
        let flag = "queue-bytes";
        let packet = max_packet_size as usize;
        let Some(text) = &self.given.flags.queue_bytes else {
            return Ok(QUEUE_BYTES_DEFAULT.max(2 * packet));
        };
        let (min, max) = QUEUE_BYTES_RANGE;
        let bytes = usize::try_from(self.size(flag, text, min, max)?).unwrap_or(usize::MAX);
        if bytes < packet {
            let packet = quantity::human_size(u64::from(max_packet_size));
            let problem = Problem::new(
                format!("is less than one packet of --max-packet-size {packet}"),
                format!("use {packet} or more, or lower --max-packet-size"),
            );
            return Err(self.fail(flag, text, problem));
        }
        Ok(bytes)
    }

    fn topic_alias_max(&self) -> Result<u16, ConfigError> {
        let text = &self.given.flags.topic_alias_max;
        let count = self.count("topic-alias-max", text, 0, u64::from(u16::MAX))?;
        Ok(u16::try_from(count).expect("the range ends at 65,535"))
    }

    /// A second or more, or 0.
    fn duration_or_off(&self, flag: &'static str, text: &str) -> Result<Duration, ConfigError> {
        match text {
            "0" | "0s" => Ok(Duration::ZERO),
            _ => self.duration(flag, text, Duration::from_secs(1)),
        }
    }

    fn ws_origins(&self) -> Result<OriginList, ConfigError> {
        let flag = "ws-origin";
        let mut origins = OriginList::default();
        for text in self.given.each(flag, &self.given.flags.ws_origin) {
            origins.add(text).map_err(|why| {
                let fix = "write https://app.example.com, with a port if it is not the usual one";
                self.fail(flag, text, Problem::new(why, fix))
            })?;
        }
        Ok(origins)
    }

    fn nats_control_line_max(&self) -> Result<usize, ConfigError> {
        let (flag, text) = (
            "nats-max-control-line",
            &self.given.flags.nats_max_control_line,
        );
        let bytes = self.size(flag, text, NATS_CONTROL_LINE_MIN, NATS_CONTROL_LINE_MAX)?;
        Ok(usize::try_from(bytes).expect("the range ends at 64 KiB"))
    }

    fn mqttsn_topics(&self) -> Result<PredefinedTopics, ConfigError> {
        let flag = "mqttsn-topics";
        let Some(path) = &self.given.flags.mqttsn_topics else {
            return Ok(PredefinedTopics::default());
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let problem = Problem::new(format!("cannot be read: {error}"), "name a text file");
            self.fail(flag, path, problem)
        })?;
        PredefinedTopics::parse(&text).map_err(|error| {
            let fix = "each line is an id from 1 to 65534, a space and a topic";
            self.fail(flag, path, Problem::new(error.to_string(), fix))
        })
    }

    fn mqttsn_clients_max(&self) -> Result<usize, ConfigError> {
        let text = &self.given.flags.mqttsn_max_clients;
        let count = self.count("mqttsn-max-clients", text, 1, CONNECTIONS_MAX)?;
        Ok(usize::try_from(count).expect("the range ends at 2^24"))
    }

    fn mqttsn_open_topics(&self) -> Result<Option<Vec<Box<str>>>, ConfigError> {
        let flag = "mqttsn-open-topics";
        let mut filters: Vec<Box<str>> = Vec::new();
        for text in self.given.each(flag, &self.given.flags.mqttsn_open_topics) {
            TopicFilter::parse(text).map_err(|error| {
                let fix = "write a topic filter, as sensors/# or aa";
                self.fail(flag, text, Problem::new(error.in_words(), fix))
            })?;
            filters.push(text.into());
        }
        Ok((!filters.is_empty()).then_some(filters))
    }

    fn mqttsn_advertise(&self, listeners: &[Listener]) -> Result<Vec<SocketAddr>, ConfigError> {
        let flag = "mqttsn-advertise";
        let mut addresses = Vec::new();
        for text in self.given.each(flag, &self.given.flags.mqttsn_advertise) {
            let to = advertise::parse(text, listeners)
                .map_err(|problem| self.fail(flag, text, problem))?;
            if addresses.contains(&to) {
                let problem = Problem::new("is listed twice", "remove one of the two");
                return Err(self.fail(flag, text, problem));
            }
            addresses.push(to);
        }
        Ok(addresses)
    }

    /// In whole seconds, rounded up: so it is told.
    fn mqttsn_advertise_interval(&self) -> Result<u16, ConfigError> {
        let (flag, text) = (
            "mqttsn-advertise-interval",
            &self.given.flags.mqttsn_advertise_interval,
        );
        let span = quantity::duration(text, Duration::from_secs(1)..=ADVERTISE_INTERVAL_MAX)
            .map_err(|problem| self.fail(flag, text, problem))?;
        let seconds = span.as_millis().div_ceil(1000);
        Ok(u16::try_from(seconds).expect("the range ends at 65,535 s"))
    }

    fn rate(&self, flag: &'static str, text: Option<&str>) -> Result<Option<u32>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        let count = self.count(flag, text, 1, RATE_MAX)?;
        Ok(Some(u32::try_from(count).expect("the range ends at 10^7")))
    }

    /// Text that goes out as an MQTT string.
    fn text(&self, flag: &'static str, text: Option<&str>) -> Result<Option<String>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            let why = if text.is_empty() {
                "is empty"
            } else {
                "is too long"
            };
            let fix = format!("write 1 to {TEXT_BYTES_MAX} bytes, or leave the flag out");
            return Err(self.fail(flag, text, Problem::new(why, fix)));
        }
        Ok(Some(text.to_owned()))
    }

    fn pace_us(&self) -> Result<u32, ConfigError> {
        let us = self.count("pace-us", &self.given.flags.pace_us, 0, PACE_US_MAX)?;
        Ok(u32::try_from(us).expect("the range ends at 10,000"))
    }
}
