//! A broker process of its own for each test.

use crate::PATIENCE;
use ringbus::config::IoChoice;
use ringbus::io::clock::Clock;
use ringbus::io::probe;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const SHARDS: [&str; 3] = ["1", "2", "4"];

/// Drivers that this machine allows.
pub(crate) fn drivers() -> Vec<&'static str> {
    match probe::choose(IoChoice::Ring) {
        Ok(_) => vec!["ring", "epoll", "glommio"],
        Err(error) => {
            eprintln!("skipped: {error}");
            vec!["epoll"]
        }
    }
}

/// Runs a test on every driver with 1, 2 and 4 shards, and ends each broker in order.
pub(crate) fn on_every_driver(arguments: &[&str], test: impl Fn(&Broker)) {
    for driver in drivers() {
        for shards in SHARDS {
            eprintln!("on {driver} with {shards} shards");
            let broker = Broker::start(driver, shards, arguments);
            test(&broker);
            broker.end();
        }
    }
}

pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) banner: Vec<String>,
}

impl Broker {
    pub(crate) fn start(driver: &str, shards: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringbus"));
        command.args([
            "--listen",
            "mqtt://127.0.0.1:0",
            "--io",
            driver,
            "--shards",
            shards,
        ]);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the broker starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut banner = Vec::new();
        while banner
            .last()
            .is_none_or(|line: &String| !line.starts_with("ready in "))
        {
            let mut line = String::new();
            if output.read_line(&mut line).expect("text") == 0 {
                let mut complaint = String::new();
                let errors = child.stderr.as_mut().expect("piped");
                errors.read_to_string(&mut complaint).expect("text");
                panic!("no broker: {complaint}");
            }
            banner.push(line.trim_end().to_owned());
        }
        let address = listener_in(&banner, "mqtt");
        Self {
            child,
            address,
            banner,
        }
    }

    /// Where it listens by that scheme.
    pub(crate) fn listener(&self, scheme: &str) -> SocketAddr {
        listener_in(&self.banner, scheme)
    }

    pub(crate) fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nodelay(true).expect("TCP");
        stream.set_read_timeout(Some(PATIENCE)).expect("TCP");
        stream.set_write_timeout(Some(PATIENCE)).expect("TCP");
        stream
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: takes integers only; the child has not been waited for, so the pid is its.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// CPU time of all its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split_whitespace()
            .collect();
        let ticks: u64 = [11, 12]
            .map(|at: usize| fields[at].parse::<u64>().expect("ticks"))
            .iter()
            .sum();
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let clock = Clock::start();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(
                clock.now().to_duration() < PATIENCE,
                "the broker did not end"
            );
            std::thread::yield_now();
        }
    }

    /// What it wrote to its log; after the end.
    pub(crate) fn log(&mut self) -> String {
        let mut text = String::new();
        let errors = self.child.stderr.as_mut().expect("piped");
        errors.read_to_string(&mut text).expect("text");
        text
    }

    /// Ends it by SIGTERM and expects success; returns its log.
    pub(crate) fn end(mut self) -> String {
        self.signal(libc::SIGTERM);
        let status = self.wait();
        let log = self.log();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("killed");
        }
    }
}

/// The first URL with that scheme in the banner's line of listeners.
fn listener_in(banner: &[String], scheme: &str) -> SocketAddr {
    let mut lines = banner.iter();
    let urls = lines.find_map(|line| line.strip_prefix("listening on "));
    let mut urls = urls.expect("it says where it listens").split(' ');
    let address = urls.find_map(|url| url.strip_prefix(scheme)?.strip_prefix("://"));
    let address = address.expect("a listener of that scheme");
    address.parse().expect("an address")
}
