//! Shared subscriptions [MQTT5-4.8.2]: the owner of a filter chooses a shard for each message, that
//! shard a member.
//!
//! What a member cannot take goes back to the owner and on to somebody else: because it has no
//! connection, no room, or has gone. So does what a member that left had not acknowledged, as soon
//! as any other is connected.

use ringbus_protocols::mqtt::QoS;

use super::Shard;
use super::deliver::Grant;
use super::filters::{LocalFilter, LocalMembers, Subscriber};
use super::mail::carried_in;
use super::message::{Assignment, Batch, DeliverShared};
use super::outbox::Record;
use super::route::Carried;
use super::run::Run;
use super::template::is_shared;
use crate::base::{Key, SessionId, ShardId};
use crate::config::SharedStrategy;
use crate::mailbox::Class;
use crate::pubsub::Message;
use crate::pubsub::shared::Attempt;
use crate::session::GroupRef;

/// Members that are looked at for one message, so that a group of any size costs the same.
const MEMBERS_TRIED_MAX: u32 = 64;

/// Bytes of a PUBLISH beside topic, properties and payload, and a few to spare.
const PACKET_OVERHEAD_MAX: usize = 32;

impl Shard {
    /// Gives the message at hand to each group whose filter matched; says whether there was one.
    #[inline]
    pub(super) fn route_to_groups(&mut self, carried: &mut Carried<'_>) -> bool {
        if self.partition.matched_groups.is_empty() {
            return false;
        }
        let mut groups = std::mem::take(&mut self.partition.matched_groups);
        for &group in &groups {
            self.assign(carried, group, Attempt::default());
        }
        groups.clear();
        self.partition.matched_groups = groups;
        true
    }

    /// Gives each message of a run to each group whose filter matched.
    #[cold]
    pub(super) fn route_run_to_groups(&mut self, run: &Run<'_>) {
        let mut groups = std::mem::take(&mut self.partition.matched_groups);
        for mut carried in run.carried() {
            for &group in &groups {
                self.assign(&mut carried, group, Attempt::default());
            }
        }
        groups.clear();
        self.partition.matched_groups = groups;
    }

    /// The owner's part: somebody of the group gets the message, if anybody can.
    pub(super) fn assign(&mut self, carried: &mut Carried<'_>, group: Key, mut attempt: Attempt) {
        let strategy = self.config.shared_strategy;
        let publisher = carried.message.publisher;
        loop {
            let chance = match strategy {
                SharedStrategy::Random => self.random.u64(..),
                _ => 0,
            };
            let groups = &mut self.partition.groups;
            let next = groups.next(group, strategy, publisher, attempt, chance);
            let Some((home, local)) = next else {
                if attempt.is_last {
                    self.counters.dropped += 1;
                    return;
                }
                attempt = Attempt::last();
                continue;
            };
            let assignment = Assignment {
                group,
                local,
                attempt,
            };
            if home != self.id {
                self.mail_shared(home, Class::Deliver, carried, assignment);
                return;
            }
            if self.take_assignment(self.id, carried, assignment) {
                return;
            }
            attempt.refuse(home);
        }
    }

    fn mail_shared(
        &mut self,
        to: ShardId,
        class: Class,
        carried: &mut Carried<'_>,
        assignment: Assignment,
    ) {
        let record = if is_shared(&carried.message) {
            Record::Alone(carried.stored())
        } else {
            Record::In(self.source_of(carried))
        };
        self.outboxes.shared(to, class, record, assignment);
    }

    /// A message for a member here comes with mail.
    pub(super) fn on_assigned(&mut self, owner: ShardId, item: DeliverShared, batch: &Batch) {
        let mut carried = carried_in(batch, item.body, 0);
        let mut assignment = batch.assignments[item.assignment as usize];
        if self.has_come_too_late(owner, &assignment) {
            assignment.attempt = Attempt::default();
            self.mail_shared(owner, Class::Ack, &mut carried, assignment);
        } else if !self.take_assignment(owner, &mut carried, assignment) {
            assignment.attempt.refuse(self.id);
            self.mail_shared(owner, Class::Ack, &mut carried, assignment);
        }
    }

    /// Whether a message for members without a connection was overtaken by the news that somebody
    /// else has one: what they leave behind has been given away already.
    fn has_come_too_late(&self, owner: ShardId, assignment: &Assignment) -> bool {
        let Assignment {
            group,
            local,
            attempt,
        } = *assignment;
        let group = GroupRef {
            owner,
            group,
            local,
        };
        attempt.is_last && !self.is_anybody_online(local) && self.has_others(&group)
    }

    fn is_anybody_online(&self, local: Key) -> bool {
        let filter = self.filters.get(local);
        let members = filter.and_then(|filter| filter.shared.as_deref());
        members.is_some_and(|members| members.online > 0)
    }

    /// A message that a shard could not give to its members, or that a member has left behind.
    pub(super) fn on_returned(&mut self, item: DeliverShared, batch: &Batch) {
        let mut carried = carried_in(batch, item.body, 0);
        let Assignment { group, attempt, .. } = batch.assignments[item.assignment as usize];
        self.assign(&mut carried, group, attempt);
    }

    /// The home's part: a member gets the message. False if none can.
    fn take_assignment(
        &mut self,
        owner: ShardId,
        carried: &mut Carried<'_>,
        assignment: Assignment,
    ) -> bool {
        if carried.message.has_expired(self.now) {
            self.counters.dropped += 1;
            return true;
        }
        let Assignment {
            group,
            local,
            attempt,
        } = assignment;
        let chance = match self.config.shared_strategy {
            SharedStrategy::Random => self.random.u32(..),
            _ => 0,
        };
        let chosen = self.choose_member(local, &carried.message, chance, attempt.is_last);
        let Some(subscriber) = chosen.and_then(|at| self.take_turn(local, at)) else {
            return false;
        };
        let mut grant = Grant::of(&subscriber, &carried.message);
        grant.group = Some(GroupRef {
            owner,
            group,
            local,
        });
        self.templates.reset();
        self.deliver_to(carried, subscriber.session, grant);
        self.note_load(subscriber.session);
        true
    }

    /// The position of the member that gets a message. In the last round, whoever is there.
    fn choose_member(
        &self,
        local: Key,
        message: &Message<'_>,
        chance: u32,
        is_last: bool,
    ) -> Option<u32> {
        let filter = self.filters.get(local)?;
        let members = filter.shared.as_deref()?;
        let able = self.choose_online(filter, members, local, message, chance);
        if able.is_some() || !is_last {
            return able;
        }
        // Whoever has room, then whoever is connected, then anybody whose session keeps messages.
        let all = u32::try_from(filter.subscribers.len()).expect("fewer sessions than 2^32");
        let keeps = |at: &u32| {
            let granted = filter.subscribers[*at as usize].options.qos;
            granted.min(message.qos) > QoS::AtMostOnce
        };
        let tried = in_turn(members.turn, all).filter(keeps);
        let mut roomy = tried.clone();
        roomy
            .find(|&at| self.has_room(&filter.subscribers[at as usize], message))
            .or_else(|| in_turn(members.turn, members.online).next())
            .or_else(|| tried.clone().next())
    }

    /// By the strategy, among the members that are connected and have room.
    fn choose_online(
        &self,
        filter: &LocalFilter,
        members: &LocalMembers,
        local: Key,
        message: &Message<'_>,
        chance: u32,
    ) -> Option<u32> {
        let strategy = self.config.shared_strategy;
        let first = match strategy {
            SharedStrategy::Random => chance,
            SharedStrategy::HashClient => message.publisher.folded(),
            SharedStrategy::Sticky => self.position_of(members.chosen, local).unwrap_or(0),
            SharedStrategy::RoundRobin | SharedStrategy::LeastInflight => members.turn,
        };
        let subscriber = |at: u32| &filter.subscribers[at as usize];
        let mut able =
            in_turn(first, members.online).filter(|&at| self.has_room(subscriber(at), message));
        match strategy {
            SharedStrategy::LeastInflight => able.min_by_key(|&at| self.load_of(subscriber(at))),
            _ => able.next(),
        }
    }

    fn position_of(&self, session: Option<SessionId>, local: Key) -> Option<u32> {
        self.sessions.get(session?)?.subscriptions.get(local)
    }

    /// The member at a position has its turn: the next one is that of the one behind.
    fn take_turn(&mut self, local: Key, at: u32) -> Option<Subscriber> {
        let filter = self.filters.get_mut(local)?;
        let subscriber = *filter.subscribers.get(at as usize)?;
        let members = filter.shared.as_deref_mut()?;
        members.turn = at + 1;
        members.chosen = Some(subscriber.session);
        Some(subscriber)
    }

    /// Messages that a member has and has not acknowledged.
    pub(super) fn load_of(&self, subscriber: &Subscriber) -> usize {
        let session = self.sessions.get(subscriber.session);
        session.map_or(0, |session| session.outbound.len())
    }

    /// Whether the member can take the message without a loss.
    fn has_room(&self, subscriber: &Subscriber, message: &Message<'_>) -> bool {
        let Some(session) = self.sessions.get(subscriber.session) else {
            return false;
        };
        let conn = session.conn.and_then(|id| self.connections.get(id));
        if let Some(conn) = conn {
            let length = message.record_len() + PACKET_OVERHEAD_MAX;
            if length > conn.max_packet_size as usize {
                return false;
            }
        }
        if subscriber.options.qos.min(message.qos) == QoS::AtMostOnce {
            return conn.is_some_and(|conn| conn.queued_bytes() <= self.config.queue_bytes);
        }
        let limit = self.config.queue_limit();
        session.outbound.has_room(message.record_len(), &limit)
    }
}

/// So many positions below `count`, from the one whose turn it is.
fn in_turn(first: u32, count: u32) -> impl Iterator<Item = u32> + Clone {
    (0..count.min(MEMBERS_TRIED_MAX)).map(move |step| (first % count + step) % count)
}
