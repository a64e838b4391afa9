//! SIGINT and SIGTERM as a flag, and waiting for input or for them.

use super::check;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM set the flag of [`interrupted`]; a second one ends the process.
pub fn stop_on_signals() -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value to fill in.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // Without SA_RESTART blocked calls return; with RESETHAND the second signal kills.
    action.sa_flags = libc::SA_RESETHAND;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `action` is valid and its handler only stores into an atomic.
        check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    Ok(())
}

/// Whether a signal asked this process to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// What [`wait_readable`] woke for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The first descriptor can be read
    First,
    /// The second one can be read
    Second,
    /// A signal asks to stop
    Signal,
    /// The time is over
    Timeout,
}

/// Waits at most `timeout` nanoseconds until one of two descriptors can be read or a signal asks
/// to stop.
///
/// The signals of [`stop_on_signals`] are let in only while it waits, so none slips by between a
/// look at the flag and the wait.
pub fn wait_readable(first: RawFd, second: Option<RawFd>, timeout: u64) -> io::Result<Wake> {
    let entry = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // A negative descriptor is ignored.
    let mut entries = [entry(first), entry(second.unwrap_or(-1))];
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: i64::try_from(timeout % 1_000_000_000).expect("below a thousand million"),
    };
    let before = block_signals()?;
    let result = if interrupted() {
        Ok(0)
    } else {
        // SAFETY: two entries, a valid timespec, and the mask that was in force before.
        check(unsafe { libc::ppoll(entries.as_mut_ptr(), 2, &raw const time, &raw const before) })
    };
    restore_signals(&before)?;
    match result {
        _ if interrupted() => Ok(Wake::Signal),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Wake::Timeout),
        Err(error) => Err(error),
        Ok(_) if entries[0].revents != 0 => Ok(Wake::First),
        Ok(_) if entries[1].revents != 0 => Ok(Wake::Second),
        Ok(_) => Ok(Wake::Timeout),
    }
}

/// Reads the standard input past any buffer, so that waiting for it tells the truth.
pub fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the buffer is valid for its length.
        let length =
            unsafe { libc::read(libc::STDIN_FILENO, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(length) {
            Ok(length) => return Ok(length),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted || interrupted() {
                    return Err(error);
                }
            }
        }
    }
}

/// Blocks SIGINT and SIGTERM; returns the mask from before.
fn block_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: all-zero sets are valid places for what the calls below write.
    let (mut set, mut before): (libc::sigset_t, libc::sigset_t) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // SAFETY: `set` is valid and the signal numbers are real.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
    }
    // SAFETY: both sets are valid.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) } {
        0 => Ok(before),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

fn restore_signals(mask: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `mask` is valid; the mask it replaces is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tells_which_descriptor_can_be_read() {
        let (mut a, a_peer) = UnixStream::pair().unwrap();
        let (mut b, b_peer) = UnixStream::pair().unwrap();
        let (first, second) = (a_peer.as_raw_fd(), b_peer.as_raw_fd());
        assert_eq!(
            wait_readable(first, Some(second), 0).unwrap(),
            Wake::Timeout
        );
        b.write_all(b"x").unwrap();
        assert_eq!(
            wait_readable(first, Some(second), 1 << 40).unwrap(),
            Wake::Second
        );
        assert_eq!(wait_readable(first, None, 0).unwrap(), Wake::Timeout);
        a.write_all(b"x").unwrap();
        assert_eq!(
            wait_readable(first, Some(second), 1 << 40).unwrap(),
            Wake::First
        );
    }
}
