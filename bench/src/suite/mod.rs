//! `ringbus bench suite`: every load of docs/benchmarks.md, on every broker found, interleaved.

mod contender;
mod machine;
mod rows;
mod sample;
mod table;

use crate::broker::OwnBroker;
use crate::cli::{LimitArgs, Measure, SuiteArgs, UdpLimit};
use crate::commands::{Failure, nanoseconds};
use crate::generator::{Idle, Load, Pacing, open_and_hold, run};
use crate::limit;
use crate::report::{LoadReport, Mail};
use crate::sys::{allowed_cpus, interrupted, now, pin_this_thread};
use contender::{Contender, Running};
use rows::{Placement, Row, Task, rows};
use sample::{Metric, Sample};
use std::io;
use std::path::PathBuf;
use table::Results;

/// Connections under way at once in the connect row.
const CONNECTS_PARALLEL: usize = 64;

/// Nanoseconds that the connections of the connect row stay idle.
const IDLE_NANOSECONDS: u64 = 300_000_000;

/// Where in a page the results start; what is above is written by people.
const RESULTS_MARKER: &str = "<!-- results of `ringbus bench suite` -->\n";

/// Runs the suite.
pub fn command(args: &SuiteArgs) -> Result<(), Failure> {
    let suite = Suite::new(args)?;
    let rows = suite.rows();
    if rows.is_empty() {
        return Err(Failure::Usage("--only names no row".into()));
    }
    let mut results = Results::default();
    for run in 1..=args.runs {
        for row in &rows {
            for contender in turned(row.contenders, run) {
                if interrupted() {
                    return Err(io::Error::from(io::ErrorKind::Interrupted).into());
                }
                if suite.wants(contender) {
                    suite.run_once(run, row, contender, &mut results);
                }
            }
        }
    }
    let contenders: Vec<_> = Contender::ALL
        .into_iter()
        .filter(|&who| suite.wants(who))
        .collect();
    let markdown = format!(
        "{}.\nMedians of {} interleaved runs of {} s.\n\n{}",
        machine::describe(&contenders),
        args.runs,
        args.duration,
        results.markdown(&rows)
    );
    print!("{markdown}");
    if let Some(path) = &args.markdown {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, below_marker(&before, &markdown))?;
    }
    Ok(())
}

/// The page with what follows the marker replaced; all of it if it has none.
fn below_marker(page: &str, results: &str) -> String {
    match page.split_once(RESULTS_MARKER) {
        Some((prose, _)) => format!("{prose}{RESULTS_MARKER}\n{results}"),
        None => results.to_string(),
    }
}

struct Suite<'a> {
    args: &'a SuiteArgs,
    cpus: Vec<usize>,
    binary: PathBuf,
    warmup: u64,
    duration: u64,
    /// Configurations of the peers; removed at the end
    folder: Folder,
}

/// A folder that is removed with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl<'a> Suite<'a> {
    fn new(args: &'a SuiteArgs) -> Result<Self, Failure> {
        for name in &args.brokers {
            if !Contender::ALL
                .iter()
                .any(|contender| contender.name() == name)
            {
                return Err(Failure::Usage(format!("--brokers: {name} is not known")));
            }
        }
        let folder = std::env::temp_dir().join(format!("ringbus-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            args,
            cpus: allowed_cpus()?,
            binary: args
                .broker_binary
                .clone()
                .map_or_else(std::env::current_exe, Ok)?,
            warmup: nanoseconds("--warmup", args.warmup)?,
            duration: nanoseconds("--duration", args.duration)?,
            folder: Folder(folder),
        })
    }

    fn rows(&self) -> Vec<Row> {
        let only = &self.args.only;
        let wanted = |row: &Row| only.is_empty() || only.iter().any(|name| row.name.contains(name));
        rows().into_iter().filter(wanted).collect()
    }

    fn wants(&self, contender: Contender) -> bool {
        let chosen = &self.args.brokers;
        chosen.is_empty() || chosen.iter().any(|name| name == contender.name())
    }

    fn run_once(&self, run: usize, row: &Row, contender: Contender, results: &mut Results) {
        let start = now();
        match self.measure(row, contender) {
            Ok(sample) => {
                self.say(run, row, contender, &sample);
                results.add(row.name, contender, sample);
            }
            Err(error) => {
                eprintln!("run {run} {} {}: {error}", row.name, contender.name());
                results.fail(row.name, contender, error.to_string());
            }
        }
        let seconds = (now() - start) as f64 / 1e9;
        eprintln!(
            "run {run} {} {} took {seconds:.1} s",
            row.name,
            contender.name()
        );
    }

    /// Prints one run, on the way: as JSON if asked for.
    fn say(&self, run: usize, row: &Row, contender: Contender, sample: &Sample) {
        if !self.args.json {
            return;
        }
        let mut line = serde_json::json!({
            "run": run, "row": row.name, "broker": contender.name(),
        });
        for metric in Metric::ALL {
            if let Some(value) = sample.get(metric) {
                line[metric.title()] = value.into();
            }
        }
        println!("{line}");
    }

    fn measure(&self, row: &Row, contender: Contender) -> io::Result<Sample> {
        let generator = match row.placement {
            Placement::Pinned => &self.cpus[self.cpus.len() - 1..],
            Placement::TwoShards | Placement::DefaultShards => &self.cpus,
        };
        pin_this_thread(generator)?;
        match &row.task {
            Task::Copy(block) => self.copy(*block, None, None),
            Task::Load(shape) => {
                let load = shape.load(self.warmup, self.duration);
                match contender {
                    Contender::Limit | Contender::Sink | Contender::Echo => {
                        self.copy(65536, Some(&load), contender.udp_limit())
                    }
                    _ => self.load(row, contender, &load),
                }
            }
            Task::Connect(connections) => {
                let broker = self.start(row.placement, contender)?;
                let (route, usage) = (broker.route().clone(), broker.usage());
                let idle = Idle {
                    connections: *connections,
                    parallel: CONNECTS_PARALLEL,
                    hold: IDLE_NANOSECONDS,
                    compress: contender == Contender::Compression,
                };
                let outcome = open_and_hold(&idle, &route, usage)?;
                broker.stop();
                Ok(Sample::of_connections(&outcome))
            }
        }
    }

    fn load(&self, row: &Row, contender: Contender, load: &Load) -> io::Result<Sample> {
        let broker = self.start(row.placement, contender)?;
        let usage = broker.usage();
        let before = usage.map(|usage| usage.memory()).transpose()?;
        let start = now();
        let outcome = run(load, broker.route(), usage.map(|usage| usage.clock()))?;
        let seconds = (now() - start) as f64 / 1e9;
        let after = usage.map(|usage| usage.memory()).transpose()?;
        let mail = broker.stop().map(|sums| Mail::new(sums, seconds));
        let sample = Sample::of_load(&LoadReport::new(row.name, load, &outcome, mail));
        let growth = before.zip(after).filter(|_| load.payload_bytes >= 1 << 20);
        Ok(match growth {
            Some((before, after)) => {
                let bytes = after.resident_peak.saturating_sub(before.resident);
                sample.with(Metric::Growth, bytes as f64 / f64::from(1 << 20))
            }
            None => sample,
        })
    }

    /// The relay: with the writes and the window of a load, or with full blocks; or a loop that
    /// takes the datagrams of a load.
    fn copy(&self, block: usize, like: Option<&Load>, udp: Option<UdpLimit>) -> io::Result<Sample> {
        let window = like.and_then(|load| match load.pacing {
            Pacing::Window(window) => Some(window),
            _ => None,
        });
        let limit = limit::measure(&LimitArgs {
            udp,
            block,
            pairs: like.map_or(1, |load| load.publishers),
            batch: like.map(|load| load.batch),
            window,
            no_delay: false,
            payload: like.map_or(58, |load| load.payload_bytes),
            relay_cpu: Some(self.cpus[0]),
            generator_cpu: self.cpus.last().copied(),
            measure: Measure {
                duration: self.args.duration,
                warmup: self.args.warmup,
                json: false,
            },
        })?;
        let report = LoadReport::new("limit", &limit.load, &limit.outcome, None);
        let sample = Sample::of_load(&report);
        // With full blocks the figure is per 70 bytes, else per message like everybody's.
        let each = like.is_none().then_some(limit.cpu_us_per_message);
        Ok(each.map_or(sample, |each| sample.with(Metric::Cpu, each)))
    }

    fn start(&self, placement: Placement, contender: Contender) -> io::Result<Running> {
        let cpus = match placement {
            Placement::Pinned => &self.cpus[..1],
            Placement::TwoShards | Placement::DefaultShards => &self.cpus,
        };
        if !contender.is_own() {
            return Running::peer(contender, cpus, &self.folder.0);
        }
        Running::own(&OwnBroker {
            binary: self.binary.clone(),
            io: contender.driver().into(),
            shards: match placement {
                Placement::Pinned => Some(1),
                Placement::TwoShards => Some(2),
                Placement::DefaultShards => None,
            },
            cpus: cpus.to_vec(),
            protocol: contender.protocol(),
            arguments: contender.arguments(),
        })
    }
}

/// Each run starts with another: whoever is first in a row pays for what the kernel has to set up.
fn turned(contenders: &[Contender], run: usize) -> impl Iterator<Item = Contender> {
    let first = (run - 1) % contenders.len();
    let (last, rest) = contenders.split_at(first);
    rest.iter().chain(last).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_starts_with_the_next_contender() {
        use Contender::{Epoll, Glommio, Ring};
        let order = |run| turned(&[Ring, Epoll, Glommio], run).collect::<Vec<_>>();
        assert_eq!(order(1), [Ring, Epoll, Glommio]);
        assert_eq!(order(3), [Glommio, Ring, Epoll]);
        assert_eq!(order(4), order(1));
    }

    #[test]
    fn results_replace_what_is_below_the_marker_only() {
        let page = format!("# Title\n{RESULTS_MARKER}old");
        let new = below_marker(&page, "new\n");
        assert_eq!(new, format!("# Title\n{RESULTS_MARKER}\nnew\n"));
        assert_eq!(
            below_marker(&new, "newer\n"),
            format!("# Title\n{RESULTS_MARKER}\nnewer\n")
        );
        assert_eq!(below_marker("", "new\n"), "new\n");
    }
}
