//! Acknowledgements, both ways.

use ringbus_protocols::mqtt::{Ack, Packet, PacketIdentifier, Properties, ReasonCode, Version};

use super::Shard;
use super::connection::{AckKind, Flow, PendingAck};
use super::message::{AckTo, Outcome};
use super::publish::routed_reason;
use super::receive::Handled;
use crate::base::{ConnId, SessionId};
use crate::session::AckError;

/// First of the reason codes that mean failure [MQTT5-2.4].
const FAILURES_FROM: u8 = 0x80;

impl Shard {
    /// Sends an acknowledgement that is ready, behind those before it [MQTT5-4.6.0-2].
    pub(super) fn acknowledge(&mut self, id: ConnId, ack: PendingAck) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        match ack.reason {
            Some(reason) if conn.acks.is_empty() => {
                let version = conn.version;
                put_ack(self.outgoing.open(conn), version, ack, reason);
            }
            _ => {
                conn.acks.push(ack);
            }
        }
    }

    /// The owner has routed a message; a connection that is gone needs no acknowledgement, and its
    /// successor must not get it.
    pub(super) fn on_routed(&mut self, to: AckTo, outcome: Outcome) {
        let Some(conn) = self.connections.get_mut(to.conn) else {
            return;
        };
        conn.acks
            .settle(to.sequence, |kind| routed_reason(kind, outcome));
        while let Some((ack, reason)) = conn.acks.pop_ready() {
            let version = conn.version;
            put_ack(self.outgoing.open(conn), version, ack, reason);
        }
    }

    pub(super) fn on_puback(&mut self, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        tolerate(held.outbound.on_puback(ack.packet_identifier))?;
        self.pump(session);
        Ok(Flow::Continue)
    }

    pub(super) fn on_pubrec(&mut self, id: ConnId, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        let identifier = ack.packet_identifier;
        let accepted = (ack.reason as u8) < FAILURES_FROM;
        let outcome = held.outbound.on_pubrec(identifier, accepted);
        if accepted {
            let Some(conn) = self.connections.get_mut(id) else {
                return Ok(Flow::Gone);
            };
            let reason = match outcome {
                Ok(()) => ReasonCode::Success,
                Err(AckError::UnknownIdentifier) => ReasonCode::PacketIdentifierNotFound,
                Err(AckError::WrongKind) => return Err(ReasonCode::ProtocolError),
            };
            let version = conn.version;
            let pubrel = Ack {
                packet_identifier: identifier,
                reason,
                properties: Properties::default(),
            };
            Packet::PubRel(pubrel).encode(version, self.outgoing.open(conn));
        }
        self.pump(session);
        Ok(Flow::Continue)
    }

    pub(super) fn on_pubcomp(&mut self, session: SessionId, ack: &Ack<'_>) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        tolerate(held.outbound.on_pubcomp(ack.packet_identifier))?;
        self.pump(session);
        Ok(Flow::Continue)
    }
}

/// An acknowledgement of something unknown does no harm: a client may have lost its session
/// state. One of the wrong kind means that the client is confused.
fn tolerate(outcome: Result<(), AckError>) -> Result<(), ReasonCode> {
    match outcome {
        Ok(()) | Err(AckError::UnknownIdentifier) => Ok(()),
        Err(AckError::WrongKind) => Err(ReasonCode::ProtocolError),
    }
}

fn put_ack(out: &mut Vec<u8>, version: Version, ack: PendingAck, reason: ReasonCode) {
    let body = Ack {
        packet_identifier: ack.identifier,
        reason,
        properties: Properties::default(),
    };
    let packet = match ack.kind {
        AckKind::PubAck => Packet::PubAck(body),
        AckKind::PubRec => Packet::PubRec(body),
        AckKind::PubComp => Packet::PubComp(body),
    };
    packet.encode(version, out);
}

/// PUBREL for a message that the client has, again on a new connection.
pub(super) fn put_pubrel(out: &mut Vec<u8>, version: Version, identifier: PacketIdentifier) {
    let body = Ack {
        packet_identifier: identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    };
    Packet::PubRel(body).encode(version, out);
}
