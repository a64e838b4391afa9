//! The way of a run through the shards: found in what a client sent, routed by the topic's owner,
//! appended to what each subscriber is sent. A message that is not part of a run goes the general
//! way of `publish`, `route` and `deliver`; both lead to the same bytes.

use super::connection::{Dialect, Flow};
use super::deliver::Grant;
use super::filters::Subscriber;
use super::nats::{self, Lines};
use super::outbox::Source;
use super::run::{PUBLISH, Packets, Run};
use super::{Rate, Shard};
use crate::base::{ConnId, Key};

/// A run in the other version, for subscribers of that.
#[derive(Debug, Default)]
pub(super) struct Translation {
    bytes: Vec<u8>,
    longest: u32,
    /// As WebSocket messages.
    frames: Vec<u8>,
    /// As MSG lines.
    pub(super) lines: Lines,
}

impl Translation {
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.lines.reset();
    }

    fn frames_of(&mut self, packets: Packets<'_>) -> &[u8] {
        if self.frames.is_empty() {
            packets.put_frames(&mut self.frames);
        }
        &self.frames
    }

    fn of<'a>(&'a mut self, packets: Packets<'_>) -> Packets<'a> {
        if self.bytes.is_empty() {
            self.longest = packets.translate(&mut self.bytes);
        }
        Packets {
            bytes: &self.bytes,
            longest: self.longest,
            count: packets.count,
            is_v5: !packets.is_v5,
        }
    }
}

impl Shard {
    /// Takes the run at the start of `bytes`, if it is on the topic that the connection published
    /// to last. Returns its length and whether reading goes on.
    #[inline]
    pub(super) fn on_run(
        &mut self,
        id: ConnId,
        bytes: &[u8],
        bytes_max: u32,
    ) -> Option<(usize, Flow)> {
        if bytes.first() != Some(&PUBLISH) {
            return None;
        }
        let conn = self.connections.get_mut(id)?;
        let publisher = self.sessions.get(conn.session?)?.publisher;
        let is_v5 = conn.version.is_v5();
        let memo = self.memos.get(id)?;
        let packets = Packets::find(bytes, memo.head(is_v5), bytes_max, is_v5)?;
        conn.last_received = self.now;
        let known = memo.known(self.partition.epoch);
        if let Some(blocker) = self.publish_blocker(known.owner) {
            return Some((0, Flow::Pause(blocker)));
        }
        let packets = match self.config.publish_rate {
            Some(rate) => self.within_rate(id, packets, rate)?,
            None => packets,
        };
        let (count, bytes) = (packets.count.into(), packets.bytes.len());
        self.counters.count_run(count, bytes);
        let run = Run { packets, publisher };
        if known.owner != self.id {
            self.outboxes
                .publish_run(known.owner, &run, known.hash, None);
        } else if let Some(only) = known.only_filter {
            self.deliver_run(&run, &[only]);
        } else if let Some(only) = self.route_run(&run, known.hash, None) {
            self.memos.learn_filter(id, only, self.partition.epoch);
        }
        Some((packets.bytes.len(), Flow::Continue))
    }

    /// As much of a run as the client may publish now; `None` if that is nothing.
    fn within_rate<'a>(
        &mut self,
        id: ConnId,
        packets: Packets<'a>,
        rate: Rate,
    ) -> Option<Packets<'a>> {
        let conn = self.connections.get_mut(id)?;
        let room = rate.room(conn.publishes_filled_at, self.now);
        let packets = packets.first(room)?;
        let after = rate.take(conn.publishes_filled_at, packets.count, self.now)?;
        conn.publishes_filled_at = after;
        Some(packets)
    }

    /// Routes a run of a topic that this shard owns. Returns the one local filter that matched, if
    /// no other did.
    pub(super) fn route_run(
        &mut self,
        run: &Run<'_>,
        topic_hash: u64,
        mut source: Option<Source<'_>>,
    ) -> Option<Key> {
        let topic = run.packets.topic();
        self.partition.route(topic, topic_hash, &mut self.targets);
        let is_shared = !self.partition.matched_groups.is_empty();
        let only = self.targets.only_filter(self.id).filter(|_| !is_shared);
        while let Some((shard, filters)) = self.targets.next() {
            let mut filters = std::mem::take(filters);
            if shard == self.id {
                self.deliver_run(run, &filters);
            } else {
                let outboxes = &mut self.outboxes;
                let source = *source.get_or_insert_with(|| outboxes.copy_in_run(run));
                outboxes.deliver_run(shard, source, &filters);
            }
            filters.clear();
            self.targets.give_back(shard, filters);
        }
        if is_shared {
            self.route_run_to_groups(run);
        }
        only
    }

    /// Delivers a run to the local subscribers of the filters that matched.
    pub(super) fn deliver_run(&mut self, run: &Run<'_>, filters: &[Key]) {
        let [only] = *filters else {
            for mut carried in run.carried() {
                self.deliver(&mut carried, filters);
            }
            return;
        };
        // The filter went while the run was on its way: so did its subscribers.
        let Some(filter) = self.filters.get_mut(only) else {
            return;
        };
        let subscribers = std::mem::take(&mut filter.subscribers);
        let mut translation = self.translation.take().unwrap_or_default();
        translation.reset();
        for subscriber in &subscribers {
            if !self.is_own(subscriber, run.publisher) {
                self.deliver_run_to(run, subscriber, &mut translation);
            }
        }
        self.translation = Some(translation);
        if let Some(filter) = self.filters.get_mut(only) {
            filter.subscribers = subscribers;
        }
    }

    /// Delivers a run to one subscriber.
    #[inline]
    pub(super) fn deliver_run_to(
        &mut self,
        run: &Run<'_>,
        subscriber: &Subscriber,
        translation: &mut Translation,
    ) {
        if !self.append_run(run.packets, subscriber, translation) {
            self.deliver_one_by_one(run, subscriber);
        }
    }

    /// Appends a run to what the subscriber is sent. False if it gets other bytes, or if not all of
    /// them may fit.
    // Forced: it is called in two places, and in one of them once for each subscriber.
    #[inline(always)]
    fn append_run(
        &mut self,
        packets: Packets<'_>,
        subscriber: &Subscriber,
        translation: &mut Translation,
    ) -> bool {
        let session = self.sessions.get(subscriber.session);
        let Some(id) = session.and_then(|session| session.conn) else {
            return true;
        };
        let Some(conn) = self.connections.get_mut(id) else {
            return true;
        };
        match conn.dialect {
            Dialect::Mqtt => {}
            Dialect::Topic {
                is_open: true,
                takes_text: false,
            } => {
                let frames = translation.frames_of(packets);
                if conn.queued_bytes() + frames.len() > self.config.queue_bytes {
                    return false;
                }
                self.outgoing.append_frames(conn, frames);
                self.counters.delivered += u64::from(packets.count);
                return true;
            }
            Dialect::Nats => {
                let (outgoing, lines) = (&mut self.outgoing, &mut translation.lines);
                let bytes_max = self.config.queue_bytes;
                let identifier = subscriber.identifier;
                let fits = nats::append_run(outgoing, conn, lines, packets, identifier, bytes_max);
                self.counters.delivered += if fits { u64::from(packets.count) } else { 0 };
                return fits;
            }
            _ => return false,
        }
        let is_v5 = conn.version.is_v5();
        if is_v5 && (subscriber.identifier != 0 || conn.has_aliases()) {
            return false;
        }
        let packets = if is_v5 == packets.is_v5 {
            packets
        } else {
            translation.of(packets)
        };
        if packets.longest > conn.max_packet_size
            || conn.queued_bytes() + packets.bytes.len() > self.config.queue_bytes
        {
            return false;
        }
        self.outgoing.append_packets(conn, packets.bytes);
        self.counters.delivered += u64::from(packets.count);
        true
    }

    #[cold]
    fn deliver_one_by_one(&mut self, run: &Run<'_>, subscriber: &Subscriber) {
        for mut carried in run.carried() {
            self.templates.reset();
            let grant = Grant::of(subscriber, &carried.message);
            self.deliver_to(&mut carried, subscriber.session, grant);
        }
    }
}
