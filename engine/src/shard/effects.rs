//! What a shard asks its driver to do with sockets.

use super::Output;
use crate::base::{ConnId, Socket};

/// Drained by the driver once a turn, in the order of the fields: a connection may be adopted and
/// closed in one turn. A key that the driver does not know is to be ignored.
#[derive(Debug, Default)]
pub struct Effects {
    /// Handed here by another shard: register the socket and receive from it for good.
    pub adopted: Vec<(ConnId, Socket)>,
    /// Handed to another shard: forget the socket without closing it.
    pub released: Vec<(ConnId, Socket)>,
    /// Past its CONNECT and at home here: receive for good.
    pub established: Vec<ConnId>,
    /// May be read again: offer what was kept back, even if that is nothing, then read on.
    pub resumed: Vec<ConnId>,
    /// Ended by the shard, which has forgotten them.
    pub closed: Vec<Closing>,
}

/// A connection that the shard ended.
#[derive(Debug)]
pub struct Closing {
    /// Which; the shard no longer knows it.
    pub conn: ConnId,
    /// What it still has to send, after an output that is in flight.
    pub last: Output,
}
