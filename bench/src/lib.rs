//! The client side of ringbus: `ringbus pub`, `ringbus sub` and `ringbus bench`.
//!
//! It imports the wire formats and nothing of the broker: a load generator that shared code with
//! the broker under test could share its mistakes. What needs a broker starts the binary.
#![warn(missing_docs)]

mod broker;
mod cli;
mod client;
mod commands;
mod endpoint;
mod generator;
mod limit;
mod report;
mod suite;
mod sys;
mod throughput;

pub use cli::{
    BenchArgs, BenchKind, ConnectArgs, LatencyArgs, LimitArgs, LoadArgs, PubArgs, SubArgs,
    SuiteArgs,
};
pub use client::{pub_command, sub_command};
pub use commands::bench_command;
pub use throughput::messages_per_second;
