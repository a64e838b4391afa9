//! The loads of the suite and what ringbus must reach in them.

use super::contender::Contender::{self, *};
use super::sample::Metric;
use crate::generator::{Kind, Load, Pacing};

/// A load and who runs it.
pub struct Row {
    /// Short name, for `--only` and the tables
    pub name: &'static str,
    /// What it is
    pub title: &'static str,
    /// What is done
    pub task: Task,
    /// Who does it
    pub contenders: &'static [Contender],
    /// On which CPUs
    pub placement: Placement,
}

/// What is done in a row.
#[derive(Clone)]
pub enum Task {
    /// A load of the generator
    Load(Shape),
    /// The copy relay with blocks of so many bytes, filled
    Copy(usize),
    /// Opening and holding so many connections
    Connect(usize),
}

/// The numbers of a load.
#[derive(Clone)]
pub struct Shape {
    kind: Kind,
    publishers: usize,
    subscribers: usize,
    pacing: Pacing,
    batch: u64,
    qos: u8,
    payload_bytes: usize,
    topic: &'static str,
}

/// Where broker and generator run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One shard on the first CPU, the generator on the last
    Pinned,
    /// Two shards and the generator on all CPUs
    TwoShards,
    /// As many shards as ringbus takes by itself, all CPUs
    DefaultShards,
}

/// What must be reached.
pub struct Goal {
    /// In this row
    pub row: &'static str,
    /// By ringbus with this driver or protocol
    pub by: Contender,
    /// In this figure
    pub metric: Metric,
    /// At most (or at least) so many times
    pub factor: f64,
    /// That; or at most so much more than that
    pub against: Against,
}

/// What a figure is compared with.
pub enum Against {
    /// The same figure of a contender, in a row
    Figure(&'static str, Contender),
    /// The same, and the goal is a difference
    Above(&'static str, Contender),
    /// A number of this unit
    Number(&'static str),
}

const EVERYBODY: &[Contender] = &[Ring, Epoll, Glommio, Nats, Mosquitto, Redis, Rumqttd];
const WITH_LIMIT: &[Contender] = &[Ring, Epoll, Glommio, Nats, Mosquitto, Redis, Rumqttd, Limit];
const OWN: &[Contender] = &[Ring, Epoll, Glommio];

const P2P: Shape = Shape {
    kind: Kind::PointToPoint,
    publishers: 50,
    subscribers: 50,
    pacing: Pacing::Window(256),
    batch: 16,
    qos: 0,
    payload_bytes: 64,
    topic: "bench/%i",
};

const ONE_PER_WRITE: Shape = Shape {
    pacing: Pacing::Window(64),
    batch: 1,
    ..P2P
};

const LATENCY: Shape = Shape {
    pacing: Pacing::Rate(5000.0),
    batch: 1,
    ..P2P
};

impl Shape {
    /// The load of this shape, warmed up and measured for so many nanoseconds.
    pub fn load(&self, warmup: u64, duration: u64) -> Load {
        Load {
            kind: self.kind,
            publishers: self.publishers,
            subscribers: self.subscribers,
            topics: self.publishers,
            topic: self.topic.into(),
            qos: self.qos,
            payload_bytes: self.payload_bytes,
            pacing: self.pacing,
            batch: self.batch,
            join_writes: true,
            warmup,
            duration,
        }
    }
}

/// All rows, in the order of the report.
pub fn rows() -> Vec<Row> {
    let mut rows = throughput_rows();
    rows.extend(acknowledged_rows());
    rows.extend(websocket_rows());
    rows.extend(nats_rows());
    rows.push(datagram_row());
    rows.extend(other_rows());
    rows
}

fn pinned(
    name: &'static str,
    title: &'static str,
    shape: Shape,
    contenders: &'static [Contender],
) -> Row {
    Row {
        name,
        title,
        task: Task::Load(shape),
        contenders,
        placement: Placement::Pinned,
    }
}

fn throughput_rows() -> Vec<Row> {
    let single = Shape {
        publishers: 1,
        subscribers: 1,
        pacing: Pacing::Window(1024),
        ..P2P
    };
    let fan_in = Shape {
        kind: Kind::FanIn,
        subscribers: 1,
        ..P2P
    };
    let fan_out = Shape {
        kind: Kind::FanOut,
        publishers: 1,
        subscribers: 200,
        ..P2P
    };
    let wide = Shape {
        pacing: Pacing::Window(512),
        ..ONE_PER_WRITE
    };
    vec![
        pinned("1-1", "1→1, 16 a write, window 1024", single, WITH_LIMIT),
        pinned("50-50", "50→50, 16 a write, window 256", P2P, EVERYBODY),
        pinned(
            "fan-in",
            "fan-in 50→1 by wildcard, 16 a write, window 256",
            fan_in,
            EVERYBODY,
        ),
        pinned(
            "fan-out",
            "fan-out 1→200, 16 a write, window 256",
            fan_out,
            EVERYBODY,
        ),
        pinned(
            "one-64",
            "50→50, one message a write, window 64",
            ONE_PER_WRITE,
            EVERYBODY,
        ),
        pinned(
            "one-512",
            "50→50, one message a write, window 512",
            wide,
            EVERYBODY,
        ),
    ]
}

fn acknowledged_rows() -> Vec<Row> {
    let qos1 = Shape { qos: 1, ..P2P };
    let unshared = Shape {
        publishers: 100,
        subscribers: 100,
        ..qos1
    };
    let shared = Shape {
        kind: Kind::Shared,
        ..unshared
    };
    vec![
        pinned(
            "qos1",
            "50→50 QoS 1, 16 a write, window 256",
            qos1,
            &[Ring, Epoll, Glommio, Mosquitto, Rumqttd],
        ),
        pinned(
            "shared-100",
            "100→a shared subscription of 100, QoS 1, 50,000 messages/s",
            Shape {
                pacing: Pacing::Rate(50_000.0),
                ..shared
            },
            &[Ring, Epoll, Glommio, Mosquitto],
        ),
        pinned(
            "unshared-100",
            "the same unshared: 100→100, QoS 1, 50,000 messages/s",
            Shape {
                pacing: Pacing::Rate(50_000.0),
                ..unshared
            },
            &[Ring, Epoll, Glommio, Mosquitto],
        ),
        pinned(
            "shared-max",
            "100→a shared subscription of 100, QoS 1, 16 a write, window 256",
            shared,
            &[Ring, Mosquitto],
        ),
        pinned(
            "unshared-max",
            "the same unshared: 100→100, QoS 1, 16 a write, window 256",
            unshared,
            &[Ring, Mosquitto],
        ),
        pinned(
            "latency",
            "latency, 50 pairs, 5,000 messages/s, open loop",
            LATENCY,
            EVERYBODY,
        ),
    ]
}

fn websocket_rows() -> Vec<Row> {
    let one_message = Shape {
        kind: Kind::FanOut,
        publishers: 1,
        subscribers: 1000,
        pacing: Pacing::Window(1),
        batch: 1,
        ..P2P
    };
    let many_messages = Shape {
        pacing: P2P.pacing,
        batch: P2P.batch,
        ..one_message
    };
    vec![
        pinned(
            "ws-p2p",
            "50→50 as in `50-50`, over TCP and in WebSockets",
            P2P,
            &[Ring, WebSocket, TopicSocket],
        ),
        pinned(
            "ws-fan-1000",
            "one message to 1,000, and then the next, over TCP and in WebSockets",
            one_message,
            &[Ring, WebSocket, TopicSocket],
        ),
        pinned(
            "ws-fan-batch",
            "fan-out 1→1,000, 16 a write, window 256, over TCP and in WebSockets",
            many_messages,
            &[Ring, WebSocket, TopicSocket],
        ),
        Row {
            name: "ws-idle",
            title: "10,000 connections as in `connect`, over TCP and in WebSockets",
            task: Task::Connect(10_000),
            contenders: &[Ring, WebSocket, TopicSocket, Compression],
            placement: Placement::Pinned,
        },
    ]
}

fn nats_rows() -> Vec<Row> {
    const THREE: &[Contender] = &[Ring, RingNats, Nats];
    let small = Shape {
        payload_bytes: 16,
        ..P2P
    };
    let fan_out = Shape {
        kind: Kind::FanOut,
        publishers: 1,
        subscribers: 200,
        ..P2P
    };
    vec![
        pinned(
            "nats-p2p",
            "50→50 as in `50-50`, by MQTT and by the NATS client protocol",
            P2P,
            THREE,
        ),
        pinned("nats-p2p-16", "the same with 16 bytes", small, THREE),
        pinned(
            "nats-fan-out",
            "fan-out 1→200 as in `fan-out`, by MQTT and by the NATS client protocol",
            fan_out,
            THREE,
        ),
        pinned(
            "nats-one",
            "50→50, one message a write as in `one-64`, by MQTT and by the NATS client protocol",
            ONE_PER_WRITE,
            THREE,
        ),
    ]
}

fn datagram_row() -> Row {
    let open = Shape {
        publishers: 10,
        subscribers: 10,
        pacing: Pacing::Unbounded,
        batch: 64,
        topic: "%2",
        ..P2P
    };
    pinned(
        "sn-open",
        "MQTT-SN at QoS −1, 10 senders to 10 MQTT subscribers, as fast as they send",
        open,
        &[RingSn, EpollSn, Sink, Echo],
    )
}

fn other_rows() -> Vec<Row> {
    let load = Task::Load;
    let large = Shape {
        kind: Kind::FanOut,
        publishers: 1,
        subscribers: 1000,
        pacing: Pacing::Window(1),
        batch: 1,
        qos: 0,
        payload_bytes: 1 << 20,
        topic: "bench/%i",
    };
    let row = |name, title, task, contenders, placement| Row {
        name,
        title,
        task,
        contenders,
        placement,
    };
    vec![
        row(
            "2-shards",
            "two shards, 50→50, 16 a write, generator not pinned",
            load(P2P),
            OWN,
            Placement::TwoShards,
        ),
        row(
            "2-shards-one",
            "two shards, 50→50, one message a write, window 64, generator not pinned",
            load(ONE_PER_WRITE),
            OWN,
            Placement::TwoShards,
        ),
        row(
            "latency-default",
            "latency as above, default number of shards",
            load(LATENCY),
            OWN,
            Placement::DefaultShards,
        ),
        row(
            "connect",
            "10,000 connections, CONNECT included, then idle",
            Task::Connect(10_000),
            &[Ring, Epoll, Glommio, Mosquitto],
            Placement::Pinned,
        ),
        row(
            "1-mib",
            "1 MiB payload to 1,000 subscribers",
            load(large),
            &[Ring, Epoll],
            Placement::Pinned,
        ),
        row(
            "copy-64k",
            "copy relay, full blocks of 64 KiB, per 70 bytes",
            Task::Copy(65536),
            &[Limit],
            Placement::Pinned,
        ),
    ]
}

/// What ringbus with its ring driver must reach.
pub fn goals() -> Vec<Goal> {
    use Against::{Figure, Number};
    let goal = |row, metric, factor, against| Goal {
        row,
        by: Ring,
        metric,
        factor,
        against,
    };
    let cpu = |row, factor, against_row, contender| {
        goal(row, Metric::Cpu, factor, Figure(against_row, contender))
    };
    let mut goals = vec![
        cpu("1-1", 0.40, "1-1", Nats),
        cpu("1-1", 3.0, "1-1", Limit),
        cpu("50-50", 0.25, "50-50", Nats),
        cpu("50-50", 0.02, "50-50", Mosquitto),
        goal("50-50", Metric::Rate, 3e6, Number("messages/s")),
        cpu("fan-in", 0.33, "fan-in", Nats),
        cpu("fan-out", 0.27, "fan-out", Nats),
        cpu("one-64", 0.55, "one-64", Nats),
        goal("one-64", Metric::Rate, 1.0, Figure("one-64", Nats)),
        cpu("one-512", 0.30, "one-512", Nats),
        cpu("qos1", 0.05, "qos1", Mosquitto),
        goal(
            "shared-100",
            Metric::Rate,
            0.8,
            Figure("unshared-100", Ring),
        ),
        goal("latency", Metric::P50, 1.0, Figure("latency", Mosquitto)),
        goal("latency", Metric::P50, 1.0, Figure("latency", Nats)),
        goal("latency", Metric::P99, 1.0, Figure("latency", Mosquitto)),
        goal("latency", Metric::P99, 1.0, Figure("latency", Nats)),
        cpu("latency", 1.0, "latency", Mosquitto),
        cpu("2-shards", 1.5, "50-50", Ring),
        cpu("2-shards-one", 1.6, "one-64", Ring),
        goal("latency-default", Metric::P50, 1.5, Figure("latency", Ring)),
        goal("connect", Metric::UserBytes, 1024.0, Number("bytes")),
        goal(
            "connect",
            Metric::ConnectionsPerCore,
            1.0,
            Figure("connect", Mosquitto),
        ),
        goal("1-mib", Metric::Growth, 64.0, Number("MiB")),
    ];
    goals.extend(websocket_goals());
    goals.extend(nats_goals());
    goals.extend([RingSn, EpollSn].map(|by| Goal {
        row: "sn-open",
        by,
        metric: Metric::Rate,
        factor: 500e3,
        against: Number("messages/s"),
    }));
    goals
}

/// What WebSockets may cost.
fn websocket_goals() -> [Goal; 4] {
    use Against::{Above, Figure, Number};
    let goal = |row, by, metric, factor, against| Goal {
        row,
        by,
        metric,
        factor,
        against,
    };
    let over_tcp = |row| Figure(row, Ring);
    let bytes = Metric::UserBytes;
    [
        goal("ws-p2p", WebSocket, Metric::Cpu, 1.35, over_tcp("ws-p2p")),
        goal(
            "ws-fan-1000",
            TopicSocket,
            Metric::Cpu,
            1.2,
            over_tcp("ws-fan-1000"),
        ),
        goal("ws-idle", WebSocket, bytes, 512.0, Above("ws-idle", Ring)),
        goal("ws-idle", Compression, bytes, 20_480.0, Number("bytes")),
    ]
}

/// What NATS clients must get: so many times the messages of a CPU second.
fn nats_goals() -> Vec<Goal> {
    let goal = |row, factor, contender| Goal {
        row,
        by: RingNats,
        metric: Metric::Cpu,
        factor,
        against: Against::Figure(row, contender),
    };
    vec![
        goal("nats-p2p", 1.0 / 3.0, Nats),
        goal("nats-p2p", 1.2, Ring),
        goal("nats-p2p-16", 1.0 / 3.0, Nats),
        goal("nats-p2p-16", 1.2, Ring),
        goal("nats-fan-out", 1.0 / 3.0, Nats),
        goal("nats-one", 1.0 / 1.8, Nats),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_valid_and_every_goal_names_rows_that_run() {
        let rows = rows();
        for row in &rows {
            if let Task::Load(shape) = &row.task {
                let load = shape.load(0, 1).validate().unwrap();
                for contender in row.contenders {
                    load.fits(contender.protocol()).unwrap();
                }
            }
        }
        let runs = |name: &str, contender: Contender| {
            rows.iter()
                .any(|row| row.name == name && row.contenders.contains(&contender))
        };
        for goal in goals() {
            assert!(runs(goal.row, goal.by), "{}", goal.row);
            if let Against::Figure(row, contender) | Against::Above(row, contender) = goal.against {
                assert!(runs(row, contender), "{row} {}", contender.name());
            }
        }
    }
}
