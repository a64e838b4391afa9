//! How a WebSocket ends: what came before is routed and answered first, then the Close frame
//! leaves, and the connection with it [RFC6455 7].

use ringbus_protocols::http::Status;
use ringbus_protocols::mqtt::ReasonCode;
use ringbus_protocols::websocket::close::{CloseCode, put_close};
use ringbus_protocols::websocket::frame::{Opcode, put_frame};
use ringbus_protocols::websocket::handshake::Refusal;

use super::Stage;
use crate::base::{ConnId, Nanos};
use crate::shard::Shard;
use crate::shard::fault::Fault;

/// How long the last frame may wait.
pub(super) const LEAVING: Nanos = Nanos::from_secs(5);

/// What the last frame says.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Farewell {
    /// `None`: a Close frame without a code.
    pub(in crate::shard) code: Option<CloseCode>,
    pub(in crate::shard) words: &'static str,
}

impl Farewell {
    /// The answer to a Close frame has its code [RFC6455 5.5.1].
    pub(super) fn answer_to(code: Option<CloseCode>) -> Self {
        Self { code, words: "" }
    }
}

impl Shard {
    /// Stops reading; the rest follows when all that came before is routed and answered.
    pub(in crate::shard) fn leave(&mut self, id: ConnId, farewell: Farewell) {
        let now = self.now;
        self.publish_gathered(id);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if let Some(code) = farewell.code
            && code != CloseCode::NORMAL
        {
            let code = code.get();
            tracing::debug!(peer = %conn.peer, code, "closes a WebSocket: {}", farewell.words);
        }
        let Some(web) = &mut conn.web else { return };
        if matches!(web.stage, Stage::Leaving(_)) {
            return;
        }
        web.stage = Stage::Leaving(farewell);
        web.message = Vec::new();
        web.alive.next = now + LEAVING;
        self.web.leaving.push(id);
        self.arm_connection(id);
    }

    /// Closes those that have nothing left to wait for. What they published came back with the
    /// mail of this turn.
    pub(in crate::shard) fn close_leaving(&mut self) {
        if self.web.leaving.is_empty() {
            return;
        }
        let mut leaving = std::mem::take(&mut self.web.leaving);
        leaving.retain(|&id| {
            let Some(conn) = self.connections.get(id) else {
                return false;
            };
            let waits = conn.web.as_ref().is_some_and(|web| web.waits.is_some());
            if conn.paused || waits || !conn.acks.is_empty() {
                return true;
            }
            self.leave_now(id);
            false
        });
        self.web.leaving.append(&mut leaving);
    }

    pub(super) fn leave_now(&mut self, id: ConnId) {
        self.close(id, None, true);
    }

    /// Appends what a WebSocket's client is told at its end: a Close frame, or an answer to its
    /// request.
    pub(in crate::shard) fn put_farewell(&mut self, id: ConnId, fault: Option<Fault>) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let Some(web) = conn.web.as_deref() else {
            return;
        };
        let farewell = match (&web.stage, fault) {
            (Stage::Leaving(farewell), _) => *farewell,
            (_, Some(fault)) => Farewell {
                code: Some(close_code(fault.reason)),
                words: fault.words,
            },
            (_, None) => Farewell {
                code: Some(CloseCode::NORMAL),
                words: "",
            },
        };
        if web.is_open() {
            let out = self.outgoing.open_for_frames(conn);
            match farewell.code {
                Some(code) => put_close(out, code, farewell.words),
                None => put_frame(out, Opcode::Close, &[]),
            }
        } else if let Some(fault) = fault {
            let (status, words) = (unavailable_status(fault), fault.words);
            self.put_refusal(id, Refusal { status, words });
        }
        if let Some(conn) = self.connections.get_mut(id) {
            self.outgoing.finish(conn);
        }
    }
}

pub(super) fn unavailable_status(fault: Fault) -> Status {
    match fault.reason {
        ReasonCode::ConnectionRateExceeded => Status::TooManyRequests,
        ReasonCode::NotAuthorized => Status::RequestTimeout,
        _ => Status::Unavailable,
    }
}

/// The status code of a Close frame that stands for a reason of MQTT.
pub(in crate::shard) fn close_code(reason: ReasonCode) -> CloseCode {
    match reason {
        ReasonCode::Success => CloseCode::NORMAL,
        ReasonCode::ServerShuttingDown | ReasonCode::UseAnotherServer => CloseCode::GOING_AWAY,
        ReasonCode::ServerUnavailable | ReasonCode::ConnectionRateExceeded => CloseCode::TRY_AGAIN,
        ReasonCode::MalformedPacket
        | ReasonCode::ProtocolError
        | ReasonCode::ReceiveMaximumExceeded
        | ReasonCode::TopicAliasInvalid => CloseCode::PROTOCOL_ERROR,
        ReasonCode::PayloadFormatInvalid => CloseCode::INVALID_PAYLOAD,
        ReasonCode::PacketTooLarge => CloseCode::TOO_BIG,
        _ => CloseCode::POLICY,
    }
}
