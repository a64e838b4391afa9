//! Messages of one connection and one topic that came together and can be handled as one: a run, as
//! MQTT clients send them, of protocols that send something else. Routed once, however many they are.

use ringbus_protocols::wire;

use super::connection::AckKind;
use super::message::AckTo;
use super::run::{PUBLISH, Packets, RUN_BYTES_MAX, Run};
use super::topics::Topic;
use super::{Rate, Shard};
use crate::base::limits::SHARED_PAYLOAD_BYTES_MIN;
use crate::base::{ConnId, Key};
use crate::pubsub::PublisherId;

/// Messages of the connection that is being read, as packets of MQTT 3.1.1.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    packets: Vec<u8>,
    count: u32,
    longest: usize,
}

/// Whether a payload can be part of a run.
#[inline]
pub(super) fn can_gather(payload: &[u8], publish_rate: Option<Rate>) -> bool {
    payload.len() < SHARED_PAYLOAD_BYTES_MIN && publish_rate.is_none()
}

impl Gathered {
    /// Appends a message without properties, of QoS 0.
    #[inline]
    pub(super) fn push(&mut self, topic: &str, payload: &[u8]) {
        let start = self.packets.len();
        let body_len = 2 + topic.len() + payload.len();
        self.packets.push(PUBLISH);
        let body_len = u32::try_from(body_len).expect("small payloads only");
        wire::put_varint(&mut self.packets, body_len);
        wire::put_str(&mut self.packets, topic);
        self.packets.extend_from_slice(payload);
        self.count += 1;
        self.longest = self.longest.max(self.packets.len() - start);
    }

    /// As a run of that publisher.
    pub(super) fn run(&self, publisher: PublisherId) -> Run<'_> {
        Run {
            packets: Packets {
                bytes: &self.packets,
                count: self.count,
                longest: u32::try_from(self.longest).expect("small payloads only"),
                is_v5: false,
            },
            publisher,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the packets.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether it is to be published before more is added.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.packets.len() >= RUN_BYTES_MAX
    }

    /// Forgets the messages and keeps the buffer.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.count = 0;
        self.longest = 0;
    }
}

impl Shard {
    /// Publishes what was gathered of a connection. Returns the one local filter that matched, if
    /// that was not known.
    pub(super) fn publish_run_of(
        &mut self,
        id: ConnId,
        gathered: &Gathered,
        topic: &Topic<'_>,
    ) -> Option<Key> {
        let conn = self.connections.get_mut(id)?;
        let session = self.sessions.get(conn.session?)?;
        let run = gathered.run(session.publisher);
        // What says that all before it was routed waits for this.
        let is_far = topic.owner != self.id;
        let ack = is_far.then(|| conn.await_owner(AckKind::Silent));
        self.publish_run(&run, topic, ack)
    }

    /// Publishes a run, whoever it is from; returns as [`Shard::publish_run_of`] does.
    pub(super) fn publish_run(
        &mut self,
        run: &Run<'_>,
        topic: &Topic<'_>,
        ack: Option<AckTo>,
    ) -> Option<Key> {
        let bytes = run.packets.bytes.len();
        self.counters.count_run(run.packets.count.into(), bytes);
        if topic.owner != self.id {
            self.outboxes.publish_run(topic.owner, run, topic.hash, ack);
            return None;
        }
        if let Some(only) = topic.only_filter {
            self.deliver_run(run, &[only]);
            return None;
        }
        self.route_run(run, topic.hash, None)
    }
}
