//! Datagrams that a shard wants sent.

use ringbus_protocols::mqttsn::{Packet, encode, put_forwarder_head};

use crate::base::SocketAddr;

/// Datagrams with their destinations, one behind the other in one buffer.
#[derive(Debug, Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Debug)]
struct Head {
    to: SocketAddr,
    listener: u16,
    end: usize,
}

/// A buffer grown beyond this is freed instead of kept.
const SPARE_BYTES_MAX: usize = 1 << 20;

impl Datagrams {
    /// Appends one, to be sent by the shard's socket of that UDP listener.
    pub fn push(&mut self, listener: u16, to: SocketAddr, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.end(listener, to);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The number of the UDP listener that one of them leaves by.
    #[must_use]
    pub fn listener(&self, at: usize) -> u16 {
        self.heads[at].listener
    }

    /// Where one of them goes, and its bytes.
    #[must_use]
    pub fn get(&self, at: usize) -> (SocketAddr, &[u8]) {
        let start = at.checked_sub(1).map_or(0, |before| self.heads[before].end);
        let head = &self.heads[at];
        (head.to, &self.bytes[start..head.end])
    }

    /// Empties it and keeps the allocation.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
        if self.bytes.capacity() > SPARE_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    /// Appends a message that answers nobody's connection.
    pub(super) fn push_packet(
        &mut self,
        listener: u16,
        to: SocketAddr,
        node: Option<&[u8]>,
        packet: &Packet<'_>,
    ) {
        self.put_node(node);
        encode(packet, &mut self.bytes);
        self.end(listener, to);
    }

    /// Appends a message for the client that a forwarder knows by that name, or for who is there
    /// himself.
    pub(super) fn push_to_node(
        &mut self,
        listener: u16,
        to: SocketAddr,
        node: Option<&[u8]>,
        message: &[u8],
    ) {
        self.put_node(node);
        self.push(listener, to, message);
    }

    fn put_node(&mut self, node: Option<&[u8]>) {
        if let Some(node) = node {
            // What a gateway sends is for one node: no broadcast radius [MQTTSN-5.4.20].
            put_forwarder_head(&mut self.bytes, 0, node);
        }
    }

    fn end(&mut self, listener: u16, to: SocketAddr) {
        self.heads.push(Head {
            to,
            listener,
            end: self.bytes.len(),
        });
    }
}
