//! What RFC 6455, RFC 7692 and STOMP 1.2 say, asked of the running program by clients that share
//! no code with it. Each test is named by the clause it asks about; `RINGBUS_IO` and
//! `RINGBUS_SHARDS` choose what it is asked of.
//!
//! A bare topic socket gets back what it publishes, so that it is the echo server of most tests.
#![expect(
    clippy::disallowed_methods,
    reason = "a timeout is measured from outside, with a clock of our own"
)]

mod bad_handshakes;
mod bad_input;
mod close;
mod compression;
mod compression_offers;
mod control;
mod drain;
mod formats;
mod fragmentation;
mod framing;
mod handshake;
mod http;
mod limits;
mod mqtt;
mod mqtt_sessions;
mod opcodes;
mod origin;
mod queries;
mod silence;
mod stomp;
mod stomp_acks;
mod stomp_errors;
mod stomp_heart_beats;
mod text;
mod topics;

use ringbus_tests::broker::Broker;
use ringbus_tests::shared_broker::{Share, SharedBroker};
use ringbus_tests::web::{Frame, WebClient};
use std::sync::atomic::{AtomicU32, Ordering};

/// A share in a broker that takes messages of 16 MiB and compresses for who asks.
fn shared() -> Share {
    static SHARED: SharedBroker = SharedBroker::new();
    let flags = ["--max-packet-size", "17MiB", "--ws-compression"];
    SHARED.share(|| Broker::start_web_socket(&flags))
}

/// A topic that no other test uses.
fn fresh(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}/{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A bare topic socket on a topic of its own.
#[track_caller]
fn echo_socket(broker: &Broker) -> WebClient {
    WebClient::open(broker, &format!("/{}", fresh("echo")))
}

/// Asks in every way that frames may reach the broker: in one write, in one each, byte by byte.
#[track_caller]
fn in_every_piece(frames: &[Frame], check: impl Fn(&mut WebClient)) {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send_all(frames);
    check(&mut client);
    let mut client = echo_socket(&broker);
    frames.iter().for_each(|frame| client.send(frame));
    check(&mut client);
    let mut client = echo_socket(&broker);
    client.send_chopped(frames, 1);
    check(&mut client);
}
