//! SEND, SUBSCRIBE, UNSUBSCRIBE, ACK and NACK.

use ringbus_protocols::mqtt::{
    PacketIdentifier, PropertiesBuf, Property, QoS, RetainHandling, SubscribeFilter,
};
use ringbus_protocols::stomp::{Frame, Version};
use ringbus_protocols::topic::{SharedFilter, TopicFilter, TopicName};

use super::frames::NO_TRANSACTIONS;
use super::message::is_ours;
use super::subscriptions::AckMode;
use super::{Stomp, Unacked};
use crate::base::{ConnId, Nanos};
use crate::pubsub::Message;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Flow};
use crate::shard::fault::Fault;
use crate::shard::receive::Handled;

impl Shard {
    pub(super) fn on_send(&mut self, id: ConnId, frame: &Frame<'_>) -> Handled {
        let destination = frame.header("destination").ok_or(NO_DESTINATION)?;
        TopicName::parse(&destination).map_err(|error| Fault::protocol(error.in_words()))?;
        if frame.header("transaction").is_some() {
            return Err(NO_TRANSACTIONS);
        }
        let wants_receipt = frame.header("receipt").is_some();
        let session = self.connections.get(id).and_then(|conn| conn.session);
        let session = session.and_then(|session| self.sessions.get(session));
        let Some(publisher) = session.map(|session| session.publisher) else {
            return Ok(Flow::Gone);
        };
        let properties = properties_of(frame);
        let message = Message {
            topic: &destination,
            payload: frame.body,
            properties: properties.as_properties().as_raw(),
            qos: qos_of(frame, wants_receipt)?,
            retain: is_retained(frame)?,
            expires_at: Nanos::MAX,
            publisher,
        };
        let topic = self.topic(&destination);
        if !wants_receipt {
            return self.publish_from_web(id, &message, &topic, None);
        }
        if self.publish_blocker(topic.owner).is_none() {
            self.keep_receipt(id, frame);
        }
        self.publish_from_web(id, &message, &topic, Some(AckKind::Receipt))
    }

    pub(super) fn on_stomp_subscribe(&mut self, id: ConnId, frame: &Frame<'_>) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        let destination = frame.header("destination").ok_or(NO_DESTINATION)?;
        TopicFilter::parse(&destination).map_err(|error| Fault::protocol(error.in_words()))?;
        SharedFilter::parse(&destination).map_err(|error| Fault::protocol(error.in_words()))?;
        let ack = ack_mode(frame)?;
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let (Some(session), Some(stomp)) = (conn.session, conn.stomp_mut()) else {
            return Ok(Flow::Gone);
        };
        let key = subscription_id(frame, stomp.version())?;
        let wanted = stomp
            .subscriptions
            .add(&destination, &key, ack)
            .map_err(Fault::protocol)?;
        let filter = SubscribeFilter {
            filter: &destination,
            qos: match wanted.acknowledges {
                true => QoS::AtLeastOnce,
                false => QoS::AtMostOnce,
            },
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        match self
            .subscribe_one(session, &filter, wanted.identifier)
            .pending
        {
            None => self.give_receipt(id, frame),
            Some(pending) => self.give_receipt_later(id, frame, pending),
        }
        Ok(Flow::Continue)
    }

    pub(super) fn on_stomp_unsubscribe(&mut self, id: ConnId, frame: &Frame<'_>) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let (Some(session), Some(stomp)) = (conn.session, conn.stomp_mut()) else {
            return Ok(Flow::Gone);
        };
        let key = subscription_id(frame, stomp.version())?;
        let (filter, is_last) = stomp
            .subscriptions
            .remove(&key)
            .ok_or(Fault::protocol("no subscription has this id"))?;
        if is_last {
            self.unsubscribe_one(session, &filter);
        }
        self.give_receipt(id, frame);
        Ok(Flow::Continue)
    }

    /// What a client does not take it has had: nobody else is given it. It counts as dropped.
    pub(super) fn on_stomp_ack(&mut self, id: ConnId, frame: &Frame<'_>, taken: bool) -> Handled {
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let (Some(session), Some(stomp)) = (conn.session, conn.stomp_mut()) else {
            return Ok(Flow::Gone);
        };
        let name = match stomp.version() {
            Version::V1_2 => "id",
            _ => "message-id",
        };
        let number = frame.header(name).and_then(|text| text.parse().ok());
        let number = number.ok_or(Fault::protocol("no message has this id"))?;
        let done = stomp.settle(number);
        if !taken {
            self.counters.dropped += done.len() as u64;
        }
        if let Some(held) = self.sessions.get_mut(session) {
            for identifier in done {
                let settled = held.outbound.on_puback(identifier);
                debug_assert_eq!(settled, Ok(()), "it was sent and not acknowledged");
            }
        }
        self.pump_backlog(session);
        self.note_load(session);
        self.give_receipt(id, frame);
        Ok(Flow::Continue)
    }
}

impl Stomp {
    /// Takes out what an acknowledgement is for: one message, or all up to it of its subscription.
    /// Returns the messages that nobody has yet to acknowledge.
    fn settle(&mut self, number: u64) -> Vec<PacketIdentifier> {
        let mut all = self.unacked.iter();
        // One that is unknown was acknowledged before: that does no harm.
        let Some(&Unacked { subscription, .. }) = all.find(|one| one.number == number) else {
            return Vec::new();
        };
        let is_cumulative = self.subscriptions.mode_of(subscription) == Some(AckMode::Client);
        let mut settled = Vec::new();
        self.unacked.retain(|one| {
            let is_meant = one.number == number
                || (is_cumulative && one.subscription == subscription && one.number < number);
            if is_meant {
                settled.push(one.identifier);
            }
            !is_meant
        });
        settled.retain(|&identifier| {
            let mut left = self.unacked.iter();
            !left.any(|one| one.identifier == identifier)
        });
        settled
    }
}

const NO_DESTINATION: Fault = Fault::protocol("the frame has no destination");

fn qos_of(frame: &Frame<'_>, wants_receipt: bool) -> Result<QoS, Fault> {
    match frame.header("qos").as_deref() {
        None if wants_receipt => Ok(QoS::AtLeastOnce),
        None | Some("0") => Ok(QoS::AtMostOnce),
        Some("1") => Ok(QoS::AtLeastOnce),
        Some(_) => Err(Fault::protocol("qos is 0 or 1")),
    }
}

fn is_retained(frame: &Frame<'_>) -> Result<bool, Fault> {
    match frame.header("retain").as_deref() {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(Fault::protocol("retain is true or false")),
    }
}

fn ack_mode(frame: &Frame<'_>) -> Result<AckMode, Fault> {
    match frame.header("ack").as_deref() {
        None | Some("auto") => Ok(AckMode::Auto),
        Some("client") => Ok(AckMode::Client),
        Some("client-individual") => Ok(AckMode::Individual),
        Some(_) => Err(Fault::protocol("ack is auto, client or client-individual")),
    }
}

/// STOMP 1.0 lets the destination stand for the id.
fn subscription_id<'a>(
    frame: &Frame<'a>,
    version: Version,
) -> Result<std::borrow::Cow<'a, str>, Fault> {
    let id = frame.header("id");
    let id = match version {
        Version::V1_0 => id.or_else(|| frame.header("destination")),
        _ => id,
    };
    id.ok_or(Fault::protocol("the frame has no id"))
}

/// The properties of MQTT that stand for the headers of a SEND.
fn properties_of(frame: &Frame<'_>) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    let content_type = frame.header("content-type");
    let may_be_text = match content_type.as_deref() {
        None => !frame.body.is_empty(),
        Some(name) => name.starts_with("text/") || name.starts_with("application/json"),
    };
    if may_be_text && std::str::from_utf8(frame.body).is_ok() {
        properties.push(Property::PayloadFormatIndicator(true));
    }
    if let Some(name) = &content_type {
        properties.push(Property::ContentType(name));
    }
    if let Some(topic) = frame.header("reply-to")
        && TopicName::parse(&topic).is_ok()
    {
        properties.push(Property::ResponseTopic(&topic));
    }
    for (name, value) in frame.headers() {
        if !is_ours(&name) && !name.contains('\0') && !value.contains('\0') {
            properties.push(Property::UserProperty((&name, &value)));
        }
    }
    properties
}
