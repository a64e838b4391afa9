//! Level-triggered epoll with nanosecond timeouts.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Events taken by one wait.
const EVENTS_MAX: usize = 512;

/// What to be told of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end of the stream
    Read,
    /// That, and room to write
    ReadWrite,
}

/// An epoll instance.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What is possible on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The token given to [`Poller::add`]
    pub token: usize,
    /// Bytes, the end, or an error can be read
    pub readable: bool,
    /// There is room to write
    pub writable: bool,
}

impl Poller {
    /// A new instance without sockets.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor returned is owned by nobody else.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: just created.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Starts to watch `socket`; events carry `token`.
    pub fn add(&self, socket: &impl AsRawFd, token: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), token, interest)
    }

    /// Changes what is watched.
    pub fn modify(
        &self,
        socket: &impl AsRawFd,
        token: usize,
        interest: Interest,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), token, interest)
    }

    fn control(&self, what: i32, fd: RawFd, token: usize, interest: Interest) -> io::Result<()> {
        let events = match interest {
            Interest::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            u64: token as u64,
        };
        // SAFETY: `event` is valid; a bad descriptor is an error, not undefined.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events at most `timeout` nanoseconds and returns how many there are.
    ///
    /// A signal ends the wait with none.
    pub fn wait(&mut self, timeout: u64) -> io::Result<usize> {
        self.events.clear();
        let time = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout / 1_000_000_000).unwrap_or(libc::time_t::MAX),
            tv_nsec: i64::try_from(timeout % 1_000_000_000).expect("below a thousand million"),
        };
        // SAFETY: the vector has room for EVENTS_MAX events, the timespec is valid, no signal mask.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX,
                &raw const time,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(0)
            } else {
                Err(error)
            };
        };
        // SAFETY: the kernel wrote `count` events, at most EVENTS_MAX.
        unsafe { self.events.set_len(count) };
        Ok(count)
    }

    /// The event `index` of the last wait.
    #[inline]
    pub fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let flags = event.events;
        let failed = libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP;
        Ready {
            token: usize::try_from(event.u64).expect("a token is a usize"),
            readable: flags & (libc::EPOLLIN | failed).cast_unsigned() != 0,
            writable: flags & libc::EPOLLOUT.cast_unsigned() != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tells_who_can_read() {
        let (mut left, right) = UnixStream::pair().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&right, 7, Interest::Read).unwrap();
        assert_eq!(poller.wait(0).unwrap(), 0);
        left.write_all(b"x").unwrap();
        assert_eq!(poller.wait(1_000_000_000).unwrap(), 1);
        let ready = poller.ready(0);
        assert!(ready.token == 7 && ready.readable && !ready.writable);
        poller.modify(&right, 8, Interest::ReadWrite).unwrap();
        assert_eq!(poller.wait(1_000_000_000).unwrap(), 1);
        assert!(poller.ready(0).token == 8 && poller.ready(0).writable);
    }
}
