//! The end of a link: last bytes, shutdown, lingering, close.

use super::{Host, Port, Stage};
use crate::io::link::LinkKey;
use crate::shard::Closing;

impl Host {
    /// The shard closed a connection: what is in flight and `last` are still sent.
    pub(super) fn start_closing<P: Port>(&mut self, port: &mut P, closing: Closing) {
        let Some((key, link)) = self.links.find(closing.conn) else {
            return;
        };
        link.stage = Stage::Flushing;
        link.paused = false;
        link.rest = Vec::new();
        link.last = (!closing.last.is_empty()).then(|| Box::new(closing.last));
        let idle = link.output.is_none();
        self.links.detach(closing.conn);
        self.flushing.push(self.now, key);
        if idle && self.flushed(port, key) {
            self.send(port, key);
        }
    }

    /// Nothing is in flight any more. True if `last` is to be sent now; otherwise
    /// the link lingers.
    pub(super) fn flushed<P: Port>(&mut self, port: &mut P, key: LinkKey) -> bool {
        let Some(link) = self.links.get_mut(key) else {
            return false;
        };
        if let Some(last) = link.last.take() {
            link.output = Some(*last);
            return true;
        }
        link.gather = None;
        // Nobody to wait for if the peer has closed its side, or the network is gone.
        if link.ended || link.shut(libc::SHUT_WR).is_err() {
            self.bury(port, key);
            return false;
        }
        link.stage = Stage::Lingering;
        self.lingering.push(self.now, key);
        port.receive(key, link);
        false
    }

    /// Closes the socket, or makes the kernel let go of it first.
    pub(super) fn bury<P: Port>(&mut self, port: &mut P, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let first = link.stage != Stage::Dead;
        link.stage = Stage::Dead;
        if first && port.holds(link) && link.shut(libc::SHUT_RDWR).is_err() {
            tracing::trace!("closing a socket that is not connected");
        }
        port.stop(key, link);
        let conn = link.conn;
        if first {
            self.links.detach(conn);
        }
        self.settle(port, key);
    }

    /// Frees a dead link once the kernel holds nothing of it.
    #[inline]
    pub(crate) fn settle<P: Port>(&mut self, port: &mut P, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.stage == Stage::Dead && !port.holds(link) {
            port.forget(link);
            self.links.remove(key);
        }
    }

    pub(super) fn close_overdue<P: Port>(&mut self, port: &mut P) {
        while let Some(key) = self.flushing.pop_due(self.now) {
            let stage = self.links.get_mut(key).map(|link| link.stage);
            if stage == Some(Stage::Flushing) {
                self.bury(port, key);
            }
        }
        while let Some(key) = self.lingering.pop_due(self.now) {
            self.bury(port, key);
        }
    }
}
