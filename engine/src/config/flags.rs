//! The flags of `ringbus serve`, as typed: the one definition behind parsing,
//! `--help` and the environment variables. Values stay text here, so that every
//! mistake is reported in one voice by `model`.

use super::error::Origin;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args};

/// One of each protocol, for this machine alone.
const DEFAULT_LISTENERS: [&str; 4] = [
    "mqtt://127.0.0.1:1883",
    "ws://127.0.0.1:8000",
    "nats://127.0.0.1:4222",
    "mqttsn://127.0.0.1:1884",
];

/// Raw flags; [`super::Config`] is made of them.
#[derive(Args, Clone, Debug)]
#[allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::bare_urls,
    reason = "this is help text, in which [::] is an address and a URL an example"
)]
pub struct ServeFlags {
    /// Accept clients here: mqtt, ws, nats or mqttsn://HOST:PORT, or unix:/PATH (repeatable)
    ///
    /// mqtt and unix speak MQTT, mqttsn speaks MQTT-SN by UDP. ws speaks
    /// WebSocket, and on it MQTT, STOMP or bare messages; clients may name any
    /// path. nats speaks the NATS client protocol. An IPv6 address goes in
    /// brackets, port 0 takes a free port, and every interface is 0.0.0.0 or
    /// [::]. Any --listen replaces the defaults.
    ///
    /// Example: ringbus -l mqtt://0.0.0.0:1883 -l ws://0.0.0.0:8000
    #[arg(short, long, value_name = "URL", env = "RINGBUS_LISTEN")]
    #[arg(default_values = DEFAULT_LISTENERS)]
    #[arg(help_heading = "Listening")]
    pub listen: Vec<String>,

    /// Most connections at a time, all shards together
    ///
    /// One more is refused: 0x97, Quota exceeded, or --server-reference; a
    /// crowd of them is closed at once. Without the flag it is what the limit of
    /// open files allows; that limit is raised as far as the system lets it.
    ///
    /// Example: ringbus --max-connections 50000
    #[arg(
        long,
        value_name = "N",
        env = "RINGBUS_MAX_CONNECTIONS",
        help_heading = "Listening"
    )]
    #[arg(allow_negative_numbers = true)]
    pub max_connections: Option<String>,

    /// Web pages of this origin may connect: SCHEME://HOST[:PORT], or * for any (repeatable)
    ///
    /// Without it only pages that come from the same host and port as the
    /// WebSocket may, and programs that are no browsers.
    ///
    /// Example: ringbus --ws-origin https://app.example.com
    #[arg(long, value_name = "ORIGIN", env = "RINGBUS_WS_ORIGIN")]
    #[arg(help_heading = "WebSocket")]
    pub ws_origin: Vec<String>,

    /// Compress messages to WebSocket clients that ask for it (permessage-deflate)
    ///
    /// It saves network and costs CPU: a few µs for a message of 1 KiB, and
    /// up to 9 KiB of memory a connection.
    ///
    /// Example: ringbus --ws-compression
    #[arg(long, env = "RINGBUS_WS_COMPRESSION", help_heading = "WebSocket")]
    pub ws_compression: bool,

    /// Ping WebSocket clients that are silent for so long; 0 turns it off
    ///
    /// One that leaves two pings unanswered is closed.
    ///
    /// Example: ringbus --ws-ping 10s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_WS_PING",
        default_value = "30s"
    )]
    #[arg(help_heading = "WebSocket")]
    pub ws_ping: String,

    /// Longest line of a NATS client, without the payload
    ///
    /// A client that sends a longer one is closed: Maximum Control Line
    /// Exceeded. It bounds subjects, and subscriptions with their queue groups.
    ///
    /// Example: ringbus --nats-max-control-line 8KiB
    #[arg(
        long,
        value_name = "SIZE",
        env = "RINGBUS_NATS_MAX_CONTROL_LINE",
        default_value = "4096"
    )]
    #[arg(help_heading = "NATS")]
    pub nats_max_control_line: String,

    /// Ping NATS clients that are silent for so long; 0 turns it off
    ///
    /// One that leaves two pings unanswered is closed: Stale Connection.
    ///
    /// Example: ringbus --nats-ping 10s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_NATS_PING",
        default_value = "30s"
    )]
    #[arg(help_heading = "NATS")]
    pub nats_ping: String,

    /// Topic ids that MQTT-SN clients know beforehand: a file of lines ID TOPIC
    ///
    /// Ids are 1 to 65534. Empty lines and those that start with # do not count.
    ///
    /// Example: ringbus --mqttsn-topics /etc/ringbus/topics
    #[arg(long, value_name = "FILE", env = "RINGBUS_MQTTSN_TOPICS")]
    #[arg(help_heading = "MQTT-SN")]
    pub mqttsn_topics: Option<String>,

    /// Topics that anyone may publish to without a connection, by MQTT-SN's QoS -1 (repeatable)
    ///
    /// Such a message names its topic by a predefined id or by two characters.
    /// Without the flag it may be any topic if the listener is a loopback
    /// address, and none on other listeners.
    ///
    /// Example: ringbus --mqttsn-open-topics sensors/#
    #[arg(long, value_name = "FILTER", env = "RINGBUS_MQTTSN_OPEN_TOPICS")]
    #[arg(help_heading = "MQTT-SN")]
    pub mqttsn_open_topics: Vec<String>,

    /// Most MQTT-SN clients at a time, all shards together
    ///
    /// They take no open files, so --max-connections does not count them. One
    /// that sleeps takes about 1 KiB of memory.
    ///
    /// Example: ringbus --mqttsn-max-clients 1000000
    #[arg(
        long,
        value_name = "N",
        env = "RINGBUS_MQTTSN_MAX_CLIENTS",
        default_value = "262144"
    )]
    #[arg(help_heading = "MQTT-SN", allow_negative_numbers = true)]
    pub mqttsn_max_clients: String,

    /// Send an MQTT-SN client again what it did not acknowledge for so long
    ///
    /// One that does not answer three times in a row is lost.
    ///
    /// Example: ringbus --mqttsn-retry 5s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_MQTTSN_RETRY",
        default_value = "10s"
    )]
    #[arg(help_heading = "MQTT-SN")]
    pub mqttsn_retry: String,

    /// Tell MQTT-SN clients at this address that the gateway is there (repeatable)
    ///
    /// An IP address and a port: a broadcast address of a network, a multicast
    /// group, or one host. ADVERTISE leaves by each listener of the same
    /// family, at the start and then at the interval below. A group is joined,
    /// so that clients can search for the gateway there.
    ///
    /// Example: ringbus -l mqttsn://0.0.0.0 --mqttsn-advertise 192.168.1.255:1884
    #[arg(long, value_name = "ADDRESS", env = "RINGBUS_MQTTSN_ADVERTISE")]
    #[arg(help_heading = "MQTT-SN")]
    pub mqttsn_advertise: Vec<String>,

    /// Time from one such message to the next, 1s to 65535s
    ///
    /// Clients are told, and look for another gateway after some that were
    /// missing.
    ///
    /// Example: ringbus --mqttsn-advertise 239.1.2.3:1884 --mqttsn-advertise-interval 5m
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_MQTTSN_ADVERTISE_INTERVAL",
        default_value = "15m"
    )]
    #[arg(help_heading = "MQTT-SN")]
    pub mqttsn_advertise_interval: String,

    /// How many shards (threads) to run [default: one per CPU allowed]
    ///
    /// A shard owns its connections, its sessions and one partition of the
    /// topics. One shard is the fastest per message; more carry more in all.
    ///
    /// Example: ringbus --shards 4
    #[arg(
        long,
        value_name = "N",
        env = "RINGBUS_SHARDS",
        help_heading = "Shards"
    )]
    #[arg(allow_negative_numbers = true)]
    pub shards: Option<String>,

    /// CPUs to pin the shards to, as for taskset [default: all allowed]
    ///
    /// Example: ringbus --cpuset 2,4-7
    #[arg(
        long,
        value_name = "LIST",
        env = "RINGBUS_CPUSET",
        help_heading = "Shards"
    )]
    pub cpuset: Option<String>,

    /// Leading topic levels that decide which shard owns a topic: N or ROOT=N (repeatable)
    ///
    /// Topics that agree in them live on one shard. More levels spread one busy
    /// prefix over more shards; a subscription with a wildcard within them is
    /// kept by every shard.
    ///
    /// Example: ringbus --partition-levels 2 --partition-levels spBv1.0=4
    #[arg(long, value_name = "N", env = "RINGBUS_PARTITION_LEVELS")]
    #[arg(default_value = "2", help_heading = "Shards")]
    pub partition_levels: Vec<String>,

    /// Network driver: auto, ring, epoll or glommio
    ///
    /// auto is ring (io_uring), or epoll where the kernel or a container's
    /// seccomp profile denies io_uring; the banner says which and why.
    ///
    /// Example: ringbus --io epoll
    #[arg(
        long,
        value_name = "DRIVER",
        env = "RINGBUS_IO",
        default_value = "auto"
    )]
    #[arg(help_heading = "Shards")]
    pub io: String,

    /// Longest wait of a busy shard for more work, in µs; 0 turns it off
    ///
    /// Under many small writes a shard sleeps up to so long to
    /// do more per system call. An idle shard always answers at once.
    ///
    /// Example: ringbus --pace-us 0
    #[arg(long, value_name = "N", env = "RINGBUS_PACE_US", default_value = "800")]
    #[arg(allow_negative_numbers = true, help_heading = "Shards")]
    pub pace_us: String,

    /// Most CONNECT packets a second, all shards together
    ///
    /// As many may come at once. One more is refused: Connection rate exceeded
    /// in MQTT 5, Server unavailable in MQTT 3.
    ///
    /// Example: ringbus --max-connect-rate 500
    #[arg(long, value_name = "N", env = "RINGBUS_MAX_CONNECT_RATE")]
    #[arg(allow_negative_numbers = true, help_heading = "Limits")]
    pub max_connect_rate: Option<String>,

    /// Most PUBLISH packets a second of one client
    ///
    /// As many may come at once. A client that sends more is disconnected
    /// with 0x96, Message rate too high; in MQTT 3 it is closed.
    ///
    /// Example: ringbus --max-publish-rate 1000
    #[arg(long, value_name = "N", env = "RINGBUS_MAX_PUBLISH_RATE")]
    #[arg(allow_negative_numbers = true, help_heading = "Limits")]
    pub max_publish_rate: Option<String>,

    /// Largest MQTT packet taken, whole packet
    ///
    /// A client that sends a larger one is disconnected with reason 0x95
    /// (Packet too large). MQTT 5 clients are told the limit when they connect.
    ///
    /// Example: ringbus --max-packet-size 16MiB
    #[arg(
        long,
        value_name = "SIZE",
        env = "RINGBUS_MAX_PACKET_SIZE",
        default_value = "2MiB"
    )]
    #[arg(help_heading = "Limits")]
    pub max_packet_size: String,

    /// Most bytes that may wait for one client [default: 8MiB, or twice --max-packet-size]
    ///
    /// It bounds what a slow or absent subscriber costs: what does not fit is
    /// dropped for that subscriber, and counted. Publishers never wait for it.
    ///
    /// Example: ringbus --queue-bytes 1MiB
    #[arg(
        long,
        visible_alias = "max-queued-bytes",
        value_name = "SIZE",
        env = "RINGBUS_QUEUE_BYTES",
        help_heading = "Limits"
    )]
    pub queue_bytes: Option<String>,

    /// Topic aliases per MQTT 5 connection, each way
    ///
    /// So many may a client set up; and if it takes some, the first topics it
    /// is sent get so many at most. 0 turns them off.
    ///
    /// Example: ringbus --topic-alias-max 1000
    #[arg(
        long,
        value_name = "N",
        env = "RINGBUS_TOPIC_ALIAS_MAX",
        default_value = "64"
    )]
    #[arg(allow_negative_numbers = true, help_heading = "Limits")]
    pub topic_alias_max: String,

    /// Time for a new connection to send its CONNECT
    ///
    /// Example: ringbus --connect-timeout 5s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_CONNECT_TIMEOUT",
        default_value = "10s"
    )]
    #[arg(help_heading = "Limits")]
    pub connect_timeout: String,

    /// QoS 1 and 2 messages that may wait for one client
    ///
    /// Beside those that are sent and not acknowledged yet. --queue-bytes
    /// bounds them, too.
    ///
    /// Example: ringbus --max-queued-messages 1000
    #[arg(long, value_name = "N", env = "RINGBUS_MAX_QUEUED_MESSAGES")]
    #[arg(help_heading = "Limits")]
    pub max_queued_messages: Option<String>,

    /// What gives way beyond: drop-newest, drop-oldest or disconnect
    ///
    /// disconnect closes the client with 0x97 (Quota exceeded); for one that
    /// is away the newest message is dropped. At QoS 0, drop-oldest drops the
    /// newest, since the oldest may be half sent.
    ///
    /// Example: ringbus --queue-policy drop-oldest
    #[arg(long, value_name = "POLICY", env = "RINGBUS_QUEUE_POLICY")]
    #[arg(default_value = "drop-newest", help_heading = "Limits")]
    pub queue_policy: String,

    /// Most retained messages, all topics together [default: none]
    ///
    /// What does not fit reaches those who are subscribed, but is not kept,
    /// and neither is the value it would replace; MQTT 5 publishers at QoS 1
    /// are told 0x97 (Quota exceeded). $SYS does not count.
    ///
    /// Example: ringbus --max-retained-messages 1000000
    #[arg(long, value_name = "N", env = "RINGBUS_MAX_RETAINED_MESSAGES")]
    #[arg(allow_negative_numbers = true, help_heading = "Limits")]
    pub max_retained_messages: Option<String>,

    /// Most bytes of retained messages, all topics together [default: none]
    ///
    /// A message counts with its topic, payload and properties, and some 20
    /// bytes more. Beyond, as for --max-retained-messages.
    ///
    /// Example: ringbus --max-retained-bytes 1GiB
    #[arg(long, value_name = "SIZE", env = "RINGBUS_MAX_RETAINED_BYTES")]
    #[arg(help_heading = "Limits")]
    pub max_retained_bytes: Option<String>,

    /// Who of a shared subscription gets the next message
    ///
    /// round-robin: each member in turn; random: any; sticky: the same one as
    /// long as it takes messages; hash-client: by the publisher's client
    /// identifier; least-inflight: who has the fewest that are not acknowledged.
    /// Members without a connection are passed over while another has one.
    ///
    /// Example: ringbus --shared-strategy least-inflight
    #[arg(long, value_name = "NAME", env = "RINGBUS_SHARED_STRATEGY")]
    #[arg(default_value = "round-robin", help_heading = "Limits")]
    pub shared_strategy: String,

    /// Longest a session may outlive its connection
    ///
    /// A client that asks for more gets this, and MQTT 5 clients are told.
    /// Without it, sessions live as long as their clients ask for; those of
    /// MQTT 3 clients without Clean Session for ever.
    ///
    /// Example: ringbus --max-session-expiry 7d
    #[arg(long, value_name = "TIME", env = "RINGBUS_MAX_SESSION_EXPIRY")]
    #[arg(help_heading = "Limits")]
    pub max_session_expiry: Option<String>,

    /// MQTT versions spoken: some of 3.1, 3.1.1 and 5
    ///
    /// A client of another version is refused: Unsupported protocol version.
    ///
    /// Example: ringbus --versions 3.1.1,5
    #[arg(long, value_name = "LIST", env = "RINGBUS_VERSIONS")]
    #[arg(default_value = "3.1,3.1.1,5", help_heading = "Limits")]
    pub versions: String,

    /// Refuse text that is not UTF-8
    ///
    /// MQTT 5 publishers may mark a payload as UTF-8 text. With this flag it is
    /// checked, and wrong text is refused with 0x99, Payload format invalid.
    ///
    /// Example: ringbus --check-payload-format
    #[arg(long, env = "RINGBUS_CHECK_PAYLOAD_FORMAT", help_heading = "Limits")]
    pub check_payload_format: bool,

    /// Time to flush and say goodbye to clients after SIGTERM or SIGINT
    ///
    /// A second signal quits at once.
    ///
    /// Example: ringbus --drain-timeout 30s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_DRAIN_TIMEOUT",
        default_value = "10s"
    )]
    #[arg(help_heading = "Limits")]
    pub drain_timeout: String,

    /// How often the topics below $SYS are updated; 0 turns them off
    ///
    /// $SYS/broker/... has the topics that Mosquitto has, $SYS/shard/N/... the
    /// counters of each shard. Only values that changed are published.
    ///
    /// Example: ringbus --sys-interval 60s
    #[arg(
        long,
        value_name = "TIME",
        env = "RINGBUS_SYS_INTERVAL",
        default_value = "10s"
    )]
    #[arg(help_heading = "Statistics")]
    pub sys_interval: String,

    /// Another server for clients that cannot stay, sent as it stands
    ///
    /// MQTT 5 clients get it with 0x9C, Use another server: all of them after
    /// SIGTERM, and those that come then or find no place.
    ///
    /// Example: ringbus --server-reference mqtt2.example.com:1883
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "RINGBUS_SERVER_REFERENCE",
        help_heading = "Clients"
    )]
    pub server_reference: Option<String>,

    /// Response Information for MQTT 5 clients that ask for it
    ///
    /// Mostly a topic under which replies may be expected. %c stands for the
    /// client identifier.
    ///
    /// Example: ringbus --response-information replies/%c
    #[arg(
        long,
        value_name = "TEXT",
        env = "RINGBUS_RESPONSE_INFORMATION",
        help_heading = "Clients"
    )]
    pub response_information: Option<String>,

    /// Form of the log on stderr: auto, text or json
    ///
    /// auto is text on a terminal and JSON lines otherwise.
    ///
    /// Example: ringbus --log-format json
    #[arg(
        long,
        value_name = "FORMAT",
        env = "RINGBUS_LOG_FORMAT",
        default_value = "auto"
    )]
    #[arg(help_heading = "Logging")]
    pub log_format: String,

    /// Least level logged: error, warn, info, debug or trace
    ///
    /// Example: ringbus --log-level debug
    #[arg(
        long,
        value_name = "LEVEL",
        env = "RINGBUS_LOG_LEVEL",
        default_value = "info"
    )]
    #[arg(help_heading = "Logging")]
    pub log_level: String,

    /// Check flags and environment, then exit: 0 if valid, 2 if not
    ///
    /// Example: ringbus --check-config -l mqtt://0.0.0.0:1883
    #[arg(long, help_heading = "Other")]
    pub check_config: bool,

    /// Print a summary (-h) or everything (--help)
    #[arg(short, long, action = ArgAction::Help, help_heading = "Other")]
    help: Option<bool>,
}

/// Raw flags together with where each came from.
#[derive(Clone, Debug)]
pub struct Given {
    pub(crate) flags: ServeFlags,
    from_environment: Vec<String>,
}

impl Given {
    /// `matches` are the ones that `flags` were read from.
    pub fn new(flags: ServeFlags, matches: &ArgMatches) -> Given {
        let ids = matches.ids().map(clap::Id::as_str);
        let from_environment = ids
            .filter(|id| matches.value_source(id) == Some(ValueSource::EnvVariable))
            .map(|id| id.replace('_', "-"))
            .collect();
        Given {
            flags,
            from_environment,
        }
    }

    /// Whether the operator wants only to know if this is valid.
    pub fn only_checks(&self) -> bool {
        self.flags.check_config
    }

    pub(crate) fn origin(&self, flag: &str) -> Origin {
        if self.from_environment.iter().any(|known| known == flag) {
            Origin::Environment
        } else {
            Origin::Flag
        }
    }

    /// The values of a repeatable flag. A variable can hold only one text, so
    /// there they are separated by commas.
    pub(crate) fn each<'a>(&self, flag: &str, values: &'a [String]) -> Vec<&'a str> {
        let split = self.origin(flag) == Origin::Environment;
        let texts = values.iter().map(String::as_str);
        if split {
            texts.flat_map(|text| text.split(',')).collect()
        } else {
            texts.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::variable;
    use super::*;
    use clap::CommandFactory;

    #[derive(clap::Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        _serve: ServeFlags,
    }

    /// `origin` finds a flag by its argument id, messages name the variable by
    /// the flag: the three names must agree, and every flag must have help.
    #[test]
    fn names_of_flags_variables_and_help_agree() {
        let command = Only::command();
        let arguments = command.get_arguments().filter(|a| a.get_id() != "help");
        for argument in arguments.filter(|a| a.get_action().takes_values()) {
            let flag = argument.get_long().expect("every flag has a long name");
            assert_eq!(argument.get_id().as_str().replace('_', "-"), flag);
            let expected = variable(flag);
            assert_eq!(
                argument.get_env().and_then(|v| v.to_str()),
                Some(expected.as_str())
            );
            let help = argument.get_long_help().expect(flag).to_string();
            assert!(help.contains("Example: ringbus"), "--{flag} has no example");
            assert!(
                argument.get_help_heading().is_some(),
                "--{flag} is in no group"
            );
        }
    }
}
