//! What must be zero once every client is gone and every session has ended.

use super::Shard;

/// Counts of everything that belongs to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    /// Open connections.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Filters with local subscribers.
    pub local_filters: usize,
    /// References that shards hold to filters of this partition.
    pub attachments: usize,
    /// Filters of this partition.
    pub partition_filters: usize,
    /// SUBACKs that wait for owners.
    pub pending_subacks: usize,
    /// Replays of retained messages.
    pub replays: usize,
    /// Bytes queued for clients.
    pub queued_bytes: usize,
    /// Connections that wait for room.
    pub paused: usize,
    /// Addresses of clients that send datagrams.
    pub datagram_clients: usize,
    /// Items of mail that no peer has taken.
    pub mail_items: usize,
}

impl Leaks {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Shard {
    /// What clients hold at this moment.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        let connections = self
            .connections
            .keys()
            .filter_map(|id| self.connections.get(id));
        let unsent: usize = connections.map(|conn| conn.queued_bytes()).sum();
        let sessions = self.sessions.keys().filter_map(|id| self.sessions.get(id));
        let queued: usize = sessions
            .map(|session| session.outbound.bytes() + session.inbound().bytes())
            .sum();
        Leaks {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            local_filters: self.filters.len(),
            attachments: self.partition.attachments(),
            partition_filters: self.partition.trie.len(),
            pending_subacks: self.subacks.len(),
            replays: self.partition.replays.len(),
            queued_bytes: unsent + queued,
            paused: self.paused.len(),
            datagram_clients: self.sn.len(),
            mail_items: self.outboxes.waiting_items(),
        }
    }
}
