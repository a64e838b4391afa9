//! WebSocket connections: what lies between the byte stream and the protocol.
//!
//! A connection of a `ws` listener starts with the head of an HTTP request. What is no upgrade is
//! answered and closed. An upgrade makes it a stream of MQTT or STOMP in WebSocket messages, or a
//! socket of one topic. Protocols do not know: they are given bytes and append packets.

mod alive;
mod demo;
mod framing;
mod gather;
mod leaving;
mod plain;
mod request;
mod target;
mod topic_socket;

use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::frame::put_frame;
use ringbus_protocols::websocket::{Event, Kind, Limits, Mode, Opcode, Receiver, Role, Violation};

use super::Shard;
use super::alive::Alive;
use super::connection::{Connection, Dialect};
use super::gathered::Gathered;
use super::stomp::Stomp;
use crate::base::limits::WEBSOCKET_FRAGMENTS_MAX;
use crate::base::{ConnId, Nanos};
use framing::Framing;
use request::Accepted;
use topic_socket::TopicSocket;

pub(super) use leaving::{Farewell, close_code};

/// What a WebSocket connection has more than one without.
#[derive(Debug)]
pub(super) struct Web {
    stage: Stage,
    receiver: Receiver,
    /// Of what is sent.
    pub(super) framing: Framing,
    /// Bytes of the output that are the answer to the request, and no frames.
    pub(super) preamble: usize,
    /// If messages are compressed.
    pub(super) deflate: Option<Agreed>,
    alive: Alive,
    /// What has come of a message that is handled as a whole.
    message: Vec<u8>,
    /// Something whole waits for room: a message of that kind, or packets in the backlog.
    waits: Option<Waits>,
    /// Bytes that came here with the connection and are not decoded yet.
    undecoded: Vec<u8>,
    /// What ended the reading behind them, before the connection came here.
    ends_with: Option<Farewell>,
    pub(super) role: WebRole,
}

/// What is spoken in the messages.
#[derive(Debug)]
pub(super) enum WebRole {
    /// MQTT, which keeps what it needs elsewhere; or nothing yet.
    None,
    /// Messages of one topic.
    Topic(Box<TopicSocket>),
    /// STOMP.
    Stomp(Box<Stomp>),
}

#[derive(Debug)]
enum Stage {
    /// A request is expected.
    Head,
    /// The answer waits for the subscription.
    Upgrading(Box<Accepted>),
    /// Messages are exchanged.
    Open,
    /// Nothing more is read; the last frame waits for what came before.
    Leaving(leaving::Farewell),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Packets,
    Message(Kind),
}

const _: () = assert!(size_of::<Web>() <= 328, "an idle one costs little");

/// What the WebSockets of a shard share.
#[derive(Debug, Default)]
pub(super) struct WebShared {
    inflater: Inflater,
    /// The payload of the frames that are read.
    payload: Vec<u8>,
    gathered: Gathered,
    /// Connections whose last frame waits.
    leaving: Vec<ConnId>,
}

/// A payload buffer grown beyond this is freed instead of kept.
const SPARE_PAYLOAD_BYTES_MAX: usize = 512 << 10;

impl Web {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Head,
            receiver: Receiver::new(Role::Server, Mode::Stream),
            framing: Framing::default(),
            preamble: 0,
            deflate: None,
            alive: Alive::default(),
            message: Vec::new(),
            waits: None,
            undecoded: Vec::new(),
            ends_with: None,
            role: WebRole::None,
        }
    }

    /// When it needs attention if nothing comes; [`Nanos::MAX`] for never.
    pub(super) fn deadline(&self) -> Nanos {
        let beats = match &self.role {
            WebRole::Stomp(stomp) => stomp.deadline(),
            _ => Nanos::MAX,
        };
        self.alive.next.min(beats)
    }

    /// Whether frames may be sent.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Leaving(_))
    }

    fn limits(&self, dialect: Dialect, bytes_max: u32) -> Limits {
        let topic_len = match &self.role {
            WebRole::Topic(socket) => socket.topic.len(),
            _ => 0,
        };
        Limits {
            // As if it were an MQTT packet, which others may get.
            message_bytes_max: (bytes_max as usize).saturating_sub(topic_len + PACKET_ROOM),
            fragments_max: WEBSOCKET_FRAGMENTS_MAX,
            takes_text: dialect != Dialect::Mqtt,
        }
    }
}

/// What a PUBLISH has beside topic and payload, with a payload format indicator.
const PACKET_ROOM: usize = 16;

impl Shard {
    /// Bytes of a WebSocket connection came. Returns how many were taken, as
    /// [`Shard::on_bytes`] does.
    pub(super) fn take_web_bytes(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(web) = self.web_mut(id) else {
            return bytes.len();
        };
        if web.undecoded.is_empty() {
            return self.read_web(id, bytes);
        }
        let mut kept = std::mem::take(&mut web.undecoded);
        kept.extend_from_slice(bytes);
        let taken = self.read_web(id, &kept);
        if let Some(web) = self.web_mut(id) {
            kept.drain(..taken);
            web.undecoded = kept;
        }
        bytes.len()
    }

    pub(super) fn web_mut(&mut self, id: ConnId) -> Option<&mut Web> {
        self.connections.get_mut(id)?.web.as_deref_mut()
    }

    /// Takes what came here with the connection, as far as there is room for what it causes.
    pub(super) fn take_web_rest(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let is_paused = conn.paused;
        let Some(web) = &mut conn.web else { return };
        let ends_with = web.ends_with.take();
        if is_paused {
            web.waits = Some(Waits::Packets);
        } else if !web.undecoded.is_empty() {
            self.take_web_bytes(id, &[]);
        }
        if let Some(farewell) = ends_with {
            self.leave(id, farewell);
        }
    }

    fn read_web(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        self.take_what_waited(id, bytes);
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(conn) = self.connections.get_mut(id) else {
                return bytes.len();
            };
            if conn.paused {
                break;
            }
            let rest = &bytes[taken..];
            taken += match conn.web.as_ref().map(|web| &web.stage) {
                Some(Stage::Head) => self.read_head(id, rest),
                Some(Stage::Open) => self.read_frames(id, rest),
                _ => rest.len(),
            };
        }
        self.publish_gathered(id);
        taken
    }

    /// Takes what had no room before; `behind` it comes what is offered now.
    fn take_what_waited(&mut self, id: ConnId, behind: &[u8]) {
        let Some(web) = self.web_mut(id) else { return };
        match web.waits.take() {
            None => {}
            Some(Waits::Packets) => self.take_stream(id, &[], behind),
            Some(Waits::Message(kind)) => {
                let message = std::mem::take(&mut web.message);
                self.on_topic_message(id, message, kind);
            }
        }
    }

    fn read_frames(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.connections.get_mut(id) else {
            return bytes.len();
        };
        let Some(web) = &mut conn.web else {
            return bytes.len();
        };
        let limits = web.limits(conn.dialect, self.config.max_packet_size);
        let is_stream = !matches!(conn.dialect, Dialect::Topic { .. });
        let mut payload = match web.message.is_empty() {
            true => std::mem::take(&mut self.web.payload),
            false => std::mem::take(&mut web.message),
        };
        web.alive.heard(self.now);
        let inflater = &mut self.web.inflater;
        let read = web.receiver.read(bytes, &mut payload, &limits, inflater);
        let taken = read.as_ref().map_or(bytes.len(), |&(taken, _)| taken);
        if matches!(read, Ok((_, Event::Ping))) {
            self.answer_ping(id);
        }
        if is_stream {
            self.prepare_hand_over(id, &read);
            self.take_stream(id, &payload, &bytes[taken..]);
            payload.clear();
        }
        match read {
            Ok((_, Event::More)) => self.keep_message(id, &mut payload),
            Ok((_, Event::Message(kind))) => {
                let message = std::mem::take(&mut payload);
                self.on_topic_message(id, message, kind);
            }
            Ok((_, Event::Close(code))) => self.leave(id, Farewell::answer_to(code)),
            // Of a Pong nothing is wanted but that something came.
            Ok((_, Event::Ping | Event::Pong)) => self.keep_message(id, &mut payload),
            Err(violation) => self.leave(id, violation.into()),
        }
        self.spare_payload(payload);
        taken
    }

    /// A CONNECT may take the connection elsewhere: what stopped the reading behind it must go along.
    fn prepare_hand_over(&mut self, id: ConnId, read: &Result<(usize, Event), Violation>) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.session.is_some() {
            return;
        }
        if let Some(web) = &mut conn.web {
            web.ends_with = match read {
                Ok((_, Event::Close(code))) => Some(Farewell::answer_to(*code)),
                Ok(_) => None,
                Err(violation) => Some((*violation).into()),
            };
        }
    }

    /// A message of which more is to come stays with its connection.
    fn keep_message(&mut self, id: ConnId, payload: &mut Vec<u8>) {
        if payload.is_empty() {
            return;
        }
        // A buffer that many share is not given away for a few bytes.
        let is_roomy = payload.capacity() > 2 * payload.len() + 1024;
        let Some(web) = self.web_mut(id) else { return };
        web.message = match is_roomy {
            true => payload.clone(),
            false => std::mem::take(payload),
        };
    }

    fn spare_payload(&mut self, mut payload: Vec<u8>) {
        let capacity = payload.capacity();
        if capacity > self.web.payload.capacity() && capacity <= SPARE_PAYLOAD_BYTES_MAX {
            payload.clear();
            self.web.payload = payload;
        }
    }

    /// Gives a stream's bytes to its protocol. `behind` is what follows them undecoded: it goes
    /// along if the connection moves to another shard.
    fn take_stream(&mut self, id: ConnId, payload: &[u8], behind: &[u8]) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.session.is_none()
            && let Some(web) = &mut conn.web
        {
            web.undecoded = behind.to_vec();
        }
        let taken = self.take_payload(id, payload);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.backlog.extend_from_slice(&payload[taken..]);
        let waits = conn.paused.then_some(Waits::Packets);
        if let Some(web) = &mut conn.web {
            web.undecoded = Vec::new();
            web.ends_with = None;
            web.waits = waits;
        }
    }

    /// [RFC6455 5.5.2]. Who sends pings and reads no pongs gets no more than fits.
    fn answer_ping(&mut self, id: ConnId) {
        let bytes_max = self.config.queue_bytes;
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.queued_bytes() > bytes_max {
            return;
        }
        let Some(web) = &conn.web else { return };
        let payload = web.receiver.control().to_vec();
        self.put_control(id, Opcode::Pong, &payload);
    }

    fn put_control(&mut self, id: ConnId, opcode: Opcode, payload: &[u8]) {
        if let Some(conn) = self.connections.get_mut(id) {
            let out = self.outgoing.open_for_frames(conn);
            put_frame(out, opcode, payload);
        }
    }
}

impl Connection {
    /// Whether something whole that came waits for room.
    pub(super) fn has_unread(&self) -> bool {
        let waits = self.web.as_ref().is_some_and(|web| web.waits.is_some());
        waits || !self.backlog.is_empty()
    }

    /// What a topic's socket was asked for.
    pub(super) fn topic_socket(&self) -> Option<&TopicSocket> {
        match &self.web.as_deref()?.role {
            WebRole::Topic(socket) => Some(socket),
            _ => None,
        }
    }

    /// The state of STOMP.
    pub(super) fn stomp_mut(&mut self) -> Option<&mut Stomp> {
        match &mut self.web.as_deref_mut()?.role {
            WebRole::Stomp(stomp) => Some(stomp),
            _ => None,
        }
    }
}

impl From<Violation> for leaving::Farewell {
    fn from(violation: Violation) -> Self {
        Self {
            code: Some(violation.code),
            words: violation.words,
        }
    }
}
