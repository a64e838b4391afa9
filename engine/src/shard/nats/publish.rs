//! PUB and HPUB.

use ringbus_protocols::mqtt::{QoS, ReasonCode};
use ringbus_protocols::nats::subject::put_topic;
use ringbus_protocols::nats::{Publish, Violation};

use super::headers::Marked;
use super::weight;
use crate::base::{ConnId, Nanos};
use crate::pubsub::Message;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Flow};
use crate::shard::fault::Fault;
use crate::shard::gathered::can_gather;
use crate::shard::receive::Handled;
use crate::shard::sys::is_brokers_own;

impl Shard {
    #[inline]
    pub(super) fn on_pub(&mut self, id: ConnId, publish: &Publish<'_>) -> Handled {
        let Some(nats) = self.nats_mut(id) else {
            return Ok(Flow::Gone);
        };
        if nats.last.subject != publish.subject {
            self.flush_gathered(id);
            if !self.turn_to(id, publish.subject) {
                self.answer(id, AckKind::Ok, ReasonCode::TopicNameInvalid);
                return Ok(Flow::Continue);
            }
        }
        let is_plain = publish.headers.is_empty() && publish.reply.is_none();
        if is_plain && can_gather(publish.payload, self.config.publish_rate) {
            return self.gather_pub(id, publish.payload);
        }
        self.flush_gathered(id);
        self.publish_alone(id, publish)
    }

    /// Makes the subject the one that is published to; false if it has no topic.
    fn turn_to(&mut self, id: ConnId, subject: &[u8]) -> bool {
        let Some(nats) = self.nats_mut(id) else {
            return false;
        };
        let mut last = std::mem::take(&mut nats.last);
        last.subject.clear();
        last.topic.clear();
        last.only_filter = None;
        let is_valid = put_topic(subject, &mut last.topic).is_ok();
        if is_valid {
            let topic = self.topic(&last.topic);
            (last.hash, last.owner) = (topic.hash, topic.owner);
            last.subject.extend_from_slice(subject);
        }
        if let Some(nats) = self.nats_mut(id) {
            nats.last = last;
        }
        is_valid
    }

    /// Keeps a message for a run.
    #[inline]
    fn gather_pub(&mut self, id: ConnId, payload: &[u8]) -> Handled {
        let Some(nats) = self
            .connections
            .get(id)
            .and_then(|conn| conn.nats.as_deref())
        else {
            return Ok(Flow::Gone);
        };
        let (owner, is_verbose) = (nats.last.owner, nats.options.verbose);
        if self.nats.gathered.is_empty() {
            // The rest of a run goes where its first message may go.
            if is_brokers_own(&nats.last.topic) {
                return Ok(self.refuse_brokers_topic(id));
            }
            if let Some(blocker) = self.publish_blocker(owner) {
                return Ok(Flow::Pause(blocker));
            }
        }
        let Some(nats) = self
            .connections
            .get(id)
            .and_then(|conn| conn.nats.as_deref())
        else {
            return Ok(Flow::Gone);
        };
        self.nats.gathered.push(&nats.last.topic, payload);
        if is_verbose {
            self.flush_gathered(id);
            self.confirm(id);
        } else if self.nats.gathered.is_full() {
            self.flush_gathered(id);
        }
        Ok(Flow::Continue)
    }

    /// Publishes what was gathered of that connection.
    #[inline]
    pub(super) fn flush_gathered(&mut self, id: ConnId) {
        if !self.nats.gathered.is_empty() {
            self.publish_gathered_ops(id);
        }
    }

    fn publish_gathered_ops(&mut self, id: ConnId) {
        let mut gathered = std::mem::take(&mut self.nats.gathered);
        let epoch = self.partition.epoch;
        if let Some(nats) = self.nats_mut(id) {
            // Out of the connection while others are written to.
            let mut last = std::mem::take(&mut nats.last);
            if let Some(only) = self.publish_run_of(id, &gathered, &last.topic(epoch)) {
                last.only_filter = Some((only, epoch));
            }
            if let Some(nats) = self.nats_mut(id) {
                nats.last = last;
            }
        }
        gathered.clear();
        self.nats.gathered = gathered;
    }

    /// A message with headers or a reply, or a large one.
    fn publish_alone(&mut self, id: ConnId, publish: &Publish<'_>) -> Handled {
        let Some(nats) = self.nats_mut(id) else {
            return Ok(Flow::Gone);
        };
        let mut last = std::mem::take(&mut nats.last);
        let epoch = self.partition.epoch;
        self.memos.forget_answer();
        let handled = self.publish_marked(id, publish, &last.topic(epoch));
        if let Some(answer) = self.memos.answer() {
            last.only_filter = Some(answer);
        }
        if let Some(nats) = self.nats_mut(id) {
            nats.last = last;
        }
        handled
    }

    fn publish_marked(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        topic: &crate::shard::topics::Topic<'_>,
    ) -> Handled {
        if is_brokers_own(topic.name) {
            return Ok(self.refuse_brokers_topic(id));
        }
        let Some(marked) = Marked::read(publish) else {
            return Err(Violation::ParserError.into());
        };
        let Some(conn) = self.connections.get(id) else {
            return Ok(Flow::Gone);
        };
        let session = conn.session.and_then(|session| self.sessions.get(session));
        let (Some(nats), Some(session)) = (conn.nats.as_deref(), session) else {
            return Ok(Flow::Gone);
        };
        let message = Message {
            topic: topic.name,
            payload: publish.payload,
            properties: marked.properties.as_properties().as_raw(),
            qos: marked.qos,
            retain: marked.retain,
            expires_at: Nanos::MAX,
            publisher: session.publisher,
        };
        if weight(&message) > self.config.max_packet_size as usize {
            return Err(Violation::MaximumPayload.into());
        }
        let answer = match publish.reply {
            Some(_) if marked.qos == QoS::AtLeastOnce => Some(AckKind::Stored),
            Some(_) if nats.options.no_responders => Some(AckKind::Responders),
            _ => None,
        };
        if let Some(blocker) = self.publish_blocker(topic.owner) {
            return Ok(Flow::Pause(blocker));
        }
        if let (Some(_), Some(reply)) = (answer, publish.reply)
            && let Some(nats) = self.nats_mut(id)
        {
            nats.replies.push_back(reply.into());
        }
        let flow = self.publish_from_web(id, &message, topic, answer)?;
        self.confirm(id);
        Ok(flow)
    }

    /// A message below `$SYS` is dropped, and its publisher told so.
    #[cold]
    fn refuse_brokers_topic(&mut self, id: ConnId) -> Flow {
        self.counters.received += 1;
        self.counters.dropped += 1;
        self.answer(id, AckKind::Ok, Fault::BROKERS_TOPIC.reason);
        Flow::Continue
    }
}
