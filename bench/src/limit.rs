//! The ceiling of this machine: a relay that copies blocks and understands nothing.

mod udp;

use crate::cli::{LimitArgs, Protocol};
use crate::endpoint::Endpoint;
use crate::generator::{Kind, Load, Outcome, Pacing, Route, run_raw};
use crate::sys::{CpuClock, allowed_cpus, pin_this_thread};
use ringbus_protocols::mqtt::Version;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

/// Bytes of the message that costs are given for: a 64 B payload with its header.
pub const MESSAGE_BYTES: f64 = 70.0;

/// A relay measured under a load.
pub struct Limit {
    /// What the generator found
    pub outcome: Outcome,
    /// The load it ran
    pub load: Load,
    /// CPU microseconds for each 70 bytes copied, or for each datagram
    pub cpu_us_per_message: f64,
}

/// Runs the relay and its load as the flags say.
///
/// # Errors
/// Sizes that do not fit together, or sockets that fail.
pub fn measure(args: &LimitArgs) -> io::Result<Limit> {
    if let Some(kind) = args.udp {
        return udp::measure(args, kind);
    }
    let load = load(args).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let cpus = allowed_cpus()?;
    let pinned = cpus.len() > 1;
    let relay_cpu = args.relay_cpu.or(pinned.then(|| cpus[0]));
    let generator_cpu = args.generator_cpu.or(pinned.then(|| cpus[cpus.len() - 1]));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (sender, clock) = mpsc::channel();
    let (pairs, block) = (load.publishers, args.block);
    #[expect(
        clippy::disallowed_methods,
        reason = "the relay is a thread of its own"
    )]
    let relay = thread::spawn(move || relay(&listener, pairs, block, relay_cpu, &sender));
    if let Some(cpu) = generator_cpu {
        pin_this_thread(&[cpu])?;
    }
    let clock = clock
        .recv()
        .map_err(|_| io::Error::other("the relay did not start"))?;
    let route = Route {
        endpoint: Endpoint::Tcp("127.0.0.1".into(), port),
        protocol: Protocol::Mqtt,
        version: Version::V3_1_1,
        datagrams: None,
    };
    let outcome = run_raw(&load, &route, Some(clock))?;
    relay
        .join()
        .map_err(|_| io::Error::other("the relay failed"))??;
    let bytes = outcome.measured_received as f64 * outcome.message_bytes as f64;
    let cpu = outcome.broker_cpu.unwrap_or(0) as f64;
    let cpu_us_per_message = cpu / 1e3 / (bytes / MESSAGE_BYTES);
    Ok(Limit {
        outcome,
        load,
        cpu_us_per_message,
    })
}

/// The load: writes that fill a block, unless the flags say otherwise.
fn load(args: &LimitArgs) -> Result<Load, String> {
    if args.block == 0 {
        return Err("--block must be at least 1".into());
    }
    // Fixed header, topic and payload of the message the generator sends.
    let message_bytes = (args.payload + 12) as u64;
    let filling = (args.block as u64 / message_bytes).clamp(1, 65536);
    let batch = args.batch.unwrap_or(filling);
    let load = Load {
        kind: Kind::PointToPoint,
        publishers: args.pairs,
        subscribers: args.pairs,
        topics: args.pairs,
        topic: "limit/%i".into(),
        qos: 0,
        payload_bytes: args.payload,
        pacing: Pacing::Window(args.window.unwrap_or(batch * 8)),
        batch,
        join_writes: !args.no_delay,
        warmup: super::commands::nanoseconds("--warmup", args.measure.warmup)?,
        duration: super::commands::nanoseconds("--duration", args.measure.duration)?,
    };
    load.validate()
}

/// Accepts `pairs` receivers, then `pairs` senders, and copies from each sender to its receiver
/// until the senders are gone.
fn relay(
    listener: &TcpListener,
    pairs: usize,
    block: usize,
    cpu: Option<usize>,
    clock: &mpsc::Sender<CpuClock>,
) -> io::Result<()> {
    if let Some(cpu) = cpu {
        pin_this_thread(&[cpu])?;
    }
    if clock.send(CpuClock::of_this_thread()?).is_err() {
        return Ok(());
    }
    let receivers = accept(listener, pairs)?;
    let senders = accept(listener, pairs)?;
    let mut pairs: Vec<_> = senders.into_iter().zip(receivers).collect();
    let mut buffer = vec![0; block];
    match pairs.as_mut_slice() {
        // One pair waits in the read itself: nothing is cheaper.
        [(sender, receiver)] => while copy_block(sender, receiver, &mut buffer)? {},
        several => copy_several(several, &mut buffer)?,
    }
    Ok(())
}

fn accept(listener: &TcpListener, count: usize) -> io::Result<Vec<TcpStream>> {
    let accept = |_| {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    (0..count).map(accept).collect()
}

fn copy_several(pairs: &mut [(TcpStream, TcpStream)], buffer: &mut [u8]) -> io::Result<()> {
    let mut poller = crate::sys::Poller::new()?;
    for (token, (sender, _)) in pairs.iter().enumerate() {
        poller.add(sender, token, crate::sys::Interest::Read)?;
    }
    loop {
        for index in 0..poller.wait(u64::MAX)? {
            let (sender, receiver) = &mut pairs[poller.ready(index).token];
            if !copy_block(sender, receiver, buffer)? {
                return Ok(());
            }
        }
    }
}

/// Copies what is there, at most a block; false at the end of the stream.
fn copy_block(from: &mut TcpStream, to: &mut TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    let ended = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    };
    match from.read(buffer) {
        Ok(0) => Ok(false),
        Ok(length) => match to.write_all(&buffer[..length]) {
            Ok(()) => Ok(true),
            // The generator closes both ends at once: the run is over.
            Err(error) if ended(&error) => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) if ended(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
