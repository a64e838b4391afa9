//! Which driver can run here, found out before anything is started.
//!
//! Container runtimes deny `io_uring_setup` by default, and glommio panics
//! where it is denied, so the kernel is asked first.

use crate::config::IoChoice;
use crate::io::{DriverError, ring};
use std::fmt;
use std::fs;
use std::io;

/// A driver that can run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Our own loop on io_uring.
    Ring,
    /// Our own loop on epoll.
    Epoll,
    /// glommio's executor, on io_uring.
    Glommio,
}

/// The driver in use, and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What runs the shards.
    pub driver: Driver,
    /// For the banner: a few words.
    pub why: String,
}

/// The driver that was demanded cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    wanted: IoChoice,
    reason: String,
}

/// The driver for what was asked, after asking the kernel for one small ring.
///
/// # Errors
/// `ring` or `glommio` was demanded and io_uring is not to be had.
pub fn choose(wanted: IoChoice) -> Result<Choice, Refused> {
    choose_given(wanted, || ring::probe().map_err(|error| explain(&error)))
}

/// The driver instead, where a shard then did not get its ring.
///
/// # Errors
/// `ring` was demanded.
pub fn without_ring(wanted: IoChoice, failed: &DriverError) -> Result<Choice, Refused> {
    choose_given(wanted, || Err(explain(&failed.error)))
}

fn choose_given(
    wanted: IoChoice,
    probe: impl FnOnce() -> Result<(), String>,
) -> Result<Choice, Refused> {
    let chosen = |driver, why: &str| {
        let why = why.to_owned();
        Ok(Choice { driver, why })
    };
    if wanted == IoChoice::Epoll {
        return chosen(Driver::Epoll, "as asked");
    }
    match (wanted, probe()) {
        (IoChoice::Ring, Ok(())) => chosen(Driver::Ring, "as asked"),
        (IoChoice::Glommio, Ok(())) => chosen(Driver::Glommio, "as asked"),
        (_, Ok(())) => chosen(Driver::Ring, "io_uring is available"),
        (IoChoice::Auto, Err(reason)) => chosen(Driver::Epoll, &reason),
        (_, Err(reason)) => Err(Refused { wanted, reason }),
    }
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match disabled() {
            Some(level) => format!("io_uring denied by sysctl kernel.io_uring_disabled={level}"),
            None => "io_uring denied by seccomp".to_owned(),
        },
        Some(libc::ENOSYS) => "this kernel has no io_uring".to_owned(),
        Some(libc::EINVAL | libc::EOPNOTSUPP) => "io_uring of this kernel is too old".to_owned(),
        Some(libc::ENOMEM) => {
            "not enough locked memory for io_uring: RLIMIT_MEMLOCK, ulimit -l".to_owned()
        }
        Some(libc::EMFILE) => {
            "not enough open files for io_uring: RLIMIT_NOFILE, ulimit -n".to_owned()
        }
        Some(libc::ENFILE) => "not enough open files for io_uring: sysctl fs.file-max".to_owned(),
        _ => format!("io_uring failed: {error}"),
    }
}

/// The system-wide switch, if it is not at "allowed".
fn disabled() -> Option<u8> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok().filter(|&level| level != 0)
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "ring",
            Self::Epoll => "epoll",
            Self::Glommio => "glommio",
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.driver, self.why)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.wanted {
            IoChoice::Auto => "auto",
            IoChoice::Ring => "ring",
            IoChoice::Epoll => "epoll",
            IoChoice::Glommio => "glommio",
        };
        write!(
            f,
            "cannot use --io {wanted}: {} (try --io epoll)",
            self.reason
        )
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: &str = "io_uring denied by seccomp";

    fn denied() -> Result<(), String> {
        Err(DENIED.to_owned())
    }

    #[test]
    fn auto_is_ring_else_epoll_and_says_why() {
        let free = choose_given(IoChoice::Auto, || Ok(())).expect("a driver");
        assert_eq!(free.to_string(), "ring (io_uring is available)");
        let fallback = choose_given(IoChoice::Auto, denied).expect("a driver");
        assert_eq!(fallback.to_string(), "epoll (io_uring denied by seccomp)");
    }

    #[test]
    fn what_is_demanded_and_denied_is_an_error() {
        for wanted in [IoChoice::Ring, IoChoice::Glommio] {
            let refused = choose_given(wanted, denied).expect_err("denied");
            let text = refused.to_string();
            assert!(
                text.ends_with("io_uring denied by seccomp (try --io epoll)"),
                "{text}"
            );
        }
    }

    #[test]
    fn epoll_does_not_ask_for_io_uring() {
        let choice = choose_given(IoChoice::Epoll, || panic!("asked")).expect("epoll");
        assert_eq!(choice.driver, Driver::Epoll);
    }

    #[test]
    fn errors_of_setup_are_explained() {
        let text = |errno| explain(&io::Error::from_raw_os_error(errno));
        assert!(text(libc::EPERM).starts_with("io_uring denied by"));
        assert_eq!(text(libc::ENOSYS), "this kernel has no io_uring");
        assert!(text(libc::EINVAL).contains("too old"));
        assert!(text(libc::ENOMEM).contains("RLIMIT_MEMLOCK"));
        assert!(text(libc::EMFILE).contains("RLIMIT_NOFILE"));
    }

    #[test]
    fn a_shard_without_its_ring_is_epoll_only_if_nobody_demanded_the_ring() {
        let failed = DriverError {
            tried: "set up io_uring",
            error: io::Error::from_raw_os_error(libc::ENOMEM),
        };
        let instead = without_ring(IoChoice::Auto, &failed).expect("epoll");
        assert_eq!(
            instead.to_string(),
            "epoll (not enough locked memory for io_uring: RLIMIT_MEMLOCK, ulimit -l)"
        );
        let refused = without_ring(IoChoice::Ring, &failed).expect_err("demanded");
        assert!(refused.to_string().contains("RLIMIT_MEMLOCK"), "{refused}");
    }
}
