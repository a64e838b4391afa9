//! The glommio driver: a shard on a thread-per-core executor.
//!
//! Every connection has a reading task. The first one of a loop of the executor
//! begins the shard's turn, each feeds it, and the turn's own task, woken by
//! the first and so queued behind the others, ends it. That keeps the order of
//! a turn, and its one send per connection, as in the other drivers.
//!
//! Two properties of glommio 0.9 shape this code:
//! - Its executor can park with a runnable task when the preempt timer fires at
//!   the wrong moment. So that timer is an hour away, and a heartbeat bounds
//!   what is left of the fault.
//! - Without that timer, tasks that wake each other keep the executor from its
//!   reactor for good. So whatever wants to run again waits for a timer of no
//!   length, which fires only after the reactor has looked at the sockets.

mod port;
mod runtime;

use super::{DriverError, Finished, Station, Tried};
use crate::base::Nanos;
use glommio::{LocalExecutorBuilder, Placement};
use runtime::Runtime;
use std::io;
use std::time::Duration;

/// No preemption: turns are short by themselves, and see the module.
const PREEMPT_TIMER: Duration = Duration::from_secs(3600);
/// The most that a deadline of the shard, or a lost wake, is late.
const HEARTBEAT: Duration = Duration::from_millis(10);
/// Memory that glommio pins for file buffers, in bytes. A shard has no files.
const IO_MEMORY: usize = 1 << 20;

/// Runs a shard until it has drained or is told to quit; gives its counters.
///
/// # Errors
/// Too little locked memory, a CPU that glommio cannot place a thread on, or a
/// doorbell that cannot be read.
///
/// # Panics
/// Where io_uring is denied: glommio panics, so `probe` comes first.
pub fn run(station: Station) -> Result<Finished, DriverError> {
    super::clock::tighten_timers();
    check_locked_memory(locked_memory_limit()).tried("start glommio")?;
    let executor = LocalExecutorBuilder::new(Placement::Fixed(station.cpu))
        .io_memory(IO_MEMORY)
        .preempt_timer(PREEMPT_TIMER)
        .make()
        .map_err(|error| failed("start glommio", io::Error::other(error.to_string())))?;
    executor.run(Runtime::serve(station))
}

fn failed(tried: &'static str, error: io::Error) -> DriverError {
    DriverError { tried, error }
}

/// glommio refuses to start with less, in words that name neither flag nor unit.
const LOCKED_MEMORY_MIN: u64 = 512 << 10;

fn check_locked_memory(limit: u64) -> io::Result<()> {
    if limit >= LOCKED_MEMORY_MIN {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the limit of locked memory is {} KiB and it needs {} KiB \
         (raise it with ulimit -l or LimitMEMLOCK=, or use --io ring)",
        limit >> 10,
        LOCKED_MEMORY_MIN >> 10
    )))
}

fn locked_memory_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one structure that we own.
    match unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// The deadline of a shard in the executor's terms.
fn deadline(now: Nanos, wait: Option<Nanos>) -> Nanos {
    wait.map_or(Nanos(u64::MAX), |wait| now + wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_locked_memory_says_what_to_do() {
        assert!(check_locked_memory(LOCKED_MEMORY_MIN).is_ok());
        let text = check_locked_memory(64 << 10)
            .expect_err("too little")
            .to_string();
        assert!(
            text.contains("is 64 KiB") && text.contains("needs 512 KiB"),
            "{text}"
        );
        assert!(
            text.contains("ulimit -l") && text.contains("--io ring"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
