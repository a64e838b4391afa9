//! One shard and everything its driver keeps for it, whatever the kernel interface.
//!
//! A driver's loop is: [`Host::begin`], report what the kernel reported,
//! [`Host::finish`], [`Host::wait`].

mod closing;
mod datagrams;
mod seldom;
mod sending;
mod waiting;

use super::clock::Clock;
use super::linger::{self, Deadlines};
use super::link::{self, Link, LinkKey, Links, Stage};
use super::listener::{Acceptor, peer_of};
use super::{Control, Finished, Phase, Station};
use crate::base::{ConnId, Nanos, Peer, Scheme, Socket};
use crate::mailbox::Mailbox;
use crate::shard::{Batch, Effects, Shard};
use datagrams::UdpSockets;
use seldom::Seldom;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;
pub(crate) use waiting::Wait;

/// What a kernel interface can do with a link.
pub(crate) trait Port {
    /// Asks for the link's bytes: once while it is [`Stage::Fresh`], until
    /// stopped afterwards. Does nothing if that is under way.
    fn receive(&mut self, key: LinkKey, link: &mut Link);
    /// Stops that. What was received before may still be reported.
    fn stop(&mut self, key: LinkKey, link: &mut Link);
    /// Sends `link.output` or a part of it.
    fn send(&mut self, key: LinkKey, link: &mut Link) -> Sent;
    /// The socket leaves for another shard, or is closed.
    fn forget(&mut self, link: &Link);
    /// Starts or stops accepting.
    fn accept(&mut self, on: bool);
    /// Starts or stops receiving datagrams.
    fn receive_datagrams(&mut self, on: bool);
    /// Whether an operation in the kernel refers to the link.
    fn holds(&self, link: &Link) -> bool;
    /// Whether there is something to do that no event will announce.
    fn has_backlog(&mut self) -> bool;
    /// Whether an event waits to be reaped.
    fn is_ready(&mut self) -> bool;
}

/// What became of a send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    /// So many bytes were taken.
    Bytes(usize),
    /// It goes on by itself and will be reported.
    Later,
    /// The connection is broken.
    Failed,
}

/// See the module.
pub(crate) struct Host {
    pub(crate) shard: Shard,
    pub(crate) links: Links,
    /// What is spoken on each listener.
    schemes: Vec<Scheme>,
    udp: UdpSockets,
    mailbox: Mailbox<Batch>,
    control: Arc<Control>,
    clock: Clock,
    now: Nanos,
    draining: bool,
    /// Accepting rests; when to try again.
    accept_again: Option<Nanos>,
    /// The warning of that.
    shortage: Seldom,
    /// When mail was last handled.
    mail_at: Nanos,
    /// Links whose receive ended and may have to be asked for again.
    rearm: Vec<LinkKey>,
    /// Connections whose shard takes bytes again.
    resumed: Vec<ConnId>,
    flushing: Deadlines,
    lingering: Deadlines,
    /// Empty, kept for its capacity.
    effects: Effects,
}

impl Host {
    /// For a driver that is set up: reports the start.
    pub(crate) fn new(station: Station) -> Self {
        let udp = UdpSockets::new(station.datagram_sockets());
        (station.started)();
        Self {
            shard: station.shard,
            links: Links::default(),
            schemes: station.acceptors.iter().map(Acceptor::scheme).collect(),
            udp,
            mailbox: station.mailbox,
            control: station.control,
            clock: station.clock,
            now: station.clock.now(),
            draining: false,
            accept_again: None,
            shortage: Seldom::default(),
            mail_at: Nanos::ZERO,
            rearm: Vec::new(),
            resumed: Vec::new(),
            flushing: Deadlines::after(linger::FLUSH),
            lingering: Deadlines::after(linger::LINGER),
            effects: Effects::default(),
        }
    }

    /// Starts a turn: reads the clock and the control flag, and offers bytes
    /// that had to wait.
    pub(crate) fn begin<P: Port>(&mut self, port: &mut P) {
        self.now = self.clock.now();
        self.shard.begin_turn(self.now);
        if self.control.phase() != Phase::Run {
            self.obey(port);
        }
        if self.accept_again.is_some_and(|again| again <= self.now) {
            self.accept_again = None;
            port.accept(!self.draining);
        }
        self.offer_again(port);
    }

    /// Ends a turn: mail, timers, effects, sends. False if this was the last one.
    pub(crate) fn finish<P: Port>(&mut self, port: &mut P) -> bool {
        if self.mailbox.has_mail() {
            self.mail_at = self.now;
        }
        self.shard.on_mail(&mut self.mailbox);
        self.shard.end_turn(&mut self.mailbox);
        // Before the sends: a peer can work on its mail meanwhile.
        self.mailbox.wake_peers();
        self.carry_out(port);
        self.send_dirty(port);
        self.receive_again(port);
        self.close_overdue(port);
        self.count_lost();
        !self.is_over()
    }

    /// A connection arrived at the listener of that number.
    pub(crate) fn accepted<P: Port>(&mut self, port: &mut P, at: usize, socket: OwnedFd) {
        let peer = Peer(peer_of(&socket));
        let number = socket.into_raw_fd();
        let conn = self.shard.on_accept(number, peer, self.schemes[at]);
        // SAFETY: we were its owner two lines above; the shard keeps only its number.
        let socket = unsafe { link::own(number) };
        // Over the limit: dropping the socket closes it.
        let Some(conn) = conn else { return };
        self.open(port, conn, socket, Stage::Fresh);
    }

    /// Accepting failed. It rests a while where that would be reported again at
    /// once: without descriptors or memory the connection goes on waiting.
    pub(crate) fn accept_failed<P: Port>(&mut self, port: &mut P, error: i32) {
        match error {
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                if self.shortage.is_due(self.now) {
                    let error = std::io::Error::from_raw_os_error(error);
                    tracing::warn!("cannot accept connections for now: {error}");
                }
                self.rest_accept(port);
            }
            // Nobody listens any more: a drain that is about to be ordered.
            libc::EINVAL => self.rest_accept(port),
            // The connection is already gone, or was denied: there may be others.
            _ => port.accept(!self.draining && self.accept_again.is_none()),
        }
    }

    fn rest_accept<P: Port>(&mut self, port: &mut P) {
        self.accept_again = Some(self.now + ACCEPT_PAUSE);
        port.accept(false);
    }

    /// Bytes of a link arrived.
    #[inline]
    pub(crate) fn received<P: Port>(&mut self, port: &mut P, key: LinkKey, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if !link.is_live() {
            return;
        }
        if link.paused {
            link.rest.extend_from_slice(bytes);
            return;
        }
        let taken = self.shard.on_bytes(link.conn, bytes);
        if taken < bytes.len() {
            link.rest.extend_from_slice(&bytes[taken..]);
            link.paused = true;
            port.stop(key, link);
        } else if !self.shard.knows(link.conn) {
            // A socket that moves belongs to its new shard by now: its bytes and its end, too.
            link.stage = Stage::Parting;
        }
    }

    /// A receive is over and did not say why nothing follows: it is asked for
    /// again at the end of the turn, when it is known whose the socket is.
    #[inline]
    pub(crate) fn rest_receive(&mut self, key: LinkKey) {
        self.rearm.push(key);
    }

    /// No more bytes will come: the peer's end of stream, or an error.
    pub(crate) fn ended<P: Port>(&mut self, port: &mut P, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        match link.stage {
            // What arrived before the end still counts.
            Stage::Fresh | Stage::Open if link.paused => link.ended = true,
            // It is still to be told something: the shard closes it then.
            Stage::Fresh | Stage::Open if self.shard.on_end(link.conn) => link.ended = true,
            Stage::Fresh | Stage::Open => {
                self.shard.on_closed(link.conn);
                self.bury(port, key);
            }
            Stage::Parting | Stage::Flushing => link.ended = true,
            Stage::Lingering | Stage::Dead => self.bury(port, key),
        }
    }

    /// What is left when the driver has ended.
    pub(crate) fn finished(&self) -> Finished {
        Finished {
            counters: self.shard.counters(),
            mail: self.mailbox.counters(),
        }
    }

    /// Gives every socket back at the end of the driver.
    pub(crate) fn close_all<P: Port>(&mut self, port: &mut P) {
        for key in self.links.keys() {
            self.bury(port, key);
        }
    }

    fn obey<P: Port>(&mut self, port: &mut P) {
        let phase = self.control.phase();
        assert!(
            phase != Phase::Panic,
            "ordered to panic, as a test of what follows"
        );
        if !self.draining {
            self.draining = true;
            port.accept(false);
            port.receive_datagrams(false);
            self.shard.start_drain();
        }
    }

    fn is_over(&self) -> bool {
        match self.control.phase() {
            Phase::Start | Phase::Run => false,
            Phase::Drain => self.draining && self.shard.is_drained() && self.links.len() == 0,
            Phase::Quit | Phase::Panic => true,
        }
    }

    fn open<P: Port>(&mut self, port: &mut P, conn: ConnId, socket: OwnedFd, stage: Stage) {
        let key = self.links.insert(Link::new(conn, socket, stage));
        if let Some(link) = self.links.get_mut(key) {
            port.receive(key, link);
        }
    }

    fn offer_again<P: Port>(&mut self, port: &mut P) {
        let mut resumed = std::mem::take(&mut self.resumed);
        for conn in resumed.drain(..) {
            let Some((key, link)) = self.links.find(conn) else {
                continue;
            };
            let taken = self.shard.on_bytes(conn, &link.rest);
            if taken < link.rest.len() {
                link.rest.drain(..taken);
                continue;
            }
            link.rest = Vec::new();
            link.paused = false;
            if !self.shard.knows(conn) {
                // As in `received`: a socket that moves must not be asked for more here.
                link.stage = Stage::Parting;
            } else if link.ended {
                self.ended(port, key);
            } else {
                self.rearm.push(key);
            }
        }
        self.resumed = resumed;
    }

    fn receive_again<P: Port>(&mut self, port: &mut P) {
        while let Some(key) = self.rearm.pop() {
            if let Some(link) = self.links.get_mut(key)
                && link.wants_bytes()
                && !link.is_answering()
            {
                port.receive(key, link);
            }
        }
    }

    fn carry_out<P: Port>(&mut self, port: &mut P) {
        let mut effects = std::mem::take(&mut self.effects);
        std::mem::swap(&mut effects, self.shard.effects());
        for (conn, socket) in effects.released.drain(..) {
            self.release(port, conn, socket);
        }
        for (conn, socket) in effects.adopted.drain(..) {
            // SAFETY: the shard that released it has forgotten it, see `release`.
            let socket = unsafe { link::own(socket) };
            self.open(port, conn, socket, Stage::Open);
        }
        for conn in effects.established.drain(..) {
            if let Some((key, link)) = self.links.find(conn) {
                link.stage = Stage::Open;
                self.rearm.push(key);
            }
        }
        self.resumed.append(&mut effects.resumed);
        for closing in effects.closed.drain(..) {
            self.start_closing(port, closing);
        }
        self.effects = effects;
    }

    /// The socket's number is in the mail to its new home: forget it, do not close it.
    fn release<P: Port>(&mut self, port: &mut P, conn: ConnId, socket: Socket) {
        let Some((key, link)) = self.links.find(conn) else {
            return;
        };
        debug_assert!(!port.holds(link), "a fresh link receives one at a time");
        port.forget(link);
        if let Some(mut link) = self.links.remove(key) {
            let given = link.give_socket();
            let number = given.expect("a fresh link has its socket").into_raw_fd();
            debug_assert_eq!(number, socket, "the shard hands over what it was given");
        }
    }
}

/// How long accepting rests when the next attempt would fail as well.
const ACCEPT_PAUSE: Nanos = Nanos::from_millis(100);
