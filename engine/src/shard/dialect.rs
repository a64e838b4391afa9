//! What protocols other than MQTT have in common: a session without a name that ends with its
//! connection, publishing, and how a message is written to them.

use ringbus_protocols::mqtt::PacketIdentifier;
use ringbus_protocols::websocket::frame::{Opcode, put_header};

use super::Shard;
use super::connection::{AckKind, Connection, Dialect, Flow, Outgoing, PendingAck};
use super::deliver::Grant;
use super::fault::Fault;
use super::message::AckTo;
use super::nats;
use super::publish::routed_reason;
use super::receive::Handled;
use super::route::Carried;
use super::stomp;
use super::sys::is_brokers_own;
use super::template::is_shared;
use super::topics::Topic;
use crate::base::limits::INFLIGHT_MAX;
use crate::base::{ConnId, Nanos, SessionId};
use crate::pubsub::{Message, PublisherId};
use crate::session::Delivery;

impl Shard {
    /// A session for a client that has no identifier. It lives where the connection is.
    pub(super) fn open_unnamed(&mut self, id: ConnId) -> SessionId {
        let publisher = PublisherId::from_bits(self.random.u64(..));
        let session_id = self.sessions.create_unnamed(publisher);
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.conn = Some(id);
            session.outbound.restart(INFLIGHT_MAX);
        }
        if let Some(conn) = self.connections.get_mut(id) {
            conn.session = Some(session_id);
            conn.last_received = self.now;
            // Silence is the WebSocket's to notice.
            conn.patience = Nanos::ZERO;
        }
        self.effects.established.push(id);
        self.counters.connects += 1;
        self.gauges.connected += 1;
        session_id
    }

    /// Publishes for a client of another protocol than MQTT. `receipt`: it waits for an answer.
    pub(super) fn publish_from_web(
        &mut self,
        id: ConnId,
        message: &Message<'_>,
        topic: &Topic<'_>,
        receipt: Option<AckKind>,
    ) -> Handled {
        if is_brokers_own(message.topic) {
            return Err(Fault::BROKERS_TOPIC);
        }
        if let Some(blocker) = self.publish_blocker(topic.owner) {
            return Ok(Flow::Pause(blocker));
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        if let Some(rate) = self.config.publish_rate {
            let after = rate.take(conn.publishes_filled_at, 1, self.now);
            conn.publishes_filled_at = after.ok_or(Fault::PUBLISH_RATE)?;
        }
        self.counters.received += 1;
        self.counters.publish_bytes_received += message.payload.len() as u64;
        let mut ack = PendingAck {
            kind: receipt.unwrap_or(AckKind::Silent),
            identifier: PacketIdentifier::MIN,
            reason: None,
        };
        if topic.owner == self.id {
            let outcome = self.route(&mut Carried::on_topic(*message, topic, None));
            if receipt.is_some() {
                ack.reason = Some(routed_reason(ack.kind, outcome));
                self.acknowledge(id, ack);
            }
            return Ok(Flow::Continue);
        }
        // Also without a receipt: a Close frame waits until everything before it has come back.
        let to = conn.await_owner(ack.kind);
        self.outboxes
            .publish(topic.owner, message, None, topic.hash, Some(to));
        Ok(Flow::Continue)
    }

    /// QoS 0 to a subscriber of another protocol than MQTT.
    pub(super) fn deliver_in_dialect(
        &mut self,
        carried: &mut Carried<'_>,
        id: ConnId,
        grant: Grant<'_>,
    ) {
        let payload = is_shared(&carried.message).then(|| carried.stored().payload());
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let message = &carried.message;
        if let Dialect::Topic { takes_text, .. } = conn.dialect {
            let frame = self.templates.frame(message, takes_text);
            self.outgoing.append_frames(conn, frame);
            if let Some(payload) = payload {
                self.outgoing.publish_bytes += payload.len() as u64;
                self.outgoing.splice(conn, payload);
            }
        } else if conn.dialect == Dialect::Nats {
            let in_common = &mut self.nats;
            let payload = payload.as_ref();
            nats::put_messages(&mut self.outgoing, conn, in_common, message, payload, grant);
        } else {
            let before = conn.queued_bytes();
            let way = stomp::Way {
                identifiers: grant.subscription_identifiers,
                is_retained: grant.retain,
                ack: None,
            };
            stomp::put_messages(&mut self.outgoing, conn, message, payload.as_ref(), way);
            self.outgoing.publish_bytes += (conn.queued_bytes() - before) as u64;
        }
        self.counters.delivered += 1;
    }
}

impl Connection {
    /// What a topic's owner is to answer, behind what the message brings back here.
    pub(super) fn await_owner(&mut self, kind: AckKind) -> AckTo {
        let sequence = self.acks.push(PendingAck {
            kind,
            identifier: PacketIdentifier::MIN,
            reason: None,
        });
        AckTo {
            conn: self.id,
            sequence,
            behind_deliveries: true,
        }
    }
}

/// Writes a QoS 1 message that leaves its session's queue. Returns whether the client will
/// acknowledge it; else it is done with.
pub(super) fn transmit(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    identifier: PacketIdentifier,
    delivery: &Delivery,
) -> bool {
    let message = delivery.stored.message();
    let payload = is_shared(&message).then(|| delivery.stored.payload());
    let Dialect::Topic {
        is_open,
        takes_text,
    } = conn.dialect
    else {
        let way = stomp::Way {
            identifiers: &delivery.subscription_identifiers,
            is_retained: delivery.retain,
            ack: Some(identifier),
        };
        return stomp::put_messages(outgoing, conn, &message, payload.as_ref(), way);
    };
    if !is_open {
        return false;
    }
    let out = outgoing.open_for_frames(conn);
    put_topic_message(out, &message, frame_kind(&message, takes_text));
    if let Some(payload) = payload {
        outgoing.splice(conn, payload);
    }
    false
}

/// Appends a message as a frame; a payload that is shared is left to the caller.
pub(super) fn put_topic_message(out: &mut Vec<u8>, message: &Message<'_>, opcode: Opcode) {
    put_header(out, opcode, message.payload.len());
    if !is_shared(message) {
        out.extend_from_slice(message.payload);
    }
}

/// Text is what is marked so, and is UTF-8: a client would refuse anything else [RFC6455 8.1].
pub(super) fn frame_kind(message: &Message<'_>, takes_unmarked_text: bool) -> Opcode {
    let may_be_text = message.is_text().unwrap_or(takes_unmarked_text);
    match may_be_text && std::str::from_utf8(message.payload).is_ok() {
        true => Opcode::Text,
        false => Opcode::Binary,
    }
}
