//! What each shard counts. Plain numbers: the shard is the only writer.

use std::fmt;

/// The counters of one shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Sockets accepted.
    pub accepted: u64,
    /// CONNECT packets accepted.
    pub connects: u64,
    /// Sockets closed at once because too many were open.
    pub refused: u64,
    /// Connections handed to another shard.
    pub handoffs: u64,
    /// PUBLISH packets from clients.
    pub received: u64,
    /// Those of them that were handled in runs.
    pub in_runs: u64,
    /// PUBLISH packets to clients.
    pub delivered: u64,
    /// Messages that a subscriber did not get: its bounds were reached, or the packet was too
    /// large for it. And those to topics of the broker's own.
    pub dropped: u64,
    /// Messages that were not retained, because there was no room.
    pub not_retained: u64,
    /// Batches of mail handed to peers.
    pub mail_batches: u64,
    /// Items in them.
    pub mail_items: u64,
    /// Items that came from peers.
    pub mail_received: u64,
    /// Turns after which the shard waited for more before it went on.
    pub paced: u64,
    /// Bytes from clients.
    pub bytes_received: u64,
    /// Bytes to clients, as they are handed to the driver.
    pub bytes_sent: u64,
    /// Bytes of PUBLISH packets from clients.
    pub publish_bytes_received: u64,
    /// Bytes of PUBLISH packets to clients.
    pub publish_bytes_sent: u64,
    /// Packets from clients other than PUBLISH.
    pub control_received: u64,
    /// Packets to clients other than PUBLISH.
    pub control_sent: u64,
    /// Sessions that ended because their time was over.
    pub sessions_expired: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Datagrams made for clients.
    pub datagrams_sent: u64,
    /// Datagrams from clients that were no message.
    pub datagrams_malformed: u64,
    /// Datagrams that were left aside: for want of room, of permission or of a connection, and
    /// those that could not be sent.
    pub datagrams_dropped: u64,
    /// Datagrams that the kernel had no room for.
    pub datagrams_lost: u64,
}

impl Counters {
    /// The work done so far, as turn pacing counts it: messages and items of mail.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.received + self.mail_received
    }

    /// Counts PUBLISH packets from clients that are handled in a run, of so many bytes together.
    #[inline]
    pub fn count_run(&mut self, packets: u64, bytes: usize) {
        self.received += packets;
        self.in_runs += packets;
        self.publish_bytes_received += bytes as u64;
    }
}

impl Counters {
    /// Each by its name, in the order of the fields.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 26] {
        macro_rules! by_name {
            ($($name:ident)*) => { [$((stringify!($name), self.$name)),*] };
        }
        by_name!(
            turns accepted connects refused handoffs received in_runs delivered dropped not_retained
            mail_batches mail_items mail_received paced bytes_received bytes_sent
            publish_bytes_received publish_bytes_sent control_received control_sent
            sessions_expired datagrams_received datagrams_sent datagrams_malformed
            datagrams_dropped datagrams_lost
        )
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.named().into_iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            write!(f, "{gap}{name}={value}")?;
        }
        Ok(())
    }
}
