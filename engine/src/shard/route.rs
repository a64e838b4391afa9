//! The owner's part: retain, match, and tell each interested shard once.

use super::Shard;
use super::message::Outcome;
use super::outbox::Source;
use super::template::is_shared;
use super::topics::Topic;
use crate::base::Key;
use crate::pubsub::{Message, Stored};

/// A message on its way through this shard, with what was already made of it.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    pub(super) message: Message<'a>,
    topic_hash: u64,
    only_filter: Option<Key>,
    stored: Option<Stored>,
    /// Where its record lies, if it is in a chunk.
    pub(super) source: Option<Source<'a>>,
    /// The packet it came in, if QoS 0 subscribers get the same bytes.
    pub(super) packet: Option<SamePacket<'a>>,
}

/// A PUBLISH that subscribers of the publisher's version get as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct SamePacket<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_v5: bool,
}

impl<'a> Carried<'a> {
    pub(super) fn new(message: Message<'a>, topic_hash: u64, stored: Option<Stored>) -> Self {
        Self {
            message,
            topic_hash,
            only_filter: None,
            stored,
            source: None,
            packet: None,
        }
    }

    /// A message of a topic that may be remembered.
    #[inline]
    pub(super) fn on_topic(
        message: Message<'a>,
        topic: &Topic<'_>,
        packet: Option<SamePacket<'a>>,
    ) -> Self {
        Self {
            only_filter: topic.only_filter,
            packet,
            ..Self::new(message, topic.hash, None)
        }
    }

    /// Notes a record of the message that is there already.
    pub(super) fn keep(&mut self, stored: Option<&Stored>) {
        self.stored = stored.cloned();
    }

    pub(super) fn from_chunk(message: Message<'a>, topic_hash: u64, source: Source<'a>) -> Self {
        let mut carried = Self {
            source: Some(source),
            ..Self::new(message, topic_hash, None)
        };
        // A record alone in its chunk needs no copy to be kept.
        if let Source::Chunk {
            chunk,
            offset: 0,
            length,
        } = source
            && chunk.len() == length as usize
            && is_shared(&message)
        {
            carried.stored = Some(Stored::from_record(chunk.clone()));
        }
        carried
    }

    /// The message as a record of its own; copied at most once.
    pub(super) fn stored(&mut self) -> &Stored {
        let message = &self.message;
        self.stored.get_or_insert_with(|| Stored::new(message))
    }
}

impl Shard {
    /// Routes a message of a topic that this shard owns.
    pub(super) fn route(&mut self, carried: &mut Carried<'_>) -> Outcome {
        let is_kept = !carried.message.retain || self.retain(carried);
        let matched = self.match_and_deliver(carried);
        match (is_kept, matched) {
            (false, _) => Outcome::NotRetained,
            (true, true) => Outcome::Matched,
            (true, false) => Outcome::Unmatched,
        }
    }

    /// Returns whether anybody subscribed.
    #[inline]
    fn match_and_deliver(&mut self, carried: &mut Carried<'_>) -> bool {
        if let Some(only) = carried.only_filter {
            self.deliver(carried, &[only]);
            return true;
        }
        let message = carried.message;
        self.partition
            .route(message.topic, carried.topic_hash, &mut self.targets);
        let matched = !self.targets.is_empty();
        if self.partition.matched_groups.is_empty()
            && let Some(only) = self.targets.only_filter(self.id)
        {
            self.memos.learn_answer(only, self.partition.epoch);
        }
        while let Some((shard, filters)) = self.targets.next() {
            let mut filters = std::mem::take(filters);
            if shard == self.id {
                self.deliver(carried, &filters);
            } else {
                self.mail_deliver(shard, carried, &filters);
            }
            filters.clear();
            self.targets.give_back(shard, filters);
        }
        self.route_to_groups(carried) || matched
    }

    fn mail_deliver(
        &mut self,
        shard: crate::base::ShardId,
        carried: &mut Carried<'_>,
        filters: &[Key],
    ) {
        if is_shared(&carried.message) {
            self.outboxes
                .deliver_stored(shard, carried.stored(), filters);
            return;
        }
        let source = self.source_of(carried);
        self.outboxes.deliver(shard, source, filters);
    }

    /// Where the record of a message lies in a chunk; copied there at most once.
    #[inline]
    pub(super) fn source_of<'a>(&mut self, carried: &mut Carried<'a>) -> Source<'a> {
        let outboxes = &mut self.outboxes;
        let message = &carried.message;
        *carried
            .source
            .get_or_insert_with(|| outboxes.copy_in(message))
    }

    /// An empty payload clears what is retained [MQTT311-3.3.1-10] [MQTT5-3.3.1-6]. Returns false
    /// if there was no room.
    fn retain(&mut self, carried: &mut Carried<'_>) -> bool {
        let topic = carried.message.topic;
        if carried.message.payload.is_empty() {
            self.partition.retained.clear(topic);
            return true;
        }
        let stored = carried.stored().clone();
        let is_kept = self.partition.retained.set(topic, stored);
        self.counters.not_retained += u64::from(!is_kept);
        is_kept
    }
}
