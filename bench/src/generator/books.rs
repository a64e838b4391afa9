//! What the generator knows of every message: who may send, what arrived, how long it took.

use super::load::{Kind, Load, Pacing};
use super::pace::Plan;
use super::stream::{Floor, Stream};
use super::verify::{Arrival, Tally, Track};
use super::wire::{Stamp, Template};
use hdrhistogram::Histogram;

/// Latencies above a minute count as a minute.
const LATENCY_MAX: u64 = 60_000_000_000;

/// The books of a run.
pub struct Books {
    /// Number of this run, in every stamp
    pub run: u32,
    /// All streams
    pub streams: Vec<Stream>,
    /// Streams that may be able to send
    pub ready: Vec<usize>,
    /// What arrived
    pub tally: Tally,
    /// Latency in nanoseconds of messages that left within the measured time
    pub latency: Option<Histogram<u64>>,
    /// The open loop's plan
    pub plan: Option<Plan>,
    /// Only messages that left (or were due) from here …
    pub measured_from: u64,
    /// … to here have their latency recorded
    pub measured_to: u64,
    /// Messages that each member of a shared subscription got
    pub shares: Vec<u64>,
    window: Option<u64>,
    batch: u64,
    tracks: Vec<Track>,
}

impl Books {
    /// Empty books for `load`, whose streams have these templates.
    pub fn new(load: &Load, run: u32, templates: Vec<Template>) -> Self {
        let count = load.streams();
        let window = match load.pacing {
            Pacing::Window(window) => Some(load.stream_window(window)),
            Pacing::PingPong => Some(1),
            Pacing::Rate(_) | Pacing::Unbounded => None,
        };
        let stream = |(index, template)| Stream {
            connection: load.subscribers + load.publisher_of(index),
            template,
            sent: 0,
            allowed: if load.pacing == Pacing::Unbounded {
                u64::MAX
            } else {
                window.unwrap_or(0)
            },
            sent_at: 0,
            queued: true,
            floor: Floor::new(u32_of(load.subscribers_of(index)), load.batch),
        };
        let timed = matches!(load.pacing, Pacing::Rate(_) | Pacing::PingPong);
        Self {
            run,
            streams: templates.into_iter().enumerate().map(stream).collect(),
            ready: (0..count).collect(),
            tally: Tally::default(),
            latency: timed.then(histogram),
            plan: None,
            measured_from: u64::MAX,
            measured_to: u64::MAX,
            shares: match load.kind {
                Kind::Shared => vec![0; load.subscribers],
                _ => Vec::new(),
            },
            window,
            batch: load.batch,
            tracks: tracks(load),
        }
    }

    /// A subscriber received a message.
    #[inline]
    pub fn arrived(&mut self, mut subscriber: usize, stamp: Stamp, now: u64) {
        if let Some(share) = self.shares.get_mut(subscriber) {
            *share += 1;
            subscriber = 0;
        }
        let index = stamp.stream as usize;
        if stamp.run != self.run || index >= self.streams.len() {
            self.tally.foreign += 1;
            return;
        }
        let track = &mut self.tracks[subscriber * self.streams.len() + index];
        let before = track.next();
        let arrival = track.arrive(stamp.sequence);
        let after = track.next();
        // Between the members of a group there is no order to keep: what counts is how many came.
        let (arrival, before, after) = match arrival {
            Arrival::New | Arrival::Late if !self.shares.is_empty() => {
                let received = self.streams[index].floor.get();
                (Arrival::New, received, received + 1)
            }
            other => (other, before, after),
        };
        self.tally.count(arrival);
        if arrival == Arrival::New && self.streams[index].floor.advance(before, after) {
            self.raise(index);
        }
        if self.latency.is_some() && arrival == Arrival::New {
            self.time(stamp, now);
        }
    }

    /// The floor of a stream rose: the window moves on.
    #[inline]
    fn raise(&mut self, index: usize) {
        let Some(window) = self.window else { return };
        let stream = &mut self.streams[index];
        stream.allowed = stream.floor.get() + window;
        self.queue(index);
    }

    /// Puts a stream that may send a batch into the list, once.
    #[inline]
    pub fn queue(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        if !stream.queued && stream.allowed - stream.sent >= self.batch {
            stream.queued = true;
            self.ready.push(index);
        }
    }

    fn time(&mut self, stamp: Stamp, now: u64) {
        let left = match &self.plan {
            Some(plan) => plan.message_time(stamp.stream, stamp.sequence),
            None => self.streams[stamp.stream as usize].sent_at,
        };
        if left < self.measured_from || left >= self.measured_to {
            return;
        }
        if let Some(latency) = &mut self.latency {
            latency.saturating_record(now.saturating_sub(left).max(1));
        }
    }

    /// Gives up on everything sent so far: it counts as lost, and windows open again.
    pub fn abandon(&mut self) {
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            stream.floor.abandon(stream.sent);
            self.raise(index);
        }
    }

    /// Messages sent.
    pub fn sent(&self) -> u64 {
        self.streams.iter().map(|stream| stream.sent).sum()
    }

    /// Deliveries that these messages should cause.
    pub fn expected(&self) -> u64 {
        self.streams
            .iter()
            .map(|stream| stream.sent * u64::from(stream.floor.subscribers()))
            .sum()
    }
}

fn tracks(load: &Load) -> Vec<Track> {
    let streams = load.streams();
    let track = |index: usize| {
        let (subscriber, stream) = (index / streams, index % streams);
        if load.receives(subscriber, load.topic_of(stream)) {
            Track::default()
        } else {
            Track::unwanted()
        }
    };
    (0..load.receivers() * streams).map(track).collect()
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are constant and valid")
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).expect("the load bounds its connections")
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::small;
    use super::super::wire::{Mqtt, Shape, Wire};
    use super::*;

    fn books(load: &Load) -> Books {
        let shape = Shape {
            topic: "t",
            qos: 0,
            payload_bytes: 16,
            batch: 1,
        };
        let template = Mqtt::<false>::template(shape);
        Books::new(load, 7, vec![template; load.streams()])
    }

    fn stamp(stream: u32, sequence: u64) -> Stamp {
        Stamp {
            run: 7,
            stream,
            sequence,
        }
    }

    #[test]
    fn the_window_follows_the_slowest_subscriber() {
        let mut load = small(Kind::FanOut, 1, 2, 1);
        load.pacing = Pacing::Window(32);
        let mut books = books(&load);
        books.streams[0].sent = 32;
        books.streams[0].queued = false;
        books.ready.clear();
        for sequence in 0..16 {
            books.arrived(0, stamp(0, sequence), 0);
        }
        assert!(books.ready.is_empty());
        for sequence in 0..16 {
            books.arrived(1, stamp(0, sequence), 0);
        }
        assert_eq!(books.ready, [0]);
        assert_eq!(books.streams[0].allowed, 48);
    }

    #[test]
    fn latency_counts_from_the_planned_time_and_only_while_measured() {
        let mut load = small(Kind::PointToPoint, 1, 1, 1);
        load.pacing = Pacing::Rate(1000.0);
        load.batch = 1;
        let mut books = books(&load);
        books.plan = Some(Plan::new(0, 1000.0, 1, 1));
        books.measured_from = 1_000_000;
        books.measured_to = 3_000_000;
        // Planned at 0, 1, 2 and 3 ms; all arrive at 5 ms, as after a stall of the broker.
        for sequence in 0..4 {
            books.arrived(0, stamp(0, sequence), 5_000_000);
        }
        let latency = books.latency.unwrap();
        assert_eq!(latency.len(), 2);
        assert!(latency.max().abs_diff(4_000_000) < 5_000);
        assert!(latency.min().abs_diff(3_000_000) < 5_000);
    }

    #[test]
    fn messages_of_others_are_foreign() {
        let load = small(Kind::PointToPoint, 2, 2, 2);
        let mut books = books(&load);
        books.arrived(
            0,
            Stamp {
                run: 8,
                ..stamp(0, 0)
            },
            0,
        );
        books.arrived(0, stamp(9, 0), 0);
        books.arrived(0, stamp(1, 0), 0);
        books.arrived(0, stamp(0, 0), 0);
        assert_eq!(books.tally.foreign, 3);
        assert_eq!(books.tally.received, 1);
    }

    #[test]
    fn what_is_abandoned_opens_the_window_and_stays_expected() {
        let load = small(Kind::PointToPoint, 1, 1, 1);
        let mut books = books(&load);
        books.streams[0].sent = 256;
        books.streams[0].queued = false;
        books.ready.clear();
        books.abandon();
        assert_eq!(books.ready, [0]);
        assert_eq!(books.streams[0].allowed, 512);
        assert_eq!(books.expected() - books.tally.received, 256);
    }
}
