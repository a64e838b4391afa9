//! Mail that comes in: acknowledgements first, then deliveries, then publishes while what they
//! cause finds room.

use super::Shard;
use super::message::{Batch, Mail, NO_ACK, Outcome, Publish, Slice};
use super::outbox::Source;
use super::route::Carried;
use super::run::Run;
use crate::base::limits::MAILBOX_BATCHES_MAX;
use crate::base::{Key, ShardId};
use crate::mailbox::{Class, Mailbox};
use crate::pubsub::Message;
use ringbus_protocols::topic::TopicFilter;

impl Shard {
    /// Takes the mail that is there.
    pub fn on_mail(&mut self, mailbox: &mut Mailbox<Batch>) {
        // The inputs of this turn are complete.
        self.publish_open_runs();
        if self.config.shards == 1 {
            return;
        }
        for class in [Class::Ack, Class::Deliver, Class::Publish] {
            for step in 1..self.config.shards {
                // Each shard starts with its successor: no peer is always last.
                let from = ShardId((self.id.0 + step) % self.config.shards);
                self.drain_mail(mailbox, from, class);
            }
        }
    }

    fn drain_mail(&mut self, mailbox: &mut Mailbox<Batch>, from: ShardId, class: Class) {
        for _ in 0..MAILBOX_BATCHES_MAX {
            // Only publishes cause more mail than they are: they alone may have to wait.
            if class == Class::Publish && self.outboxes.deliver_full() {
                return;
            }
            let Some(mut batch) = mailbox.pop(from, class) else {
                return;
            };
            self.counters.mail_received += batch.items.len() as u64;
            let mut items = std::mem::take(&mut batch.items);
            for item in items.drain(..) {
                self.on_item(from, item, &batch);
            }
            batch.items = items;
            batch.clear();
            mailbox.give_back(from, class, batch);
        }
    }

    #[inline]
    fn on_item(&mut self, from: ShardId, item: Mail, batch: &Batch) {
        match item {
            Mail::Publish(publish) => self.on_publish_mail(from, publish, batch),
            Mail::Deliver(deliver) => {
                let mut carried = carried_in(batch, deliver.body, 0);
                self.deliver(&mut carried, batch.filters(deliver));
            }
            Mail::PublishRun(publish) => {
                let run = self.run_of(batch, publish.body);
                let source = chunk_source(batch, publish.body);
                self.route_run(&run, publish.topic_hash, Some(source));
                self.say_routed(from, publish.ack, batch, Outcome::Matched);
            }
            Mail::DeliverRun(deliver) => {
                let run = self.run_of(batch, deliver.body);
                self.deliver_run(&run, batch.filters(deliver));
            }
            Mail::DeliverShared(shared) => self.on_assigned(from, shared, batch),
            Mail::SharedReturn(shared) => self.on_returned(shared, batch),
            Mail::GroupMembers(members) => {
                self.on_group_members(from, members.local, members.members);
            }
            Mail::GroupElsewhere { local, online } => {
                self.on_elsewhere(from, local, online);
            }
            Mail::Routed { to, outcome } => self.on_routed(to, outcome),
            Mail::Attached { local } => {
                self.on_attached(local);
                self.tell_members_to(from, local);
            }
            Mail::Attach(attach) => self.on_attach(from, &attach.filter, attach.local),
            Mail::Detach(detach) => self.partition.detach(&detach.filter, from, detach.local),
            Mail::ReplayStart(start) => self.open_replay(from, *start),
            Mail::Retained {
                body,
                session,
                local,
            } => {
                let mut carried = carried_in(batch, body, 0);
                self.deliver_retained(&mut carried, session, local);
            }
            Mail::ReplayStep {
                session,
                replay,
                done,
            } => {
                self.on_replay_step(from, session, replay, done);
            }
            Mail::ReplayPull { replay } => self.partition.pulled.push(replay),
            Mail::ReplayCancel { replay } => {
                self.partition.replays.remove(replay);
            }
            Mail::Handoff(handoff) => self.adopt(*handoff),
            Mail::Datagram { tag, body } => self.on_datagram_mail(from, tag, body, batch),
            Mail::SnEnded(ended) => self.on_sn_ended(from, *ended),
            Mail::Report(report) => self.on_report(from, *report),
        }
    }

    #[inline]
    fn on_publish_mail(&mut self, from: ShardId, publish: Publish, batch: &Batch) {
        let mut carried = carried_in(batch, publish.body, publish.topic_hash);
        let outcome = self.route(&mut carried);
        self.say_routed(from, publish.ack, batch, outcome);
    }

    /// Answers the home, if it waits for that.
    #[inline]
    fn say_routed(&mut self, from: ShardId, ack: u32, batch: &Batch, outcome: Outcome) {
        if ack != NO_ACK {
            let to = batch.acks[ack as usize];
            let class = match to.behind_deliveries {
                true => Class::Deliver,
                false => Class::Ack,
            };
            self.outboxes
                .control(from, class, Mail::Routed { to, outcome });
        }
    }

    /// A run that came with mail; its item is counted already, its other messages are not.
    #[inline]
    fn run_of<'a>(&mut self, batch: &'a Batch, body: Slice) -> Run<'a> {
        let run = Run::parse_record(batch.record(body));
        self.counters.mail_received += u64::from(run.packets.count - 1);
        run
    }

    fn on_attach(&mut self, from: ShardId, filter: &str, local: Key) {
        let filter = TopicFilter::parse(filter).expect("the home parsed it");
        self.partition.attach(&filter, from, local);
        self.note_attached(from, local);
        self.outboxes
            .control(from, Class::Deliver, Mail::Attached { local });
    }
}

/// The message that a slice of a batch stands for.
#[inline]
pub(super) fn carried_in(batch: &Batch, body: Slice, topic_hash: u64) -> Carried<'_> {
    let message = Message::parse_record(batch.record(body));
    Carried::from_chunk(message, topic_hash, chunk_source(batch, body))
}

#[inline]
fn chunk_source(batch: &Batch, body: Slice) -> Source<'_> {
    Source::Chunk {
        chunk: &batch.chunks[body.chunk as usize],
        offset: body.offset,
        length: body.length,
    }
}
