//! Connections: how fast a broker takes them, and what they cost it when idle.

use super::greeting::{Greeting, Manners};
use super::load::Route;
use crate::sys::{CpuClock, Interest, Memory, Poller, Usage, interrupted, now, wait_until};
use std::io::{self, Read};
use std::time::Duration;

/// How long the broker may take to answer one CONNECT.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What opening and holding connections measured.
#[derive(Debug)]
pub struct ConnectOutcome {
    /// Connections open at the end
    pub connections: usize,
    /// Seconds until the last CONNACK
    pub seconds: f64,
    /// CPU nanoseconds of the broker meanwhile
    pub broker_cpu: Option<u64>,
    /// CPU nanoseconds of the generator meanwhile
    pub generator_cpu: u64,
    /// The broker's memory before the first connection and with all of them idle
    pub memory: Option<(Memory, Memory)>,
}

/// Connections to open, and to leave alone.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// How many
    pub connections: usize,
    /// How many are opened at the same time
    pub parallel: usize,
    /// Nanoseconds that they are idle before memory is read
    pub hold: u64,
    /// Whether each has sent and received a compressed message before: topic sockets only
    pub compress: bool,
}

/// Opens connections, holds them, and says what they cost.
///
/// # Errors
/// The broker cannot be reached, refuses a connection or does not answer for 10 s.
pub fn open_and_hold(
    idle: &Idle,
    route: &Route,
    broker: Option<Usage>,
) -> io::Result<ConnectOutcome> {
    let connections = idle.connections;
    let memory_before = broker.map(|usage| usage.memory()).transpose()?;
    let cpu_before = broker.map(|usage| usage.cpu()).transpose()?;
    let generator_before = CpuClock::THIS_THREAD.read()?;
    let start = now();
    let mut opener = Opener::new(route, idle)?;
    while opener.accepted < connections {
        if interrupted() {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "stopped by a signal",
            ));
        }
        opener.open_until(opener.accepted + idle.parallel)?;
        opener.collect()?;
    }
    let seconds = (now() - start) as f64 / 1e9;
    let cpu_after = broker.map(|usage| usage.cpu()).transpose()?;
    let generator_cpu = CpuClock::THIS_THREAD.read()? - generator_before;
    wait_until(now() + idle.hold);
    let memory_after = broker.map(|usage| usage.memory()).transpose()?;
    Ok(ConnectOutcome {
        connections,
        seconds,
        broker_cpu: cpu_after
            .zip(cpu_before)
            .map(|(after, before)| after - before),
        generator_cpu,
        memory: memory_before.zip(memory_after),
    })
}

struct Opener<'a> {
    route: &'a Route,
    wanted: usize,
    manners: Manners<'a>,
    connections: Vec<Greeting>,
    accepted: usize,
    poller: Poller,
    run: u32,
}

impl<'a> Opener<'a> {
    fn new(route: &'a Route, idle: &Idle) -> io::Result<Self> {
        Ok(Self {
            route,
            wanted: idle.connections,
            manners: Manners::new(route, idle.compress),
            connections: Vec::with_capacity(idle.connections),
            accepted: 0,
            poller: Poller::new()?,
            run: std::process::id(),
        })
    }

    /// Opens connections and greets until so many are open or under way.
    fn open_until(&mut self, count: usize) -> io::Result<()> {
        while self.connections.len() < count.min(self.wanted) {
            let token = self.connections.len();
            let socket = self.route.endpoint.connect(ANSWER_TIMEOUT)?;
            let name = format!("idle-{:x}-{token}", self.run);
            let greeting = Greeting::start(socket, name, &self.manners)?;
            self.poller.add(&greeting.socket, token, Interest::Read)?;
            self.connections.push(greeting);
        }
        Ok(())
    }

    /// Waits for answers and counts the connections that they open.
    fn collect(&mut self) -> io::Result<()> {
        let timeout = u64::try_from(ANSWER_TIMEOUT.as_nanos()).expect("ten seconds");
        let count = self.poller.wait(timeout)?;
        if count == 0 && !interrupted() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer for 10 s",
            ));
        }
        for index in 0..count {
            let connection = &mut self.connections[self.poller.ready(index).token];
            let mut chunk = [0; 2048];
            let length = match connection.socket.read(&mut chunk)? {
                0 => return Err(io::Error::other("the broker closed an idle connection")),
                length => length,
            };
            let opened = connection.take(&chunk[..length], &mut self.manners)?;
            self.accepted += usize::from(opened);
        }
        Ok(())
    }
}
