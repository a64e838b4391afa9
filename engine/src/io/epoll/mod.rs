//! The epoll driver, for machines where io_uring is denied.
//!
//! Edge-triggered: each socket is registered once, and pausing it, resuming it
//! or waiting for room costs no system call. What was not read to the end is
//! remembered and read again in the next turn.

mod port;

use super::datagrams::{BATCH, Inlet, TURN_MAX};
use super::host::{Host, Port, Wait};
use super::link::{LinkKey, Receiving};
use super::{DriverError, Finished, Station, Tried, clock};
use crate::base::Nanos;
use port::{EpollPort, Event};
use std::io;
use std::sync::Arc;

/// What one receive takes at most, and so what a connection gets of a turn.
const RECEIVE_BYTES: usize = 256 << 10;
/// Connections one listener gets of a turn.
const ACCEPTS_MAX: usize = 64;

/// Runs a shard until it has drained or is told to quit; gives its counters.
///
/// # Errors
/// The kernel refused an epoll instance, or failed it later.
pub fn run(station: Station) -> Result<Finished, DriverError> {
    clock::tighten_timers();
    let sockets = station.datagram_sockets();
    let inlet = (!sockets.is_empty()).then(|| Box::new(Inlet::new()));
    let acceptors = Arc::clone(&station.acceptors);
    let port = EpollPort::new(acceptors, sockets, &station.doorbell).tried("set up epoll")?;
    let mut driver = Driver {
        port,
        inlet,
        buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        events: Vec::new(),
        unread: Vec::new(),
    };
    let mut host = Host::new(station);
    driver.port.accept(true);
    driver.port.receive_datagrams(true);
    loop {
        host.begin(&mut driver.port);
        driver.reap(&mut host);
        if !host.finish(&mut driver.port) {
            break;
        }
        let wait = host.wait(&mut driver.port);
        driver.wait(&mut host, wait).tried("wait for epoll")?;
    }
    driver.port.accept(false);
    driver.port.receive_datagrams(false);
    host.close_all(&mut driver.port);
    Ok(host.finished())
}

struct Driver {
    port: EpollPort,
    /// What is being received; the shard copies what it keeps.
    buffer: Box<[u8]>,
    /// `None` if no listener takes datagrams.
    inlet: Option<Box<Inlet>>,
    events: Vec<libc::epoll_event>,
    unread: Vec<LinkKey>,
}

const INPUT: u32 = bits(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
const END: u32 = bits(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
const OUTPUT: u32 = bits(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR);

const fn bits(mask: i32) -> u32 {
    mask.cast_unsigned()
}

impl Driver {
    fn reap(&mut self, host: &mut Host) {
        let mut unread = std::mem::take(&mut self.unread);
        self.port.take_unread(&mut unread);
        for key in unread.drain(..) {
            self.receive(host, key, false);
        }
        self.unread = unread;
        for at in self.port.take_full() {
            self.on_datagrams(host, at);
        }
        let mut events = std::mem::take(&mut self.events);
        self.port.take_events(&mut events);
        for event in events.drain(..) {
            match Event::of(event.u64) {
                Event::Link(key) => self.on_link(host, key, event.events),
                Event::Accept(at) => self.on_accept(host, at),
                Event::Datagrams(at) => self.on_datagrams(host, at),
                // The turn looks at the mailbox and the control flag in any case.
                Event::Doorbell => {}
            }
        }
        self.events = events;
    }

    fn on_link(&mut self, host: &mut Host, key: LinkKey, events: u32) {
        if events & OUTPUT != 0
            && let Some(link) = host.links.get_mut(key)
            && link.blocked
        {
            link.blocked = false;
            host.send(&mut self.port, key);
        }
        if events & INPUT != 0 {
            self.receive(host, key, events & END != 0);
        }
    }

    /// One receive. `end`: the end of the stream is known to follow.
    fn receive(&mut self, host: &mut Host, key: LinkKey, end: bool) {
        let Some(link) = host.links.get_mut(key) else {
            return;
        };
        if link.receiving != Receiving::On {
            return;
        }
        if !link.wants_bytes() {
            link.receiving = Receiving::Off;
            return;
        }
        match port::receive(link.fd(), &mut self.buffer) {
            Ok(0) => host.ended(&mut self.port, key),
            Ok(count) => {
                host.received(&mut self.port, key, &self.buffer[..count]);
                // A short receive emptied the socket: more will be announced.
                if count == self.buffer.len() || end {
                    self.port.read_again(key);
                }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => {}
                Some(libc::EINTR) => self.port.read_again(key),
                _ => host.ended(&mut self.port, key),
            },
        }
    }

    /// Receives datagrams until none is left, or until it is others' turn.
    fn on_datagrams(&mut self, host: &mut Host, at: usize) {
        let Some(inlet) = &mut self.inlet else { return };
        for _ in 0..TURN_MAX / BATCH {
            match inlet.receive(self.port.datagram_socket(at)) {
                Ok(count) => {
                    for (from, bytes) in (0..count).filter_map(|number| inlet.get(number)) {
                        host.datagram(at, from, bytes);
                    }
                    // A short batch emptied the socket: more will be announced.
                    if count < BATCH {
                        return;
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return,
                    // An error of an earlier datagram is reported once: others may wait behind it.
                    _ => break,
                },
            }
        }
        self.port.receive_more(at);
    }

    fn on_accept(&mut self, host: &mut Host, at: usize) {
        for _ in 0..ACCEPTS_MAX {
            match self.port.accept_one(at) {
                Ok(socket) => {
                    host.accepted(&mut self.port, at, socket);
                }
                Err(error) => {
                    let code = error.raw_os_error().unwrap_or(libc::EIO);
                    if code != libc::EAGAIN {
                        host.accept_failed(&mut self.port, code);
                    }
                    return;
                }
            }
        }
    }

    fn wait(&mut self, host: &mut Host, wait: Wait) -> io::Result<()> {
        match wait {
            Wait::Not => self.port.wait(Some(Nanos::ZERO)),
            Wait::Paced(span) => {
                clock::pace(span);
                self.port.wait(Some(Nanos::ZERO))
            }
            Wait::Block(timeout) => {
                let waited = self.port.wait(timeout);
                host.awake();
                waited
            }
        }
    }
}
