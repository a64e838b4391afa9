//! Shared parts of the tests: the broker as a process, small clients of MQTT, MQTT-SN and NATS, a bad network.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run real processes over real sockets, and every wait has a deadline"
)]

pub mod broker;
pub mod client;
pub mod model;
pub mod mqttsn;
pub mod nats;
pub mod program;
pub mod proxy;
pub mod random;
pub mod sandbox;
pub mod session_client;
pub mod shared_broker;
pub mod simulation;
pub mod sources;
pub mod takeover;
pub mod web;
