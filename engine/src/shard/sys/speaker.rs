//! The shard that speaks for all: sums, averages, and Mosquitto's topics.

use super::board::{Board, News};
use super::load::Load;
use super::report::Report;
use super::{BROKER_TOPICS, Nanos, ShardId};
use crate::metrics::Counters;

/// A number that only grows.
struct Total {
    /// Its own topic, if it has one.
    topic: Option<&'static str>,
    /// The topics of its averages over 1, 5 and 15 minutes, if it has any.
    loads: Option<[&'static str; 3]>,
    of: fn(&Counters) -> u64,
}

macro_rules! loads {
    ($name:literal) => {
        Some([
            concat!("load/", $name, "/1min"),
            concat!("load/", $name, "/5min"),
            concat!("load/", $name, "/15min"),
        ])
    };
}

const TOTALS: [Total; 12] = [
    Total {
        topic: Some("messages/received"),
        loads: loads!("messages/received"),
        of: |counters| counters.received + counters.control_received,
    },
    Total {
        topic: Some("messages/sent"),
        loads: loads!("messages/sent"),
        of: |counters| counters.delivered + counters.control_sent,
    },
    Total {
        topic: Some("publish/messages/received"),
        loads: loads!("publish/received"),
        of: |counters| counters.received,
    },
    Total {
        topic: Some("publish/messages/sent"),
        loads: loads!("publish/sent"),
        of: |counters| counters.delivered,
    },
    Total {
        topic: Some("publish/messages/dropped"),
        loads: loads!("publish/dropped"),
        of: |counters| counters.dropped,
    },
    Total {
        topic: Some("publish/bytes/received"),
        loads: None,
        of: |counters| counters.publish_bytes_received,
    },
    Total {
        topic: Some("publish/bytes/sent"),
        loads: None,
        of: |counters| counters.publish_bytes_sent,
    },
    Total {
        topic: Some("bytes/received"),
        loads: loads!("bytes/received"),
        of: |counters| counters.bytes_received,
    },
    Total {
        topic: Some("bytes/sent"),
        loads: loads!("bytes/sent"),
        of: |counters| counters.bytes_sent,
    },
    Total {
        topic: Some("clients/expired"),
        loads: None,
        of: |counters| counters.sessions_expired,
    },
    Total {
        topic: None,
        loads: loads!("sockets"),
        of: |counters| counters.accepted,
    },
    Total {
        topic: None,
        loads: loads!("connections"),
        of: |counters| counters.connects,
    },
];

/// What it heard, and what it said.
#[derive(Debug)]
pub(super) struct Speaker {
    reports: Vec<Report>,
    started: Nanos,
    spoke: Nanos,
    connected_max: u64,
    loads: [Load; TOTALS.len()],
    board: Board,
}

impl Speaker {
    pub(super) fn new(shards: u16, now: Nanos) -> Self {
        Self {
            reports: vec![Report::default(); usize::from(shards)],
            started: now,
            spoke: now,
            connected_max: 0,
            loads: Default::default(),
            board: Board::new(format!("{BROKER_TOPICS}broker/")),
        }
    }

    /// What a shard has counted up to now.
    pub(super) fn hear(&mut self, from: ShardId, report: Report) {
        self.reports[from.index()] = report;
    }

    /// Adds everything that changed to the news.
    pub(super) fn speak(&mut self, now: Nanos, news: &mut News) {
        let version = concat!("ringbus version ", env!("CARGO_PKG_VERSION"));
        self.board.write("version", version, news);
        let uptime = format!("{} seconds", (now - self.started).as_secs());
        self.board.write("uptime", uptime, news);
        self.write_clients(news);
        self.write_stores(news);
        self.write_totals(now - self.spoke, news);
        self.spoke = now;
    }

    fn sum(&self, of: impl Fn(&Report) -> u64) -> u64 {
        self.reports.iter().map(of).sum()
    }

    fn write_clients(&mut self, news: &mut News) {
        let connected = self.sum(|report| report.gauges.connected);
        let total = self.sum(|report| report.sessions);
        // Each session has at most one connection, and that is on the same shard.
        let away = total.saturating_sub(connected);
        self.connected_max = self.connected_max.max(connected);
        for (topic, value) in [
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/disconnected", away),
            ("clients/inactive", away),
            ("clients/total", total),
            ("clients/maximum", self.connected_max),
        ] {
            self.board.write(topic, value, news);
        }
    }

    fn write_stores(&mut self, news: &mut News) {
        let retained = self.sum(|report| report.retained.messages as u64);
        let messages = retained + self.sum(|report| report.waiting.messages as u64);
        let bytes = self.sum(|report| (report.retained.bytes + report.waiting.bytes) as u64);
        let subscriptions = self.sum(|report| report.gauges.subscriptions);
        let shared = self.sum(|report| report.gauges.shared_subscriptions);
        for (topic, value) in [
            ("retained messages/count", retained),
            ("messages/stored", messages),
            ("store/messages/count", messages),
            ("store/messages/bytes", bytes),
            ("subscriptions/count", subscriptions),
            ("shared_subscriptions/count", shared),
        ] {
            self.board.write(topic, value, news);
        }
    }

    fn write_totals(&mut self, span: Nanos, news: &mut News) {
        for (at, total) in TOTALS.iter().enumerate() {
            let value = self.sum(|report| (total.of)(&report.counters));
            if let Some(topic) = total.topic {
                self.board.write(topic, value, news);
            }
            if let Some(topics) = total.loads {
                self.loads[at].update(value, span);
                for (topic, average) in topics.into_iter().zip(self.loads[at].averages()) {
                    self.board.write(topic, format_args!("{average:.2}"), news);
                }
            }
        }
    }
}
