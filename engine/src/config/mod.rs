//! What the operator asked for: raw flags in, one validated [`Config`] out.
//!
//! `flags` is the single definition of every flag of `ringbus serve`: it gives
//! parsing, `--help` and the environment variables. `model` turns the raw text
//! into types that cannot be wrong; nothing below it checks a flag again.

mod advertise;
mod cpus;
mod error;
mod flags;
mod listen;
mod model;
mod partition;
mod quantity;
mod shared_strategy;
mod versions;

pub use cpus::{CPU_MAX, Machine, format_list as format_cpus};
pub use error::{ConfigError, Origin};
pub use flags::{Given, ServeFlags};
pub use listen::{ListenAddress, Listener};
pub use model::{Config, IoChoice, LogFormat, LogLevel, QueuePolicy};
pub use partition::{PARTITION_LEVELS_MAX, PartitionLevels};
pub use shared_strategy::SharedStrategy;
pub use versions::Versions;

#[cfg(test)]
mod tests;
