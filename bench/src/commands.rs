//! `ringbus bench …`: from flags to a load, from its outcome to a report and an exit code.

use crate::broker::{Broker, parse_url};
use crate::cli::{
    BacklogArgs, BenchArgs, BenchKind, ConnectArgs, LatencyArgs, LimitArgs, LoadArgs, Protocol,
    Start,
};
use crate::generator::{
    Backlog, Idle, Kind, Load, Pacing, STAMP_BYTES, drain_backlog, open_and_hold, run,
};
use crate::limit::{self, MESSAGE_BYTES};
use crate::report::{BacklogReport, ConnectReport, LoadReport, Mail};
use crate::{suite, sys};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Exit code of a usage error.
const USAGE: u8 = 2;

/// Exit code of a rate that was not held.
const NOT_HELD: u8 = 3;

/// Why a command failed.
pub enum Failure {
    /// The flags do not fit together
    Usage(String),
    /// Something went wrong on the way
    Runtime(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A number or a name in a flag that the system or we refuse.
            io::ErrorKind::InvalidInput => Self::Usage(error.to_string()),
            _ => Self::Runtime(error),
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Usage(text)
    }
}

/// Runs `ringbus bench`: exit code 0 if done, 1 if it failed, 2 for bad flags, 3 if a rate was
/// not held.
pub fn bench_command(args: &BenchArgs) -> ExitCode {
    let prepared = sys::stop_on_signals().and_then(|()| sys::raise_file_limit());
    let result = prepared
        .map_err(Failure::from)
        .and_then(|_| match &args.kind {
            BenchKind::P2p(args) => load_command("p2p", Kind::PointToPoint, args),
            BenchKind::FanIn(args) => load_command("fan-in", Kind::FanIn, args),
            BenchKind::FanOut(args) => load_command("fan-out", Kind::FanOut, args),
            BenchKind::Shared(args) => load_command("shared", Kind::Shared, args),
            BenchKind::Latency(args) => latency_command(args),
            BenchKind::Connect(args) => connect_command(args),
            BenchKind::Backlog(args) => backlog_command(args),
            BenchKind::Limit(args) => limit_command(args),
            BenchKind::Suite(args) => suite::command(args).map(|()| ExitCode::SUCCESS),
        });
    result.unwrap_or_else(|failure| match failure {
        Failure::Usage(text) => {
            eprintln!("ringbus bench: {text}");
            ExitCode::from(USAGE)
        }
        Failure::Runtime(error) => {
            eprintln!("ringbus bench: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Seconds of a flag in nanoseconds.
pub fn nanoseconds(flag: &str, seconds: f64) -> Result<u64, String> {
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(format!("{flag} must be between 0 and 86400 seconds"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be below a day")]
    #[expect(clippy::cast_sign_loss, reason = "checked to be positive")]
    Ok((seconds * 1e9) as u64)
}

fn load_command(name: &str, kind: Kind, args: &LoadArgs) -> Result<ExitCode, Failure> {
    let load = load_of(kind, args)?;
    run_and_report(name, &load, &args.start, args.measure.json)
}

/// The load that flags and the kind's defaults make.
fn load_of(kind: Kind, args: &LoadArgs) -> Result<Load, String> {
    let publishers = args.pubs.unwrap_or(match kind {
        Kind::FanIn | Kind::Shared => 50,
        Kind::PointToPoint | Kind::FanOut => 1,
    });
    let topics = args.topics.unwrap_or(publishers);
    let subscribers = args.subs.unwrap_or(match kind {
        Kind::PointToPoint => topics,
        Kind::FanIn => 1,
        Kind::FanOut => 200,
        Kind::Shared => 100,
    });
    let pacing = match args.rate {
        Some(rate) => Pacing::Rate(rate),
        None if args.max => Pacing::Unbounded,
        None => Pacing::Window(args.window),
    };
    let load = Load {
        kind,
        publishers,
        subscribers,
        topics,
        topic: topic_of(args.topic.as_ref(), &args.start),
        qos: args.qos,
        payload_bytes: args.payload,
        pacing,
        batch: args.batch,
        join_writes: !args.no_delay,
        warmup: nanoseconds("--warmup", args.measure.warmup)?,
        duration: nanoseconds("--duration", args.measure.duration)?,
    };
    load.validate()
}

/// The topic pattern of the flags, or one that the protocol can carry.
fn topic_of(wanted: Option<&String>, start: &Start) -> String {
    let of_url = || Some(parse_url(start.url.as_ref()?).ok()?.0);
    match (wanted, start.proto.or_else(of_url)) {
        (Some(topic), _) => topic.clone(),
        (None, Some(Protocol::MqttSn)) => "%2".into(),
        (None, _) => "bench/%i".into(),
    }
}

fn latency_command(args: &LatencyArgs) -> Result<ExitCode, Failure> {
    let load = Load {
        kind: Kind::PointToPoint,
        publishers: args.pairs,
        subscribers: args.pairs,
        topics: args.pairs,
        topic: topic_of(args.topic.as_ref(), &args.start),
        qos: args.qos,
        payload_bytes: args.payload,
        pacing: if args.ping_pong {
            Pacing::PingPong
        } else {
            Pacing::Rate(args.rate)
        },
        batch: 1,
        join_writes: false,
        warmup: nanoseconds("--warmup", args.measure.warmup)?,
        duration: nanoseconds("--duration", args.measure.duration)?,
    };
    let load = load.validate()?;
    run_and_report("latency", &load, &args.start, args.measure.json)
}

fn run_and_report(name: &str, load: &Load, start: &Start, json: bool) -> Result<ExitCode, Failure> {
    let broker = Broker::from_flags(start)?;
    load.fits(broker.route.protocol)?;
    let clock = broker.usage.map(|usage| usage.clock());
    let started = sys::now();
    let outcome = run(load, &broker.route, clock)?;
    let seconds = (sys::now() - started) as f64 / 1e9;
    let mail = broker.stop().map(|sums| Mail::new(sums, seconds));
    let report = LoadReport::new(name, load, &outcome, mail);
    print(&report, json)?;
    Ok(if report.rate_held == Some(false) {
        NOT_HELD.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn connect_command(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    if args.connections == 0 || args.parallel == 0 {
        return Err(Failure::Usage(
            "--connections and --parallel must be at least 1".into(),
        ));
    }
    let idle = Idle {
        connections: args.connections,
        parallel: args.parallel,
        hold: nanoseconds("--hold", args.hold)?,
        compress: args.compress,
    };
    let mut start = args.start.clone();
    if args.compress {
        start.serve_arg.push("--ws-compression".into());
    }
    let broker = Broker::from_flags(&start)?;
    let protocol = broker.route.protocol;
    if matches!(protocol, Protocol::Nats | Protocol::Resp | Protocol::MqttSn) {
        let words = "bench connect needs MQTT or WebSockets";
        return Err(Failure::Usage(words.into()));
    }
    if args.compress && protocol != Protocol::Topic {
        return Err(Failure::Usage("--compress needs --proto topic".into()));
    }
    let outcome = open_and_hold(&idle, &broker.route, broker.usage)?;
    broker.stop();
    print(&ConnectReport::new(&outcome), args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn backlog_command(args: &BacklogArgs) -> Result<ExitCode, Failure> {
    if args.messages == 0 || args.payload < STAMP_BYTES {
        return Err(Failure::Usage(format!(
            "--messages must be at least 1 and --payload at least {STAMP_BYTES}"
        )));
    }
    let backlog = Backlog {
        messages: args.messages,
        payload_bytes: args.payload,
        idle: nanoseconds("--idle", args.idle)?,
    };
    let broker = Broker::from_flags(&args.start)?;
    if broker.route.protocol != Protocol::Mqtt {
        return Err(Failure::Usage("bench backlog needs MQTT over TCP".into()));
    }
    let outcome = drain_backlog(&backlog, &broker.route)?;
    broker.stop();
    print(&BacklogReport::new(&backlog, &outcome), args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn limit_command(args: &LimitArgs) -> Result<ExitCode, Failure> {
    let limit = limit::measure(args)?;
    if args.udp.is_some() {
        let report = LoadReport::new("limit", &limit.load, &limit.outcome, None);
        print(&report, args.measure.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = LimitReport {
        block_bytes: args.block,
        cpu_us_per_70_bytes: limit.cpu_us_per_message,
        load: LoadReport::new("limit", &limit.load, &limit.outcome, None),
    };
    print(&report, args.measure.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The report of `bench limit`.
#[derive(Serialize)]
struct LimitReport {
    block_bytes: usize,
    cpu_us_per_70_bytes: f64,
    #[serde(flatten)]
    load: LoadReport,
}

impl Display for LimitReport {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.load)?;
        let (each, block) = (self.cpu_us_per_70_bytes, self.block_bytes);
        writeln!(
            out,
            "  a copy    {each:.4} µs per {MESSAGE_BYTES:.0} bytes, blocks of {block} B"
        )
    }
}

fn print(report: &(impl Serialize + Display), json: bool) -> io::Result<()> {
    let text = if json {
        serde_json::to_string_pretty(report)? + "\n"
    } else {
        report.to_string()
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read it has seen enough: `ringbus bench p2p | head -3`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn parse(line: &str) -> LoadArgs {
        Flags::parse_from(std::iter::once("bench").chain(line.split_whitespace())).load
    }

    #[test]
    fn each_kind_has_its_shape() {
        let p2p = load_of(Kind::PointToPoint, &parse("--pubs 50")).unwrap();
        assert_eq!((p2p.publishers, p2p.topics, p2p.subscribers), (50, 50, 50));
        let fan_in = load_of(Kind::FanIn, &parse("")).unwrap();
        assert_eq!(
            (fan_in.publishers, fan_in.topics, fan_in.subscribers),
            (50, 50, 1)
        );
        let fan_out = load_of(Kind::FanOut, &parse("")).unwrap();
        assert_eq!(
            (fan_out.publishers, fan_out.topics, fan_out.subscribers),
            (1, 1, 200)
        );
    }

    #[test]
    fn the_topic_is_one_that_the_protocol_carries() {
        let topic = |line| load_of(Kind::FanIn, &parse(line)).unwrap().topic;
        assert_eq!(topic(""), "bench/%i");
        assert_eq!(topic("--proto mqttsn"), "%2");
        assert_eq!(topic("--url mqttsn://h"), "%2");
        assert_eq!(topic("--proto mqttsn --topic t%i --pubs 9"), "t%i");
    }

    #[test]
    fn a_rate_or_no_window_replaces_the_window() {
        let pacing = |line| load_of(Kind::PointToPoint, &parse(line)).unwrap().pacing;
        assert_eq!(pacing("--rate 100"), Pacing::Rate(100.0));
        assert_eq!(pacing("--max"), Pacing::Unbounded);
        assert_eq!(pacing("--window 32"), Pacing::Window(32));
    }

    #[test]
    fn seconds_out_of_range_are_refused() {
        assert!(load_of(Kind::FanIn, &parse("--duration=-1")).is_err());
        assert_eq!(nanoseconds("--duration", 0.5), Ok(500_000_000));
    }
}
