//! PUB and HPUB.

use ringbus_protocols::mqtt::{QoS, ReasonCode};
use ringbus_protocols::nats::subject::put_topic;
use ringbus_protocols::nats::{Publish, Violation};

use super::headers::Marked;
use super::piece::Piece;
use super::{LastSubject, weight};
use crate::base::{ConnId, Nanos};
use crate::pubsub::Message;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Flow};
use crate::shard::fault::Fault;
use crate::shard::gathered::can_gather;
use crate::shard::receive::Handled;
use crate::shard::sys::is_brokers_own;
use crate::shard::topics::{Remembered, Topic};

impl Shard {
    /// A PUB or HPUB at `at`. Returns how many bytes were taken: others that are like it go along.
    #[inline]
    pub(super) fn on_pub(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        (bytes, at, length): (&[u8], usize, usize),
    ) -> (Handled, usize) {
        let Some(nats) = self.nats_mut(id) else {
            return (Ok(Flow::Gone), 0);
        };
        let is_verbose = nats.options.verbose;
        let last = nats.last.as_deref();
        if last.is_none_or(|last| last.subject != publish.subject) {
            self.flush_pieces(id, bytes);
            if !self.turn_to(id, publish.subject) {
                self.answer_op(id, AckKind::Ok, ReasonCode::TopicNameInvalid);
                return (Ok(Flow::Continue), length);
            }
        }
        let last = self.last_subject(id);
        let may_gather = last.is_some_and(|last| last.may_gather);
        let is_plain = publish.headers.is_empty() && publish.reply.is_none() && !is_verbose;
        if is_plain && may_gather && can_gather(publish.payload, self.config.publish_rate) {
            let piece = Piece::find(bytes, at, length, publish.payload.len());
            self.note_alike(id, piece, bytes);
            return (self.gather_ops(id, bytes, piece), piece.len());
        }
        self.flush_pieces(id, bytes);
        (self.publish_op(id, publish), length)
    }

    /// Makes the subject the one that is published to; false if it has no topic.
    fn turn_to(&mut self, id: ConnId, subject: &[u8]) -> bool {
        let Some(nats) = self.nats_mut(id) else {
            return false;
        };
        let mut last = nats.last.take().unwrap_or_default();
        last.subject.clear();
        last.line.clear();
        last.topic.clear();
        let is_valid = put_topic(subject, &mut last.topic).is_ok();
        if is_valid {
            last.known = Remembered::of(&self.topic(&last.topic));
            last.may_gather = !is_brokers_own(&last.topic);
            last.subject.extend_from_slice(subject);
        }
        if let Some(nats) = self.nats_mut(id) {
            nats.last = Some(last);
        }
        is_valid
    }

    /// The op at `at` and those like it, if it is like the last one that was gathered.
    #[inline]
    pub(super) fn find_alike(&mut self, id: ConnId, bytes: &[u8], at: usize) -> Option<Piece> {
        let last = self.last_subject(id)?;
        let length = last.line.len() + last.payload_len + 2;
        let op = bytes.get(at..at + length)?;
        let is_alike = !last.line.is_empty() && op.starts_with(&last.line) && op.ends_with(b"\r\n");
        is_alike.then(|| Piece::find(bytes, at, length, last.payload_len))
    }

    /// Notes what the next op is mostly like.
    fn note_alike(&mut self, id: ConnId, piece: Piece, bytes: &[u8]) {
        if let Some(last) = self.last_subject(id) {
            last.line.clear();
            last.line.extend_from_slice(piece.line(bytes));
            last.payload_len = piece.payload_len;
        }
    }

    #[inline]
    fn last_subject(&mut self, id: ConnId) -> Option<&mut LastSubject> {
        self.nats_mut(id)?.last.as_deref_mut()
    }

    /// Keeps ops for a run.
    #[inline]
    pub(super) fn gather_ops(&mut self, id: ConnId, bytes: &[u8], piece: Piece) -> Handled {
        if self.nats.pieces.is_empty() {
            // The rest of a run goes where its first message may go.
            let owner = self.last_subject(id).map(|last| last.known.owner);
            if let Some(blocker) = owner.and_then(|owner| self.publish_blocker(owner)) {
                return Ok(Flow::Pause(blocker));
            }
        }
        self.nats.pieces.push(piece);
        if self.nats.pieces.is_full() {
            self.flush_pieces(id, bytes);
        }
        Ok(Flow::Continue)
    }

    /// A message with headers or a reply, a large one, or one that is to be confirmed.
    fn publish_op(&mut self, id: ConnId, publish: &Publish<'_>) -> Handled {
        let Some(mut last) = self.nats_mut(id).and_then(|nats| nats.last.take()) else {
            return Ok(Flow::Gone);
        };
        let epoch = self.partition.epoch;
        self.memos.forget_answer();
        let topic = last.known.topic(&last.topic, epoch);
        let handled = self.publish_marked(id, publish, &topic);
        if let Some((only, epoch)) = self.memos.answer() {
            last.known.learn(only, epoch);
        }
        if let Some(nats) = self.nats_mut(id) {
            nats.last = Some(last);
        }
        handled
    }

    fn publish_marked(&mut self, id: ConnId, publish: &Publish<'_>, topic: &Topic<'_>) -> Handled {
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
        self.answer_op(id, AckKind::Ok, Fault::BROKERS_TOPIC.reason);
        Flow::Continue
    }
}
