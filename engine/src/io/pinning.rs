//! Pins the calling thread to one CPU.

use std::fmt;

/// CPU ids from here on abort the process inside the pinning crate (`CPU_SET`
/// indexes a fixed array), so they never reach it.
const CPU_IDS: usize = 1024;

/// Why a thread does not run where it should.
#[derive(Debug, PartialEq, Eq)]
pub enum PinError {
    /// The process may not run there.
    NotAllowed(usize),
    /// The kernel refused, or did something else.
    Refused(usize, String),
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(cpu) => write!(f, "CPU {cpu} is not among those allowed"),
            Self::Refused(cpu, why) => write!(f, "cannot pin a thread to CPU {cpu}: {why}"),
        }
    }
}

impl std::error::Error for PinError {}

/// Pins the calling thread and reads back where it is.
///
/// # Errors
/// The CPU is not in the thread's allowed set, or the kernel did not comply.
pub fn pin(cpu: usize) -> Result<(), PinError> {
    let refused = |error: Box<dyn std::error::Error>| PinError::Refused(cpu, error.to_string());
    let allowed = affinity::get_thread_affinity().map_err(refused)?;
    if cpu >= CPU_IDS || !allowed.contains(&cpu) {
        return Err(PinError::NotAllowed(cpu));
    }
    affinity::set_thread_affinity([cpu]).map_err(refused)?;
    let now = affinity::get_thread_affinity().map_err(refused)?;
    if now != [cpu] {
        return Err(PinError::Refused(cpu, format!("it runs on {now:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::Builder::new().spawn(work).expect("a thread");
        thread.join().expect("no panic")
    }

    #[test]
    fn a_pinned_thread_is_where_it_should_be() {
        in_a_thread(|| {
            let allowed = affinity::get_thread_affinity().expect("allowed CPUs");
            let cpu = *allowed.last().expect("at least one");
            assert_eq!(pin(cpu), Ok(()));
            // SAFETY: takes nothing, returns a number.
            let on = unsafe { libc::sched_getcpu() };
            assert_eq!(usize::try_from(on), Ok(cpu));
        });
    }

    #[test]
    fn ids_out_of_range_are_refused_before_they_abort_the_process() {
        in_a_thread(|| {
            for cpu in [1023, 1024, 1_000_000, usize::MAX] {
                assert_eq!(pin(cpu), Err(PinError::NotAllowed(cpu)));
            }
        });
    }
}
