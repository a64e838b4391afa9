//! Clocks: monotonic time, and the CPU time of a thread or a process.

use super::check;
use std::io;

/// Monotonic time in nanoseconds since an arbitrary start.
#[inline]
pub fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC).expect("the monotonic clock can be read")
}

/// Sleeps until `deadline` on the clock of [`now`]; earlier if a signal arrives.
pub fn wait_until(deadline: u64) {
    let left = deadline.saturating_sub(now());
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(left / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: i64::try_from(left % 1_000_000_000).expect("below a thousand million"),
    };
    // SAFETY: `time` is a valid timespec; the remaining time is not asked for.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// A clock of consumed CPU time: user and system, of all threads, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// The clock of the calling thread.
    pub const THIS_THREAD: Self = Self(libc::CLOCK_THREAD_CPUTIME_ID);

    /// The clock of another process, with its ended threads and its kernel workers.
    pub fn of_process(pid: i32) -> io::Result<Self> {
        let mut clock = 0;
        // SAFETY: `clock` is a valid place for one clock id.
        match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
            0 => Ok(Self(clock)),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// The clock of the calling thread, readable from other threads while it lives.
    pub fn of_this_thread() -> io::Result<Self> {
        let mut clock = 0;
        // SAFETY: pthread_self is always valid for the calling thread, `clock` is a valid place.
        match unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) } {
            0 => Ok(Self(clock)),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Nanoseconds consumed so far; an error once the process or thread is gone.
    pub fn read(self) -> io::Result<u64> {
        read(self.0)
    }
}

fn read(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for one timespec.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Ok(seconds * 1_000_000_000 + nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_clock_of_a_process_advances_with_its_work() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let clock = CpuClock::of_process(pid).unwrap();
        let before = clock.read().unwrap();
        let mut sum = 0u64;
        while clock.read().unwrap() < before + 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn waiting_ends_after_the_deadline() {
        let deadline = now() + 2_000_000;
        wait_until(deadline);
        assert!(now() >= deadline || interrupted_early(deadline));
    }

    fn interrupted_early(deadline: u64) -> bool {
        crate::sys::interrupted() && now() < deadline
    }
}
