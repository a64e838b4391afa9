//! The report of the suite, as Markdown.

use super::contender::Contender;
use super::rows::{Against, Goal, Row, goals};
use super::sample::{Metric, Sample, median};
use std::collections::BTreeMap;
use std::fmt::Write;

/// ringbus by epoll may need at most so many times the CPU of the ring.
const EPOLL_FACTOR: f64 = 1.25;

/// All samples of the suite.
#[derive(Default)]
pub struct Results {
    samples: BTreeMap<(&'static str, Contender), Vec<Sample>>,
    failures: BTreeMap<(&'static str, Contender), String>,
}

impl Results {
    /// Adds a run.
    pub fn add(&mut self, row: &'static str, contender: Contender, sample: Sample) {
        self.samples
            .entry((row, contender))
            .or_default()
            .push(sample);
    }

    /// Notes why a run failed.
    pub fn fail(&mut self, row: &'static str, contender: Contender, why: String) {
        self.failures.insert((row, contender), why);
    }

    /// The median of a figure.
    pub fn median(&self, row: &'static str, contender: Contender, metric: Metric) -> Option<f64> {
        median(self.samples.get(&(row, contender))?, metric)
    }

    /// The tables of all rows, then the goals.
    pub fn markdown(&self, rows: &[Row]) -> String {
        let mut text = String::new();
        for row in rows {
            self.write_row(row, &mut text);
        }
        self.write_goals(rows, &mut text);
        for ((row, contender), why) in &self.failures {
            let _ = writeln!(text, "- {row}, {}: {why}", contender.title());
        }
        text
    }

    fn write_row(&self, row: &Row, text: &mut String) {
        let has = |metric: &Metric| {
            row.contenders
                .iter()
                .any(|&who| self.median(row.name, who, *metric).is_some())
        };
        let columns: Vec<Metric> = Metric::ALL.into_iter().filter(has).collect();
        if columns.is_empty() {
            return;
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "### {} (`{}`)\n\n| |", row.title, row.name);
        columns.iter().for_each(|metric| {
            let _ = write!(text, " {} |", metric.title());
        });
        let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()));
        for &contender in row.contenders {
            if !self.samples.contains_key(&(row.name, contender)) {
                continue;
            }
            let _ = write!(text, "| {} |", contender.title());
            for &metric in &columns {
                let value = self.median(row.name, contender, metric);
                let value = value.map_or_else(|| "–".into(), |value| metric.format(value));
                let _ = write!(text, " {value} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }

    fn write_goals(&self, rows: &[Row], text: &mut String) {
        let mut goals = goals();
        goals.retain(|goal| rows.iter().any(|row| row.name == goal.row));
        let mut lines = String::new();
        for goal in &goals {
            if let Some(line) = self.goal_line(goal) {
                lines.push_str(&line);
            }
        }
        for row in rows {
            if let Some(line) = self.epoll_line(row) {
                lines.push_str(&line);
            }
        }
        if !lines.is_empty() {
            let head =
                "### Goals\n\n| load | figure | reached | goal | |\n|---|---|---:|---:|---|\n";
            let _ = writeln!(text, "{head}{lines}");
        }
    }

    fn goal_line(&self, goal: &Goal) -> Option<String> {
        let value = self.median(goal.row, goal.by, goal.metric)?;
        let (reached, wanted, figure) = match goal.against {
            Against::Number(unit) => {
                let wanted = format!("{} {unit}", goal.metric.format(goal.factor));
                (value, wanted, goal.metric.format(value))
            }
            Against::Figure(row, contender) => {
                let ratio = value / self.median(row, contender, goal.metric)?;
                let of = place(goal, row);
                let wanted = format!("{} × {}{of}", three_digits(goal.factor), contender.title());
                (ratio, wanted, format!("{ratio:.3} ×"))
            }
            Against::Above(row, contender) => {
                let more = value - self.median(row, contender, goal.metric)?;
                let (bound, of) = (goal.metric.format(goal.factor), place(goal, row));
                let wanted = format!("{bound} more than {}{of}", contender.title());
                let figure = format!("{} more", goal.metric.format(more));
                (more, wanted, figure)
            }
        };
        let more = goal.metric.more_is_better();
        let met = if more {
            reached >= goal.factor
        } else {
            reached <= goal.factor
        };
        let bound = if more { "≥" } else { "≤" };
        let verdict = if met { "met" } else { "**missed**" };
        let (row, title) = (goal.row, goal.metric.title());
        let by = match goal.by {
            Contender::Ring => String::new(),
            by => format!("{}, ", by.name()),
        };
        Some(format!(
            "| `{row}` | {by}{title} | {figure} | {bound} {wanted} | {verdict} |\n"
        ))
    }

    /// Epoll beside ring, in every load that both ran.
    fn epoll_line(&self, row: &Row) -> Option<String> {
        let epoll = self.median(row.name, Contender::Epoll, Metric::Cpu)?;
        let ratio = epoll / self.median(row.name, Contender::Ring, Metric::Cpu)?;
        let verdict = if ratio <= EPOLL_FACTOR {
            "met"
        } else {
            "**missed**"
        };
        let name = row.name;
        Some(format!(
            "| `{name}` | epoll, CPU µs/message | {ratio:.3} × | ≤ {EPOLL_FACTOR} × ringbus, ring | {verdict} |\n"
        ))
    }
}

/// Where the other figure of a goal comes from, if from another row.
/// At most three digits behind the point.
fn three_digits(factor: f64) -> f64 {
    (factor * 1000.0).round() / 1000.0
}

fn place(goal: &Goal, row: &str) -> String {
    if row == goal.row {
        String::new()
    } else {
        format!(" in `{row}`")
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;

    fn results(ring: f64, nats: f64) -> Results {
        let mut results = Results::default();
        let sample = |value| Sample::default().with(Metric::Cpu, value);
        results.add("50-50", Contender::Ring, sample(ring));
        results.add("50-50", Contender::Nats, sample(nats));
        results
    }

    #[test]
    fn a_goal_is_met_or_missed_by_its_ratio() {
        let met = results(0.1, 0.5).markdown(&rows());
        assert!(
            met.contains("| 0.200 × | ≤ 0.25 × nats-server | met |"),
            "{met}"
        );
        let missed = results(0.2, 0.5).markdown(&rows());
        assert!(
            missed.contains("| 0.400 × | ≤ 0.25 × nats-server | **missed** |"),
            "{missed}"
        );
    }

    #[test]
    fn a_goal_may_be_a_difference_or_that_of_a_protocol() {
        let mut results = Results::default();
        let cpu = |value| Sample::default().with(Metric::Cpu, value);
        results.add("ws-p2p", Contender::Ring, cpu(0.1));
        results.add("ws-p2p", Contender::WebSocket, cpu(0.12));
        let bytes = |value| Sample::default().with(Metric::UserBytes, value);
        results.add("ws-idle", Contender::Ring, bytes(900.0));
        results.add("ws-idle", Contender::WebSocket, bytes(1500.0));
        let text = results.markdown(&rows());
        let ratio = "| ws, CPU µs/message | 1.200 × | ≤ 1.35 × ringbus, ring | met |";
        assert!(text.contains(ratio), "{text}");
        let more = "| 600 more | ≤ 512 more than ringbus, ring | **missed** |";
        assert!(text.contains(more), "{text}");
    }

    #[test]
    fn only_what_ran_is_in_the_tables() {
        let text = results(0.1, 0.5).markdown(&rows());
        assert!(text.contains("| ringbus, ring | 0.100 |"), "{text}");
        assert!(
            !text.contains("Mosquitto") && !text.contains("p50"),
            "{text}"
        );
    }
}
