//! Datagrams to be sent, one behind the other in one buffer.

use super::{Packet, encode};

/// Datagrams in the order they are to be sent. Once it has grown it allocates no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datagrams {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Datagrams {
    /// Appends a message as one datagram.
    ///
    /// # Panics
    /// If the message is longer than 65,535 bytes.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>) {
        encode(packet, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends one datagram as it is.
    #[inline]
    pub fn push_encoded(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    /// The datagrams, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(index, &end)| {
            let start = match index {
                0 => 0,
                _ => self.ends[index - 1],
            };
            &self.bytes[start..end]
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all, keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
