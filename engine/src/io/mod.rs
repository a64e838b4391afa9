//! Drivers: what runs a shard on a kernel interface.

pub mod clock;
mod control;
pub mod listener;
pub mod pinning;
mod wake;

pub use control::{Control, Phase};
pub use wake::WakeFd;
