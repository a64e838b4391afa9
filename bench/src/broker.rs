//! The broker under test: one that runs already, or one started for the occasion.

use crate::cli::{Protocol, Start};
use crate::endpoint::Endpoint;
use crate::generator::Route;
use crate::sys::{Usage, allowed_cpus, pin_child, pin_this_thread};
use ringbus_protocols::mqtt::Version;
use serde::Serialize;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long an own broker may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The broker under test.
pub struct Broker {
    /// How to reach it
    pub route: Route,
    /// What it uses, if its process is known
    pub usage: Option<Usage>,
    own: Option<Own>,
}

/// What an own broker is started with.
#[derive(Clone, Debug)]
pub struct OwnBroker {
    /// Its binary
    pub binary: PathBuf,
    /// `--io`
    pub io: String,
    /// `--shards`, or the broker's own choice
    pub shards: Option<u16>,
    /// CPUs it may use; empty: all
    pub cpus: Vec<usize>,
    /// What is spoken to it: MQTT, or something in WebSockets
    pub protocol: Protocol,
    /// More arguments of `serve`
    pub arguments: Vec<String>,
}

/// What the shards of an own broker said when they ended, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ShardSums {
    /// Shards
    pub shards: u64,
    /// Turns
    pub turns: u64,
    /// Batches mailed to other shards
    pub mail_batches: u64,
    /// Items in them
    pub mail_items: u64,
    /// Peers woken
    pub wakes: u64,
}

struct Own {
    child: Child,
    output: mpsc::Receiver<String>,
}

impl Broker {
    /// The broker that the flags name, or an own one; pins the calling thread as they say.
    ///
    /// # Errors
    /// A bad URL, CPU or pid, or a broker that does not start.
    pub fn from_flags(start: &Start) -> io::Result<Self> {
        let cpus = allowed_cpus()?;
        let broker_cpus = match (start.unpinned, start.broker_cpus.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) if start.url.is_none() && start.shards == 1 && cpus.len() > 1 => {
                vec![cpus[0]]
            }
            (false, given) => given.to_vec(),
        };
        let default = (!broker_cpus.is_empty()).then(|| cpus[cpus.len() - 1]);
        let generator_cpu = start.generator_cpu.or(default);
        let broker = match &start.url {
            Some(url) => Self::running(url, start)?,
            None => Self::start(&OwnBroker {
                protocol: own_protocol(start.proto)?,
                binary: start
                    .broker_binary
                    .clone()
                    .map_or_else(std::env::current_exe, Ok)?,
                io: start.io.clone(),
                shards: (start.shards > 0).then_some(start.shards),
                cpus: broker_cpus,
                arguments: start.serve_arg.clone(),
            })?,
        };
        if let Some(cpu) = generator_cpu {
            pin_this_thread(&[cpu])?;
        }
        let route = Route {
            version: start.version,
            ..broker.route.clone()
        };
        Ok(Self { route, ..broker })
    }

    fn running(url: &str, start: &Start) -> io::Result<Self> {
        let (protocol, endpoint) =
            parse_url(url).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let protocol = start.proto.unwrap_or(protocol);
        let usage = start.pid.map(Usage::of).transpose()?;
        let (endpoint, datagrams) = match protocol {
            Protocol::MqttSn => (subscribers_of(&endpoint, start)?, Some(endpoint)),
            _ => (endpoint, None),
        };
        let route = Route {
            endpoint,
            protocol,
            version: start.version,
            datagrams,
        };
        Ok(Self {
            route,
            usage,
            own: None,
        })
    }

    /// Starts an own broker on free loopback ports and waits until it listens.
    pub fn start(own: &OwnBroker) -> io::Result<Self> {
        let mut command = Command::new(&own.binary);
        command.args(["serve", "--listen", "mqtt://127.0.0.1:0"]);
        command.args([
            "--listen",
            "ws://127.0.0.1:0",
            "--listen",
            "nats://127.0.0.1:0",
        ]);
        if own.protocol == Protocol::MqttSn {
            command.args(["--listen", "mqttsn://127.0.0.1:0"]);
        }
        command.args(["--io", &own.io]);
        if let Some(shards) = own.shards {
            command.args(["--shards", &shards.to_string()]);
        }
        // What its shards count is printed at level info, whatever this process's environment says.
        command
            .args(["--log-format", "text", "--log-level", "info"])
            .args(&own.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !own.cpus.is_empty() {
            pin_child(&mut command, &own.cpus)?;
        }
        let mut child = command.spawn()?;
        let (sender, output) = mpsc::channel();
        forward(child.stdout.take().expect("piped above"), sender.clone());
        forward(child.stderr.take().expect("piped above"), sender);
        let protocol = own.protocol;
        let scheme = match protocol {
            Protocol::Nats => "nats",
            other if is_in_websockets(other) => "ws",
            _ => "mqtt",
        };
        let mut own = Own { child, output };
        let wanted: &[&str] = match protocol {
            Protocol::MqttSn => &[scheme, "mqttsn"],
            _ => &[scheme],
        };
        let ports = own.wait_for_ports(wanted)?;
        let mut endpoints = ports
            .into_iter()
            .map(|port| Endpoint::Tcp("127.0.0.1".into(), port));
        let pid = i32::try_from(own.child.id()).expect("a pid fits");
        Ok(Self {
            route: Route {
                endpoint: endpoints.next().expect("a port for each scheme"),
                protocol,
                version: Version::V3_1_1,
                datagrams: endpoints.next(),
            },
            usage: Some(Usage::of(pid)?),
            own: Some(own),
        })
    }

    /// Ends an own broker and returns what its shards counted.
    pub fn stop(mut self) -> Option<ShardSums> {
        let own = self.own.take()?;
        let lines = own.stop();
        let mut sums = ShardSums::default();
        for line in &lines {
            sums.add(line);
        }
        (sums.shards > 0).then_some(sums)
    }
}

impl Own {
    /// The ports of the listeners with these schemes, from the banner.
    fn wait_for_ports(&mut self, schemes: &[&str]) -> io::Result<Vec<u16>> {
        let mut said = Vec::new();
        while let Ok(line) = self.output.recv_timeout(START_TIMEOUT) {
            let ports = schemes.iter().map(|scheme| port_of(scheme, &line));
            if let Some(ports) = ports.collect() {
                return Ok(ports);
            }
            said.push(line);
        }
        Err(io::Error::other(format!(
            "the broker did not start: {}",
            said.join(" / ")
        )))
    }

    /// Ends the process and returns the lines it had left to say.
    fn stop(mut self) -> Vec<String> {
        terminate(&mut self.child);
        self.output.iter().collect()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}

/// The port of the listener with a scheme, if the line tells what is listened on.
fn port_of(scheme: &str, line: &str) -> Option<u16> {
    let listener = format!(" {scheme}://127.0.0.1:");
    let listeners = line.strip_prefix("listening on").unwrap_or_default();
    let port = listeners.split(&listener).nth(1)?;
    let digits = port.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Where MQTT clients find the broker that takes datagrams at `datagrams`.
fn subscribers_of(datagrams: &Endpoint, start: &Start) -> io::Result<Endpoint> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    match (&start.mqtt_url, datagrams) {
        (Some(url), _) => match parse_url(url).map_err(invalid)? {
            (Protocol::Mqtt, endpoint) => Ok(endpoint),
            _ => Err(invalid("--mqtt-url must be mqtt://HOST:PORT".into())),
        },
        (None, Endpoint::Tcp(host, _)) => Ok(Endpoint::Tcp(host.clone(), 1883)),
        (None, Endpoint::Unix(_)) => Err(invalid("--proto mqttsn needs a host and a port".into())),
    }
}

/// Sends SIGTERM and waits for the end.
pub fn terminate(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    crate::sys::terminate(child.id());
    // The exit status does not matter: the measurement is over.
    let _ = child.wait();
}

/// Sends each line of `stream` into the channel, on a thread that ends with the stream.
fn forward(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a blocking pipe needs its own reader"
    )]
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

impl ShardSums {
    /// Adds a line such as `shard 0: turns=5 mail_batches=2 mail_items=9 wakes=1`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .split_once("shard ")
            .and_then(|(_, rest)| rest.split_once(": "))
        else {
            return;
        };
        let value = |name: &str| {
            let word = counts
                .split_whitespace()
                .find_map(|word| word.strip_prefix(name));
            word.and_then(|word| word.strip_prefix('=')?.parse::<u64>().ok())
        };
        let Some(turns) = value("turns") else { return };
        self.shards += 1;
        self.turns += turns;
        self.mail_batches += value("mail_batches").unwrap_or(0);
        self.mail_items += value("mail_items").unwrap_or(0);
        self.wakes += value("wakes").unwrap_or(0);
    }
}

/// What is spoken to an own broker.
fn own_protocol(wanted: Option<Protocol>) -> io::Result<Protocol> {
    match wanted.unwrap_or_default() {
        Protocol::Resp => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "--proto resp needs --url: this broker does not speak it",
        )),
        own => Ok(own),
    }
}

fn is_in_websockets(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Ws | Protocol::Topic)
}

/// Protocol and endpoint of `mqtt://host:port`, `ws://…`, `nats://…`, `mqttsn://…`, `resp://…`,
/// `redis://…` or `unix:PATH`.
pub fn parse_url(url: &str) -> Result<(Protocol, Endpoint), String> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok((Protocol::Mqtt, Endpoint::Unix(path.into())));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    let (protocol, default_port) = match scheme {
        "mqtt" | "tcp" => (Protocol::Mqtt, 1883),
        "ws" => (Protocol::Ws, 8000),
        "nats" => (Protocol::Nats, 4222),
        "mqttsn" => (Protocol::MqttSn, 1884),
        "resp" | "redis" => (Protocol::Resp, 6379),
        _ => {
            return Err(format!(
                "cannot speak {scheme}: try mqtt://, ws://, nats://, mqttsn://, resp:// or unix:"
            ));
        }
    };
    let authority = rest.split('/').next().unwrap_or("");
    Ok((protocol, parse_authority(authority, default_port)?))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub fn parse_authority(authority: &str, default_port: u16) -> Result<Endpoint, String> {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(format!("no host in '{authority}'"));
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| format!("'{port}' is no port"))?,
        None => default_port,
    };
    Ok(Endpoint::Tcp(host.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp(host.into(), port)
    }

    #[test]
    fn urls_name_protocol_and_endpoint() {
        assert_eq!(
            parse_url("nats://h").unwrap(),
            (Protocol::Nats, tcp("h", 4222))
        );
        assert_eq!(
            parse_url("ws://h/mqtt").unwrap(),
            (Protocol::Ws, tcp("h", 8000))
        );
        assert_eq!(
            parse_url("mqttsn://h").unwrap(),
            (Protocol::MqttSn, tcp("h", 1884))
        );
        assert_eq!(
            parse_url("redis://h:7/0").unwrap(),
            (Protocol::Resp, tcp("h", 7))
        );
        assert_eq!(parse_url("h:99").unwrap(), (Protocol::Mqtt, tcp("h", 99)));
        assert_eq!(
            parse_url("mqtt://[::1]:5").unwrap(),
            (Protocol::Mqtt, tcp("::1", 5))
        );
        let unix = Endpoint::Unix("/run/x".into());
        assert_eq!(parse_url("unix:///run/x").unwrap(), (Protocol::Mqtt, unix));
        assert!(parse_url("http://h").is_err());
        assert!(parse_url("mqtt://h:port").is_err());
        assert!(parse_url("mqtt://").is_err());
    }

    #[test]
    fn an_own_broker_speaks_what_ringbus_speaks() {
        assert_eq!(own_protocol(None).unwrap(), Protocol::Mqtt);
        assert_eq!(own_protocol(Some(Protocol::Ws)).unwrap(), Protocol::Ws);
        assert_eq!(own_protocol(Some(Protocol::Nats)).unwrap(), Protocol::Nats);
        assert!(own_protocol(Some(Protocol::Resp)).is_err());
    }

    #[test]
    fn ports_are_found_in_the_banner_by_their_schemes() {
        let line = "listening on mqtt://127.0.0.1:1, ws://127.0.0.1:22 and mqttsn://127.0.0.1:333";
        assert_eq!(port_of("mqtt", line), Some(1));
        assert_eq!(port_of("mqttsn", line), Some(333));
        assert_eq!(port_of("nats", line), None);
        assert_eq!(port_of("mqtt", "INFO mqtt://127.0.0.1:1"), None);
    }

    #[test]
    fn what_the_shards_said_is_summed() {
        let mut sums = ShardSums::default();
        sums.add("2026 INFO shard 0: turns=5 received=9 mail_batches=2 mail_items=8 wakes=1");
        sums.add("INFO shard 1: turns=7 received=9 mail_batches=3 mail_items=9 wakes=0");
        sums.add("INFO a client was told: nothing");
        let expected = ShardSums {
            shards: 2,
            turns: 12,
            mail_batches: 5,
            mail_items: 17,
            wakes: 1,
        };
        assert_eq!(sums, expected);
    }
}
