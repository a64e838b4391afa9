//! Datagrams to and from the shard.

use super::Host;
use super::seldom::Seldom;
use crate::base::Nanos;
use crate::io::datagrams::{Outlet, lost};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// How often the kernel is asked how many datagrams it had no room for.
const ASK_EVERY: Nanos = Nanos::from_secs(1);

/// The sockets that a shard receives datagrams on and sends them by.
pub(super) struct UdpSockets {
    /// By the number of their listener.
    sockets: Box<[RawFd]>,
    /// What each has lost so far, as the kernel counts it.
    lost: Box<[u32]>,
    /// `None` if there are no sockets.
    outlet: Option<Box<Outlet>>,
    refusal: Seldom,
    ask_at: Nanos,
    /// Something came since the kernel was last asked.
    is_used: bool,
}

impl UdpSockets {
    pub(super) fn new(sockets: Box<[RawFd]>) -> Self {
        Self {
            lost: vec![0; sockets.len()].into(),
            outlet: (!sockets.is_empty()).then(|| Box::new(Outlet::new())),
            refusal: Seldom::default(),
            sockets,
            ask_at: Nanos::ZERO,
            is_used: false,
        }
    }

    /// When the kernel is to be asked again.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.is_used.then_some(self.ask_at)
    }
}

impl Host {
    /// A datagram arrived at the UDP listener of that number.
    #[inline]
    pub(crate) fn datagram(&mut self, at: usize, from: SocketAddr, bytes: &[u8]) {
        let listener = u16::try_from(at).expect("fewer listeners than that");
        self.udp.is_used = true;
        self.shard.on_datagram(listener, from, bytes);
    }

    /// Sends the datagrams that the shard made.
    #[inline]
    pub(super) fn send_datagrams(&mut self) {
        let Some(outlet) = &mut self.udp.outlet else {
            return;
        };
        let datagrams = self.shard.datagrams();
        if datagrams.is_empty() {
            return;
        }
        let unsent = outlet.send(&self.udp.sockets, datagrams);
        datagrams.clear();
        self.shard.count_unsent(unsent.count);
        if let Some((to, error)) = unsent.refusal
            && self.udp.refusal.is_due(self.now)
        {
            tracing::warn!("cannot send a datagram to {to}: {error}");
        }
    }

    /// Counts what did not get as far as this process.
    #[inline]
    pub(super) fn count_lost(&mut self) {
        if !self.udp.is_used || self.now < self.udp.ask_at {
            return;
        }
        self.udp.is_used = false;
        self.udp.ask_at = self.now + ASK_EVERY;
        for (&socket, known) in self.udp.sockets.iter().zip(&mut self.udp.lost) {
            let now = lost(socket);
            self.shard.count_lost(now.wrapping_sub(*known));
            *known = now;
        }
    }
}
