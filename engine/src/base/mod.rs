//! The ground every other module stands on: identifiers, time, limits, the slab and the table.

mod ids;
pub mod limits;
mod slab;
mod table;
mod time;

pub use ids::{ConnId, Key, Peer, Scheme, SessionId, ShardId, Socket};
pub use slab::Slab;
pub use table::{Table, short};
// Values that name who sends; what sends is the drivers'.
pub use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
pub use time::Nanos;
