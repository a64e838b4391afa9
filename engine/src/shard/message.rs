//! The mail between shards, and the batch that carries one turn of it to one peer.

use bytes::Bytes;

use super::Output;
use super::mqttsn::{Sn, SnEnded};
use super::sys::Report;
use super::web::Web;
use crate::base::{ConnId, Key, Nanos, Peer, SessionId, Socket};
use crate::pubsub::shared::{Attempt, Members};

/// One item of mail. Small, because millions travel a second; the rare ones are boxed.
#[derive(Debug)]
pub enum Mail {
    /// Home → owner, publish class: route this message.
    Publish(Publish),
    /// Home → owner, publish class: route this run.
    PublishRun(Publish),
    /// Home → owner, publish class: a filter got its first subscriber here.
    Attach(Box<Attach>),
    /// Home → owner, publish class: a filter lost its last subscriber here.
    Detach(Box<Attach>),
    /// Home → owner, publish class: send the retained messages that match a new subscription.
    ReplayStart(Box<ReplayStart>),
    /// Owner → home, deliver class: a message for the subscribers of these filters.
    Deliver(Deliver),
    /// Owner → home, deliver class: a run for the subscribers of these filters.
    DeliverRun(Deliver),
    /// Owner → home, deliver class: a message for one member of a shared subscription.
    DeliverShared(DeliverShared),
    /// Home → owner, ack class: a message of a shared subscription for somebody else.
    SharedReturn(DeliverShared),
    /// Home → owner, ack class: what has become of the members here.
    GroupMembers(Box<GroupMembers>),
    /// Owner → home, ack class: whether another shard has a member that is connected.
    GroupElsewhere {
        /// The filter, by the home's key.
        local: Key,
        /// The answer.
        online: bool,
    },
    /// Owner → home, deliver class: the filter is active from here on.
    Attached {
        /// The filter, by the home's key.
        local: Key,
    },
    /// Owner → home, deliver class: a retained message for one subscription.
    Retained {
        /// Its record.
        body: Slice,
        /// The subscriber.
        session: SessionId,
        /// The subscription's filter.
        local: Key,
    },
    /// Owner → home, deliver class: as many retained messages as were asked for have been sent.
    ReplayStep {
        /// The subscriber.
        session: SessionId,
        /// The owner's key of the replay.
        replay: Key,
        /// Nothing is left; the owner has forgotten the replay.
        done: bool,
    },
    /// Home → owner, ack class: the subscriber has room for more retained messages.
    ReplayPull {
        /// The owner's key of the replay.
        replay: Key,
    },
    /// Home → owner, ack class: the subscriber is gone.
    ReplayCancel {
        /// The owner's key of the replay.
        replay: Key,
    },
    /// Owner → home, ack class, or deliver class if it says so: the message was routed.
    Routed {
        /// Whose acknowledgement waits for it.
        to: AckTo,
        /// What became of it.
        outcome: Outcome,
    },
    /// Any → home, ack class: a connection that belongs there.
    Handoff(Box<Handoff>),
    /// Any → home, publish class: a datagram of a client that was handed over.
    Datagram {
        /// The sender's tag for that client.
        tag: u32,
        /// The message in it.
        body: Slice,
    },
    /// Home → the shard that handed it over, ack class: a client without a socket is gone.
    SnEnded(Box<SnEnded>),
    /// Any → the shard that speaks for all, publish class: what this one has counted.
    Report(Box<Report>),
}

/// What became of a message at its topic's owner, as far as its publisher may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody subscribed to it.
    Matched,
    /// Nobody did.
    Unmatched,
    /// It went to its subscribers, but there was no room to retain it.
    NotRetained,
}

/// A message, or a run of them, to be routed by its topic's owner.
#[derive(Clone, Copy, Debug)]
pub struct Publish {
    /// The hash of the topic, computed once.
    pub topic_hash: u64,
    /// Its record.
    pub body: Slice,
    /// Position in [`Batch::acks`], or [`NO_ACK`].
    pub ack: u32,
}

/// [`Publish::ack`] of a message that nobody waits for.
pub const NO_ACK: u32 = u32::MAX;

/// A message, or a run of them, for the local subscribers of one or more filters.
#[derive(Clone, Copy, Debug)]
pub struct Deliver {
    /// Its record.
    pub body: Slice,
    /// Position of the filters in [`Batch::filters`].
    pub filters_at: u32,
    /// How many filters matched, 1 or more.
    pub filters: u32,
}

/// A message of a shared subscription, on its way to a member or back.
#[derive(Clone, Copy, Debug)]
pub struct DeliverShared {
    /// Its record.
    pub body: Slice,
    /// Position in [`Batch::assignments`].
    pub assignment: u32,
}

/// Whom a message of a shared subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The owner's key of the group.
    pub group: Key,
    /// The home's key of the filter.
    pub local: Key,
    /// Who could not take it.
    pub attempt: Attempt,
}

/// The members of a shared subscription on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMembers {
    /// The home's key of the filter.
    pub local: Key,
    /// What has become of them.
    pub members: Members,
}

/// The bytes of one record within a batch.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Where in the chunk it starts.
    pub offset: u32,
    /// How long it is.
    pub length: u32,
    /// Position in [`Batch::chunks`].
    pub chunk: u32,
}

/// Which acknowledgement of which connection; stale once the connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckTo {
    /// The publisher's connection.
    pub conn: ConnId,
    /// The running number of the acknowledgement on that connection.
    pub sequence: u32,
    /// Whether it is to come behind what the message delivers to its own shard.
    pub behind_deliveries: bool,
}

/// A filter and the key by which its subscribers' home knows it.
#[derive(Debug)]
pub struct Attach {
    /// The topic filter.
    pub filter: Box<str>,
    /// The home's key; a later attachment of the same filter has another.
    pub local: Key,
}

/// A new subscription that wants the retained messages.
#[derive(Debug)]
pub struct ReplayStart {
    /// The topic filter.
    pub filter: Box<str>,
    /// The home's key of the filter.
    pub local: Key,
    /// The subscriber.
    pub session: SessionId,
    /// Whether it waits to be told that nothing is retained.
    pub awaits_end: bool,
}

/// A connection on its way to the home of its client identifier.
#[derive(Debug)]
pub struct Handoff {
    /// The socket.
    pub socket: Socket,
    /// The other end.
    pub peer: Peer,
    /// When it must have connected.
    pub connect_deadline: Nanos,
    /// Everything it sent so far, CONNECT first.
    pub received: Vec<u8>,
    /// If that came by a WebSocket, its state.
    pub(super) web: Option<Box<Web>>,
    /// If it came by datagrams, the state of that.
    pub(super) sn: Option<Box<Sn>>,
    /// What it is to be sent and has not been.
    pub(super) unsent: Output,
}

/// One turn's mail for one peer in one class.
#[derive(Debug, Default)]
pub struct Batch {
    /// The items, in order.
    pub items: Vec<Mail>,
    /// What the items' slices lie in.
    pub chunks: Vec<Bytes>,
    /// The filters of [`Deliver`] items.
    pub filters: Vec<Key>,
    /// Whom [`DeliverShared`] items are for.
    pub assignments: Vec<Assignment>,
    /// The acknowledgements that [`Publish`] items cause.
    pub acks: Vec<AckTo>,
    /// Bytes of all records referred to.
    pub bytes: usize,
    pub(super) own_chunk: Option<u32>,
    pub(super) last_foreign: Option<u32>,
}

impl Batch {
    /// Whether there is no mail in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Empties it and keeps the allocations.
    pub fn clear(&mut self) {
        self.items.clear();
        self.chunks.clear();
        self.filters.clear();
        self.assignments.clear();
        self.acks.clear();
        self.bytes = 0;
        self.own_chunk = None;
        self.last_foreign = None;
    }

    /// The filters of one item.
    #[must_use]
    pub fn filters(&self, deliver: Deliver) -> &[Key] {
        let start = deliver.filters_at as usize;
        &self.filters[start..start + deliver.filters as usize]
    }

    /// The record that a slice stands for.
    #[must_use]
    pub fn record(&self, body: Slice) -> &[u8] {
        let start = body.offset as usize;
        &self.chunks[body.chunk as usize][start..start + body.length as usize]
    }
}

const _: () = assert!(size_of::<Mail>() <= 32, "mail is copied by the million");
