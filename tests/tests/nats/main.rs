//! The NATS client protocol, asked of the running program by a client that shares no code with it.
//! `RINGBUS_IO` and `RINGBUS_SHARDS` choose what it is asked of.
#![expect(
    clippy::disallowed_methods,
    reason = "real sockets are waited for, with deadlines from outside"
)]

mod barriers;
mod lines;
mod lives;
mod memory;
mod oracle;
mod reaches_all;

use std::sync::atomic::{AtomicU32, Ordering};

/// A topic of two levels that no other test uses.
fn fresh(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}/{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
