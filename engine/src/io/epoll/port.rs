//! What epoll can do with a socket.

use crate::base::Nanos;
use crate::io::WakeFd;
use crate::io::host::{Port, Sent};
use crate::io::link::{Link, LinkKey, Receiving};
use crate::io::listener::Acceptor;
use crate::io::sockets;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Events one wait returns at most.
const EVENTS_MAX: usize = 1024;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Link(LinkKey),
    Accept(usize),
    Doorbell,
    /// Something came at the UDP listener of that number.
    Datagrams(usize),
}

const KIND_SHIFT: u32 = 60;

impl Event {
    fn word(self) -> u64 {
        match self {
            Self::Link(key) => key.pack(),
            Self::Accept(at) => at as u64 | 1 << KIND_SHIFT,
            Self::Doorbell => 2 << KIND_SHIFT,
            Self::Datagrams(at) => at as u64 | 3 << KIND_SHIFT,
        }
    }

    #[inline]
    pub(super) fn of(word: u64) -> Self {
        match word >> KIND_SHIFT {
            0 => Self::Link(LinkKey::unpack(word)),
            1 => Self::Accept(usize::try_from(word & 0xffff).expect("16 bits")),
            3 => Self::Datagrams(usize::try_from(word & 0xffff).expect("16 bits")),
            _ => Self::Doorbell,
        }
    }
}

pub(super) struct EpollPort {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    /// Links that may have bytes which no event will announce.
    unread: Vec<LinkKey>,
    acceptors: Arc<[Acceptor]>,
    accepting: bool,
    /// By the number of their listener.
    datagram_sockets: Box<[RawFd]>,
    /// Those of them that may have more, which no event will announce.
    full: Vec<usize>,
}

impl EpollPort {
    pub(super) fn new(
        acceptors: Arc<[Acceptor]>,
        datagram_sockets: Box<[RawFd]>,
        doorbell: &WakeFd,
    ) -> io::Result<Self> {
        // SAFETY: takes integers only.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just made this descriptor and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        for acceptor in acceptors.iter() {
            acceptor.set_nonblocking()?;
        }
        let port = Self {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
            unread: Vec::new(),
            acceptors,
            accepting: false,
            datagram_sockets,
            full: Vec::new(),
        };
        // Edge-triggered, so that it never has to be read.
        let edge = libc::EPOLLIN | libc::EPOLLET;
        port.control(
            libc::EPOLL_CTL_ADD,
            doorbell.as_raw_fd(),
            edge,
            Event::Doorbell,
        )?;
        Ok(port)
    }

    /// Waits for events, rounding up to whole milliseconds.
    pub(super) fn wait(&mut self, timeout: Option<Nanos>) -> io::Result<()> {
        // What `is_ready` found is not handled yet.
        if !self.events.is_empty() {
            return Ok(());
        }
        let timeout = timeout.map_or(-1, |span| {
            i32::try_from(span.0.div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let max = i32::try_from(EVENTS_MAX).expect("a small constant");
        let events = self.events.as_mut_ptr();
        // SAFETY: the kernel writes at most `max` events, for which there is room.
        let found =
            check(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, max, timeout) });
        match found {
            Ok(count) => {
                let count = usize::try_from(count).expect("checked not to be negative");
                // SAFETY: the kernel wrote so many.
                unsafe { self.events.set_len(count) };
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn take_events(&mut self, events: &mut Vec<libc::epoll_event>) {
        events.append(&mut self.events);
    }

    pub(super) fn take_unread(&mut self, unread: &mut Vec<LinkKey>) {
        unread.append(&mut self.unread);
    }

    pub(super) fn read_again(&mut self, key: LinkKey) {
        self.unread.push(key);
    }

    pub(super) fn datagram_socket(&self, at: usize) -> RawFd {
        self.datagram_sockets[at]
    }

    /// That socket has to be looked at again without an event.
    pub(super) fn receive_more(&mut self, at: usize) {
        self.full.push(at);
    }

    /// The sockets of [`EpollPort::receive_more`].
    pub(super) fn take_full(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.full)
    }

    pub(super) fn accept_one(&self, at: usize) -> io::Result<OwnedFd> {
        sockets::accept(&self.acceptors[at])
    }

    fn control(&self, what: i32, fd: RawFd, events: i32, event: Event) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            u64: event.word(),
        };
        // SAFETY: the kernel reads one event that we own.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd, &raw mut event) })?;
        Ok(())
    }
}

impl Port for EpollPort {
    fn receive(&mut self, key: LinkKey, link: &mut Link) {
        if link.receiving == Receiving::On {
            return;
        }
        link.receiving = Receiving::On;
        if link.registered {
            self.unread.push(key);
            return;
        }
        link.registered = true;
        let all = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        if let Err(error) = self.control(libc::EPOLL_CTL_ADD, link.fd(), all, Event::Link(key)) {
            // Out of memory or of epoll watches: the connection cannot be served.
            tracing::warn!("cannot watch a connection: {error}");
            link.registered = false;
            self.unread.push(key);
            if link.shut(libc::SHUT_RDWR).is_err() {
                tracing::trace!("it was not connected");
            }
        }
    }

    fn stop(&mut self, _key: LinkKey, link: &mut Link) {
        link.receiving = Receiving::Off;
    }

    fn send(&mut self, _key: LinkKey, link: &mut Link) -> Sent {
        sockets::send(link)
    }

    fn forget(&mut self, link: &Link) {
        // A socket that moves must not be reported here any more. Closing one
        // removes it as well, but not before the last descriptor of it is gone.
        if link.registered
            && let Err(error) = self.control(libc::EPOLL_CTL_DEL, link.fd(), 0, Event::Doorbell)
        {
            tracing::debug!("a socket was not watched: {error}");
        }
    }

    fn accept(&mut self, on: bool) {
        if self.accepting == on {
            return;
        }
        self.accepting = on;
        for (at, acceptor) in self.acceptors.iter().enumerate() {
            let (what, events) = match on {
                // Wakes one shard for a connection, not all of them.
                true => (libc::EPOLL_CTL_ADD, libc::EPOLLIN | libc::EPOLLEXCLUSIVE),
                false => (libc::EPOLL_CTL_DEL, 0),
            };
            if let Err(error) = self.control(what, acceptor.as_raw_fd(), events, Event::Accept(at))
            {
                tracing::warn!("cannot watch {}: {error}", acceptor.listener());
            }
        }
    }

    fn receive_datagrams(&mut self, on: bool) {
        self.full.clear();
        let edge = libc::EPOLLIN | libc::EPOLLET;
        let (what, events) = match on {
            true => (libc::EPOLL_CTL_ADD, edge),
            false => (libc::EPOLL_CTL_DEL, 0),
        };
        for (at, &socket) in self.datagram_sockets.iter().enumerate() {
            if let Err(error) = self.control(what, socket, events, Event::Datagrams(at)) {
                tracing::debug!("the watch on a UDP socket stays as it was: {error}");
            }
        }
    }

    fn holds(&self, _link: &Link) -> bool {
        false
    }

    fn has_backlog(&mut self) -> bool {
        !self.unread.is_empty() || !self.full.is_empty()
    }

    fn is_ready(&mut self) -> bool {
        // A failure shows again in the wait that follows.
        self.wait(Some(Nanos::ZERO)).is_ok() && !self.events.is_empty()
    }
}

/// One receive that does not wait.
pub(super) fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most the length of a buffer that we own.
    let count = unsafe {
        libc::recv(
            fd,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn check(status: libc::c_int) -> io::Result<libc::c_int> {
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(status)
}
