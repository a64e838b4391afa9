//! Acknowledgements, both ways.

use ringbus_protocols::mqtt::{Ack, Packet, PacketIdentifier, Properties, ReasonCode, Version};

use super::Shard;
use super::connection::{Flow, PendingAck};
use super::explain::{put_ack, put_pubrel_reason};
use super::fault::Fault;
use super::message::{AckTo, Outcome};
use super::publish::routed_reason;
use super::receive::Handled;
use crate::base::{ConnId, SessionId};
use crate::session::AckError;

impl Shard {
    /// Sends an acknowledgement that is ready, behind those before it [MQTT5-4.6.0-2].
    pub(super) fn acknowledge(&mut self, id: ConnId, ack: PendingAck) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        match ack.reason {
            Some(reason) if conn.acks.is_empty() => {
                put_ack(&mut self.outgoing, conn, ack, reason);
            }
            _ => {
                conn.acks.push(ack);
            }
        }
    }

    /// The owner has routed a message; a connection that is gone needs no acknowledgement, and its
    /// successor must not get it.
    pub(super) fn on_routed(&mut self, to: AckTo, outcome: Outcome) {
        self.settle_ack(to.conn, to.sequence, outcome);
    }

    /// What the acknowledgement of that number waits for has happened.
    pub(super) fn settle_ack(&mut self, id: ConnId, sequence: u32, outcome: Outcome) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.acks
            .settle(sequence, |kind| routed_reason(kind, outcome));
        while let Some((ack, reason)) = conn.acks.pop_ready() {
            put_ack(&mut self.outgoing, conn, ack, reason);
        }
    }

    pub(super) fn on_puback(&mut self, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        tolerate(held.outbound.on_puback(ack.packet_identifier))?;
        self.pump_backlog(session);
        self.note_load(session);
        Ok(Flow::Continue)
    }

    pub(super) fn on_pubrec(&mut self, id: ConnId, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        let identifier = ack.packet_identifier;
        let accepted = !ack.reason.is_error();
        let outcome = held.outbound.on_pubrec(identifier, accepted);
        if accepted {
            let Some(conn) = self.connections.get_mut(id) else {
                return Ok(Flow::Gone);
            };
            let reason = match outcome {
                Ok(()) => ReasonCode::Success,
                Err(AckError::UnknownIdentifier) => ReasonCode::PacketIdentifierNotFound,
                Err(AckError::WrongKind) => return Err(WRONG_KIND),
            };
            put_pubrel_reason(&mut self.outgoing, conn, identifier, reason);
        }
        self.pump_backlog(session);
        self.note_load(session);
        Ok(Flow::Continue)
    }

    pub(super) fn on_pubcomp(&mut self, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        tolerate(held.outbound.on_pubcomp(ack.packet_identifier))?;
        self.pump_backlog(session);
        self.note_load(session);
        Ok(Flow::Continue)
    }
}

/// An acknowledgement of something unknown does no harm: a client may have lost its session
/// state. One of the wrong kind means that the client is confused.
fn tolerate(outcome: Result<(), AckError>) -> Result<(), Fault> {
    match outcome {
        Ok(()) | Err(AckError::UnknownIdentifier) => Ok(()),
        Err(AckError::WrongKind) => Err(WRONG_KIND),
    }
}

const WRONG_KIND: Fault = Fault::protocol("this message expects another acknowledgement");

/// PUBREL for a message that the client has, again on a new connection.
pub(super) fn put_pubrel(out: &mut Vec<u8>, version: Version, identifier: PacketIdentifier) {
    let body = Ack {
        packet_identifier: identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    };
    Packet::PubRel(body).encode(version, out);
}
