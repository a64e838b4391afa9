//! What the standard library does not offer: epoll, CPU affinity, clocks, process accounting.
//!
//! The only module of this crate with `unsafe`, and the only one that reads a clock.

mod affinity;
mod clock;
mod datagrams;
mod poller;
mod process;
mod send;
mod signal;

pub use affinity::{allowed_cpus, pin_child, pin_this_thread};
pub use clock::{CpuClock, now, wait_until};
pub use datagrams::Inlet;
pub use poller::{Interest, Poller};
pub use process::{Memory, Usage, raise_file_limit, terminate};
pub use send::{cut_sends, enlarge_receives, send_many};
pub use signal::{Wake, interrupted, read_stdin, stop_on_signals, wait_readable};

use std::io;

/// The result of a system call that returns −1 on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
