//! The flags of `ringbus bench`.

use super::bench_version;
use clap::{Args, Subcommand, ValueEnum};
use ringbus_protocols::mqtt::Version;
use std::path::PathBuf;

/// `ringbus bench`: load, latency, connections, and the ceiling of this machine.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub kind: BenchKind,
}

/// What `ringbus bench` measures.
#[derive(Subcommand, Clone, Debug)]
pub enum BenchKind {
    /// Each publisher has its own topic and subscriber
    P2p(LoadArgs),
    /// Many publishers, one subscriber with a wildcard
    FanIn(LoadArgs),
    /// One publisher, many subscribers
    FanOut(LoadArgs),
    /// Publishers, and one shared subscription with many members
    Shared(LoadArgs),
    /// Open-loop latency of many quiet pairs, or ping-pong
    Latency(LatencyArgs),
    /// Connections: how many per core-second, and their memory when idle
    Connect(ConnectArgs),
    /// Others' latency while one session gets all that waited for it
    Backlog(BacklogArgs),
    /// A copy relay without a protocol: what this machine allows at most
    Limit(LimitArgs),
    /// The whole table of docs/benchmarks.md, beside the other brokers found on this machine
    Suite(SuiteArgs),
}

/// The protocol the generator speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// MQTT over TCP
    #[default]
    Mqtt,
    /// MQTT over WebSocket: each write is a masked binary frame
    Ws,
    /// WebSockets of one topic each, without MQTT: each message is a masked binary frame
    Topic,
    /// The NATS client protocol (core NATS, no acknowledgements)
    Nats,
    /// Redis publish/subscribe
    Resp,
    /// MQTT-SN over UDP at QoS -1: publishers send datagrams, subscribers speak MQTT over TCP
    #[value(name = "mqttsn")]
    MqttSn,
}

/// Which broker is measured: one that runs already, or an own one.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker")]
pub struct Start {
    /// Broker to load: mqtt://HOST:PORT, ws://, nats://, mqttsn://, resp://. Without it an own broker is started
    #[arg(short = 'L', long, value_name = "URL")]
    pub url: Option<String>,
    /// Where the subscribers connect if --url takes datagrams [default: its host, port 1883]
    #[arg(long, value_name = "URL", requires = "url")]
    pub mqtt_url: Option<String>,
    /// Process whose CPU time and memory count (of the broker at --url)
    #[arg(long, value_name = "PID", requires = "url")]
    pub pid: Option<i32>,
    /// Protocol to speak [default: the scheme of --url, else mqtt]
    #[arg(long, value_enum)]
    pub proto: Option<Protocol>,
    /// MQTT version: 3.1.1 or 5
    #[arg(long, value_name = "VERSION", default_value = "3.1.1",
        value_parser = bench_version)]
    pub version: Version,
    /// Driver of the own broker: auto, ring, epoll or glommio
    #[arg(long, value_name = "DRIVER", default_value = "auto")]
    pub io: String,
    /// Shards of the own broker; 0: as many as it takes by itself
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub shards: u16,
    /// One more argument for the own broker's `serve` (may be repeated)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub serve_arg: Vec<String>,
    /// Binary of the own broker [default: this one]
    #[arg(
        long,
        value_name = "PATH",
        env = "RINGBUS_BENCH_BROKER",
        hide_env = true
    )]
    pub broker_binary: Option<PathBuf>,
    /// CPUs of the own broker, as 0 or 0,1 [default: the first one if it has one shard and there are two CPUs]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub broker_cpus: Vec<usize>,
    /// CPU of the generator [default: the last one if the broker is pinned]
    #[arg(long, value_name = "CPU")]
    pub generator_cpu: Option<usize>,
    /// Pin neither the own broker nor the generator
    #[arg(long, conflicts_with_all = ["broker_cpus", "generator_cpu"])]
    pub unpinned: bool,
}

/// How long is measured and how it is reported.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Measurement")]
pub struct Measure {
    /// Seconds measured
    #[arg(short, long, value_name = "SECONDS", default_value_t = 5.0)]
    pub duration: f64,
    /// Seconds of load before the measurement starts
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub warmup: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The load of `p2p`, `fan-in`, `fan-out` and `shared`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  ringbus bench p2p --pubs 50\n  \
    ringbus bench fan-out --subs 200 --io epoll\n  ringbus bench p2p --pubs 50 --rate 100000 --json\n  \
    ringbus bench shared --subs 100 -q 1 --rate 50000\n  \
    ringbus bench p2p --pubs 50 --proto ws\n  \
    ringbus bench fan-out --subs 1000 --batch 1 --window 1 --proto topic\n  \
    ringbus bench p2p --pubs 50 --proto mqttsn --max\n  \
    ringbus bench p2p --url nats://127.0.0.1:4222 --pid $(pidof nats-server)")]
pub struct LoadArgs {
    /// Publishers [default: 1; fan-in and shared: 50]
    #[arg(long, value_name = "N")]
    pub pubs: Option<usize>,
    /// Subscribers [default: one a topic; fan-in: 1; fan-out: 200; shared: 100]
    #[arg(long, value_name = "N")]
    pub subs: Option<usize>,
    /// Topics [default: one a publisher]
    #[arg(long, value_name = "N")]
    pub topics: Option<usize>,
    /// Topic; %i is its number, %2 its number as two characters [default: bench/%i; mqttsn: %2]
    #[arg(long, value_name = "PATTERN")]
    pub topic: Option<String>,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Payload bytes, at least 16
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub payload: usize,
    /// Closed loop: unreceived messages a topic
    #[arg(long, value_name = "N", default_value_t = 256, conflicts_with_all = ["rate", "max"])]
    pub window: u64,
    /// Messages a write
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: u64,
    /// Each write leaves as a segment of its own; else the kernel may join what a publisher
    /// writes in one go
    #[arg(long)]
    pub no_delay: bool,
    /// Open loop: messages a second in all, latency from the planned send time; exit 3 if not held
    #[arg(long, value_name = "N", conflicts_with = "max")]
    pub rate: Option<f64>,
    /// No window: each publisher writes as fast as its socket takes it
    #[arg(long)]
    pub max: bool,
    /// Broker
    #[command(flatten)]
    pub start: Start,
    /// Measurement
    #[command(flatten)]
    pub measure: Measure,
}

/// `bench latency`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  ringbus bench latency\n  ringbus bench latency --ping-pong --pairs 100"
)]
pub struct LatencyArgs {
    /// Pairs of a publisher and a subscriber
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub pairs: usize,
    /// Messages a second, over all pairs; exit 3 if not held
    #[arg(long, value_name = "N", default_value_t = 5000.0)]
    pub rate: f64,
    /// Instead of a rate: each pair sends its next message when the last one arrived
    #[arg(long, conflicts_with = "rate")]
    pub ping_pong: bool,
    /// Topic; %i is its number, %2 its number as two characters [default: bench/%i; mqttsn: %2]
    #[arg(long, value_name = "PATTERN")]
    pub topic: Option<String>,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Payload bytes, at least 16
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub payload: usize,
    /// Broker
    #[command(flatten)]
    pub start: Start,
    /// Measurement
    #[command(flatten)]
    pub measure: Measure,
}

/// `bench connect`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  ringbus bench connect\n  ringbus bench connect --proto ws\n  \
    ringbus bench connect --proto topic --compress"
)]
pub struct ConnectArgs {
    /// Connections to open and hold
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub connections: usize,
    /// Connections opened at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub parallel: usize,
    /// Seconds to hold them idle before memory is read
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub hold: f64,
    /// Before it is idle, each sends and receives a compressed message (--proto topic)
    #[arg(long)]
    pub compress: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Broker
    #[command(flatten)]
    pub start: Start,
}

/// `bench backlog`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  ringbus bench backlog --messages 100000")]
pub struct BacklogArgs {
    /// QoS 1 messages that wait for the session
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub messages: u64,
    /// Payload bytes, at least 16; all of it must fit the broker's --queue-bytes
    #[arg(long, value_name = "BYTES", default_value_t = 32)]
    pub payload: usize,
    /// Seconds of ping-pong before the session returns
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub idle: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Broker
    #[command(flatten)]
    pub start: Start,
}

/// What the loop under datagrams does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UdpLimit {
    /// It receives them
    Sink,
    /// It sends each back
    Echo,
}

/// `bench limit`.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Instead of the relay: a loop that receives datagrams, 64 at a time, or also sends them back
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "sink",
        conflicts_with_all = ["block", "window"])]
    pub udp: Option<UdpLimit>,
    /// Bytes the relay reads and writes at most at a time
    #[arg(long, value_name = "BYTES", default_value_t = 65536)]
    pub block: usize,
    /// Pairs of connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pairs: usize,
    /// Messages a write of the generator [default: what fills a block]
    #[arg(long, value_name = "N")]
    pub batch: Option<u64>,
    /// Unreceived messages a pair [default: eight writes]
    #[arg(long, value_name = "N")]
    pub window: Option<u64>,
    /// Each write of the generator leaves as a segment of its own, or each datagram by itself
    #[arg(long)]
    pub no_delay: bool,
    /// Payload bytes of a message, at least 16
    #[arg(long, value_name = "BYTES", default_value_t = 58)]
    pub payload: usize,
    /// CPU of the relay [default: the first one]
    #[arg(long, value_name = "CPU")]
    pub relay_cpu: Option<usize>,
    /// CPU of the generator [default: the last one]
    #[arg(long, value_name = "CPU")]
    pub generator_cpu: Option<usize>,
    /// Measurement
    #[command(flatten)]
    pub measure: Measure,
}

/// `bench suite`.
#[derive(Args, Clone, Debug)]
pub struct SuiteArgs {
    /// Runs of each load on each broker, interleaved; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub runs: usize,
    /// Seconds measured in each run
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub duration: f64,
    /// Seconds of load before each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 0.3)]
    pub warmup: f64,
    /// Only rows whose name contains this (may be repeated)
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Only these brokers: ring, epoll, glommio, ws, topic, ws-compression, nats, mqttsn, mqttsn-epoll, udp-sink, udp-echo, mosquitto, nats-server, redis-server, rumqttd, limit
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub brokers: Vec<String>,
    /// Write the tables as Markdown, below the marker if the file has one
    #[arg(long, value_name = "PATH")]
    pub markdown: Option<PathBuf>,
    /// Print every run as a line of JSON
    #[arg(long)]
    pub json: bool,
    /// Binary of the own broker [default: this one]
    #[arg(
        long,
        value_name = "PATH",
        env = "RINGBUS_BENCH_BROKER",
        hide_env = true
    )]
    pub broker_binary: Option<PathBuf>,
}
