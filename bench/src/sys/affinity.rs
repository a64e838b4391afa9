//! Which CPUs a thread may use.

use super::check;
use std::io;
use std::mem::size_of;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// CPU numbers that fit into a `cpu_set_t`.
const CPUS_MAX: usize = 1024;

/// The CPUs this thread may run on, ascending.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for the size passed.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    // SAFETY: CPU numbers below CPUS_MAX lie in the set.
    Ok((0..CPUS_MAX)
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect())
}

/// Restricts the calling thread to `cpus`.
pub fn pin_this_thread(cpus: &[usize]) -> io::Result<()> {
    set_affinity(&set_of(cpus)?)
}

/// Restricts the process that `command` will start to `cpus`.
pub fn pin_child(command: &mut Command, cpus: &[usize]) -> io::Result<()> {
    let set = set_of(cpus)?;
    // SAFETY: between fork and exec only sched_setaffinity runs, which is async-signal-safe.
    unsafe { command.pre_exec(move || set_affinity(&set)) };
    Ok(())
}

fn set_of(cpus: &[usize]) -> io::Result<libc::cpu_set_t> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        if cpu >= CPUS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "CPU number above 1023",
            ));
        }
        // SAFETY: the number lies in the set, checked above.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    Ok(set)
}

fn set_affinity(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: `set` is valid for the size passed; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_is_read_back() {
        let before = allowed_cpus().unwrap();
        let first = before[0];
        pin_this_thread(&[first]).unwrap();
        assert_eq!(allowed_cpus().unwrap(), [first]);
        pin_this_thread(&before).unwrap();
    }

    #[test]
    fn a_cpu_out_of_range_is_an_error() {
        assert!(pin_this_thread(&[CPUS_MAX]).is_err());
    }
}
