//! The brokers beside ours, each started with the least configuration and no persistence.

use crate::broker::{Broker, OwnBroker, ShardSums, terminate};
use crate::cli::{Protocol, UdpLimit};
use crate::endpoint::Endpoint;
use crate::generator::Route;
use crate::sys::{Usage, now, pin_child, wait_until};
use ringbus_protocols::mqtt::Version;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a peer may take to listen.
const START_NANOSECONDS_MAX: u64 = 10_000_000_000;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// ringbus with `--io ring`
    Ring,
    /// ringbus with `--io epoll`
    Epoll,
    /// ringbus with `--io glommio`
    Glommio,
    /// ringbus with `--io ring`, MQTT over WebSocket
    WebSocket,
    /// ringbus with `--io ring`, sockets of one topic each
    TopicSocket,
    /// The same with `--ws-compression`
    Compression,
    /// ringbus with `--io ring`, the NATS client protocol
    RingNats,
    /// ringbus with `--io ring`, MQTT-SN to MQTT
    RingSn,
    /// ringbus with `--io epoll`, MQTT-SN to MQTT
    EpollSn,
    /// A loop that receives datagrams
    Sink,
    /// A loop that receives datagrams and sends them back
    Echo,
    /// Mosquitto
    Mosquitto,
    /// nats-server, in its own protocol
    Nats,
    /// redis-server, in its own protocol
    Redis,
    /// rumqttd
    Rumqttd,
    /// The copy relay
    Limit,
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Ring,
        Self::Epoll,
        Self::Glommio,
        Self::WebSocket,
        Self::TopicSocket,
        Self::Compression,
        Self::RingNats,
        Self::RingSn,
        Self::EpollSn,
        Self::Sink,
        Self::Echo,
        Self::Nats,
        Self::Mosquitto,
        Self::Redis,
        Self::Rumqttd,
        Self::Limit,
    ];

    /// Its name in flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Epoll => "epoll",
            Self::Glommio => "glommio",
            Self::WebSocket => "ws",
            Self::TopicSocket => "topic",
            Self::Compression => "ws-compression",
            Self::RingNats => "nats",
            Self::RingSn => "mqttsn",
            Self::EpollSn => "mqttsn-epoll",
            Self::Sink => "udp-sink",
            Self::Echo => "udp-echo",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats-server",
            Self::Redis => "redis-server",
            Self::Rumqttd => "rumqttd",
            Self::Limit => "limit",
        }
    }

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ring => "ringbus, ring",
            Self::Epoll => "ringbus, epoll",
            Self::Glommio => "ringbus, glommio",
            Self::WebSocket => "ringbus, MQTT over WebSocket",
            Self::TopicSocket => "ringbus, topic sockets",
            Self::Compression => "ringbus, topic sockets with compression",
            Self::RingNats => "ringbus, NATS",
            Self::RingSn => "ringbus, MQTT-SN, ring",
            Self::EpollSn => "ringbus, MQTT-SN, epoll",
            Self::Sink => "recvmmsg loop",
            Self::Echo => "recvmmsg echo loop",
            Self::Mosquitto => "Mosquitto",
            Self::Limit => "copy relay",
            other => other.name(),
        }
    }

    /// Whether it is ringbus, with some driver and protocol.
    pub fn is_own(self) -> bool {
        matches!(
            self,
            Self::Ring
                | Self::Epoll
                | Self::Glommio
                | Self::RingNats
                | Self::RingSn
                | Self::EpollSn
        ) || self.is_in_websockets()
    }

    /// What is spoken to it.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::WebSocket => Protocol::Ws,
            Self::TopicSocket | Self::Compression => Protocol::Topic,
            Self::Nats | Self::RingNats => Protocol::Nats,
            Self::Redis => Protocol::Resp,
            Self::RingSn | Self::EpollSn | Self::Sink | Self::Echo => Protocol::MqttSn,
            _ => Protocol::Mqtt,
        }
    }

    /// What it does with datagrams, if it is a loop that does nothing else.
    pub fn udp_limit(self) -> Option<UdpLimit> {
        match self {
            Self::Sink => Some(UdpLimit::Sink),
            Self::Echo => Some(UdpLimit::Echo),
            _ => None,
        }
    }

    /// The driver of ringbus.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Epoll | Self::EpollSn => "epoll",
            Self::Glommio => "glommio",
            _ => "ring",
        }
    }

    /// More arguments of ringbus.
    pub fn arguments(self) -> Vec<String> {
        match self {
            Self::Compression => vec!["--ws-compression".into()],
            _ => Vec::new(),
        }
    }

    fn is_in_websockets(self) -> bool {
        matches!(
            self,
            Self::WebSocket | Self::TopicSocket | Self::Compression
        )
    }

    /// Its binary, if it is a peer and installed.
    pub fn binary(self) -> Option<PathBuf> {
        if self.is_own() || self.udp_limit().is_some() {
            return None;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let home = std::env::var_os("HOME").unwrap_or_default();
        let cargo = Path::new(&home).join(".cargo/bin");
        // Debian keeps servers in sbin, which is not in everybody's PATH.
        let more = [
            PathBuf::from("/usr/sbin"),
            PathBuf::from("/usr/local/sbin"),
            cargo,
        ];
        let mut folders = std::env::split_paths(&path).chain(more);
        folders.find_map(|folder| {
            let file = folder.join(self.name());
            file.is_file().then_some(file)
        })
    }
}

/// A broker that was started for one run.
pub enum Running {
    /// ringbus
    Own(Broker),
    /// Another one
    Peer {
        /// How to reach it
        route: Route,
        /// What it uses
        usage: Usage,
        /// Its process
        process: Process,
    },
}

/// A process that ends with its owner.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        terminate(&mut self.0);
    }
}

impl Running {
    /// Starts ringbus.
    pub fn own(own: &OwnBroker) -> io::Result<Self> {
        Broker::start(own).map(Self::Own)
    }

    /// Starts a peer on `cpus` (all if empty); its configuration goes into `folder`.
    pub fn peer(contender: Contender, cpus: &[usize], folder: &Path) -> io::Result<Self> {
        let missing = || io::Error::other(format!("{} is not installed", contender.name()));
        let binary = contender.binary().ok_or_else(missing)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(binary);
        configure(contender, port, folder, &mut command)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !cpus.is_empty() {
            pin_child(&mut command, cpus)?;
        }
        let process = Process(command.spawn()?);
        let endpoint = Endpoint::Tcp("127.0.0.1".into(), port);
        wait_for(&endpoint, contender)?;
        let pid = i32::try_from(process.0.id()).expect("a pid fits");
        let route = Route {
            endpoint,
            protocol: contender.protocol(),
            version: Version::V3_1_1,
            datagrams: None,
        };
        Ok(Self::Peer {
            route,
            usage: Usage::of(pid)?,
            process,
        })
    }

    /// How to reach it.
    pub fn route(&self) -> &Route {
        match self {
            Self::Own(broker) => &broker.route,
            Self::Peer { route, .. } => route,
        }
    }

    /// What it uses.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Own(broker) => broker.usage,
            Self::Peer { usage, .. } => Some(*usage),
        }
    }

    /// Ends it; ringbus says what its shards counted.
    pub fn stop(self) -> Option<ShardSums> {
        match self {
            Self::Own(broker) => broker.stop(),
            Self::Peer { process, .. } => {
                drop(process);
                None
            }
        }
    }
}

fn configure(
    contender: Contender,
    port: u16,
    folder: &Path,
    command: &mut Command,
) -> io::Result<()> {
    let file = folder.join(format!("{}.conf", contender.name()));
    match contender {
        Contender::Mosquitto => {
            std::fs::write(&file, mosquitto(port))?;
            command.arg("-c").arg(file);
        }
        Contender::Nats => {
            command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        }
        Contender::Redis => {
            command.args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
            ]);
            command.args(["--appendonly", "no", "--dir"]).arg(folder);
            // Else redis closes subscribers that are 32 MB behind.
            command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]);
        }
        Contender::Rumqttd => {
            let file = file.with_extension("toml");
            std::fs::write(&file, rumqttd(port))?;
            command.arg("-c").arg(file);
        }
        _ => unreachable!("not a peer"),
    }
    Ok(())
}

/// Nothing stored, nothing dropped.
fn mosquitto(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
         set_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n"
    )
}

/// As its own example has it, with room for the larger loads.
fn rumqttd(port: u16) -> String {
    format!(
        "id = 0\n[router]\nid = 0\nmax_connections = 10010\nmax_outgoing_packet_count = 200\n\
         max_segment_size = 104857600\nmax_segment_count = 10\n[v4.1]\nname = \"v4-1\"\n\
         listen = \"127.0.0.1:{port}\"\nnext_connection_delay_ms = 1\n[v4.1.connections]\n\
         connection_timeout_ms = 60000\nmax_payload_size = 20480\nmax_inflight_count = 500\n\
         dynamic_filters = true\n"
    )
}

/// Waits until somebody listens.
fn wait_for(endpoint: &Endpoint, contender: Contender) -> io::Result<()> {
    let start = now();
    while endpoint.connect(Duration::from_secs(1)).is_err() {
        if now() - start > START_NANOSECONDS_MAX {
            return Err(io::Error::other(format!(
                "{} did not start",
                contender.name()
            )));
        }
        wait_until(now() + 5_000_000);
    }
    Ok(())
}
