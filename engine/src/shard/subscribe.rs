//! SUBSCRIBE and UNSUBSCRIBE: local subscribers, and attachments at the owners.

use ringbus_protocols::mqtt::{
    PacketIdentifier, ReasonCode, RetainHandling, Subscribe, SubscribeFilter, Unsubscribe, Version,
};
use ringbus_protocols::topic::{SharedFilter, TopicFilter};

use super::Shard;
use super::connection::{Blocker, Flow};
use super::explain::Answer;
use super::filters::{PendingFilter, PendingSubAck, Subscriber, SubscriptionOptions, Waiter};
use super::message::{Attach, Mail, Outcome};
use super::receive::Handled;
use crate::base::{ConnId, Key, SessionId, ShardId};
use crate::mailbox::Class;
use crate::pubsub::Owners;

/// What became of one filter of a SUBSCRIBE.
pub(super) struct Subscribed {
    pub(super) reason: ReasonCode,
    /// The filter, if its owners have yet to answer.
    pub(super) pending: Option<Key>,
}

impl Shard {
    pub(super) fn on_subscribe(
        &mut self,
        id: ConnId,
        session: SessionId,
        subscribe: &Subscribe<'_>,
    ) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        let identifier = subscribe
            .properties
            .subscription_identifiers()
            .next()
            .unwrap_or(0);
        let mut reasons = Vec::new();
        let mut pending = Vec::new();
        for filter in subscribe.filters() {
            let subscribed = self.subscribe_one(session, &filter, identifier);
            reasons.push(subscribed.reason);
            pending.extend(subscribed.pending);
        }
        self.answer_subscribe(id, subscribe.packet_identifier, reasons, &pending);
        Ok(Flow::Continue)
    }

    /// Attachments travel with publishes: where those have no room, SUBSCRIBE waits too.
    pub(super) fn attach_blocker(&self) -> Option<Blocker> {
        (0..self.config.shards)
            .map(ShardId)
            .find(|&owner| self.outboxes.publish_full(owner))
            .map(Blocker::PublishTo)
    }

    pub(super) fn subscribe_one(
        &mut self,
        session_id: SessionId,
        wanted: &SubscribeFilter<'_>,
        identifier: u32,
    ) -> Subscribed {
        let (Ok(filter), Ok(shared)) = (
            TopicFilter::parse(wanted.filter),
            SharedFilter::parse(wanted.filter), // [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]
        ) else {
            return Subscribed {
                reason: ReasonCode::TopicFilterInvalid,
                pending: None,
            };
        };
        let is_shared = shared.is_some();
        let (local, is_new_here) = self.filters.obtain(filter.as_str(), is_shared);
        let options = SubscriptionOptions {
            qos: wanted.qos,
            no_local: wanted.no_local,
            retain_as_published: wanted.retain_as_published,
        };
        let subscriber = Subscriber {
            session: session_id,
            options,
            identifier,
        };
        let is_new = self.put_subscriber(local, subscriber);
        if is_new && is_shared {
            self.member_came(session_id, local);
        }
        if is_new_here {
            self.attach(&filter, local);
        }
        let replay = match wanted.retain_handling {
            _ if is_shared => false,
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        if replay {
            self.start_replays(&filter, local, session_id);
        }
        let waits = self
            .filters
            .get(local)
            .is_some_and(|filter| filter.pending.is_some());
        Subscribed {
            reason: granted(wanted),
            pending: waits.then_some(local),
        }
    }

    /// Adds or replaces the session's subscription [MQTT5-3.8.4-3]; says whether it is new.
    fn put_subscriber(&mut self, local: Key, subscriber: Subscriber) -> bool {
        let filter = self.filters.get_mut(local).expect("it was just obtained");
        let session = self
            .sessions
            .get_mut(subscriber.session)
            .expect("it sent the SUBSCRIBE");
        if let Some(position) = session.subscriptions.get(local) {
            filter.subscribers[position as usize] = subscriber;
            return false;
        }
        let position = u32::try_from(filter.subscribers.len()).expect("fewer than 2^32 sessions");
        // Most filters have one subscriber here.
        if filter.subscribers.is_empty() {
            filter.subscribers.reserve_exact(1);
        }
        filter.subscribers.push(subscriber);
        session.subscriptions.insert(local, position);
        if filter.shared.is_some() {
            session.rare().shared.push(local);
        }
        *self.gauges.subscriptions(filter.shared.is_some()) += 1;
        true
    }

    /// The first subscriber here: every owner of a part of the filter must know.
    fn attach(&mut self, filter: &TopicFilter<'_>, local: Key) {
        let mut pending = 0;
        for owner in self.owners_of(filter) {
            if owner == self.id {
                self.partition.attach(filter, self.id, local);
                self.note_attached(owner, local);
                continue;
            }
            pending += 1;
            let attach = Attach {
                filter: filter.as_str().into(),
                local,
            };
            self.outboxes
                .control(owner, Class::Publish, Mail::Attach(Box::new(attach)));
        }
        let filter = self.filters.get_mut(local).expect("it was just obtained");
        filter.pending = (pending > 0).then(|| {
            Box::new(PendingFilter {
                owners: pending,
                waiters: Vec::new(),
            })
        });
    }

    /// The shards that own topics which the filter matches.
    pub(super) fn owners_of(
        &self,
        filter: &TopicFilter<'_>,
    ) -> impl Iterator<Item = ShardId> + use<> {
        let owners = match self.config.partitioner.owners(filter) {
            Owners::One(owner) => owner.0..owner.0 + 1,
            Owners::All => 0..self.config.shards,
        };
        owners.map(ShardId)
    }

    fn answer_subscribe(
        &mut self,
        id: ConnId,
        identifier: PacketIdentifier,
        reasons: Vec<ReasonCode>,
        pending: &[Key],
    ) {
        if pending.is_empty() {
            self.send_reasons(id, Answer::SubAck, identifier, &reasons);
            return;
        }
        let waiter = Waiter::SubAck {
            identifier,
            reasons,
        };
        self.await_owners(id, waiter, pending);
    }

    /// Tells the client when the owners of all these filters have answered.
    pub(super) fn await_owners(&mut self, id: ConnId, waiter: Waiter, pending: &[Key]) {
        let waiting = PendingSubAck {
            conn: id,
            waiter,
            filters_pending: pending.len(),
        };
        let waiter = self.subacks.insert_with(|_| waiting);
        for &local in pending {
            let filter = self.filters.get_mut(local);
            let pending = filter.and_then(|filter| filter.pending.as_deref_mut());
            let pending = pending.expect("its owners have yet to answer");
            pending.waiters.push(waiter);
        }
    }

    /// An owner says that a filter is active from here on in what it delivers.
    pub(super) fn on_attached(&mut self, local: Key) {
        let Some(filter) = self.filters.get_mut(local) else {
            return;
        };
        let pending = filter.pending.as_deref_mut();
        let pending = pending.expect("an owner answers once");
        pending.owners -= 1;
        if pending.owners > 0 {
            return;
        }
        let waiters = std::mem::take(&mut pending.waiters);
        filter.pending = None;
        self.release_waiters(waiters);
    }

    fn release_waiters(&mut self, waiters: Vec<Key>) {
        for waiter in waiters {
            let Some(waiting) = self.subacks.get_mut(waiter) else {
                continue;
            };
            waiting.filters_pending -= 1;
            if waiting.filters_pending > 0 {
                continue;
            }
            if let Some(PendingSubAck { conn, waiter, .. }) = self.subacks.remove(waiter) {
                self.tell_waiter(conn, waiter);
            }
        }
    }

    fn tell_waiter(&mut self, id: ConnId, waiter: Waiter) {
        match waiter {
            Waiter::SubAck {
                identifier,
                reasons,
            } => self.send_reasons(id, Answer::SubAck, identifier, &reasons),
            Waiter::Ack(sequence) => {
                self.settle_ack(id, sequence, Outcome::Matched);
            }
            Waiter::Upgrade => self.finish_upgrade(id),
        }
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        id: ConnId,
        session: SessionId,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        let mut reasons = Vec::new();
        for filter in unsubscribe.filters() {
            reasons.push(self.unsubscribe_one(session, filter));
        }
        let identifier = unsubscribe.packet_identifier;
        self.send_reasons(id, Answer::UnsubAck, identifier, &reasons);
        Ok(Flow::Continue)
    }

    pub(super) fn unsubscribe_one(&mut self, session_id: SessionId, filter: &str) -> ReasonCode {
        if TopicFilter::parse(filter).is_err() {
            return ReasonCode::TopicFilterInvalid;
        }
        let removed = self.filters.find(filter).and_then(|local| {
            let session = self.sessions.get_mut(session_id)?;
            let position = session.subscriptions.remove(local)?;
            if !session.shared().is_empty() {
                session.rare().shared.retain(|&shared| shared != local);
            }
            Some((local, position))
        });
        let Some((local, position)) = removed else {
            return ReasonCode::NoSubscriptionExisted;
        };
        self.take_subscriber(local, position);
        ReasonCode::Success
    }

    /// Takes a subscriber from a filter; the last one takes the filter along.
    pub(super) fn take_subscriber(&mut self, local: Key, position: u32) {
        let filter = self.filters.get(local).expect("a session subscribes to it");
        let is_shared = filter.shared.is_some();
        let position = match is_shared {
            true => self.retire(local, position).unwrap_or(position),
            false => position,
        };
        *self.gauges.subscriptions(is_shared) -= 1;
        let filter = self.filters.get_mut(local).expect("it was just there");
        if let Some(moved) = filter.take(position)
            && let Some(session) = self.sessions.get_mut(moved)
        {
            session.subscriptions.insert(local, position);
        }
        if !filter.subscribers.is_empty() {
            if is_shared {
                self.tell_members(local);
            }
        } else if let Some(gone) = self.filters.remove(local) {
            self.detach(&gone.name, local);
            if let Some(pending) = gone.pending {
                self.release_waiters(pending.waiters);
            }
        }
    }

    /// The last subscriber is gone. Room for this is reserved: it is mail like an attachment, of
    /// which there was one before.
    fn detach(&mut self, name: &str, local: Key) {
        let filter = TopicFilter::parse(name).expect("it was parsed when it was attached");
        for owner in self.owners_of(&filter) {
            if owner == self.id {
                self.partition.detach(name, self.id, local);
                continue;
            }
            let detach = Attach {
                filter: name.into(),
                local,
            };
            self.outboxes
                .control(owner, Class::Publish, Mail::Detach(Box::new(detach)));
        }
    }
}

fn granted(wanted: &SubscribeFilter<'_>) -> ReasonCode {
    use ringbus_protocols::mqtt::QoS;
    match wanted.qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

/// v3.1.1 knows one failure [MQTT311-3.9.3-2], v3.1 none: it is told the same.
pub(super) fn wire_code(reason: ReasonCode, version: Version) -> u8 {
    const FAILURE: u8 = 0x80;
    let code = reason as u8;
    if version == Version::V5 || code < FAILURE {
        code
    } else {
        FAILURE
    }
}
