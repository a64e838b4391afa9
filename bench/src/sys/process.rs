//! What a process uses: CPU time and memory.

use super::{CpuClock, check};
use std::io;

/// The CPU clock and the memory of one process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: i32,
    clock: CpuClock,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident in all: with files and shared pages
    pub resident: u64,
    /// Resident and the process's own: what it allocated in user space
    pub user_space: u64,
    /// The most that was resident at once
    pub resident_peak: u64,
}

impl Usage {
    /// The usage of process `pid`.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            clock: CpuClock::of_process(pid)?,
        })
    }

    /// CPU time of all threads so far, in nanoseconds.
    pub fn cpu(&self) -> io::Result<u64> {
        self.clock.read()
    }

    /// The CPU clock alone.
    pub fn clock(&self) -> CpuClock {
        self.clock
    }

    /// Memory now.
    pub fn memory(&self) -> io::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        Ok(parse_memory(&status))
    }
}

fn parse_memory(status: &str) -> Memory {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    };
    Memory {
        resident: field("VmRSS:"),
        user_space: field("RssAnon:") + field("RssShmem:"),
        resident_peak: field("VmHWM:"),
    }
}

/// Raises the soft limit of open files to the hard limit and returns it.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for one rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// Asks a child of ours, not yet waited for, to end.
pub fn terminate(pid: u32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return;
    };
    // SAFETY: no pointers. The caller has not waited for the child, so the pid is still its own.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_file() {
        let status = "Name:\tx\nVmHWM:\t    40 kB\nVmRSS:\t    30 kB\nRssAnon:\t    8 kB\n\
                      RssFile:\t   21 kB\nRssShmem:\t       1 kB\n";
        let memory = parse_memory(status);
        assert_eq!(memory.resident, 30 * 1024);
        assert_eq!(memory.user_space, 9 * 1024);
        assert_eq!(memory.resident_peak, 40 * 1024);
    }
}
