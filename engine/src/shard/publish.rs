//! PUBLISH and PUBREL from clients: checked, resolved, sent to the topic's owner.

use ringbus_protocols::mqtt::{
    Ack, PacketIdentifier, Properties, Property, PropertyId, Publish, QoS, ReasonCode, Version,
};

use super::Shard;
use super::connection::{AckKind, Aliases, Blocker, Flow, PendingAck};
use super::message::AckTo;
use super::receive::Handled;
use super::route::Carried;
use crate::base::{ConnId, Nanos, SessionId, ShardId};
use crate::pubsub::{Message, PublisherId, Stored};

impl Shard {
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        id: ConnId,
        session: SessionId,
        publish: &Publish<'_>,
    ) -> Handled {
        if publish.properties.is_empty() {
            return self.on_resolved(id, session, publish, publish.topic, &[], Nanos::MAX);
        }
        self.on_publish_with_properties(id, session, publish)
    }

    fn on_publish_with_properties(
        &mut self,
        id: ConnId,
        session: SessionId,
        publish: &Publish<'_>,
    ) -> Handled {
        let properties = publish.properties;
        if properties.has(PropertyId::SubscriptionIdentifier) {
            return Err(ReasonCode::ProtocolError); // [MQTT5-3.3.4-6]
        }
        let expires_at = properties
            .message_expiry_interval()
            .map_or(Nanos::MAX, |seconds| {
                self.now + Nanos::from_secs(u64::from(seconds))
            });
        let mut scratch = std::mem::take(&mut self.properties);
        let forwarded = forwarded(properties, &mut scratch);
        let handled = match properties.topic_alias() {
            None => self.on_resolved(id, session, publish, publish.topic, forwarded, expires_at),
            Some(alias) => self.on_aliased(id, session, publish, alias, forwarded, expires_at),
        };
        self.properties = scratch;
        handled
    }

    fn on_aliased(
        &mut self,
        id: ConnId,
        session: SessionId,
        publish: &Publish<'_>,
        alias: u16,
        forwarded: &[u8],
        expires_at: Nanos,
    ) -> Handled {
        if alias == 0 || alias > self.config.topic_alias_maximum {
            return Err(ReasonCode::TopicAliasInvalid); // [MQTT5-3.3.2-9]
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let mut aliases = conn
            .aliases
            .take()
            .unwrap_or_else(|| Box::new(Aliases::with_hasher(self.config.hasher.clone())));
        if !publish.topic.is_empty() {
            aliases.insert(alias, publish.topic.into());
        }
        let handled = match aliases.get(&alias) {
            Some(topic) => self.on_resolved(id, session, publish, topic, forwarded, expires_at),
            None => Err(ReasonCode::ProtocolError),
        };
        if let Some(conn) = self.connections.get_mut(id) {
            conn.aliases = Some(aliases);
        }
        handled
    }

    #[inline]
    fn on_resolved(
        &mut self,
        id: ConnId,
        session: SessionId,
        publish: &Publish<'_>,
        topic: &str,
        properties: &[u8],
        expires_at: Nanos,
    ) -> Handled {
        if topic.is_empty() {
            return Err(ReasonCode::ProtocolError);
        }
        let message = Message {
            topic,
            payload: publish.payload,
            properties,
            qos: publish.qos,
            retain: publish.retain,
            expires_at,
            publisher: PublisherId::new(self.id, session),
        };
        if publish.qos == QoS::AtMostOnce {
            return self.publish(&message, None, None);
        }
        let identifier = publish
            .packet_identifier
            .ok_or(ReasonCode::MalformedPacket)?;
        if !self.has_receive_quota(id, session, identifier) {
            return Err(ReasonCode::ReceiveMaximumExceeded);
        }
        if publish.qos == QoS::ExactlyOnce {
            return self.keep_inbound(id, session, identifier, &message);
        }
        let waiting = PendingAck {
            kind: AckKind::PubAck,
            identifier,
            reason: None,
        };
        self.publish_acknowledged(id, waiting, &message, None)
    }

    /// A QoS 2 message stays here until PUBREL; a repetition is answered again, nothing more.
    fn keep_inbound(
        &mut self,
        id: ConnId,
        session: SessionId,
        identifier: PacketIdentifier,
        message: &Message<'_>,
    ) -> Handled {
        let Some(session) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        if !session.inbound.contains(identifier) {
            if session.inbound.bytes() + message.record_len() > self.config.queue_bytes.max(1)
                && !session.inbound.is_empty()
            {
                return Err(ReasonCode::QuotaExceeded);
            }
            session.inbound.keep(identifier, Stored::new(message));
            self.counters.received += 1;
        }
        let reason = Some(ReasonCode::Success);
        self.acknowledge(
            id,
            PendingAck {
                kind: AckKind::PubRec,
                identifier,
                reason,
            },
        );
        Ok(Flow::Continue)
    }

    /// PUBREL: now the message is routed, once, and PUBCOMP follows.
    pub(super) fn on_pubrel(&mut self, id: ConnId, session: SessionId, ack: &Ack<'_>) -> Handled {
        let identifier = ack.packet_identifier;
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        let Some(stored) = held.inbound.release(identifier) else {
            let reason = Some(ReasonCode::PacketIdentifierNotFound);
            self.acknowledge(
                id,
                PendingAck {
                    kind: AckKind::PubComp,
                    identifier,
                    reason,
                },
            );
            return Ok(Flow::Continue);
        };
        let waiting = PendingAck {
            kind: AckKind::PubComp,
            identifier,
            reason: None,
        };
        let message = stored.message();
        let handled = self.publish_acknowledged(id, waiting, &message, Some(&stored));
        if matches!(handled, Ok(Flow::Pause(_)))
            && let Some(held) = self.sessions.get_mut(session)
        {
            held.inbound.keep(identifier, stored);
        } else {
            // It was counted when it came.
            self.counters.received -= 1;
        }
        handled
    }

    fn publish_acknowledged(
        &mut self,
        id: ConnId,
        waiting: PendingAck,
        message: &Message<'_>,
        stored: Option<&Stored>,
    ) -> Handled {
        let owner = self.owner_of(message.topic);
        if owner == self.id {
            return self.publish(message, stored, Some((id, waiting)));
        }
        if self.outboxes.publish_full(owner) {
            return Ok(Flow::Pause(Blocker::PublishTo(owner)));
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let sequence = conn.acks.push(waiting);
        self.mail_publish(owner, message, stored, Some(AckTo { conn: id, sequence }));
        Ok(Flow::Continue)
    }

    /// Routes a message here or mails it to its owner.
    #[inline]
    fn publish(
        &mut self,
        message: &Message<'_>,
        stored: Option<&Stored>,
        waiting: Option<(ConnId, PendingAck)>,
    ) -> Handled {
        let owner = self.owner_of(message.topic);
        if owner != self.id {
            if self.outboxes.publish_full(owner) {
                return Ok(Flow::Pause(Blocker::PublishTo(owner)));
            }
            self.mail_publish(owner, message, stored, None);
            return Ok(Flow::Continue);
        }
        if self.config.shards > 1 && self.outboxes.deliver_full() {
            return Ok(Flow::Pause(Blocker::Deliver));
        }
        self.counters.received += 1;
        let topic_hash = self.partition.trie.hash(message.topic);
        let matched = self.route(&mut Carried::new(*message, topic_hash, stored.cloned()));
        if let Some((id, mut ack)) = waiting {
            ack.reason = Some(routed_reason(ack.kind, matched));
            self.acknowledge(id, ack);
        }
        Ok(Flow::Continue)
    }

    fn mail_publish(
        &mut self,
        owner: ShardId,
        message: &Message<'_>,
        stored: Option<&Stored>,
        ack: Option<AckTo>,
    ) {
        self.counters.received += 1;
        let topic_hash = self.partition.trie.hash(message.topic);
        self.outboxes
            .publish(owner, message, stored, topic_hash, ack);
    }

    /// Publishes on behalf of a session that is not there any more: a will. Its room is reserved.
    pub(super) fn publish_will(&mut self, stored: &Stored) {
        let message = stored.message();
        let owner = self.owner_of(message.topic);
        if owner == self.id {
            let topic_hash = self.partition.trie.hash(message.topic);
            self.route(&mut Carried::new(message, topic_hash, Some(stored.clone())));
        } else {
            let topic_hash = self.partition.trie.hash(message.topic);
            self.outboxes
                .publish(owner, &message, Some(stored), topic_hash, None);
        }
    }

    #[inline]
    fn owner_of(&self, topic: &str) -> ShardId {
        if self.config.shards == 1 {
            return self.id;
        }
        self.config.partitioner.owner(topic)
    }

    fn has_receive_quota(
        &self,
        id: ConnId,
        session: SessionId,
        identifier: PacketIdentifier,
    ) -> bool {
        let (Some(conn), Some(session)) = (self.connections.get(id), self.sessions.get(session))
        else {
            return false;
        };
        // v3 clients know no receive maximum: packet identifiers alone bound them.
        if conn.version != Version::V5 || session.inbound.contains(identifier) {
            return true;
        }
        let under_way = session.inbound.len() + conn.acks.unacknowledged();
        under_way < usize::from(self.config.receive_maximum)
    }
}

/// What the publisher learns once its message was routed.
pub(super) fn routed_reason(kind: AckKind, matched: bool) -> ReasonCode {
    match kind {
        AckKind::PubAck if !matched => ReasonCode::NoMatchingSubscribers,
        _ => ReasonCode::Success,
    }
}

/// The properties that travel on with a message.
fn forwarded<'a>(properties: Properties<'a>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if !properties.has(PropertyId::TopicAlias) && !properties.has(PropertyId::MessageExpiryInterval)
    {
        return properties.as_raw();
    }
    scratch.clear();
    for property in properties.iter() {
        if !matches!(
            property,
            Property::TopicAlias(_) | Property::MessageExpiryInterval(_)
        ) {
            property.encode(scratch);
        }
    }
    scratch
}
