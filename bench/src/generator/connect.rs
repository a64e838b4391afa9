//! Connections: how fast a broker takes them, and what they cost it when idle.

use super::load::Route;
use super::wire::mqtt::{accepted, connect_packet, whole_packet};
use crate::endpoint::Socket;
use crate::sys::{CpuClock, Interest, Memory, Poller, Usage, interrupted, now, wait_until};
use std::io::{self, Read, Write};
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

/// Opens `connections` MQTT connections, `parallel` at a time, and holds them for `hold`
/// nanoseconds.
///
/// # Errors
/// The broker cannot be reached, refuses a CONNECT or does not answer for 10 s.
pub fn open_and_hold(
    connections: usize,
    parallel: usize,
    hold: u64,
    route: &Route,
    broker: Option<Usage>,
) -> io::Result<ConnectOutcome> {
    let memory_before = broker.map(|usage| usage.memory()).transpose()?;
    let cpu_before = broker.map(|usage| usage.cpu()).transpose()?;
    let generator_before = CpuClock::THIS_THREAD.read()?;
    let start = now();
    let mut opener = Opener::new(route, connections)?;
    while opener.accepted < connections {
        if interrupted() {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "stopped by a signal",
            ));
        }
        opener.open_until(opener.accepted + parallel)?;
        opener.collect()?;
    }
    let seconds = (now() - start) as f64 / 1e9;
    let cpu_after = broker.map(|usage| usage.cpu()).transpose()?;
    let generator_cpu = CpuClock::THIS_THREAD.read()? - generator_before;
    wait_until(now() + hold);
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
    sockets: Vec<(Socket, Vec<u8>)>,
    accepted: usize,
    poller: Poller,
    run: u32,
}

impl<'a> Opener<'a> {
    fn new(route: &'a Route, wanted: usize) -> io::Result<Self> {
        let run = std::process::id();
        let (sockets, poller) = (Vec::with_capacity(wanted), Poller::new()?);
        Ok(Self {
            route,
            wanted,
            sockets,
            accepted: 0,
            poller,
            run,
        })
    }

    /// Opens connections and sends CONNECT until so many are open or under way.
    fn open_until(&mut self, count: usize) -> io::Result<()> {
        while self.sockets.len() < count.min(self.wanted) {
            let token = self.sockets.len();
            let mut socket = self.route.endpoint.connect(ANSWER_TIMEOUT)?;
            let client_id = format!("idle-{:x}-{token}", self.run);
            let packet = connect_packet(self.route.version, &client_id, true);
            socket.write_all(&packet)?;
            socket.set_nonblocking()?;
            socket.reset_on_close()?;
            self.poller.add(&socket, token, Interest::Read)?;
            self.sockets.push((socket, Vec::new()));
        }
        Ok(())
    }

    /// Waits for answers and counts those that accept.
    fn collect(&mut self) -> io::Result<()> {
        let timeout = u64::try_from(ANSWER_TIMEOUT.as_nanos()).expect("ten seconds");
        let count = self.poller.wait(timeout)?;
        if count == 0 && !interrupted() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no CONNACK for 10 s",
            ));
        }
        for index in 0..count {
            let (socket, received) = &mut self.sockets[self.poller.ready(index).token];
            let mut chunk = [0; 256];
            match socket.read(&mut chunk)? {
                0 => return Err(io::Error::other("the broker closed an idle connection")),
                length => received.extend_from_slice(&chunk[..length]),
            }
            if let Some(length) = whole_packet(received)? {
                accepted(self.route.version, &received[..length])?;
                received.clear();
                received.shrink_to_fit();
                self.accepted += 1;
            }
        }
        Ok(())
    }
}
