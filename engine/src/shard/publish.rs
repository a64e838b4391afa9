//! PUBLISH and PUBREL from clients: checked, resolved, sent to the topic's owner.

use ringbus_protocols::mqtt::{
    Ack, PacketIdentifier, Properties, Property, PropertyId, Publish, QoS, ReasonCode, Version,
};

use super::Shard;
use super::connection::{AckKind, Aliases, Blocker, Flow, PendingAck};
use super::fault::Fault;
use super::message::{AckTo, Outcome};
use super::receive::Handled;
use super::route::{Carried, SamePacket};
use super::sys::is_brokers_own;
use super::topics::{Memo, Topic};
use crate::base::{ConnId, Nanos, SessionId, ShardId};
use crate::pubsub::{Message, Stored};

/// A PUBLISH as it came from a client.
pub(super) struct Arrival<'a> {
    pub(super) id: ConnId,
    pub(super) session: SessionId,
    pub(super) version: Version,
    pub(super) publish: Publish<'a>,
    /// The whole packet.
    pub(super) packet: &'a [u8],
    pub(super) memo: &'a Memo,
}

impl Arrival<'_> {
    /// The packet, if QoS 0 subscribers of the same version get the same bytes.
    #[inline]
    fn same_packet(&self) -> Option<SamePacket<'_>> {
        const QOS_0: u8 = 0x30;
        let body_len = self.packet.len() - 2;
        let is_same = self.packet[0] == QOS_0
            && self.publish.properties.is_empty()
            && !self.publish.topic.is_empty()
            // Longer payloads are spliced, and longer headers may have a length in a longer form
            // than it needs.
            && usize::from(self.packet[1]) == body_len;
        let is_v5 = self.version == Version::V5;
        is_same.then_some(SamePacket {
            bytes: self.packet,
            is_v5,
        })
    }
}

impl Shard {
    #[inline]
    pub(super) fn on_publish(&mut self, arrival: &Arrival<'_>) -> Handled {
        if arrival.publish.properties.is_empty() {
            return self.on_resolved(arrival, arrival.publish.topic, &[], Nanos::MAX);
        }
        self.on_publish_with_properties(arrival)
    }

    fn on_publish_with_properties(&mut self, arrival: &Arrival<'_>) -> Handled {
        let properties = arrival.publish.properties;
        if properties.has(PropertyId::SubscriptionIdentifier) {
            // [MQTT5-3.3.4-6]
            return Err(Fault::protocol(
                "a Subscription Identifier is for servers to send",
            ));
        }
        let lifetime = properties.message_expiry_interval();
        let expires_at = lifetime.map_or(Nanos::MAX, |seconds| {
            self.now + Nanos::from_secs(u64::from(seconds))
        });
        let mut scratch = std::mem::take(&mut self.properties);
        let forwarded = forwarded(properties, &mut scratch);
        let handled = match properties.topic_alias() {
            None => self.on_resolved(arrival, arrival.publish.topic, forwarded, expires_at),
            Some(alias) => self.on_aliased(arrival, alias, forwarded, expires_at),
        };
        self.properties = scratch;
        handled
    }

    /// A payload that is not what its publisher said: nobody gets it [MQTT5-3.3.2.3.2].
    fn on_broken_text(&mut self, arrival: &Arrival<'_>) -> Handled {
        match arrival.publish.qos {
            QoS::AtMostOnce => Err(Fault::NOT_TEXT),
            _ => self.go_nowhere(arrival, ReasonCode::PayloadFormatInvalid),
        }
    }

    /// The broker's own topics are for nobody else: the message is dropped, and who can be told is
    /// told so.
    #[cold]
    fn on_brokers_topic(&mut self, arrival: &Arrival<'_>) -> Handled {
        let handled = self.go_nowhere(arrival, ReasonCode::NotAuthorized)?;
        self.counters.received += 1;
        self.counters.dropped += 1;
        Ok(handled)
    }

    /// Answers a PUBLISH that is not routed.
    fn go_nowhere(&mut self, arrival: &Arrival<'_>, reason: ReasonCode) -> Handled {
        let kind = match arrival.publish.qos {
            QoS::AtMostOnce => return Ok(Flow::Continue),
            QoS::AtLeastOnce => AckKind::PubAck,
            QoS::ExactlyOnce => AckKind::PubRec,
        };
        let identifier = arrival.publish.packet_identifier;
        let identifier = identifier.ok_or(Fault::NO_IDENTIFIER)?;
        if !self.has_receive_quota(arrival.id, arrival.session, identifier) {
            return Err(Fault::RECEIVE_MAXIMUM);
        }
        self.acknowledge(
            arrival.id,
            PendingAck {
                kind,
                identifier,
                reason: Some(reason),
            },
        );
        Ok(Flow::Continue)
    }

    fn on_aliased(
        &mut self,
        arrival: &Arrival<'_>,
        alias: u16,
        forwarded: &[u8],
        expires_at: Nanos,
    ) -> Handled {
        if alias == 0 || alias > self.config.topic_alias_maximum {
            return Err(Fault::TOPIC_ALIAS); // [MQTT5-3.3.2-9]
        }
        let Some(conn) = self.connections.get_mut(arrival.id) else {
            return Ok(Flow::Gone);
        };
        let hasher = &self.config.hasher;
        let fresh = || Aliases::with_hasher(hasher.clone());
        let mut aliases = conn.extras().aliases.take().unwrap_or_else(fresh);
        if !arrival.publish.topic.is_empty() {
            aliases.insert(alias, arrival.publish.topic.into());
        }
        let handled = match aliases.get(&alias) {
            Some(topic) => self.on_resolved(arrival, topic, forwarded, expires_at),
            None => Err(Fault::protocol("the topic alias was not set up")),
        };
        if let Some(conn) = self.connections.get_mut(arrival.id) {
            conn.extras().aliases = Some(aliases);
        }
        handled
    }

    #[inline]
    fn on_resolved(
        &mut self,
        arrival: &Arrival<'_>,
        name: &str,
        properties: &[u8],
        expires_at: Nanos,
    ) -> Handled {
        if name.is_empty() {
            return Err(Fault::protocol(
                "PUBLISH has neither a topic nor a topic alias",
            ));
        }
        if self.config.check_payload_format && is_broken(&arrival.publish) {
            return self.on_broken_text(arrival);
        }
        let publish = &arrival.publish;
        let Some(session) = self.sessions.get(arrival.session) else {
            return Ok(Flow::Gone);
        };
        let message = Message {
            topic: name,
            payload: publish.payload,
            properties,
            qos: publish.qos,
            retain: publish.retain,
            expires_at,
            publisher: session.publisher,
        };
        let topic = match arrival.memo.recall(name, self.partition.epoch) {
            Some(topic) => topic,
            // Such a name is never remembered.
            None if is_brokers_own(name) => return self.on_brokers_topic(arrival),
            None => {
                let topic = self.topic(name);
                self.memos.learn_name(&topic);
                topic
            }
        };
        if publish.qos == QoS::AtMostOnce {
            return self.publish_unacknowledged(&message, &topic, arrival.same_packet());
        }
        self.on_acknowledged(arrival, &message, &topic)
    }

    /// QoS 1 and 2: within the receive maximum, and answered.
    fn on_acknowledged(
        &mut self,
        arrival: &Arrival<'_>,
        message: &Message<'_>,
        topic: &Topic<'_>,
    ) -> Handled {
        let (id, session) = (arrival.id, arrival.session);
        let identifier = arrival.publish.packet_identifier;
        let identifier = identifier.ok_or(Fault::NO_IDENTIFIER)?;
        if !self.has_receive_quota(id, session, identifier) {
            return Err(Fault::RECEIVE_MAXIMUM);
        }
        if message.qos == QoS::ExactlyOnce {
            return self.keep_inbound(id, session, identifier, message);
        }
        let waiting = PendingAck {
            kind: AckKind::PubAck,
            identifier,
            reason: None,
        };
        self.publish_acknowledged(id, waiting, message, topic, None)
    }

    /// What follows from a topic name.
    pub(super) fn topic<'a>(&self, name: &'a str) -> Topic<'a> {
        let hash = self.partition.trie.hash(name);
        let owner = match self.config.shards {
            1 => self.id,
            _ => self.config.partitioner.owner(name),
        };
        Topic {
            name,
            hash,
            owner,
            only_filter: None,
        }
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
        if !session.inbound().contains(identifier) {
            if session.inbound().bytes() + message.record_len() > self.config.queue_bytes.max(1)
                && !session.inbound().is_empty()
            {
                return Err(Fault::INBOUND_FULL);
            }
            session
                .rare()
                .inbound
                .keep(identifier, Stored::new(message));
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
        let Some(stored) = held.release(identifier) else {
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
        let topic = self.topic(message.topic);
        let handled = self.publish_acknowledged(id, waiting, &message, &topic, Some(&stored));
        if matches!(handled, Ok(Flow::Pause(_)))
            && let Some(held) = self.sessions.get_mut(session)
        {
            held.rare().inbound.keep(identifier, stored);
        } else {
            // It was counted when it came.
            self.counters.received -= 1;
        }
        handled
    }

    fn publish_acknowledged(
        &mut self,
        id: ConnId,
        mut ack: PendingAck,
        message: &Message<'_>,
        topic: &Topic<'_>,
        stored: Option<&Stored>,
    ) -> Handled {
        if let Some(blocker) = self.publish_blocker(topic.owner) {
            return Ok(Flow::Pause(blocker));
        }
        self.counters.received += 1;
        if topic.owner == self.id {
            let mut carried = Carried::on_topic(*message, topic, None);
            carried.keep(stored);
            let outcome = self.route(&mut carried);
            ack.reason = Some(routed_reason(ack.kind, outcome));
            self.acknowledge(id, ack);
            return Ok(Flow::Continue);
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let sequence = conn.acks.push(ack);
        let to = AckTo {
            conn: id,
            sequence,
            behind_deliveries: false,
        };
        self.outboxes
            .publish(topic.owner, message, stored, topic.hash, Some(to));
        Ok(Flow::Continue)
    }

    #[inline]
    fn publish_unacknowledged(
        &mut self,
        message: &Message<'_>,
        topic: &Topic<'_>,
        packet: Option<SamePacket<'_>>,
    ) -> Handled {
        if let Some(blocker) = self.publish_blocker(topic.owner) {
            return Ok(Flow::Pause(blocker));
        }
        self.counters.received += 1;
        if topic.owner == self.id {
            self.route(&mut Carried::on_topic(*message, topic, packet));
        } else {
            self.outboxes
                .publish(topic.owner, message, None, topic.hash, None);
        }
        Ok(Flow::Continue)
    }

    /// What a publish to that owner must wait for.
    #[inline]
    pub(super) fn publish_blocker(&self, owner: ShardId) -> Option<Blocker> {
        if self.config.shards == 1 {
            return None;
        }
        if owner == self.id {
            return self.outboxes.deliver_full().then_some(Blocker::Deliver);
        }
        let is_full = self.outboxes.publish_full(owner);
        is_full.then_some(Blocker::PublishTo(owner))
    }

    /// Publishes what no client is sending now: a will, or what the broker says of itself. Its room
    /// is reserved.
    pub(super) fn publish_stored(&mut self, stored: &Stored) {
        let message = stored.message();
        let topic = self.topic(message.topic);
        if topic.owner == self.id {
            self.route(&mut Carried::new(message, topic.hash, Some(stored.clone())));
        } else {
            self.outboxes
                .publish(topic.owner, &message, Some(stored), topic.hash, None);
        }
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
        if conn.version != Version::V5 || session.inbound().contains(identifier) {
            return true;
        }
        let under_way = session.inbound().len() + conn.acks.unacknowledged();
        under_way < usize::from(self.config.receive_maximum)
    }
}

fn is_broken(publish: &Publish<'_>) -> bool {
    is_broken_text(
        publish.properties.payload_format_indicator(),
        publish.payload,
    )
}

/// Whether a payload is marked as UTF-8 text and is none.
pub(super) fn is_broken_text(format: Option<bool>, payload: &[u8]) -> bool {
    format == Some(true) && std::str::from_utf8(payload).is_err()
}

/// What the publisher learns once its message was routed. PUBCOMP has no words for it, and PUBREC
/// was sent before [MQTT5-3.7.2-1].
pub(super) fn routed_reason(kind: AckKind, outcome: Outcome) -> ReasonCode {
    match (kind, outcome) {
        (AckKind::PubAck | AckKind::Responders, Outcome::Unmatched) => {
            ReasonCode::NoMatchingSubscribers
        }
        (AckKind::PubAck | AckKind::Receipt | AckKind::Stored, Outcome::NotRetained) => {
            ReasonCode::QuotaExceeded
        }
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
