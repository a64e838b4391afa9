//! The ceiling for datagrams: a loop that receives them by the batch and understands nothing.

use super::Limit;
use crate::cli::{LimitArgs, UdpLimit};
use crate::endpoint::Endpoint;
use crate::generator::{
    Connection, Kind, Load, MqttSn, Outcome, Pacing, Shape, Stamp, Tally, Wire,
};
use crate::sys::{CpuClock, Inlet, allowed_cpus, enlarge_receives, now, pin_this_thread};
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The loop looks so often whether it is to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// Datagrams that a sender hands over at a time, unless the flags say otherwise.
const BATCH: u64 = 64;

/// What the loop and the generator share.
#[derive(Default)]
struct Counts {
    received: AtomicU64,
    is_over: AtomicBool,
}

/// Runs the loop under datagrams as fast as the generator can send them.
pub fn measure(args: &LimitArgs, kind: UdpLimit) -> io::Result<Limit> {
    let load = load(args).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let cpus = allowed_cpus()?;
    let pinned = cpus.len() > 1;
    let loop_cpu = args.relay_cpu.or(pinned.then(|| cpus[0]));
    let generator_cpu = args.generator_cpu.or(pinned.then(|| cpus[cpus.len() - 1]));
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    enlarge_receives(&socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    let to = Endpoint::Tcp("127.0.0.1".into(), socket.local_addr()?.port());
    let counts = Arc::new(Counts::default());
    let (sender, clock) = mpsc::channel();
    let shared = Arc::clone(&counts);
    #[expect(clippy::disallowed_methods, reason = "the loop is a thread of its own")]
    let receiver = thread::spawn(move || receive(&socket, kind, loop_cpu, &shared, &sender));
    if let Some(cpu) = generator_cpu {
        pin_this_thread(&[cpu])?;
    }
    let clock = clock
        .recv()
        .map_err(|_| io::Error::other("the loop did not start"))?;
    let outcome = Senders::open(&load, &to)?.run(&load, &counts, clock);
    counts.is_over.store(true, Ordering::Relaxed);
    receiver
        .join()
        .map_err(|_| io::Error::other("the loop failed"))??;
    let mut outcome = outcome?;
    // By now it has emptied its socket.
    outcome.tally.received = counts.received.load(Ordering::Relaxed);
    let cpu = outcome.broker_cpu.unwrap_or(0) as f64;
    let cpu_us_per_message = cpu / 1e3 / outcome.measured_received as f64;
    Ok(Limit {
        outcome,
        load,
        cpu_us_per_message,
    })
}

fn load(args: &LimitArgs) -> Result<Load, String> {
    let load = Load {
        kind: Kind::PointToPoint,
        publishers: args.pairs,
        subscribers: args.pairs,
        topics: args.pairs,
        topic: "%2".into(),
        qos: 0,
        payload_bytes: args.payload,
        pacing: Pacing::Unbounded,
        batch: args.batch.unwrap_or(BATCH),
        join_writes: !args.no_delay,
        warmup: crate::commands::nanoseconds("--warmup", args.measure.warmup)?,
        duration: crate::commands::nanoseconds("--duration", args.measure.duration)?,
    };
    load.validate()
}

/// Receives until it is told that nothing more comes, and nothing more does.
fn receive(
    socket: &UdpSocket,
    kind: UdpLimit,
    cpu: Option<usize>,
    counts: &Counts,
    clock: &mpsc::Sender<CpuClock>,
) -> io::Result<()> {
    if let Some(cpu) = cpu {
        pin_this_thread(&[cpu])?;
    }
    if clock.send(CpuClock::of_this_thread()?).is_err() {
        return Ok(());
    }
    let mut inlet = Inlet::new();
    loop {
        match inlet.receive(socket) {
            Ok(count) => {
                counts.received.fetch_add(count as u64, Ordering::Relaxed);
                if kind == UdpLimit::Echo {
                    // The sender never reads them: its full socket is no fault of the loop.
                    inlet.send_back(socket, count)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if counts.is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The generator's side: it sends and does not look at what comes back.
struct Senders {
    senders: Vec<Connection>,
    template: crate::generator::Template,
    sent: u64,
}

impl Senders {
    fn open(load: &Load, to: &Endpoint) -> io::Result<Self> {
        let template = MqttSn::template(Shape {
            topic: &load.topic_name(0),
            qos: 0,
            payload_bytes: load.payload_bytes,
            batch: usize::try_from(load.batch).expect("a batch fits into memory"),
        });
        let bytes = template.message_bytes();
        let open = |_| Connection::of_datagrams(to.open_udp()?, bytes, load.join_writes);
        Ok(Self {
            senders: (0..load.publishers).map(open).collect::<io::Result<_>>()?,
            template,
            sent: 0,
        })
    }

    fn run(mut self, load: &Load, counts: &Counts, clock: CpuClock) -> io::Result<Outcome> {
        let received = || counts.received.load(Ordering::Relaxed);
        self.send_until(now() + load.warmup, load)?;
        let start = now();
        let before = (
            self.sent,
            received(),
            clock.read()?,
            CpuClock::THIS_THREAD.read()?,
        );
        self.send_until(start + load.duration, load)?;
        let seconds = (now() - start) as f64 / 1e9;
        let cpu = (clock.read()?, CpuClock::THIS_THREAD.read()?);
        Ok(Outcome {
            sent: self.sent,
            expected: self.sent,
            tally: Tally::default(),
            stalls: 0,
            seconds,
            measured_sent: self.sent - before.0,
            measured_received: received() - before.1,
            broker_cpu: Some(cpu.0 - before.2),
            generator_cpu: cpu.1 - before.3,
            planned: None,
            shares: Vec::new(),
            latency: None,
            message_bytes: self.template.message_bytes(),
            may_lose: true,
        })
    }

    fn send_until(&mut self, end: u64, load: &Load) -> io::Result<()> {
        let write_bytes = self.template.write_bytes();
        while now() < end {
            for sender in &mut self.senders {
                sender.flush()?;
                if !sender.is_flushed() {
                    continue;
                }
                let first = Stamp {
                    run: 0,
                    stream: 0,
                    sequence: self.sent,
                };
                let bytes = self.template.stamp(first, 1, || 0);
                self.sent += sender.send_writes(bytes, write_bytes)? as u64 * load.batch;
            }
        }
        Ok(())
    }
}
