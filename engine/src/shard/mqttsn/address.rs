//! Where clients are, as far as their datagrams say.

use std::collections::HashMap;

use super::Sn;
use crate::base::{ConnId, Ipv6Addr, Peer, ShardId, Slab, SocketAddr, SocketAddrV6, Table, short};
use crate::shard::connection::Connection;

/// What tells one client's datagrams from another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SnAddress {
    source: Source,
    pub(super) listener: u16,
    pub(super) node: Node,
}

/// The other end of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source {
    /// That of IPv4 is mapped, as `::ffff:1.2.3.4`: listeners of IPv6 get no such addresses.
    ip: [u8; 16],
    scope: u32,
    port: u16,
}

/// If a client is behind a forwarder: what that calls it. Mostly a few bytes, an address of a
/// network of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// It is behind none.
    None,
    /// So many of the bytes; the others are 0.
    Short(u8, [u8; SHORT_NODE_BYTES_MAX]),
    Long(Box<Box<[u8]>>),
}

const SHORT_NODE_BYTES_MAX: usize = 14;

const _: () = assert!(size_of::<Node>() == 16, "a hundred thousand of them sleep");

/// Who handles the datagrams of an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A connection of this shard.
    Here(ConnId),
    /// One of another shard.
    There(Remote),
}

/// A connection of another shard, which knows it by this shard's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) home: ShardId,
    pub(super) tag: u32,
}

/// Whose the datagrams are that come here.
#[derive(Debug)]
pub(super) struct Places {
    /// Slots of connections, which have the addresses themselves.
    here: Table,
    there: HashMap<SnAddress, Remote, ahash::RandomState>,
}

impl SnAddress {
    pub(super) fn new(listener: u16, address: SocketAddr, node: Node) -> Self {
        Self {
            source: Source::from(address),
            listener,
            node,
        }
    }

    /// Where datagrams for it go.
    pub(super) fn address(&self) -> SocketAddr {
        let Source { ip, scope, port } = self.source;
        let ip = Ipv6Addr::from(ip);
        match ip.to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, port)),
            None => SocketAddrV6::new(ip, port, 0, scope).into(),
        }
    }

    fn is_of(&self, sn: &Sn, peer: &Peer) -> bool {
        self.listener == sn.listener
            && peer.0.is_some_and(|peer| self.source == Source::from(peer))
            && self.node == sn.node
    }
}

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped().octets(), 0),
            SocketAddr::V6(v6) => (v6.ip().octets(), v6.scope_id()),
        };
        let port = address.port();
        Self { ip, scope, port }
    }
}

impl Node {
    pub(super) fn new(name: Option<&[u8]>) -> Self {
        let Some(name) = name else { return Self::None };
        match u8::try_from(name.len()) {
            Ok(length) if name.len() <= SHORT_NODE_BYTES_MAX => {
                let mut bytes = [0; SHORT_NODE_BYTES_MAX];
                bytes[..name.len()].copy_from_slice(name);
                Self::Short(length, bytes)
            }
            _ => Self::Long(Box::new(name.into())),
        }
    }

    pub(super) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Short(length, bytes) => Some(&bytes[..usize::from(*length)]),
            Self::Long(bytes) => Some(bytes),
        }
    }
}

impl Places {
    pub(super) fn new(hasher: &ahash::RandomState) -> Self {
        Self {
            here: Table::default(),
            there: HashMap::with_hasher(hasher.clone()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.here.len() + self.there.len()
    }

    #[inline]
    pub(super) fn find(&self, sender: &SnAddress, connections: &Slab<Connection>) -> Option<Place> {
        let is_its = |conn: &Connection| {
            let sn = conn.sn.as_deref();
            sn.is_some_and(|sn| sender.is_of(sn, &conn.peer))
        };
        match connections.find(&self.here, self.hash(sender), is_its) {
            Some(id) => Some(Place::Here(id)),
            None => self.there.get(sender).copied().map(Place::There),
        }
    }

    /// A connection of this shard has an address that is not known here.
    pub(super) fn enter(&mut self, from: &SnAddress, conn: ConnId) {
        self.here.insert(self.hash(from), conn.index);
    }

    /// It is over.
    pub(super) fn leave(&mut self, from: &SnAddress, conn: ConnId) {
        self.here.remove(self.hash(from), conn.index);
    }

    /// It is another shard's from here on.
    pub(super) fn hand_over(&mut self, from: SnAddress, conn: ConnId, to: Remote) {
        self.leave(&from, conn);
        self.there.insert(from, to);
    }

    /// Another shard's connection is over. An address that has come to another place stays.
    pub(super) fn forget(&mut self, from: &SnAddress, gone: Remote) {
        if self.there.get(from) == Some(&gone) {
            self.there.remove(from);
        }
    }

    fn hash(&self, address: &SnAddress) -> u32 {
        short(self.there.hasher().hash_one(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_name_on_both_sides_of_the_bound() {
        assert_eq!(Node::new(None).name(), None);
        for length in [0, 1, 14, 15, 252] {
            let name: Vec<u8> = (1..=length).collect();
            let node = Node::new(Some(&name));
            assert_eq!(node.name(), Some(&name[..]));
            assert!(node == node.clone() && node != Node::None);
            let other = [&name[..], &[0]].concat();
            assert_ne!(node, Node::new(Some(&other)));
        }
    }
}
