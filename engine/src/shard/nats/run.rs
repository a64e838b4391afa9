//! The way of runs to and from NATS clients.

use super::pieces::{Lines, Ops, Pieces, Source, append_lines, append_made};
use crate::base::{ConnId, Key};
use crate::pubsub::PublisherId;
use crate::shard::Shard;
use crate::shard::connection::{Connection, Dialect, Outgoing};
use crate::shard::fast_path::Translation;
use crate::shard::filters::Subscriber;
use crate::shard::run::Packets;

use super::LastSubject;

/// Appends a run of packets to a NATS client. False if it has to go one by one.
#[inline(never)]
pub(in crate::shard) fn append_run(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    lines: &mut Lines,
    packets: Packets<'_>,
    identifier: u32,
    queue_bytes: usize,
) -> bool {
    let source = Source::Packets(packets);
    append_lines(outgoing, conn, lines, source, identifier, queue_bytes)
}

impl Shard {
    /// Publishes the ops that were gathered out of `bytes`.
    #[inline]
    pub(super) fn flush_pieces(&mut self, id: ConnId, bytes: &[u8]) {
        if !self.nats.pieces.is_empty() {
            self.publish_pieces(id, bytes);
        }
    }

    fn publish_pieces(&mut self, id: ConnId, bytes: &[u8]) {
        let mut pieces = std::mem::take(&mut self.nats.pieces);
        // Out of the connection while others are written to.
        if let Some(mut last) = self.nats_mut(id).and_then(|nats| nats.last.take()) {
            self.route_pieces(id, &pieces, bytes, &mut last);
            if let Some(nats) = self.nats_mut(id) {
                nats.last = Some(last);
            }
        }
        pieces.clear();
        self.nats.pieces = pieces;
    }

    fn route_pieces(&mut self, id: ConnId, pieces: &Pieces, bytes: &[u8], last: &mut LastSubject) {
        let epoch = self.partition.epoch;
        let topic = last.known.topic(&last.topic, epoch);
        if topic.owner == self.id
            && let Some(only) = topic.only_filter
        {
            self.counters.count_run(pieces.count as u64, pieces.len());
            let ops = Ops {
                pieces,
                bytes,
                subject: &last.subject,
            };
            if !self.deliver_to_only(&ops, only) {
                self.deliver_pieces(id, &ops, &last.topic, only);
            }
            return;
        }
        let mut gathered = std::mem::take(&mut self.nats.gathered);
        pieces.gather(bytes, &last.topic, &mut gathered);
        if let Some(only) = self.publish_run_of(id, &gathered, &topic) {
            last.known.learn(only, epoch);
        }
        gathered.clear();
        self.nats.gathered = gathered;
    }

    /// To the one subscriber of the one filter that matches: the lines are made where it gets them.
    /// False if that is not all there is to do.
    fn deliver_to_only(&mut self, ops: &Ops<'_>, only: Key) -> bool {
        let Some(filter) = self.filters.get(only) else {
            return true;
        };
        let [subscriber] = filter.subscribers[..] else {
            return false;
        };
        if subscriber.options.no_local {
            return false;
        }
        let session = self.sessions.get(subscriber.session);
        let conn = session.and_then(|session| session.conn);
        let Some(conn) = conn.and_then(|id| self.connections.get_mut(id)) else {
            return false;
        };
        let (identifier, queue_bytes) = (subscriber.identifier, self.config.queue_bytes);
        let fits = append_made(&mut self.outgoing, conn, ops, identifier, queue_bytes);
        self.counters.delivered += if fits { ops.pieces.count as u64 } else { 0 };
        fits
    }

    /// To all its subscribers: the lines of NATS clients are made of the ops, and packets only if there
    /// is somebody else.
    fn deliver_pieces(&mut self, id: ConnId, ops: &Ops<'_>, topic: &str, only: Key) {
        let session = self.connections.get(id).and_then(|conn| conn.session);
        let Some(session) = session.and_then(|session| self.sessions.get(session)) else {
            return;
        };
        let publisher = session.publisher;
        let Some(filter) = self.filters.get_mut(only) else {
            return;
        };
        let subscribers = std::mem::take(&mut filter.subscribers);
        let mut translation = self.translation.take().unwrap_or_default();
        translation.reset();
        let mut others = std::mem::take(&mut self.nats.others);
        for subscriber in &subscribers {
            if self.is_own(subscriber, publisher) {
                continue;
            }
            if !self.append_ops(ops, subscriber, &mut translation) {
                others.push(*subscriber);
            }
        }
        if !others.is_empty() {
            self.deliver_as_packets(ops, publisher, topic, &others, &mut translation);
            others.clear();
        }
        self.nats.others = others;
        self.translation = Some(translation);
        if let Some(filter) = self.filters.get_mut(only) {
            filter.subscribers = subscribers;
        }
    }

    #[inline]
    fn append_ops(
        &mut self,
        ops: &Ops<'_>,
        subscriber: &Subscriber,
        translation: &mut Translation,
    ) -> bool {
        let session = self.sessions.get(subscriber.session);
        let Some(conn) = session
            .and_then(|session| session.conn)
            .and_then(|id| self.connections.get_mut(id))
        else {
            return true;
        };
        if conn.dialect != Dialect::Nats {
            return false;
        }
        let (identifier, bytes_max) = (subscriber.identifier, self.config.queue_bytes);
        let lines = &mut translation.lines;
        let source = Source::Ops(ops);
        let fits = append_lines(
            &mut self.outgoing,
            conn,
            lines,
            source,
            identifier,
            bytes_max,
        );
        self.counters.delivered += if fits { source.count() } else { 0 };
        fits
    }

    #[cold]
    fn deliver_as_packets(
        &mut self,
        ops: &Ops<'_>,
        publisher: PublisherId,
        topic: &str,
        others: &[Subscriber],
        translation: &mut Translation,
    ) {
        let mut gathered = std::mem::take(&mut self.nats.gathered);
        ops.pieces.gather(ops.bytes, topic, &mut gathered);
        let run = gathered.run(publisher);
        for subscriber in others {
            self.deliver_run_to(&run, subscriber, translation);
        }
        gathered.clear();
        self.nats.gathered = gathered;
    }
}
