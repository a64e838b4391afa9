//! To the subscribers of this shard: overlap resolved, then QoS 0 straight into the connection's
//! output, QoS 1 and 2 through the session's window.

use ringbus_protocols::mqtt::{PacketIdentifier, QoS, Version};

use super::Shard;
use super::acks::put_pubrel;
use super::connection::{Connection, Dialect, Outgoing};
use super::dialect;
use super::fault::Fault;
use super::filters::Subscriber;
use super::route::Carried;
use super::sent_aliases::put_publish;
use super::template::{Naming, Shape, is_shared};
use crate::base::limits::BACKLOG_STEP_MAX;
use crate::base::{ConnId, Key, SessionId};
use crate::config::QueuePolicy;
use crate::pubsub::{Message, PublisherId};
use crate::session::{Delivery, GroupRef, QueueLimit, Transmit};

/// Who gets a message that matched several filters: each session once.
#[derive(Debug, Default)]
pub(super) struct Recipients {
    list: Vec<Recipient>,
    identifiers: Vec<(u32, u32)>,
    gathered: Vec<u32>,
    // By slot of the session: the round it was last seen in, and its place in the list.
    seen: Vec<(u32, u32)>,
    round: u32,
}

#[derive(Clone, Copy, Debug)]
struct Recipient {
    session: SessionId,
    qos: QoS,
    retain: bool,
    has_identifiers: bool,
}

impl Recipients {
    fn start(&mut self) {
        self.list.clear();
        self.identifiers.clear();
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen.clear();
            self.round = 1;
        }
    }

    /// One copy with the highest QoS and every identifier [MQTT5-3.3.4-2] [MQTT311-3.3.5-1].
    fn add(&mut self, subscriber: &Subscriber, message: &Message<'_>) {
        let slot = subscriber.session.index as usize;
        if self.seen.len() <= slot {
            self.seen.resize(slot + 1, (0, 0));
        }
        let retain = message.retain && subscriber.options.retain_as_published;
        let (round, at) = self.seen[slot];
        let at = if round == self.round {
            at
        } else {
            let at = u32::try_from(self.list.len()).expect("fewer sessions than 2^32");
            self.seen[slot] = (self.round, at);
            self.list.push(Recipient {
                session: subscriber.session,
                qos: QoS::AtMostOnce,
                retain: false,
                has_identifiers: false,
            });
            at
        };
        let recipient = &mut self.list[at as usize];
        recipient.qos = recipient.qos.max(subscriber.options.qos);
        recipient.retain |= retain;
        if subscriber.identifier != 0 {
            recipient.has_identifiers = true;
            self.identifiers.push((at, subscriber.identifier));
        }
    }

    fn gather(&mut self, at: usize) -> &[u32] {
        self.gathered.clear();
        if self.list[at].has_identifiers {
            let mine = self
                .identifiers
                .iter()
                .filter(|(owner, _)| *owner as usize == at);
            self.gathered
                .extend(mine.map(|&(_, identifier)| identifier));
        }
        &self.gathered
    }
}

/// How one subscriber gets the message at hand.
#[derive(Clone, Copy)]
pub(super) struct Grant<'a> {
    qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_identifiers: &'a [u32],
    /// The shared subscription it comes by.
    pub(super) group: Option<GroupRef>,
}

impl<'a> Grant<'a> {
    /// What the only matching subscription of a session asks for.
    #[inline]
    pub(super) fn of(subscriber: &'a Subscriber, message: &Message<'_>) -> Self {
        Self {
            qos: subscriber.options.qos,
            retain: message.retain && subscriber.options.retain_as_published,
            subscription_identifiers: identifiers(&subscriber.identifier),
            group: None,
        }
    }
}

impl Shard {
    /// Delivers to the local subscribers of the filters that matched.
    pub(super) fn deliver(&mut self, carried: &mut Carried<'_>, filters: &[Key]) {
        // It may have waited in mail for longer than it lives [MQTT5-3.3.2-5].
        if carried.message.has_expired(self.now) {
            self.counters.dropped += 1;
            return;
        }
        self.templates.reset();
        match filters {
            [only] => self.deliver_to_filter(carried, *only),
            several => self.deliver_overlapping(carried, several),
        }
    }

    #[inline]
    fn deliver_to_filter(&mut self, carried: &mut Carried<'_>, filter: Key) {
        // The filter went while the message was on its way: so did its subscribers.
        let Some(filter_entry) = self.filters.get_mut(filter) else {
            return;
        };
        let subscribers = std::mem::take(&mut filter_entry.subscribers);
        for subscriber in &subscribers {
            if self.is_own(subscriber, carried.message.publisher) {
                continue;
            }
            let grant = Grant::of(subscriber, &carried.message);
            self.deliver_to(carried, subscriber.session, grant);
        }
        if let Some(filter_entry) = self.filters.get_mut(filter) {
            filter_entry.subscribers = subscribers;
        }
    }

    fn deliver_overlapping(&mut self, carried: &mut Carried<'_>, filters: &[Key]) {
        let mut recipients = std::mem::take(&mut self.recipients);
        recipients.start();
        for &filter in filters {
            let Some(filter) = self.filters.get(filter) else {
                continue;
            };
            for subscriber in &filter.subscribers {
                if !self.is_own(subscriber, carried.message.publisher) {
                    recipients.add(subscriber, &carried.message);
                }
            }
        }
        for at in 0..recipients.list.len() {
            let Recipient {
                session,
                qos,
                retain,
                ..
            } = recipients.list[at];
            let subscription_identifiers = recipients.gather(at);
            self.deliver_to(
                carried,
                session,
                Grant {
                    qos,
                    retain,
                    subscription_identifiers,
                    group: None,
                },
            );
        }
        self.recipients = recipients;
    }

    /// No Local: the subscriber published it itself [MQTT5-3.8.3-3].
    #[inline]
    pub(super) fn is_own(&self, subscriber: &Subscriber, publisher: PublisherId) -> bool {
        subscriber.options.no_local
            && self
                .sessions
                .get(subscriber.session)
                .is_some_and(|session| session.publisher == publisher)
    }

    #[inline]
    pub(super) fn deliver_to(
        &mut self,
        carried: &mut Carried<'_>,
        session: SessionId,
        grant: Grant<'_>,
    ) {
        let qos = grant.qos.min(carried.message.qos);
        if qos == QoS::AtMostOnce {
            self.deliver_now(carried, session, grant, self.config.queue_bytes);
        } else {
            let limit = self.config.queue_limit();
            self.enqueue(carried, session, qos, grant, &limit);
        }
    }

    /// QoS 0: into the connection's output, or dropped beyond its bound.
    #[inline]
    fn deliver_now(
        &mut self,
        carried: &mut Carried<'_>,
        session: SessionId,
        grant: Grant<'_>,
        bytes_max: usize,
    ) {
        let Some(session) = self.sessions.get(session) else {
            return;
        };
        let Some(id) = session.conn else { return };
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.queued_bytes() > bytes_max {
            self.counters.dropped += 1;
            return self.overflowed(Some(id));
        }
        match conn.dialect {
            Dialect::Mqtt => {}
            // What comes before the answer to its request is not for it yet.
            Dialect::Topic { is_open: false, .. } => return,
            _ => return self.deliver_in_dialect(carried, id, grant),
        }
        let is_v5 = conn.version == Version::V5;
        let has_own_shape = !grant.subscription_identifiers.is_empty() || conn.has_aliases();
        // A packet larger than the client takes is as if it had been sent [MQTT5-3.1.2-25].
        let fits = if is_v5 && has_own_shape {
            let shape = Shape {
                version: conn.version,
                qos: QoS::AtMostOnce,
                dup: false,
                retain: grant.retain,
                identifier: None,
                subscription_identifiers: grant.subscription_identifiers,
                naming: Naming::Full,
            };
            put_publish(&mut self.outgoing, conn, shape, &carried.message, self.now)
        } else {
            let (head, packet_len) = match carried.packet {
                Some(packet) if packet.is_v5 == is_v5 && !grant.retain => {
                    (packet.bytes, packet.bytes.len())
                }
                _ => {
                    let (message, templates) = (&carried.message, &mut self.templates);
                    templates.get(conn.version, grant.retain, message, self.now)
                }
            };
            let fits = packet_len <= conn.max_packet_size as usize;
            if fits {
                self.outgoing.publish_bytes += packet_len as u64;
                let out = self.outgoing.open_for_publish(conn);
                out.extend_from_slice(head);
            }
            fits
        };
        if !fits {
            self.counters.dropped += 1;
            return;
        }
        if is_shared(&carried.message) {
            self.outgoing.splice(conn, carried.stored().payload());
        }
        self.counters.delivered += 1;
    }

    /// QoS 1 and 2: through the session's queue, connected or not.
    fn enqueue(
        &mut self,
        carried: &mut Carried<'_>,
        session_id: SessionId,
        qos: QoS,
        grant: Grant<'_>,
        limit: &QueueLimit,
    ) {
        let Some(session) = self.sessions.get_mut(session_id) else {
            return;
        };
        let delivery = Delivery {
            stored: carried.stored().clone(),
            qos,
            retain: grant.retain,
            subscription_identifiers: grant.subscription_identifiers.into(),
            group: grant.group,
        };
        let has_backlog = session.outbound.has_backlog();
        let dropped = session.outbound.push(delivery, limit);
        if dropped > 0 {
            self.counters.dropped += dropped as u64;
            let conn = session.conn;
            self.overflowed(conn);
        }
        if has_backlog {
            self.pump_backlog(session_id);
        } else {
            self.pump(session_id);
        }
    }

    /// A client does not keep up. It is closed at the end of the turn if that is the policy:
    /// deliveries are under way.
    #[cold]
    fn overflowed(&mut self, conn: Option<ConnId>) {
        if self.config.queue_policy == QueuePolicy::Disconnect {
            self.overflowed.extend(conn);
        }
    }

    /// Closes the clients that did not keep up.
    pub(super) fn close_overflowed(&mut self) {
        while let Some(conn) = self.overflowed.pop() {
            self.close(conn, Some(Fault::SLOW_CLIENT), true);
        }
    }

    /// Sends what the session's window and the connection's bound allow.
    fn pump(&mut self, session_id: SessionId) {
        self.pump_at_most(session_id, usize::MAX);
    }

    /// Sends what waits for a session, a step of it in a turn: others have their turns between.
    #[inline]
    pub(super) fn pump_backlog(&mut self, session_id: SessionId) {
        let Some(session) = self.sessions.get(session_id) else {
            return;
        };
        if session.outbound.is_ready() {
            self.pump_step(session_id);
        } else if !session.replays().is_empty() {
            self.pull_replays(session_id);
        }
    }

    fn pump_step(&mut self, session_id: SessionId) {
        let turn = u32::try_from(self.counters.turns & u64::from(u32::MAX)).expect("masked");
        let session = self.sessions.get(session_id);
        let Some(id) = session.and_then(|session| session.conn) else {
            return;
        };
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.step.turn != turn {
            conn.step.turn = turn;
            conn.step.sent = 0;
        }
        let left = BACKLOG_STEP_MAX.saturating_sub(conn.step.sent);
        let sent = self.pump_at_most(session_id, usize::from(left));
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.step.sent += u16::try_from(sent).expect("no more than were left");
        if conn.step.sent >= BACKLOG_STEP_MAX && !conn.step.is_due {
            conn.step.is_due = true;
            self.stepping.push(session_id);
        }
    }

    /// A new turn: those who had their step have another.
    pub(super) fn step_backlogs(&mut self) {
        for session_id in std::mem::take(&mut self.stepping) {
            let session = self.sessions.get(session_id);
            let conn = session.and_then(|session| session.conn);
            if let Some(conn) = conn.and_then(|id| self.connections.get_mut(id)) {
                conn.step.is_due = false;
                self.pump_backlog(session_id);
            }
        }
    }

    /// Returns how many packets were sent, `packets_max` at most.
    fn pump_at_most(&mut self, session_id: SessionId, packets_max: usize) -> usize {
        let mut sent = 0;
        let Some(session) = self.sessions.get_mut(session_id) else {
            return sent;
        };
        if let Some(conn) = session.conn.and_then(|id| self.connections.get_mut(id)) {
            while sent < packets_max && conn.queued_bytes() < self.config.queue_bytes {
                let Some(transmit) = session.outbound.transmit() else {
                    break;
                };
                sent += 1;
                let outcome = transmit_one(&mut self.outgoing, conn, &transmit, self.now);
                match outcome {
                    Sent::Control => {}
                    Sent::Message => self.counters.delivered += 1,
                    Sent::Done(identifier) => {
                        self.counters.delivered += 1;
                        let settled = session.outbound.on_puback(identifier);
                        debug_assert_eq!(settled, Ok(()), "it was just sent");
                    }
                    Sent::Unfit(identifier) => {
                        self.counters.dropped += 1;
                        session.outbound.withdraw(identifier);
                    }
                }
            }
        }
        if !session.replays().is_empty() {
            self.pull_replays(session_id);
        }
        sent
    }

    /// A retained message for one new subscription: with RETAIN set, and never dropped for room,
    /// because the owner sends no more than was asked for.
    pub(super) fn deliver_retained(
        &mut self,
        carried: &mut Carried<'_>,
        session_id: SessionId,
        local: Key,
    ) {
        self.end_wait_for_retained(session_id);
        let Some(session) = self.sessions.get(session_id) else {
            return;
        };
        let Some(position) = session.subscriptions.get(local) else {
            return;
        };
        let Some(filter) = self.filters.get(local) else {
            return;
        };
        if carried.message.has_expired(self.now) {
            self.counters.dropped += 1;
            return;
        }
        let subscriber = filter.subscribers[position as usize];
        let qos = subscriber.options.qos.min(carried.message.qos);
        let grant = Grant {
            qos,
            retain: true,
            subscription_identifiers: identifiers(&subscriber.identifier),
            group: None,
        };
        self.templates.reset();
        if qos == QoS::AtMostOnce {
            self.deliver_now(carried, session_id, grant, usize::MAX);
        } else {
            self.enqueue(carried, session_id, qos, grant, &QueueLimit::NONE);
        }
    }
}

enum Sent {
    Message,
    Control,
    /// To a client that acknowledges nothing.
    Done(PacketIdentifier),
    /// The message has expired, or is larger than the client takes.
    Unfit(PacketIdentifier),
}

fn transmit_one(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    transmit: &Transmit<'_>,
    now: crate::base::Nanos,
) -> Sent {
    let (identifier, dup, delivery) = match *transmit {
        Transmit::Publish {
            identifier,
            dup,
            delivery,
        } => (identifier, dup, delivery),
        Transmit::PubRel(identifier) => {
            let version = conn.version;
            put_pubrel(outgoing.open(conn), version, identifier);
            return Sent::Control;
        }
    };
    let message = delivery.stored.message();
    // A message that was sent once is repeated even when its time is over [MQTT5-4.4.0-1].
    if message.has_expired(now) && !dup {
        return Sent::Unfit(identifier);
    }
    if conn.dialect != Dialect::Mqtt {
        return match dialect::transmit(outgoing, conn, identifier, delivery) {
            true => Sent::Message,
            false => Sent::Done(identifier),
        };
    }
    let shape = Shape {
        version: conn.version,
        qos: delivery.qos,
        dup,
        retain: delivery.retain,
        identifier: Some(identifier),
        subscription_identifiers: &delivery.subscription_identifiers,
        naming: Naming::Full,
    };
    if !put_publish(outgoing, conn, shape, &message, now) {
        return Sent::Unfit(identifier);
    }
    if is_shared(&message) {
        outgoing.splice(conn, delivery.stored.payload());
    }
    Sent::Message
}

#[inline]
fn identifiers(identifier: &u32) -> &[u32] {
    if *identifier == 0 {
        &[]
    } else {
        std::slice::from_ref(identifier)
    }
}
