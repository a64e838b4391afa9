//! Who a client is: what judges the extended authentication of MQTT 5 [MQTT5-4.12].
//!
//! A mechanism is sans-IO, like the shard that runs its exchanges: data in, a step out.

use std::fmt::Debug;

/// One authentication method, shared by all shards.
pub trait Mechanism: Debug + Send + Sync {
    /// The Authentication Method by which clients ask for it.
    fn name(&self) -> &str;

    /// Begins an exchange with a client, at CONNECT or later anew. The identifier is the one in
    /// CONNECT: empty if the server is to assign one.
    fn begin(&self, client_id: &str) -> Box<dyn Exchange>;
}

/// One exchange under way.
pub trait Exchange: Debug + Send {
    /// Judges what the client sent as Authentication Data; empty if it sent none.
    fn step(&mut self, data: &[u8]) -> Step;
}

/// What follows from a step. Data is at most 65,535 bytes; empty data is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// It is who it says; this goes along.
    Accept(Vec<u8>),
    /// It is not.
    Reject,
}
