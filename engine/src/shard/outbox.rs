//! Mail on its way out: one batch per peer and class, handed over at the end of the turn.

use bytes::{Bytes, BytesMut};

use super::message::{
    AckTo, Assignment, Batch, Deliver, DeliverShared, Mail, NO_ACK, Publish, Slice,
};
use super::run::Run;
use crate::base::limits::{
    OUTBOX_BYTES_MAX, OUTBOX_DELIVER_ITEMS_MAX, OUTBOX_PUBLISH_ITEMS_MAX, SHARED_PAYLOAD_BYTES_MIN,
};
use crate::base::{Key, Nanos, ShardId};
use crate::mailbox::{Class, Mailbox};
use crate::pubsub::{Message, Stored};

/// A stuck batch is offered again after this, then after twice as long, and so on.
const RETRY_FIRST: Nanos = Nanos::from_micros(50);
const RETRY_LAST: Nanos = Nanos::from_millis(1);

/// Chunks kept for reuse once nobody refers to them.
const SPARE_CHUNKS_MAX: usize = 32;

/// Where the record of an outgoing message lies already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// In this turn's own chunk.
    Own { offset: u32, length: u32 },
    /// In a chunk that came with mail.
    Chunk {
        chunk: &'a Bytes,
        offset: u32,
        length: u32,
    },
}

/// A record that mail is to refer to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    /// In a chunk.
    In(Source<'a>),
    /// In an allocation of its own.
    Alone(&'a Stored),
}

/// The outgoing mail of one shard.
#[derive(Debug)]
pub(super) struct Outboxes {
    peers: Vec<PeerBox>,
    chunk: BytesMut,
    spare: Vec<Bytes>,
    retry_after: Nanos,
    stuck: bool,
    pub(super) batches_sent: u64,
    pub(super) items_sent: u64,
}

#[derive(Debug, Default)]
struct PeerBox {
    ack: Batch,
    deliver: Batch,
    publish: Batch,
}

impl Outboxes {
    pub(super) fn new(shards: u16) -> Self {
        Self {
            peers: (0..shards).map(|_| PeerBox::default()).collect(),
            chunk: BytesMut::new(),
            spare: Vec::new(),
            retry_after: RETRY_FIRST,
            stuck: false,
            batches_sent: 0,
            items_sent: 0,
        }
    }

    /// Whether a publish to that owner must wait, and its publisher's socket with it.
    pub(super) fn publish_full(&self, to: ShardId) -> bool {
        let batch = &self.peers[to.index()].publish;
        batch.items.len() >= OUTBOX_PUBLISH_ITEMS_MAX || batch.bytes >= OUTBOX_BYTES_MAX
    }

    /// Whether any peer has so much to deliver that nothing more may be routed here.
    pub(super) fn deliver_full(&self) -> bool {
        self.peers.iter().any(|peer| {
            peer.deliver.items.len() >= OUTBOX_DELIVER_ITEMS_MAX
                || peer.deliver.bytes >= OUTBOX_BYTES_MAX
        })
    }

    /// Mails a message to its owner.
    pub(super) fn publish(
        &mut self,
        to: ShardId,
        message: &Message<'_>,
        stored: Option<&Stored>,
        topic_hash: u64,
        ack: Option<AckTo>,
    ) {
        let body = self.place(to, Class::Publish, message, stored);
        let batch = &mut self.peers[to.index()].publish;
        let ack = push_ack(batch, ack);
        batch.items.push(Mail::Publish(Publish {
            topic_hash,
            body,
            ack,
        }));
    }

    /// Mails a run to its owner.
    pub(super) fn publish_run(
        &mut self,
        to: ShardId,
        run: &Run<'_>,
        topic_hash: u64,
        ack: Option<AckTo>,
    ) {
        let source = self.copy_in_run(run);
        let batch = &mut self.peers[to.index()].publish;
        let body = refer(batch, source);
        let ack = push_ack(batch, ack);
        batch.items.push(Mail::PublishRun(Publish {
            topic_hash,
            body,
            ack,
        }));
    }

    /// Mails a run to a shard with subscribers, by reference.
    pub(super) fn deliver_run(&mut self, to: ShardId, source: Source<'_>, filters: &[Key]) {
        let batch = &mut self.peers[to.index()].deliver;
        let body = refer(batch, source);
        let deliver = deliver_item(batch, body, filters);
        batch.items.push(Mail::DeliverRun(deliver));
    }

    /// Mails a message to a shard with subscribers, by reference where it lies in a chunk.
    pub(super) fn deliver(&mut self, to: ShardId, source: Source<'_>, filters: &[Key]) {
        let batch = &mut self.peers[to.index()].deliver;
        let body = refer(batch, source);
        let deliver = deliver_item(batch, body, filters);
        batch.items.push(Mail::Deliver(deliver));
    }

    /// Mails a message to a shard with subscribers, as the record it is kept in.
    pub(super) fn deliver_stored(&mut self, to: ShardId, stored: &Stored, filters: &[Key]) {
        let batch = &mut self.peers[to.index()].deliver;
        let body = refer_alone(batch, stored.record());
        let deliver = deliver_item(batch, body, filters);
        batch.items.push(Mail::Deliver(deliver));
    }

    /// Mails a message of a shared subscription, to a home or back to the owner.
    pub(super) fn shared(
        &mut self,
        to: ShardId,
        class: Class,
        record: Record<'_>,
        assignment: Assignment,
    ) {
        let batch = self.batch(to, class);
        let body = match record {
            Record::In(source) => refer(batch, source),
            Record::Alone(stored) => refer_alone(batch, stored.record()),
        };
        let at = u32::try_from(batch.assignments.len()).expect("bounded by the outbox");
        batch.assignments.push(assignment);
        let item = DeliverShared {
            body,
            assignment: at,
        };
        batch.items.push(match class {
            Class::Deliver => Mail::DeliverShared(item),
            _ => Mail::SharedReturn(item),
        });
    }

    /// Mails a retained message to one subscription.
    pub(super) fn retained(&mut self, to: ShardId, stored: &Stored, session: Key, local: Key) {
        let body = self.place(to, Class::Deliver, &stored.message(), Some(stored));
        let batch = &mut self.peers[to.index()].deliver;
        batch.items.push(Mail::Retained {
            body,
            session,
            local,
        });
    }

    /// Mails a datagram to its client's home.
    pub(super) fn datagram(&mut self, to: ShardId, tag: u32, message: &[u8]) {
        let source = self.write(|chunk| chunk.extend_from_slice(message));
        let batch = &mut self.peers[to.index()].publish;
        let body = refer(batch, source);
        batch.items.push(Mail::Datagram { tag, body });
    }

    /// Mails anything that refers to no record.
    pub(super) fn control(&mut self, to: ShardId, class: Class, mail: Mail) {
        self.batch(to, class).items.push(mail);
    }

    /// Copies a message into this turn's chunk.
    pub(super) fn copy_in(&mut self, message: &Message<'_>) -> Source<'static> {
        self.write(|chunk| message.write_record(chunk))
    }

    /// Copies a run into this turn's chunk.
    pub(super) fn copy_in_run(&mut self, run: &Run<'_>) -> Source<'static> {
        self.write(|chunk| run.write_record(chunk))
    }

    fn write(&mut self, record: impl FnOnce(&mut BytesMut)) -> Source<'static> {
        if self.chunk.is_empty() {
            self.reuse_chunk();
        }
        let offset = u32::try_from(self.chunk.len()).expect("a chunk is bounded by the outboxes");
        record(&mut self.chunk);
        let length = self.chunk.len() - offset as usize;
        Source::Own {
            offset,
            length: u32::try_from(length).expect("a record fits a packet"),
        }
    }

    fn place(
        &mut self,
        to: ShardId,
        class: Class,
        message: &Message<'_>,
        stored: Option<&Stored>,
    ) -> Slice {
        // A large payload stands alone, so that whoever keeps it keeps nothing else alive.
        if message.payload.len() >= SHARED_PAYLOAD_BYTES_MIN {
            let alone = stored.cloned().unwrap_or_else(|| Stored::new(message));
            return refer_alone(self.batch(to, class), alone.record());
        }
        let source = self.copy_in(message);
        refer(self.batch(to, class), source)
    }

    fn batch(&mut self, to: ShardId, class: Class) -> &mut Batch {
        let peer = &mut self.peers[to.index()];
        match class {
            Class::Ack => &mut peer.ack,
            Class::Deliver => &mut peer.deliver,
            Class::Publish => &mut peer.publish,
        }
    }

    fn reuse_chunk(&mut self) {
        let unused = self.spare.iter().position(Bytes::is_unique);
        if let Some(at) = unused
            && let Ok(mut chunk) = self.spare.swap_remove(at).try_into_mut()
        {
            chunk.clear();
            self.chunk = chunk;
        }
    }

    /// Hands every batch to its peer's mailbox; what does not fit stays for the next turn.
    pub(super) fn flush(&mut self, mailbox: &mut Mailbox<Batch>) {
        let frozen = self.freeze_chunk();
        self.stuck = false;
        for index in 0..self.peers.len() {
            let to = ShardId(u16::try_from(index).expect("a shard's number fits"));
            for class in [Class::Ack, Class::Deliver, Class::Publish] {
                self.hand_over(mailbox, to, class, frozen.as_ref());
            }
        }
        let grown = Nanos(self.retry_after.0.saturating_mul(2)).min(RETRY_LAST);
        self.retry_after = if self.stuck { grown } else { RETRY_FIRST };
    }

    fn hand_over(
        &mut self,
        mailbox: &mut Mailbox<Batch>,
        to: ShardId,
        class: Class,
        frozen: Option<&Bytes>,
    ) {
        let slot = self.batch(to, class);
        if slot.is_empty() {
            return;
        }
        if let Some(at) = slot.own_chunk.take() {
            slot.chunks[at as usize] = frozen.expect("its items were copied in").clone();
        }
        let batch = std::mem::take(slot);
        let items = batch.items.len() as u64;
        match mailbox.push(to, class, batch) {
            Ok(()) => {
                *self.batch(to, class) = mailbox.recycled(to, class).unwrap_or_default();
                self.batches_sent += 1;
                self.items_sent += items;
            }
            Err(batch) => {
                *self.batch(to, class) = batch;
                self.stuck = true;
            }
        }
    }

    fn freeze_chunk(&mut self) -> Option<Bytes> {
        if self.chunk.is_empty() {
            return None;
        }
        let frozen = std::mem::take(&mut self.chunk).freeze();
        if self.spare.len() < SPARE_CHUNKS_MAX {
            self.spare.push(frozen.clone());
        }
        Some(frozen)
    }

    /// When to hand over what waits here, counted from the end of the turn: at once what came
    /// after it, later what a full queue refused.
    pub(super) fn retry_after(&self) -> Option<Nanos> {
        if self.stuck {
            return Some(self.retry_after);
        }
        (self.waiting_items() > 0).then_some(Nanos::ZERO)
    }

    /// Items that still wait for a peer.
    pub(super) fn waiting_items(&self) -> usize {
        let count = |p: &PeerBox| p.ack.items.len() + p.deliver.items.len() + p.publish.items.len();
        self.peers.iter().map(count).sum()
    }
}

#[inline]
fn push_ack(batch: &mut Batch, ack: Option<AckTo>) -> u32 {
    ack.map_or(NO_ACK, |ack| {
        batch.acks.push(ack);
        u32::try_from(batch.acks.len() - 1).expect("fewer acks than items")
    })
}

fn deliver_item(batch: &mut Batch, body: Slice, filters: &[Key]) -> Deliver {
    let filters_at = u32::try_from(batch.filters.len()).expect("bounded by the outbox");
    batch.filters.extend_from_slice(filters);
    let filters = u32::try_from(filters.len()).expect("bounded by the partition's filters");
    Deliver {
        body,
        filters_at,
        filters,
    }
}

fn refer(batch: &mut Batch, source: Source<'_>) -> Slice {
    let (chunk, offset, length) = match source {
        Source::Own { offset, length } => {
            let chunk = match batch.own_chunk {
                Some(chunk) => chunk,
                None => *batch
                    .own_chunk
                    .insert(push_chunk(&mut batch.chunks, Bytes::new())),
            };
            (chunk, offset, length)
        }
        Source::Chunk {
            chunk,
            offset,
            length,
        } => {
            let known = batch.last_foreign.filter(|&at| {
                let last = &batch.chunks[at as usize];
                last.as_ptr() == chunk.as_ptr() && last.len() == chunk.len()
            });
            let at = known.unwrap_or_else(|| push_chunk(&mut batch.chunks, chunk.clone()));
            batch.last_foreign = Some(at);
            (at, offset, length)
        }
    };
    batch.bytes += length as usize;
    Slice {
        offset,
        length,
        chunk,
    }
}

fn refer_alone(batch: &mut Batch, record: &Bytes) -> Slice {
    let length = u32::try_from(record.len()).expect("a record fits a packet");
    batch.bytes += record.len();
    Slice {
        offset: 0,
        length,
        chunk: push_chunk(&mut batch.chunks, record.clone()),
    }
}

fn push_chunk(chunks: &mut Vec<Bytes>, chunk: Bytes) -> u32 {
    chunks.push(chunk);
    u32::try_from(chunks.len() - 1).expect("a batch is bounded far below 2^32 chunks")
}
