//! The one place that reads clocks. Everything else takes time as an argument.

use crate::base::Nanos;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the process started serving. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Time since [`Clock::start`].
    #[inline]
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub fn now(&self) -> Nanos {
        let elapsed = Instant::now().duration_since(self.origin);
        Nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Wall clock seconds since 1970 at the moment this clock showed zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub fn origin_epoch_seconds(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = since_epoch.map_or(0, |span| span.as_secs());
        wall.saturating_sub(self.now().as_secs())
    }
}

/// CPU time the calling thread has used, kernel time included.
#[must_use]
pub fn thread_cpu() -> Nanos {
    let mut spec = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec into a variable we own.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spec) };
    assert_eq!(status, 0, "Linux has had a thread CPU clock since 2.6.12");
    let seconds = u64::try_from(spec.tv_sec).unwrap_or(0);
    Nanos::from_secs(seconds) + Nanos(u64::try_from(spec.tv_nsec).unwrap_or(0))
}

/// Lets the timers of this thread fire on time: the default slack of 50 µs is
/// longer than a paced wait.
pub(crate) fn tighten_timers() {
    // SAFETY: takes integers only; an old kernel answers EINVAL and waits stay longer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
}

/// A paced wait: the thread sleeps this long, outside of any kernel queue, so
/// that what arrives meanwhile is taken once, together.
pub(crate) fn pace(span: Nanos) {
    let spec = timespec(span);
    // SAFETY: reads a timespec we own. A signal may end the wait early, which is harmless.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            0,
            &raw const spec,
            std::ptr::null_mut(),
        )
    };
}

/// The same span for the kernel.
pub(crate) fn timespec(span: Nanos) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(span.0 % 1_000_000_000).expect("below 10^9"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_wait_lasts_its_span_and_costs_little_cpu() {
        tighten_timers();
        let clock = Clock::start();
        let (before, cpu_before) = (clock.now(), thread_cpu());
        pace(Nanos::from_millis(20));
        assert!(clock.now() - before >= Nanos::from_millis(20));
        assert!(thread_cpu() - cpu_before < Nanos::from_millis(10));
    }

    #[test]
    fn spans_become_timespecs() {
        let spec = timespec(Nanos(3_000_000_007));
        assert_eq!((spec.tv_sec, spec.tv_nsec), (3, 7));
    }
}
