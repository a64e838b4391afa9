//! One client's connection, and the buffers that connections share.

use std::collections::VecDeque;

use ringbus_protocols::mqtt::{PacketIdentifier, ReasonCode, Version};
use ringbus_protocols::websocket::deflate::{Agreed, Deflaters, deflate_frames};

use super::Output;
use super::authenticate::Authentication;
use super::mqttsn::Sn;
use super::nats::Nats;
use super::sent_aliases::SentAliases;
use super::web::Web;
use crate::base::limits::{COMPRESSORS_MAX, POOLED_OUTPUT_BYTES_MAX, POOLED_OUTPUTS_MAX};
use crate::base::{ConnId, Nanos, Peer, SessionId, ShardId, Socket};

/// A connection from accept to close.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    pub(super) version: Version,
    /// How its messages are written.
    pub(super) dialect: Dialect,
    /// `None` before CONNECT.
    pub(super) session: Option<SessionId>,
    /// Before CONNECT: when it must have come. After: how long the client may be silent.
    pub(super) patience: Nanos,
    pub(super) last_received: Nanos,
    /// Bytes that came but make no whole packet yet, or had to wait.
    pub(super) backlog: Vec<u8>,
    pub(super) output: Output,
    spliced_bytes: usize,
    /// Bytes that the driver has taken and not yet sent.
    in_flight: usize,
    dirty: bool,
    pub(super) paused: bool,
    /// How much of a backlog it was sent in its last turn.
    pub(super) step: Step,
    /// Nothing more will come, but the backlog waits to be read.
    pub(super) has_ended: bool,
    /// Within the maximum of connections; else it can only be refused.
    pub(super) has_place: bool,
    /// Handed here by another shard.
    pub(super) is_adopted: bool,
    /// When its timer fires; [`Nanos::MAX`] if it has none.
    pub(super) armed_at: Nanos,
    /// The largest packet the client takes.
    pub(super) max_packet_size: u32,
    /// Whether it wants Reason Strings in acknowledgements, too [MQTT5-3.1.2-29].
    pub(super) problem_information: bool,
    pub(super) acks: AckQueue,
    /// When its allowance of PUBLISH packets is whole again.
    pub(super) publishes_filled_at: Nanos,
    /// What lies between the stream and the protocol, if that is a WebSocket.
    pub(super) web: Option<Box<Web>>,
    /// What the NATS client protocol remembers, if that is spoken.
    pub(super) nats: Option<Box<Nats>>,
    /// What lies between datagrams and the protocol, if there is no stream.
    pub(super) sn: Option<Box<Sn>>,
    /// What few connections have.
    pub(super) extras: Option<Box<Extras>>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// MQTT, on a stream of its own or in WebSocket messages.
    #[default]
    Mqtt,
    /// Each WebSocket message is a message of one topic.
    Topic {
        /// Whether the answer to its request has left: nothing comes before it.
        is_open: bool,
        /// Whether what is not marked, and is UTF-8, comes as text.
        takes_text: bool,
    },
    /// STOMP in WebSocket messages.
    Stomp,
    /// The NATS client protocol.
    Nats,
}

/// What few connections have, so that the others are small.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Topic aliases that the client set up.
    pub(super) aliases: Option<Aliases>,
    /// Those that the client may be sent.
    pub(super) sent_aliases: Option<SentAliases>,
    /// If CONNECT named an authentication method.
    pub(super) auth: Option<Authentication>,
}

const _: () = assert!(size_of::<Connection>() <= 280, "an idle one costs little");

/// Topic aliases that the client set up.
pub(super) type Aliases = std::collections::HashMap<u16, Box<str>, ahash::RandomState>;

impl Connection {
    pub(super) fn new(id: ConnId, socket: Socket, peer: Peer, deadline: Nanos) -> Self {
        Self {
            id,
            socket,
            peer,
            version: Version::V5,
            dialect: Dialect::Mqtt,
            session: None,
            patience: deadline,
            last_received: Nanos::ZERO,
            backlog: Vec::new(),
            output: Output::default(),
            spliced_bytes: 0,
            in_flight: 0,
            dirty: false,
            paused: false,
            step: Step::default(),
            has_ended: false,
            has_place: true,
            is_adopted: false,
            armed_at: Nanos::MAX,
            max_packet_size: u32::MAX,
            problem_information: true,
            acks: AckQueue::default(),
            publishes_filled_at: Nanos::ZERO,
            web: None,
            nats: None,
            sn: None,
            extras: None,
        }
    }

    /// What few connections have, made if it is not there.
    pub(super) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// The exchange of extended authentication, if there was or is one.
    pub(super) fn auth(&self) -> Option<&Authentication> {
        self.extras.as_deref()?.auth.as_ref()
    }

    /// Bytes that wait for the client.
    #[inline]
    pub(super) fn queued_bytes(&self) -> usize {
        self.in_flight + self.output.bytes.len() + self.spliced_bytes
    }

    /// Whether the driver is sending something.
    pub(super) fn is_sending(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether messages to it may be named by alias.
    #[inline]
    pub(super) fn has_aliases(&self) -> bool {
        let extras = self.extras.as_deref();
        extras.is_some_and(|extras| extras.sent_aliases.is_some())
    }

    /// Whether acknowledgements that fail are to say why.
    #[inline]
    pub(super) fn wants_reasons(&self) -> bool {
        self.problem_information && self.version.is_v5()
    }

    /// When something is to be done about it if nothing comes; [`Nanos::MAX`] for never.
    pub(super) fn deadline(&self) -> Nanos {
        let web = self.web.as_deref().map_or(Nanos::MAX, Web::deadline);
        let nats = self.nats.as_deref().map_or(Nanos::MAX, Nats::deadline);
        let sn = self.sn.as_deref().map_or(Nanos::MAX, Sn::deadline);
        self.silence_ends().min(web).min(nats).min(sn)
    }

    /// When to close it if nothing comes; [`Nanos::MAX`] for never.
    pub(super) fn silence_ends(&self) -> Nanos {
        match self.session {
            None => self.patience,
            Some(_) if self.patience == Nanos::ZERO => Nanos::MAX,
            Some(_) => self.last_received + self.patience,
        }
    }
}

/// Packets of a backlog that a connection was sent in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// The shard's turns, counted; it may wrap.
    pub(super) turn: u32,
    pub(super) sent: u16,
    /// Whether it has another one in the next turn.
    pub(super) is_due: bool,
}

/// What connections share: spare buffers, and the list of those with something to send.
#[derive(Debug)]
pub(super) struct Outgoing {
    spare: Vec<Output>,
    dirty: VecDeque<ConnId>,
    /// Packets other than PUBLISH so far.
    pub(super) control_packets: u64,
    /// Bytes of PUBLISH packets so far.
    pub(super) publish_bytes: u64,
    /// Bytes that the driver was given so far.
    pub(super) bytes: u64,
    deflaters: Deflaters,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            spare: Vec::new(),
            dirty: VecDeque::new(),
            control_packets: 0,
            publish_bytes: 0,
            bytes: 0,
            deflaters: Deflaters::new(COMPRESSORS_MAX),
        }
    }
}

impl Outgoing {
    /// The connection's buffer, to append PUBLISH packets to.
    #[inline]
    pub(super) fn open_for_publish<'a>(&mut self, conn: &'a mut Connection) -> &'a mut Vec<u8> {
        self.mark(conn);
        &mut conn.output.bytes
    }

    /// The connection's buffer, to append one packet of another type to.
    #[inline]
    pub(super) fn open<'a>(&mut self, conn: &'a mut Connection) -> &'a mut Vec<u8> {
        self.control_packets += 1;
        self.open_for_publish(conn)
    }

    /// Appends the packets of a run.
    // Forced: once for each subscriber.
    #[inline(always)]
    pub(super) fn append_packets(&mut self, conn: &mut Connection, packets: &[u8]) {
        let out = self.open_for_publish(conn);
        append(out, packets);
        self.publish_bytes += packets.len() as u64;
    }

    /// Appends whole frames to those of a topic's socket.
    #[inline]
    pub(super) fn append_frames(&mut self, conn: &mut Connection, frames: &[u8]) {
        self.mark_dirty(conn);
        append(&mut conn.output.bytes, frames);
        self.publish_bytes += frames.len() as u64;
    }

    /// Appends lines to those of a NATS client. By itself, so that the way of MQTT stays short.
    #[inline(never)]
    pub(super) fn append_lines(&mut self, conn: &mut Connection, lines: &[u8]) {
        self.mark_dirty(conn);
        append(&mut conn.output.bytes, lines);
        self.publish_bytes += lines.len() as u64;
    }

    /// A NATS client's buffer, to append lines to.
    #[inline(never)]
    pub(super) fn open_for_lines<'a>(&mut self, conn: &'a mut Connection) -> &'a mut Vec<u8> {
        self.mark_dirty(conn);
        &mut conn.output.bytes
    }

    /// Appends a payload by reference.
    pub(super) fn splice(&mut self, conn: &mut Connection, payload: bytes::Bytes) {
        self.mark(conn);
        conn.spliced_bytes += payload.len();
        conn.output.push_payload(payload);
    }

    #[inline]
    fn mark(&mut self, conn: &mut Connection) {
        self.mark_dirty(conn);
        if let Some(web) = &mut conn.web {
            web.framing.prepare(&mut conn.output, conn.spliced_bytes);
        }
    }

    // Forced: it is called in two places, and once for each packet.
    #[inline(always)]
    fn mark_dirty(&mut self, conn: &mut Connection) {
        if conn.output.bytes.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            conn.output = spare;
        }
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push_back(conn.id);
        }
    }

    /// The connection's buffer, to append whole frames of a WebSocket to, or what comes before them.
    pub(super) fn open_for_frames<'a>(&mut self, conn: &'a mut Connection) -> &'a mut Vec<u8> {
        self.mark_dirty(conn);
        if let Some(web) = &mut conn.web {
            web.framing.close(&mut conn.output, conn.spliced_bytes);
        }
        &mut conn.output.bytes
    }

    /// Completes what a connection is to be sent: on a WebSocket, frames.
    #[inline]
    pub(super) fn finish(&mut self, conn: &mut Connection) {
        if conn.web.is_some() {
            self.finish_frames(conn);
        }
    }

    fn finish_frames(&mut self, conn: &mut Connection) {
        let Some(web) = &mut conn.web else { return };
        web.framing.close(&mut conn.output, conn.spliced_bytes);
        let preamble = std::mem::take(&mut web.preamble);
        if let Some(agreed) = &web.deflate {
            let output = std::mem::take(&mut conn.output);
            conn.output = self.deflate(conn.id, agreed, output, preamble);
            conn.spliced_bytes = 0;
        }
    }

    /// Compresses frames, behind so many bytes that are none.
    fn deflate(
        &mut self,
        owner: ConnId,
        agreed: &Agreed,
        mut output: Output,
        preamble: usize,
    ) -> Output {
        let mut deflated = self.spare.pop().unwrap_or_default();
        let (preamble, frames) = output.flatten().split_at(preamble);
        deflated.bytes.extend_from_slice(preamble);
        let (owner, deflaters) = (owner.to_u64(), &mut self.deflaters);
        deflate_frames(frames, owner, agreed, deflaters, &mut deflated.bytes);
        self.recycle(output);
        deflated
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: &Connection) {
        if conn.web.as_ref().is_some_and(|web| web.deflate.is_some()) {
            self.deflaters.forget(conn.id.to_u64());
        }
    }

    /// The connection is to be looked at, whether it has something to send or not.
    pub(super) fn visit(&mut self, conn: &mut Connection) {
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push_back(conn.id);
        }
    }

    /// What the connection has to send stays for later.
    pub(super) fn leave(&mut self, conn: &mut Connection) {
        conn.dirty = false;
    }

    /// The next connection with something to send.
    pub(super) fn next_dirty(&mut self) -> Option<ConnId> {
        self.dirty.pop_front()
    }

    /// What the connection has to send, unless something is in flight already.
    #[inline]
    pub(super) fn take(&mut self, conn: &mut Connection) -> Option<Output> {
        conn.dirty = false;
        if conn.in_flight > 0 {
            return None;
        }
        self.finish(conn);
        if conn.output.is_empty() {
            return None;
        }
        let output = std::mem::take(&mut conn.output);
        conn.in_flight = output.len();
        self.bytes += conn.in_flight as u64;
        conn.spliced_bytes = 0;
        Some(output)
    }

    /// Notes that what was in flight is sent.
    pub(super) fn sent(&mut self, conn: &mut Connection) {
        conn.in_flight = 0;
        if !conn.output.is_empty() {
            self.mark_dirty(conn);
        }
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&mut self, mut output: Output) {
        let capacity = output.bytes.capacity();
        if self.spare.len() < POOLED_OUTPUTS_MAX
            && (1..=POOLED_OUTPUT_BYTES_MAX).contains(&capacity)
        {
            output.clear();
            self.spare.push(output);
        }
    }
}

/// Appends bytes, a piece at a time. In one copy it can take a hundred times as long: where source
/// and destination lie within a page in almost, but not quite, the same place, string moves of some
/// processors crawl, and behind the room for a frame's header that is the rule.
#[inline]
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    const PIECE_BYTES: usize = 2048;
    if bytes.len() <= PIECE_BYTES {
        return out.extend_from_slice(bytes);
    }
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE_BYTES) {
        out.extend_from_slice(piece);
    }
}

/// Acknowledgements leave in the order in which their packets arrived.
#[derive(Debug, Default)]
pub(super) struct AckQueue {
    waiting: VecDeque<PendingAck>,
    first: u32,
}

/// An acknowledgement that may have to wait for its turn or its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingAck {
    pub(super) kind: AckKind,
    pub(super) identifier: PacketIdentifier,
    /// `None` until the message was routed.
    pub(super) reason: Option<ReasonCode>,
}

/// Which packet acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckKind {
    PubAck,
    PubRec,
    PubComp,
    /// A RECEIPT of STOMP, the one that has waited longest.
    Receipt,
    /// `+OK` of NATS, or the `-ERR` that takes its place.
    Ok,
    /// A PONG of NATS.
    Pong,
    /// To the reply subject of a NATS request: nothing, unless nobody is there to answer it.
    Responders,
    /// To the reply subject of a NATS message of QoS 1: that it is kept.
    Stored,
    /// Nothing is sent: it is only known when the message was routed.
    Silent,
}

impl AckQueue {
    /// Appends one and returns its number.
    pub(super) fn push(&mut self, ack: PendingAck) -> u32 {
        self.waiting.push_back(ack);
        let behind = u32::try_from(self.waiting.len() - 1).expect("bounded by packet identifiers");
        self.first.wrapping_add(behind)
    }

    /// The message behind that number was routed.
    pub(super) fn settle(&mut self, sequence: u32, reason: impl FnOnce(AckKind) -> ReasonCode) {
        let at = sequence.wrapping_sub(self.first) as usize;
        let ack = self
            .waiting
            .get_mut(at)
            .expect("a number is settled once, before it leaves");
        ack.reason = Some(reason(ack.kind));
    }

    /// The next one that may leave.
    pub(super) fn pop_ready(&mut self) -> Option<(PendingAck, ReasonCode)> {
        let ack = *self.waiting.front()?;
        let reason = ack.reason?;
        self.waiting.pop_front();
        self.first = self.first.wrapping_add(1);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some((ack, reason))
    }

    /// PUBLISH packets that are not acknowledged yet.
    pub(super) fn unacknowledged(&self) -> usize {
        self.waiting
            .iter()
            .filter(|ack| ack.kind == AckKind::PubAck)
            .count()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Where a packet stops the reading of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Go on with the next packet.
    Continue,
    /// The packet was not taken: offer it again when the blocker is gone.
    Pause(Blocker),
    /// The packet was not taken: it is a CONNECT that belongs to that shard.
    Handoff(ShardId),
    /// The connection is not here any more.
    Gone,
}

/// What a paused connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocker {
    /// Room for publishes to that owner.
    PublishTo(ShardId),
    /// Room for deliveries to everybody.
    Deliver,
    /// That what the connection was being sent has left.
    Unsent(ConnId),
    /// That what the connection has sent before is done.
    Unsettled(ConnId),
}
