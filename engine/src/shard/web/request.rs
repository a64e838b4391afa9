//! The request that a connection of a `ws` listener starts with, and what becomes of it.

use ringbus_protocols::http::{HEAD_BYTES_MAX, Head, HttpError, Request, Status, parse_head};
use ringbus_protocols::websocket::deflate::{self, Agreed};
use ringbus_protocols::websocket::handshake::{self, Refusal, Upgrade};
use ringbus_protocols::websocket::{Mode, Receiver, Role};

use super::{Stage, Web, WebRole};
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::connection::Dialect;
use crate::shard::stomp::Stomp;

/// What the answer to an upgrade says.
#[derive(Debug)]
pub(super) struct Accepted {
    accept: [u8; 28],
    subprotocol: Option<&'static str>,
    deflate: Option<Agreed>,
}

/// What is spoken under the name of a subprotocol.
const SUBPROTOCOLS: [(&str, Dialect); 5] = [
    ("mqtt", Dialect::Mqtt),
    ("mqttv3.1", Dialect::Mqtt),
    ("v12.stomp", Dialect::Stomp),
    ("v11.stomp", Dialect::Stomp),
    ("v10.stomp", Dialect::Stomp),
];

const FORBIDDEN_ORIGIN: Refusal = Refusal {
    status: Status::Forbidden,
    words: "pages of this origin may not connect: the operator can allow it by --ws-origin",
};
const UNKNOWN_SUBPROTOCOL: Refusal = Refusal {
    status: Status::BadRequest,
    words: "the subprotocols here are mqtt, mqttv3.1, v12.stomp, v11.stomp and v10.stomp; \
            without one, a WebSocket carries the messages of the topic that its path names",
};

impl Shard {
    /// Returns how many of the bytes belong to the request.
    pub(super) fn read_head(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.connections.get_mut(id) else {
            return bytes.len();
        };
        let mut head = std::mem::take(&mut conn.backlog);
        let known = head.len();
        let fresh = bytes.len().min(HEAD_BYTES_MAX + 1 - known);
        head.extend_from_slice(&bytes[..fresh]);
        // Only the end of a line changes anything.
        let may_end = known == 0 || bytes[..fresh].contains(&b'\n') || head.len() > HEAD_BYTES_MAX;
        if !may_end {
            conn.backlog = head;
            return fresh;
        }
        match parse_head(&head) {
            Ok(Head::Incomplete) => {
                conn.backlog = head;
                fresh
            }
            Ok(Head::Complete { request, length }) => {
                self.on_request(id, &request);
                length - known
            }
            Err(error) => {
                let HttpError { status, words } = error;
                self.refuse_request(id, Refusal { status, words });
                bytes.len()
            }
        }
    }

    fn on_request(&mut self, id: ConnId, request: &Request<'_>) {
        self.counters.control_received += 1;
        if !handshake::wants_upgrade(request) {
            return self.answer_plainly(id, request);
        }
        if let Err(refusal) = self.upgrade(id, request) {
            self.refuse_request(id, refusal);
        }
    }

    /// [RFC6455 4.2.2]
    fn upgrade(&mut self, id: ConnId, request: &Request<'_>) -> Result<(), Refusal> {
        let upgrade = handshake::check(request)?;
        if !self.config.web.origins.admits(request) {
            return Err(FORBIDDEN_ORIGIN);
        }
        if self.draining {
            return Err(Refusal {
                status: Status::Unavailable,
                words: "the server is shutting down",
            });
        }
        let chosen = choose(&upgrade)?;
        let deflate = match self.config.web.compression {
            true => deflate::negotiate(upgrade.extensions()),
            false => None,
        };
        let accepted = Accepted {
            accept: upgrade.accept,
            subprotocol: chosen.map(|(name, _)| name),
            deflate,
        };
        match chosen {
            Some((_, dialect)) => self.upgrade_to_stream(id, dialect, &accepted),
            None => self.upgrade_to_topic(id, request, accepted)?,
        }
        Ok(())
    }

    fn upgrade_to_stream(&mut self, id: ConnId, dialect: Dialect, accepted: &Accepted) {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.dialect = dialect;
        if dialect == Dialect::Stomp
            && let Some(web) = &mut conn.web
        {
            web.role = WebRole::Stomp(Box::new(Stomp::new(now)));
        }
        self.put_accepted(id, accepted, Mode::Stream);
    }

    /// Sends the answer; frames follow.
    pub(super) fn put_accepted(&mut self, id: ConnId, accepted: &Accepted, mode: Mode) {
        let (now, ping) = (self.now, self.config.web.ping);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let mut extensions = Vec::new();
        if let Some(agreed) = &accepted.deflate {
            agreed.put_header_value(&mut extensions);
        }
        let extensions = (!extensions.is_empty()).then(|| String::from_utf8_lossy(&extensions));
        let out = self.outgoing.open_for_frames(conn);
        let extensions = extensions.as_deref();
        handshake::put_accepted(out, &accepted.accept, accepted.subprotocol, extensions);
        let preamble = out.len();
        self.outgoing.control_packets += 1;
        let is_mqtt = conn.dialect == Dialect::Mqtt;
        if let Some(web) = &mut conn.web {
            web.open(mode, accepted.deflate);
            web.alive.start(now, ping);
            web.preamble = preamble;
            if is_mqtt {
                web.framing.turn_on();
            }
        }
        self.arm_connection(id);
    }

    /// Takes the answer that waited for its subscription.
    pub(in crate::shard) fn finish_upgrade(&mut self, id: ConnId) {
        let Some(web) = self.web_mut(id) else { return };
        let Stage::Upgrading(accepted) = std::mem::replace(&mut web.stage, Stage::Open) else {
            return;
        };
        self.put_accepted(id, &accepted, Mode::Messages);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if let Dialect::Topic { is_open, .. } = &mut conn.dialect {
            *is_open = true;
        }
        if conn.paused {
            conn.paused = false;
            self.effects.resumed.push(id);
        }
    }
}

impl Web {
    fn open(&mut self, mode: Mode, deflate: Option<Agreed>) {
        self.stage = Stage::Open;
        let receiver = Receiver::new(Role::Server, mode);
        self.receiver = match &deflate {
            Some(agreed) => receiver.with_deflate(agreed),
            None => receiver,
        };
        self.deflate = deflate;
    }
}

/// The first subprotocol of the client's that is spoken here; `None` if it named none.
fn choose(upgrade: &Upgrade<'_>) -> Result<Option<(&'static str, Dialect)>, Refusal> {
    let mut has_any = false;
    let known = upgrade.subprotocols().find_map(|wanted| {
        has_any = true;
        SUBPROTOCOLS.into_iter().find(|(name, _)| *name == wanted)
    });
    match known {
        None if has_any => Err(UNKNOWN_SUBPROTOCOL),
        known => Ok(known),
    }
}
