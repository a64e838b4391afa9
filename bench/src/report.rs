//! What a run found, for people and as JSON.

use crate::broker::ShardSums;
use crate::generator::{Backlog, BacklogOutcome, ConnectOutcome, Load, Outcome, Pacing};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// From this share of a CPU on, the generator and not the broker sets the pace.
const BOTTLENECK: f64 = 0.95;

/// A rate is held if at least this share of the plan was sent, and delivered, in time.
const HELD: f64 = 0.99;

/// The report of a load.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Which benchmark
    pub kind: String,
    /// Publisher connections
    pub publishers: usize,
    /// Subscriber connections
    pub subscribers: usize,
    /// Topics
    pub topics: usize,
    /// Quality of service
    pub qos: u8,
    /// Payload bytes
    pub payload_bytes: usize,
    /// Bytes of a published message on the wire
    pub message_bytes: usize,
    /// Messages a write
    pub batch: u64,
    /// Unreceived messages a topic (closed loop)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Messages a second asked for (open loop)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Seconds measured
    pub seconds: f64,
    /// Messages sent, in the whole run
    pub sent: u64,
    /// Deliveries these should cause
    pub expected: u64,
    /// Deliveries received, each once
    pub received: u64,
    /// Deliveries that never came
    pub lost: u64,
    /// The same in percent of what was expected
    pub lost_percent: f64,
    /// Whether some may be lost without a fault: messages left as datagrams
    pub may_lose: bool,
    /// Deliveries received again
    pub duplicated: u64,
    /// Deliveries overtaken by a later message of the same publisher
    pub reordered: u64,
    /// Messages that are none of this load's
    pub foreign: u64,
    /// Refusals of the broker
    pub refused: u64,
    /// Times without any arrival for a second, after which what was under way was given up; 20 ms
    /// for datagrams
    pub stalls: u32,
    /// Messages sent a second, while measured
    pub sent_per_second: f64,
    /// Deliveries a second, while measured
    pub received_per_second: f64,
    /// CPU microseconds of the broker for each delivery
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_cpu_us_per_message: Option<f64>,
    /// CPU of the broker, in percent of one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_cpu_percent: Option<f64>,
    /// CPU of the generator, in percent of one
    pub generator_cpu_percent: f64,
    /// Whether the generator and not the broker set the pace
    pub generator_was_the_limit: bool,
    /// Whether the rate asked for was sent and delivered
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_held: Option<bool>,
    /// Messages that the members of a shared subscription got
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// Latency from the planned send time
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Latency>,
    /// Mail between the shards of an own broker, over its whole life
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
}

/// How evenly the members of a shared subscription shared, over the whole run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shares {
    /// The least that a member got
    pub least: u64,
    /// The mean
    pub mean: f64,
    /// The most
    pub most: u64,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Deliveries counted
    pub count: u64,
    /// Median
    pub p50: f64,
    /// 90 %
    pub p90: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p99_9: f64,
    /// 99.99 %
    pub p99_99: f64,
    /// The longest
    pub max: f64,
}

/// Mail between shards.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mail {
    /// What the shards counted
    #[serde(flatten)]
    pub sums: ShardSums,
    /// Items in a batch, on average
    pub items_per_batch: f64,
    /// Wakes a second
    pub wakes_per_second: f64,
}

impl LoadReport {
    /// The report of `outcome`; `mail` is known for an own broker that has ended.
    pub fn new(kind: &str, load: &Load, outcome: &Outcome, mail: Option<Mail>) -> Self {
        let seconds = outcome.seconds;
        let received = outcome.measured_received;
        let cpu = outcome.broker_cpu.map(|nanoseconds| nanoseconds as f64);
        let generator = outcome.generator_cpu as f64 / seconds / 1e9;
        let tally = outcome.tally;
        let lost = outcome.expected.saturating_sub(tally.received);
        Self {
            kind: kind.into(),
            publishers: load.publishers,
            subscribers: load.subscribers,
            topics: load.topics,
            qos: load.qos,
            payload_bytes: load.payload_bytes,
            message_bytes: outcome.message_bytes,
            batch: load.batch,
            window: if let Pacing::Window(window) = load.pacing {
                Some(window)
            } else {
                None
            },
            rate: if let Pacing::Rate(rate) = load.pacing {
                Some(rate)
            } else {
                None
            },
            seconds,
            sent: outcome.sent,
            expected: outcome.expected,
            received: tally.received,
            lost,
            lost_percent: lost as f64 * 100.0 / outcome.expected.max(1) as f64,
            may_lose: outcome.may_lose,
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            foreign: tally.foreign,
            refused: tally.refused,
            stalls: outcome.stalls,
            sent_per_second: outcome.measured_sent as f64 / seconds,
            received_per_second: received as f64 / seconds,
            broker_cpu_us_per_message: cpu.map(|cpu| cpu / 1e3 / received as f64),
            broker_cpu_percent: cpu.map(|cpu| cpu / seconds / 1e7),
            generator_cpu_percent: generator * 100.0,
            generator_was_the_limit: generator >= BOTTLENECK,
            rate_held: outcome.planned.map(|planned| is_held(planned, outcome)),
            shares: Shares::of(&outcome.shares),
            latency_us: outcome.latency.as_ref().map(Latency::of),
            mail,
        }
    }
}

/// Whether the plan was sent in time, and what it delivers received. Of datagrams, what is lost
/// has a figure of its own.
fn is_held(planned: u64, outcome: &Outcome) -> bool {
    let wanted = planned as f64 * HELD;
    let deliveries_each = outcome.expected as f64 / outcome.sent.max(1) as f64;
    let sent = outcome.measured_sent as f64 >= wanted;
    let received = outcome.measured_received as f64 >= wanted * deliveries_each;
    sent && (received || outcome.may_lose)
}

impl Latency {
    /// Percentiles of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

impl Shares {
    /// Of what each member got; `None` without members.
    fn of(shares: &[u64]) -> Option<Self> {
        Some(Self {
            least: *shares.iter().min()?,
            mean: shares.iter().sum::<u64>() as f64 / shares.len() as f64,
            most: *shares.iter().max()?,
        })
    }
}

impl Display for Shares {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let percent = |share: u64| (share as f64 / self.mean - 1.0) * 100.0;
        write!(
            out,
            "{} ({:+.1} %) to {} ({:+.1} %) messages a member, {:.1} on average",
            self.least,
            percent(self.least),
            self.most,
            percent(self.most),
            self.mean
        )
    }
}

impl Mail {
    /// The mail of a broker whose load lasted `seconds`.
    pub fn new(sums: ShardSums, seconds: f64) -> Self {
        Self {
            sums,
            items_per_batch: sums.mail_items as f64 / sums.mail_batches.max(1) as f64,
            wakes_per_second: sums.wakes as f64 / seconds,
        }
    }
}

impl Display for LoadReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (publishers, subscribers, topics) = (self.publishers, self.subscribers, self.topics);
        writeln!(
            out,
            "{}: {publishers} publishers, {topics} topics, {subscribers} subscribers, QoS {}, \
             {} B payload, {} a write, {}",
            self.kind,
            self.qos,
            self.payload_bytes,
            self.batch,
            self.pace()
        )?;
        writeln!(
            out,
            "  sent      {:>14}  {:>10.0} messages/s over {:.2} s",
            self.sent, self.sent_per_second, self.seconds
        )?;
        writeln!(
            out,
            "  received  {:>14}  {:>10.0} messages/s",
            self.received, self.received_per_second
        )?;
        writeln!(
            out,
            "  lost {} ({:.2} %), duplicated {}, reordered {}, foreign {}, refused {}",
            self.lost,
            self.lost_percent,
            self.duplicated,
            self.reordered,
            self.foreign,
            self.refused
        )?;
        self.write_processors(out)?;
        if let Some(latency) = &self.latency_us {
            writeln!(out, "  latency   {latency}")?;
        }
        if let Some(shares) = &self.shares {
            writeln!(out, "  shares    {shares}")?;
        }
        if let Some(mail) = self.mail.filter(|mail| mail.sums.shards > 1) {
            writeln!(out, "  mail      {mail}")?;
        }
        self.write_warnings(out)
    }
}

impl LoadReport {
    fn pace(&self) -> String {
        match (self.window, self.rate) {
            (Some(window), _) => format!("window {window}"),
            (_, Some(rate)) => format!("{rate} messages/s planned"),
            _ if self.latency_us.is_some() => "ping-pong".into(),
            _ => "no window".into(),
        }
    }

    fn write_processors(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Some((each, percent)) = self.broker_cpu_us_per_message.zip(self.broker_cpu_percent) {
            writeln!(
                out,
                "  broker    {percent:>13.1}%  {each:.4} µs of CPU per delivered message"
            )?;
        }
        writeln!(out, "  generator {:>13.1}%", self.generator_cpu_percent)
    }

    fn write_warnings(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.generator_was_the_limit {
            writeln!(
                out,
                "  note: the generator was the bottleneck, the broker can do more"
            )?;
        }
        if self.stalls > 0 {
            writeln!(
                out,
                "  note: {} times nothing arrived for {}",
                self.stalls,
                if self.may_lose { "20 ms" } else { "a second" }
            )?;
        }
        if self.rate_held == Some(false) {
            writeln!(out, "  note: the rate was not held")?;
        }
        Ok(())
    }
}

impl Display for Latency {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  p99.99 {:.1}  max {:.1} µs",
            self.p50, self.p90, self.p99, self.p99_9, self.p99_99, self.max
        )
    }
}

impl Display for Mail {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} items in {} batches ({:.1} each), {:.0} wakes/s",
            self.sums.mail_items,
            self.sums.mail_batches,
            self.items_per_batch,
            self.wakes_per_second
        )
    }
}

/// The report of `bench backlog`.
#[derive(Clone, Debug, Serialize)]
pub struct BacklogReport {
    /// Messages that waited
    pub messages: u64,
    /// Received, each once
    pub received: u64,
    /// Received again
    pub duplicated: u64,
    /// Not in order
    pub reordered: u64,
    /// Seconds from CONNECT to the last message
    pub seconds: f64,
    /// Round trips of somebody else before
    pub before_us: Latency,
    /// Round trips of somebody else meanwhile
    pub during_us: Latency,
    /// Their 99th percentile meanwhile by that before
    pub p99_ratio: f64,
}

impl BacklogReport {
    /// The report of `outcome`.
    pub fn new(backlog: &Backlog, outcome: &BacklogOutcome) -> Self {
        let (before, during) = (Latency::of(&outcome.before), Latency::of(&outcome.during));
        Self {
            messages: backlog.messages,
            received: outcome.received,
            duplicated: outcome.duplicated,
            reordered: outcome.reordered,
            seconds: outcome.seconds,
            before_us: before,
            during_us: during,
            p99_ratio: during.p99 / before.p99,
        }
    }
}

impl Display for BacklogReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "backlog: {} of {} QoS 1 messages in {:.3} s, {:.0}/s; duplicated {}, reordered {}",
            self.received,
            self.messages,
            self.seconds,
            self.received as f64 / self.seconds,
            self.duplicated,
            self.reordered
        )?;
        writeln!(out, "  ping-pong before  {}", self.before_us)?;
        writeln!(out, "  and meanwhile     {}", self.during_us)?;
        writeln!(out, "  p99 meanwhile / before: {:.2}", self.p99_ratio)
    }
}

/// The report of `bench connect`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectReport {
    /// Connections held
    pub connections: usize,
    /// Seconds until all were accepted
    pub seconds: f64,
    /// Connections a second
    pub connections_per_second: f64,
    /// Connections a second of the broker's CPU
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_core_second: Option<f64>,
    /// Resident bytes of the broker for each idle connection
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes_per_connection: Option<f64>,
    /// The same without files: what it allocated in user space
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_bytes_per_connection: Option<f64>,
    /// CPU of the generator, in percent of one
    pub generator_cpu_percent: f64,
}

impl ConnectReport {
    /// The report of `outcome`.
    pub fn new(outcome: &ConnectOutcome) -> Self {
        let count = outcome.connections as f64;
        let each = |before: u64, after: u64| (after as f64 - before as f64) / count;
        let memory = outcome.memory;
        Self {
            connections: outcome.connections,
            seconds: outcome.seconds,
            connections_per_second: count / outcome.seconds,
            connections_per_core_second: outcome.broker_cpu.map(|cpu| count * 1e9 / cpu as f64),
            resident_bytes_per_connection: memory
                .map(|(before, after)| each(before.resident, after.resident)),
            user_bytes_per_connection: memory
                .map(|(before, after)| each(before.user_space, after.user_space)),
            generator_cpu_percent: outcome.generator_cpu as f64 / outcome.seconds / 1e7,
        }
    }
}

impl Display for ConnectReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "connect: {} connections in {:.2} s, {:.0}/s",
            self.connections, self.seconds, self.connections_per_second
        )?;
        if let Some(rate) = self.connections_per_core_second {
            writeln!(out, "  broker    {rate:.0} connections per core-second")?;
        }
        let memory = self
            .resident_bytes_per_connection
            .zip(self.user_bytes_per_connection);
        if let Some((resident, user)) = memory {
            writeln!(
                out,
                "  memory    {resident:.0} B resident, {user:.0} B of it user space, each"
            )?;
        }
        writeln!(out, "  generator {:.1}%", self.generator_cpu_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Tally;

    fn outcome(planned: u64, sent: u64, received: u64) -> Outcome {
        Outcome {
            sent: 1000,
            expected: 2000,
            tally: Tally {
                received: 1990,
                ..Tally::default()
            },
            stalls: 0,
            seconds: 2.0,
            measured_sent: sent,
            measured_received: received,
            broker_cpu: Some(1_000_000_000),
            generator_cpu: 1_900_000_000,
            planned: Some(planned),
            shares: Vec::new(),
            latency: None,
            message_bytes: 75,
            may_lose: false,
        }
    }

    fn report(outcome: &Outcome) -> LoadReport {
        LoadReport::new(
            "p2p",
            &crate::generator::small_of(crate::generator::Kind::PointToPoint, 1, 2, 1),
            outcome,
            None,
        )
    }

    #[test]
    fn a_rate_is_held_if_sent_and_delivered_in_time() {
        assert_eq!(report(&outcome(1000, 995, 1985)).rate_held, Some(true));
        assert_eq!(report(&outcome(1000, 980, 1985)).rate_held, Some(false));
        assert_eq!(report(&outcome(1000, 995, 1900)).rate_held, Some(false));
    }

    #[test]
    fn a_rate_of_datagrams_is_held_if_sent_and_the_loss_is_told() {
        let datagrams = |sent| Outcome {
            may_lose: true,
            ..outcome(1000, sent, 1900)
        };
        assert_eq!(report(&datagrams(995)).rate_held, Some(true));
        assert_eq!(report(&datagrams(980)).rate_held, Some(false));
        let text = report(&datagrams(995)).to_string();
        assert!(text.contains("lost 10 (0.50 %)"), "{text}");
    }

    #[test]
    fn cpu_is_per_delivery_and_per_second() {
        let report = report(&outcome(1000, 1000, 2000));
        assert_eq!(report.broker_cpu_us_per_message, Some(500.0));
        assert_eq!(report.broker_cpu_percent, Some(50.0));
        assert!(report.generator_was_the_limit);
        assert_eq!(report.lost, 10);
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut histogram = Histogram::new(3).unwrap();
        for microseconds in 1..=10_000u64 {
            histogram.record(microseconds * 1000).unwrap();
        }
        let latency = Latency::of(&histogram);
        for (value, expected) in [
            (latency.p50, 5000.0),
            (latency.p90, 9000.0),
            (latency.p99, 9900.0),
            (latency.p99_9, 9990.0),
            (latency.p99_99, 9999.0),
            (latency.max, 10_000.0),
        ] {
            assert!(
                (value - expected).abs() <= expected * 0.002,
                "{value} is not {expected}"
            );
        }
    }
}
