//! The load generator: one thread, one epoll loop, every message verified.

mod backlog;
mod books;
mod connect;
mod connection;
mod greeting;
mod link;
mod load;
mod pace;
mod run;
mod stream;
mod verify;
mod websocket;
mod wire;

pub use backlog::{Backlog, BacklogOutcome, drain_backlog};
pub use connect::{ConnectOutcome, Idle, open_and_hold};
pub use connection::Connection;
#[cfg(test)]
pub use load::tests::small as small_of;
pub use load::{Kind, Load, Pacing, Route};
pub use run::{Outcome, run, run_raw};
pub use verify::Tally;
pub use wire::{MqttSn, STAMP_BYTES, Shape, Stamp, Template, Wire};
