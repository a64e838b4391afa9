//! What one run adds to the tables, and medians over runs.

use crate::generator::ConnectOutcome;
use crate::report::{ConnectReport, LoadReport};

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// CPU microseconds of the broker for each delivery
    Cpu,
    /// Deliveries a second
    Rate,
    /// Median latency in microseconds
    P50,
    /// 99 % of latencies, in microseconds
    P99,
    /// CPU of the generator in percent
    Generator,
    /// Deliveries lost, doubled or foreign
    Wrong,
    /// Datagrams lost, in percent of those sent
    Lost,
    /// Items in a batch of mail between shards
    ItemsPerBatch,
    /// Wakes of shards a second
    Wakes,
    /// Connections accepted in a second of the broker's CPU
    ConnectionsPerCore,
    /// Bytes in user space for each idle connection
    UserBytes,
    /// Resident bytes for each idle connection
    ResidentBytes,
    /// Growth of memory in MiB
    Growth,
}

impl Metric {
    const COUNT: usize = 13;

    /// All of them, in the order of the tables' columns.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Cpu,
        Self::Rate,
        Self::P50,
        Self::P99,
        Self::ItemsPerBatch,
        Self::Wakes,
        Self::ConnectionsPerCore,
        Self::UserBytes,
        Self::ResidentBytes,
        Self::Growth,
        Self::Lost,
        Self::Wrong,
        Self::Generator,
    ];

    /// Whether a larger figure is the better one.
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Rate | Self::ConnectionsPerCore | Self::ItemsPerBatch
        )
    }

    /// The head of its column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs/message",
            Self::Rate => "messages/s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::Generator => "generator %",
            Self::Lost => "datagrams lost %",
            Self::Wrong => "lost or wrong",
            Self::ItemsPerBatch => "items/batch",
            Self::Wakes => "wakes/s",
            Self::ConnectionsPerCore => "connections/core-second",
            Self::UserBytes => "user B/connection",
            Self::ResidentBytes => "resident B/connection",
            Self::Growth => "growth MiB",
        }
    }

    /// A figure with the digits that mean something.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Cpu if value < 0.1 => format!("{value:.4}"),
            Self::Cpu => format!("{value:.3}"),
            Self::Rate if value >= 1e6 => format!("{:.2}M", value / 1e6),
            Self::Rate if value >= 1e4 => format!("{:.0}k", value / 1e3),
            Self::P50 | Self::P99 | Self::ItemsPerBatch | Self::Growth | Self::Lost => {
                format!("{value:.1}")
            }
            _ => format!("{value:.0}"),
        }
    }
}

/// The figures of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample([Option<f64>; Metric::COUNT]);

impl Sample {
    /// A figure.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.0[metric as usize]
    }

    /// Adds a figure.
    pub fn with(mut self, metric: Metric, value: f64) -> Self {
        self.0[metric as usize] = Some(value);
        self
    }

    fn with_some(self, metric: Metric, value: Option<f64>) -> Self {
        value.map_or(self, |value| self.with(metric, value))
    }

    /// The figures of a load.
    pub fn of_load(report: &LoadReport) -> Self {
        let lost = if report.may_lose { 0 } else { report.lost };
        let wrong = lost + report.duplicated + report.reordered + report.foreign;
        let datagrams_lost = report.may_lose.then_some(report.lost_percent);
        let sample = Self::default()
            .with(Metric::Rate, report.received_per_second)
            .with(Metric::Generator, report.generator_cpu_percent)
            .with(Metric::Wrong, (wrong + report.refused) as f64)
            .with_some(Metric::Lost, datagrams_lost)
            .with_some(Metric::Cpu, report.broker_cpu_us_per_message);
        let latency = report.latency_us;
        let mail = report.mail.filter(|mail| mail.sums.shards > 1);
        sample
            .with_some(Metric::P50, latency.map(|latency| latency.p50))
            .with_some(Metric::P99, latency.map(|latency| latency.p99))
            .with_some(Metric::ItemsPerBatch, mail.map(|mail| mail.items_per_batch))
            .with_some(Metric::Wakes, mail.map(|mail| mail.wakes_per_second))
    }

    /// The figures of connections.
    pub fn of_connections(outcome: &ConnectOutcome) -> Self {
        let report = ConnectReport::new(outcome);
        Self::default()
            .with(Metric::Generator, report.generator_cpu_percent)
            .with_some(
                Metric::ConnectionsPerCore,
                report.connections_per_core_second,
            )
            .with_some(Metric::UserBytes, report.user_bytes_per_connection)
            .with_some(Metric::ResidentBytes, report.resident_bytes_per_connection)
    }
}

/// The median of a figure over runs.
pub fn median(samples: &[Sample], metric: Metric) -> Option<f64> {
    let mut values: Vec<f64> = samples
        .iter()
        .filter_map(|sample| sample.get(metric))
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        values
            .iter()
            .map(|&value| Sample::default().with(Metric::Cpu, value))
            .collect()
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        assert_eq!(median(&samples(&[3.0, 1.0, 2.0]), Metric::Cpu), Some(2.0));
        assert_eq!(
            median(&samples(&[4.0, 1.0, 2.0, 3.0]), Metric::Cpu),
            Some(2.5)
        );
        assert_eq!(median(&samples(&[1.0]), Metric::Rate), None);
        assert_eq!(median(&[], Metric::Cpu), None);
    }
}
