//! What a started broker says about itself, on stdout.

use crate::config::format_cpus;
use std::fmt;
use std::time::Duration;

/// The facts of a start. Its lines are read by people and by programs: the line
/// `listening on URL URL` names the real ports, `ready in N ms` comes last.
#[derive(Clone, Debug)]
pub struct Banner {
    /// How many shards run.
    pub shards: u16,
    /// The CPUs they are pinned to.
    pub cpus: Vec<usize>,
    /// The network driver in use.
    pub driver: String,
    /// Why it is that one, where there is something to say.
    pub why: Option<String>,
    /// Each listener as a URL with its real port.
    pub listeners: Vec<String>,
    /// From the start of the process to here.
    pub took: Duration,
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ringbus {VERSION}")?;
        let shards = if self.shards == 1 { "shard" } else { "shards" };
        let cpus = if self.cpus.len() == 1 { "CPU" } else { "CPUs" };
        write!(
            f,
            "{} {shards} on {cpus} {}; ",
            self.shards,
            format_cpus(&self.cpus)
        )?;
        match &self.why {
            Some(why) => writeln!(f, "io: {} ({why})", self.driver)?,
            None => writeln!(f, "io: {}", self.driver)?,
        }
        if !self.listeners.is_empty() {
            writeln!(f, "listening on {}", self.listeners.join(" "))?;
        }
        writeln!(f, "in memory: nothing survives a restart")?;
        writeln!(f, "ready in {} ms", self.took.as_millis())
    }
}

/// Version and, where the build knew it, commit.
pub(super) const VERSION: &str = env!("RINGBUS_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_banner_is_five_lines() {
        let banner = Banner {
            shards: 2,
            cpus: vec![0, 1],
            driver: "epoll".into(),
            why: Some("io_uring is denied here".into()),
            listeners: vec!["mqtt://127.0.0.1:1883".into(), "ws://[::1]:8000".into()],
            took: Duration::from_micros(3_400),
        };
        let text = banner.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ringbus "));
        assert_eq!(
            lines[1],
            "2 shards on CPUs 0,1; io: epoll (io_uring is denied here)"
        );
        assert_eq!(
            lines[2],
            "listening on mqtt://127.0.0.1:1883 ws://[::1]:8000"
        );
        assert_eq!(lines[3], "in memory: nothing survives a restart");
        assert_eq!(lines[4], "ready in 3 ms");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn one_is_singular() {
        let banner = Banner {
            shards: 1,
            cpus: vec![3],
            driver: "ring".into(),
            why: None,
            listeners: Vec::new(),
            took: Duration::ZERO,
        };
        assert!(
            banner
                .to_string()
                .contains("\n1 shard on CPU 3; io: ring\n")
        );
    }
}
