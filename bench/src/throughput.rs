//! One number for the criterion bench: messages a second through a broker process.

use crate::broker::{Broker, OwnBroker};
use crate::cli::Protocol;
use crate::generator::{Kind, Load, Pacing, run};
use std::io;
use std::path::Path;

/// Pairs of a publisher and a subscriber.
const PAIRS: usize = 50;

/// Nanoseconds of load before the measurement.
const WARMUP: u64 = 100_000_000;

/// Starts the broker `binary` with a driver and so many shards, sends 50→50 QoS 0 messages of
/// 64 bytes for `duration` nanoseconds, and returns the deliveries a second.
///
/// # Errors
/// The broker does not start, fails under the load, or loses a message.
pub fn messages_per_second(binary: &Path, io: &str, shards: u16, duration: u64) -> io::Result<f64> {
    let broker = Broker::start(&OwnBroker {
        binary: binary.to_path_buf(),
        io: io.to_string(),
        shards: Some(shards),
        cpus: Vec::new(),
        protocol: Protocol::Mqtt,
        arguments: Vec::new(),
    })?;
    let load = Load {
        kind: Kind::PointToPoint,
        publishers: PAIRS,
        subscribers: PAIRS,
        topics: PAIRS,
        topic: "bench/%i".into(),
        qos: 0,
        payload_bytes: 64,
        pacing: Pacing::Window(256),
        batch: 16,
        join_writes: true,
        warmup: WARMUP,
        duration,
    };
    let outcome = run(&load, &broker.route, None)?;
    broker.stop();
    if outcome.tally.received != outcome.expected {
        return Err(io::Error::other(format!(
            "{} of {} messages arrived",
            outcome.tally.received, outcome.expected
        )));
    }
    Ok(outcome.measured_received as f64 / outcome.seconds)
}
