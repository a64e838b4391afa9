//! Output of the shard on its way to the kernel.

use super::{Host, Port, Sent, Stage};
use crate::io::link::LinkKey;

impl Host {
    /// One send for each connection with something to say, and one for many datagrams.
    pub(crate) fn send_dirty<P: Port>(&mut self, port: &mut P) {
        while let Some(conn) = self.shard.take_dirty() {
            // None while one is in flight: the shard goes on filling the next meanwhile.
            let Some(output) = self.shard.take_output(conn) else {
                continue;
            };
            if let Some((key, link)) = self.links.find(conn) {
                link.output = Some(output);
                self.send(port, key);
            }
        }
        self.send_datagrams();
    }

    /// Sends what the link has, as far as the kernel takes it now.
    pub(crate) fn send<P: Port>(&mut self, port: &mut P, key: LinkKey) {
        loop {
            let Some(link) = self.links.get_mut(key) else {
                return;
            };
            match port.send(key, link) {
                Sent::Later => return,
                Sent::Bytes(count) => {
                    if !self.sent(port, key, count) {
                        return;
                    }
                }
                Sent::Failed => return self.send_failed(port, key),
            }
        }
    }

    /// The kernel took `count` bytes. True if there is more to send.
    #[inline]
    pub(crate) fn sent<P: Port>(&mut self, port: &mut P, key: LinkKey, count: usize) -> bool {
        let Some(link) = self.links.get_mut(key) else {
            return false;
        };
        let Some(output) = link.output.as_mut() else {
            return false;
        };
        output.advance(count);
        if !output.is_empty() {
            return true;
        }
        let Some(output) = link.output.take() else {
            return false;
        };
        match link.stage {
            Stage::Fresh => {
                self.rearm.push(key);
                self.shard.on_sent(link.conn, output);
            }
            Stage::Open => self.shard.on_sent(link.conn, output),
            Stage::Flushing => return self.flushed(port, key),
            Stage::Parting | Stage::Lingering | Stage::Dead => {}
        }
        false
    }

    /// A send failed. The receiving side reports the end of the connection, after
    /// the bytes that arrived before it; shutting the socket makes sure that it does.
    pub(crate) fn send_failed<P: Port>(&mut self, port: &mut P, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if !link.is_live() {
            return self.bury(port, key);
        }
        if link.ended && !link.paused {
            // No receive will say so.
            self.shard.on_closed(link.conn);
            return self.bury(port, key);
        }
        if link.shut(libc::SHUT_RDWR).is_err() {
            // The network is gone already, which a receive reports just as well.
            tracing::trace!("send failed on a socket that is not connected");
        }
    }
}
