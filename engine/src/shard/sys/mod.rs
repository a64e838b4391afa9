//! What the broker says of itself, below `$SYS/`.
//!
//! On an interval each shard publishes its own numbers as `$SYS/shard/N/…` and mails them to the
//! shard that owns `$SYS/broker`. That one speaks for all: it sums, averages and publishes
//! `$SYS/broker/…`. Both publish as clients do, with RETAIN, and only what has changed. A shard on
//! which nothing happened stays silent, so an idle broker wakes each shard once an interval.

mod board;
mod load;
mod report;
mod speaker;

pub use report::Report;
pub(super) use report::{Gauges, Stocktaking};

use super::Shard;
use super::config::ShardConfig;
use super::message::Mail;
use crate::base::{Nanos, ShardId};
use crate::mailbox::Class;
use crate::pubsub::{BROKER_TOPICS, Message, PublisherId, Stored};
use board::{Board, News};
use ringbus_protocols::mqtt::QoS;
use speaker::Speaker;

/// The speaker waits so long for the reports of the others.
const REPORTS_WITHIN: Nanos = Nanos::from_millis(100);

/// A topic that belongs to what the speaker publishes: its owner is the speaker.
const SPEAKERS_TOPIC: &str = "$SYS/broker";

/// What one shard needs to tell of itself.
#[derive(Debug)]
pub(super) struct Sys {
    interval: Nanos,
    next: Nanos,
    speaks: ShardId,
    last: Option<Report>,
    stocktaking: Stocktaking,
    board: Board,
    /// If this is the shard that speaks.
    speaker: Option<Speaker>,
}

impl Sys {
    /// `None` if the broker is to be silent.
    pub(super) fn new(id: ShardId, config: &ShardConfig, now: Nanos) -> Option<Box<Self>> {
        let interval = config.sys_interval;
        if interval == Nanos::ZERO {
            return None;
        }
        let speaks = config.partitioner.owner(SPEAKERS_TOPIC);
        let is_speaker = speaks == id;
        let wait = if is_speaker {
            REPORTS_WITHIN
        } else {
            Nanos::ZERO
        };
        Some(Box::new(Self {
            interval,
            next: now + wait,
            speaks,
            last: None,
            stocktaking: Stocktaking::default(),
            board: Board::new(format!("{BROKER_TOPICS}shard/{id}/")),
            speaker: is_speaker.then(|| Speaker::new(config.shards, now)),
        }))
    }

    fn is_due(&mut self, now: Nanos) -> bool {
        if now < self.next {
            return false;
        }
        let missed = (now - self.next).0 / self.interval.0;
        self.next = self.next + Nanos(self.interval.0 * (missed + 1));
        true
    }
}

/// Whether a topic is the broker's own, to which no client publishes.
#[inline]
pub(super) fn is_brokers_own(topic: &str) -> bool {
    topic.starts_with(BROKER_TOPICS)
}

impl Shard {
    /// When it has to tell of itself.
    pub(super) fn sys_deadline(&self) -> Option<Nanos> {
        let sys = self.sys.as_ref().filter(|_| !self.draining);
        sys.map(|sys| sys.next)
    }

    /// Tells of itself, if it is time.
    pub(super) fn tell_of_itself(&mut self) {
        if self.sys_deadline().is_none_or(|next| next > self.now) {
            return;
        }
        if let Some(mut sys) = self.sys.take() {
            let mut news = News::new();
            self.tell(&mut sys, &mut news);
            self.sys = Some(sys);
            for (topic, payload) in news {
                self.say(&topic, &payload);
            }
        }
    }

    fn tell(&mut self, sys: &mut Sys, news: &mut News) {
        if !sys.is_due(self.now) {
            return;
        }
        let report = self.report(&mut sys.stocktaking);
        let is_new = sys.last.is_none_or(|last| last.differs(&report));
        if is_new {
            report.write(&mut sys.board, news);
        }
        if let Some(speaker) = &mut sys.speaker {
            speaker.hear(self.id, report);
            speaker.speak(self.now, news);
        } else if is_new {
            // A peer with no room hears of it next time.
            if self.outboxes.publish_full(sys.speaks) {
                return;
            }
            let mail = Mail::Report(Box::new(report));
            self.outboxes.control(sys.speaks, Class::Publish, mail);
        }
        sys.last = Some(report);
    }

    /// The speaker's part: what another shard has counted.
    pub(super) fn on_report(&mut self, from: ShardId, report: Report) {
        let sys = self.sys.as_mut();
        if let Some(speaker) = sys.and_then(|sys| sys.speaker.as_mut()) {
            speaker.hear(from, report);
        }
    }

    /// At QoS 0: old numbers must not fill the queue of a client that is away.
    fn say(&mut self, topic: &str, payload: &str) {
        let message = Message {
            topic,
            payload: payload.as_bytes(),
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at: Nanos::MAX,
            publisher: PublisherId::default(),
        };
        self.publish_stored(&Stored::new(&message));
    }
}
