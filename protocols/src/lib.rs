//! Wire protocols of ringbus: bytes to meaning and back.
//!
//! Nothing here opens a socket, reads a clock, draws a random number or starts a thread, so every
//! rule of a protocol can be tested, fuzzed and replayed from bytes alone.
//!
//! - [`wire`]: integers, strings and the [`wire::Reader`] that cannot read past its end.
//! - [`topic`]: topic names and topic filters, parsed into types that cannot be wrong.
//! - [`mqtt`]: MQTT 3.1, 3.1.1 and 5.0; one packet type, the version is a parameter.
//! - [`http`]: request heads, short responses and origins, as far as WebSockets need them.
//! - [`websocket`]: the handshake, frames, messages and their compression.
//! - [`stomp`]: STOMP 1.2, 1.1 and 1.0.
//! - [`nats`]: the client protocol of NATS, and how its subjects are topics.
//! - [`mqttsn`]: MQTT-SN 1.2 and its translation to MQTT 5.0 for one client.
#![forbid(unsafe_code)]

pub mod http;
pub mod mqtt;
pub mod mqttsn;
pub mod nats;
pub mod stomp;
pub mod topic;
pub mod websocket;
pub mod wire;
