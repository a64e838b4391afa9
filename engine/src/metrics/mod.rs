//! What each shard counts. Plain numbers: the shard is the only writer.

use std::fmt;

/// The counters of one shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
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
    /// large for it.
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
}

impl Counters {
    /// The work done so far, as turn pacing counts it: messages and items of mail.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.received + self.mail_received
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "turns={} connects={} refused={} handoffs={} received={} in_runs={} delivered={} dropped={} \
             not_retained={} \
             mail_batches={} mail_items={} mail_received={} paced={}",
            self.turns,
            self.connects,
            self.refused,
            self.handoffs,
            self.received,
            self.in_runs,
            self.delivered,
            self.dropped,
            self.not_retained,
            self.mail_batches,
            self.mail_items,
            self.mail_received,
            self.paced
        )
    }
}
