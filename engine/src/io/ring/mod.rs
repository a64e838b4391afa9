//! The io_uring driver.
//!
//! One ring per shard, made on the shard's thread: multishot accepts and
//! receives into provided buffers, one send in flight per connection. Measured
//! against its alternatives in `docs/decisions/0004-io-drivers.md`.

mod buffers;
mod datagrams;
mod port;

use super::host::{Host, Port, Wait};
use super::link::{LinkKey, Receiving, Sending};
use super::{DriverError, Finished, Station, Tried, clock, link};
use crate::base::Nanos;
use buffers::{Buffers, DATAGRAM_GROUP, GROUP};
use datagrams::{Datagrams, ROUNDS_MAX};
use io_uring::cqueue;
use port::{Event, RingPort};
use std::io;
use std::sync::Arc;

/// Whether a ring such as ours can be made here.
///
/// # Errors
/// What the kernel said: denied, missing, or too old for what the driver uses.
pub fn probe() -> io::Result<()> {
    let ring = port::make_ring(8)?;
    let _buffers = Buffers::register(&ring, GROUP, 8, 4096);
    let mut known = io_uring::Probe::new();
    ring.submitter().register_probe(&mut known)?;
    if port::OPERATIONS
        .iter()
        .all(|&code| known.is_supported(code))
    {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
}

/// Runs a shard until it has drained or is told to quit; gives its counters.
///
/// # Errors
/// The ring could not be made, or the kernel failed it later.
pub fn run(station: Station) -> Result<Finished, DriverError> {
    run_with(station, buffers::COUNT, buffers::BYTES)
}

/// As [`run`], with so many receive buffers of so many bytes.
fn run_with(station: Station, count: u16, bytes: usize) -> Result<Finished, DriverError> {
    clock::tighten_timers();
    let sockets = station.datagram_sockets();
    let takes_datagrams = !sockets.is_empty();
    let port = RingPort::new(Arc::clone(&station.acceptors), sockets, &station.doorbell)
        .tried("set up io_uring")?;
    let register = |group, count, bytes| {
        let buffers = Buffers::register(port.ring(), group, count, bytes);
        buffers.tried("register receive buffers with io_uring")
    };
    let buffers = register(GROUP, count, bytes)?;
    let datagrams = match takes_datagrams {
        true => Some(register(
            DATAGRAM_GROUP,
            buffers::DATAGRAMS,
            buffers::DATAGRAM_BYTES,
        )?),
        false => None,
    };
    let mut driver = Driver {
        port,
        buffers,
        datagrams: datagrams.map(Datagrams::new),
        events: Vec::new(),
        sends: Vec::new(),
    };
    let mut host = Host::new(station);
    driver.port.accept(true);
    driver.port.receive_datagrams(true);
    driver.port.watch_doorbell();
    loop {
        host.begin(&mut driver.port);
        let is_behind = driver.reap(&mut host).tried("reap from io_uring")?;
        if !host.finish(&mut driver.port) {
            break;
        }
        driver.submit(&mut host).tried("submit to io_uring")?;
        let wait = if is_behind {
            Wait::Not
        } else {
            host.wait(&mut driver.port)
        };
        driver.wait(&mut host, wait).tried("wait for io_uring")?;
    }
    driver.end(&mut host).tried("end io_uring")?;
    Ok(host.finished())
}

/// Fields drop in this order: the ring before the buffers that it writes to.
struct Driver {
    port: RingPort,
    buffers: Buffers,
    /// `None` if no listener takes datagrams.
    datagrams: Option<Datagrams>,
    /// Completions of this turn; kept for its capacity.
    events: Vec<cqueue::Entry>,
    /// Likewise, the sends that left at once.
    sends: Vec<LinkKey>,
}

/// Rounds of sends in one turn, so that a long queue cannot keep others waiting.
const SUBMITS_MAX: usize = 8;

/// How long the end of a driver waits for the kernel to let go of its sockets.
const END_WAIT: Nanos = Nanos::from_millis(10);
const END_WAITS_MAX: usize = 100;

impl Driver {
    /// Handles what is complete, and the datagrams behind it that the kernel has yet to receive: a
    /// turn with more of them is cheaper for each. Returns whether some are left.
    fn reap(&mut self, host: &mut Host) -> io::Result<bool> {
        for _ in 1..ROUNDS_MAX {
            if !self.reap_once(host) {
                return Ok(false);
            }
            self.port.submit_and_poll()?;
        }
        Ok(self.reap_once(host))
    }

    fn reap_once(&mut self, host: &mut Host) -> bool {
        let mut events = std::mem::take(&mut self.events);
        self.port.take_completions(&mut events);
        for event in events.drain(..) {
            self.handle(host, &event);
        }
        self.events = events;
        self.on_left(host);
        // Before any receive is asked for again: one that ended for want of
        // buffers would end again.
        self.buffers.publish();
        match &mut self.datagrams {
            Some(datagrams) => datagrams.publish(&mut self.port),
            None => false,
        }
    }

    fn handle(&mut self, host: &mut Host, entry: &cqueue::Entry) {
        match Event::of(entry.user_data()) {
            Event::Receive(key) => self.on_receive(host, key, entry.result(), entry.flags()),
            Event::Send(key) => self.on_send(host, key, entry.result()),
            Event::Accept(at) => self.on_accept(host, at, entry.result(), entry.flags()),
            Event::Doorbell => {
                // The turn looks at the mailbox and the control flag in any case.
                if !cqueue::more(entry.flags()) {
                    self.port.watch_doorbell();
                }
            }
            Event::Datagram(at) => {
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.on_completion(host, &mut self.port, at, entry);
                }
            }
            Event::Cancel => {}
        }
    }

    fn on_receive(&mut self, host: &mut Host, key: LinkKey, result: i32, flags: u32) {
        if let Some(id) = cqueue::buffer_select(flags) {
            if let Ok(length) = usize::try_from(result) {
                host.received(&mut self.port, key, self.buffers.received(id, length));
            }
            self.buffers.give_back(id);
        }
        if cqueue::more(flags) {
            return;
        }
        if let Some(link) = host.links.get_mut(key) {
            link.receiving = Receiving::Off;
        }
        match -result {
            libc::ENOBUFS => {
                self.buffers.ran_out();
                host.rest_receive(key);
            }
            0 => host.ended(&mut self.port, key),
            // ECANCELED: we stopped it, and may want it again by now.
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => host.rest_receive(key),
            error if error > 0 => host.ended(&mut self.port, key),
            _ => host.rest_receive(key),
        }
        host.settle(&mut self.port, key);
    }

    /// A send that was to be reported, or one that did not leave at once.
    fn on_send(&mut self, host: &mut Host, key: LinkKey, result: i32) {
        let Some(link) = host.links.get_mut(key) else {
            return;
        };
        link.blocked = link.sending != Sending::On;
        link.sending = Sending::Not;
        match usize::try_from(result) {
            Ok(count) => self.sent(host, key, count),
            Err(_) if matches!(-result, libc::EAGAIN | libc::EINTR) => {
                link.blocked = true;
                host.send(&mut self.port, key);
            }
            Err(_) => host.send_failed(&mut self.port, key),
        }
        host.settle(&mut self.port, key);
    }

    /// Sends that left are not reported.
    fn on_left(&mut self, host: &mut Host) {
        let mut sends = std::mem::take(&mut self.sends);
        self.port.take_left(&mut sends);
        for key in sends.drain(..) {
            let Some(link) = host.links.get_mut(key) else {
                continue;
            };
            if let Sending::AtOnce(bytes) = link.sending {
                link.sending = Sending::Not;
                self.sent(host, key, bytes);
                host.settle(&mut self.port, key);
            }
        }
        self.sends = sends;
    }

    fn sent(&mut self, host: &mut Host, key: LinkKey, count: usize) {
        if host.sent(&mut self.port, key, count) {
            host.send(&mut self.port, key);
        }
    }

    fn on_accept(&mut self, host: &mut Host, at: usize, result: i32, flags: u32) {
        if !cqueue::more(flags) {
            self.port.accept_ended(at);
        }
        if result < 0 {
            return host.accept_failed(&mut self.port, -result);
        }
        // SAFETY: the accept just made this descriptor and nobody else has it.
        let socket = unsafe { link::own(result) };
        host.accepted(&mut self.port, at, socket);
        self.port.accept_again();
    }

    /// Submits, and gives the shard its outputs back: it may have more to send,
    /// and no event would say so.
    fn submit(&mut self, host: &mut Host) -> io::Result<()> {
        for _ in 0..SUBMITS_MAX {
            self.port.submit()?;
            self.on_left(host);
            host.send_dirty(&mut self.port);
            if !self.port.is_sending() {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, host: &mut Host, wait: Wait) -> io::Result<()> {
        match wait {
            Wait::Not => self.port.submit_and_poll(),
            Wait::Paced(span) => {
                self.port.submit()?;
                clock::pace(span);
                self.port.submit_and_poll()
            }
            Wait::Block(timeout) => {
                let waited = self.port.submit_and_wait(timeout);
                host.awake();
                waited
            }
        }
    }

    /// Gets every buffer back from the kernel.
    fn end(&mut self, host: &mut Host) -> io::Result<()> {
        self.port.accept(false);
        self.port.receive_datagrams(false);
        host.close_all(&mut self.port);
        for _ in 0..END_WAITS_MAX {
            if host.links.len() == 0 && !self.port.is_receiving_datagrams() {
                return Ok(());
            }
            self.port.submit_and_wait(Some(END_WAIT))?;
            self.reap(host)?;
        }
        // The kernel may still read them: better lost than reused.
        std::mem::forget(std::mem::take(&mut host.links));
        std::mem::forget(self.datagrams.take());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
