//! What a client received, held against what it may receive.

use std::collections::BTreeSet;
use std::fmt;

use super::copies::{Copy, Replay};
use super::session::Stream;
use super::{Message, MessageId, Model, Nanos, Routing, SECOND, Tick, matches, payload};

/// A PUBLISH as a subscriber got it.
#[derive(Clone)]
pub struct Delivery<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Its QoS.
    pub qos: u8,
    /// Its RETAIN flag.
    pub retain: bool,
    /// Its DUP flag.
    pub dup: bool,
    /// Its subscription identifiers.
    pub identifiers: Vec<u32>,
    /// The Message Expiry Interval on it.
    pub expiry_seconds: Option<u32>,
    /// Whether its protocol has properties.
    pub properties: bool,
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |is: bool, name: &'static str| if is { name } else { "" };
        write!(
            f,
            "{:?} at QoS {}{}{}, {} bytes, identifiers {:?}, expiry {:?}",
            self.topic,
            self.qos,
            flag(self.retain, " RETAIN"),
            flag(self.dup, " DUP"),
            self.payload.len(),
            self.identifiers,
            self.expiry_seconds
        )
    }
}

impl Model {
    /// A PUBLISH arrived (at QoS 2: for the first time under its packet identifier).
    pub fn received(&mut self, at: usize, delivery: &Delivery<'_>) {
        self.next_tick();
        match self.judge(at, delivery) {
            Ok(()) => {}
            Err(wrong) => self.violation(format!("client {at} got {delivery:?}: {wrong}")),
        }
    }

    fn judge(&mut self, at: usize, delivery: &Delivery<'_>) -> Result<(), String> {
        let session = self.clients[at]
            .session
            .ok_or("a message without a session")?;
        if delivery.payload.is_empty() {
            return self.judge_clear(at, session, delivery);
        }
        let id = self.identify(delivery)?;
        let message = self.messages[index(id)].clone();
        if message.routing == Routing::Never {
            return Err(format!("message {id} is a will that must not be published"));
        }
        if let Routing::Delayed { from, .. } = message.routing
            && self.now < from
        {
            return Err(format!("will {id} came before its delay was over, {from}"));
        }
        self.judge_redelivery(session, id, delivery)?;
        let number = session;
        let known = self.sessions[number].got.contains_key(&id);
        if delivery.dup && known && message.qos.min(delivery.qos) < 2 {
            return Ok(());
        }
        let live = self.judge_live(at, number, id, &message, delivery);
        let replays = match delivery.retain {
            true => self.judge_replay(number, id, &message, delivery),
            false => Err("it has no RETAIN".into()),
        };
        if let (Err(live), Err(replay)) = (&live, &replays) {
            return Err(format!("{live}; as a retained copy: {replay}"));
        }
        let copy = Copy {
            live: live.is_ok(),
            replays: replays.unwrap_or_default(),
        };
        self.count(number, id, &message, (copy, delivery))
    }

    /// No copy is one too many, and the live ones are in order.
    fn count(
        &mut self,
        number: usize,
        id: MessageId,
        message: &Message,
        (copy, delivery): (Copy, &Delivery<'_>),
    ) -> Result<(), String> {
        let session = &mut self.sessions[number];
        if copy.live {
            session.owed.remove(&id);
        }
        let certainly_live = copy.replays.is_empty();
        let got = session.got.entry(id).or_default();
        let first = got.copies.is_empty();
        got.copies.push(copy);
        if !got.is_explained(message.transmissions) {
            return Err(format!("message {id} is a copy too many: {:?}", got.copies));
        }
        if !got.copies.iter().any(|copy| copy.live) {
            let stream = stream_of(message, delivery.qos > 0);
            let newest = session.replayed.entry(stream).or_default();
            *newest = (*newest).max(message.sequence);
        }
        if first && certainly_live {
            let stream = (message.topic_number, delivery.qos > 0);
            session.seen.entry(stream).or_default().push(id);
            return self.judge_order(number, id, message, delivery.qos > 0);
        }
        Ok(())
    }

    /// The message whose content this is, bit by bit.
    fn identify(&self, delivery: &Delivery<'_>) -> Result<MessageId, String> {
        let number = delivery
            .payload
            .first_chunk::<4>()
            .ok_or("payload of no message")?;
        let id = MessageId::from_be_bytes(*number);
        let message = self
            .messages
            .get(index(id))
            .ok_or("payload of no message")?;
        if payload(id, message.size) != delivery.payload {
            return Err(format!("message {id} has another payload"));
        }
        if message.topic != delivery.topic {
            return Err(format!("message {id} was published to {}", message.topic));
        }
        if message.retain || !delivery.retain {
            Ok(id)
        } else {
            Err(format!("message {id} was not published with RETAIN"))
        }
    }

    /// DUP is for what an earlier connection of the session may have carried [MQTT5-4.4.0-1].
    fn judge_redelivery(
        &self,
        session: usize,
        id: MessageId,
        delivery: &Delivery<'_>,
    ) -> Result<(), String> {
        if !delivery.dup {
            return Ok(());
        }
        let session = &self.sessions[session];
        if delivery.qos == 0 {
            return Err("DUP at QoS 0".into());
        }
        if session.connections < 2 {
            return Err("DUP on the first connection of a session".into());
        }
        // A retained copy may be another one, of a later subscription.
        if !delivery.retain && session.got.get(&id).is_some_and(|got| got.done) {
            return Err(format!("message {id} was acknowledged long ago"));
        }
        Ok(())
    }

    fn judge_live(
        &self,
        at: usize,
        session: usize,
        id: MessageId,
        message: &Message,
        delivery: &Delivery<'_>,
    ) -> Result<(), String> {
        let window = self.window(message);
        let own = message.publisher == at;
        let found = self.sessions[session].meets(&message.topic, message.qos, own, window);
        if !found.possible {
            return Err(format!("message {id} met no subscription"));
        }
        if !(found.qos_low..=found.qos_high).contains(&delivery.qos) {
            let (low, high) = (found.qos_low, found.qos_high);
            return Err(format!(
                "message {id} has QoS {} , not {low}..={high}",
                delivery.qos
            ));
        }
        if message.retain
            && !(if delivery.retain {
                found.retain_may
            } else {
                found.retain_may_not
            })
        {
            return Err(format!("message {id} has RETAIN {}", delivery.retain));
        }
        if delivery.properties {
            let got: BTreeSet<u32> = delivery.identifiers.iter().copied().collect();
            if !got.is_superset(&found.identifiers_must) || !got.is_subset(&found.identifiers_may) {
                let (must, may) = (&found.identifiers_must, &found.identifiers_may);
                return Err(format!(
                    "subscription identifiers must {must:?}, may {may:?}"
                ));
            }
        }
        self.judge_expiry(message, self.clients[at].since_ns, delivery)
    }

    /// [MQTT5-4.6.0-6]: the messages of one publisher to one topic arrive in their order.
    fn judge_order(
        &mut self,
        session: usize,
        id: MessageId,
        message: &Message,
        acknowledged: bool,
    ) -> Result<(), String> {
        let key = stream_of(message, acknowledged);
        let replayed = self.sessions[session].replayed.get(&key).copied();
        let (last, last_will) = self.sessions[session].streams.entry(key).or_default();
        let sequence = message.sequence;
        if message.will {
            *last_will = (*last_will).max(sequence);
            return Ok(());
        }
        // Sent again, it may come late: the copy in its place was lost with a connection, dropped,
        // or came when nobody subscribed.
        if message.transmissions > 1 {
            return Ok(());
        }
        if message.retain && replayed.is_some_and(|newer| message.sequence < newer) {
            return Err(format!("message {id} came after a newer retained value"));
        }
        let overtaken_by_will = !message.late();
        if sequence <= *last || (overtaken_by_will && sequence < *last_will) {
            return Err(format!(
                "message {id} is out of order: {sequence} after {last} {last_will}"
            ));
        }
        *last = sequence;
        Ok(())
    }

    /// The subscriptions whose retained copy it may be.
    fn judge_replay(
        &self,
        session: usize,
        id: MessageId,
        message: &Message,
        delivery: &Delivery<'_>,
    ) -> Result<Vec<Replay>, String> {
        let retained = &self.retained[&message.topic];
        let mut wrong = "no subscription asks for it";
        let mut replays = Vec::new();
        for (filter, versions) in &self.sessions[session].filters {
            if !matches(filter, &message.topic) {
                continue;
            }
            // A replay that one SUBSCRIBE began goes on with the options of the next.
            let fits = versions.iter().any(|version| {
                let identifiers: Vec<u32> = version.options.identifier.into_iter().collect();
                delivery.qos == message.qos.min(version.options.qos)
                    && (!delivery.properties || delivery.identifiers == identifiers)
            });
            for (number, version) in versions.iter().enumerate() {
                wrong = if !fits {
                    "wrong QoS or subscription identifiers"
                } else if !version.replay_may {
                    "its retain handling asks for none"
                } else if self.superseded(id, retained, version.start_low) {
                    "a newer value was there when it subscribed"
                } else if self
                    .judge_expiry(message, version.sent_ns, delivery)
                    .is_err()
                {
                    "it has expired"
                } else {
                    replays.push((filter.clone(), number));
                    continue;
                };
            }
        }
        if replays.is_empty() {
            return Err(wrong.into());
        }
        if self.newer_seen(session, message, delivery.qos > 0) {
            return Err("a newer value was seen before it".into());
        }
        Ok(replays)
    }

    /// True when the session got a message that its publisher sent after a value that replaced
    /// this one.
    fn newer_seen(&self, session: usize, message: &Message, acknowledged: bool) -> bool {
        let stream = stream_of(message, acknowledged);
        let Some((newest, _)) = self.sessions[session].streams.get(&stream) else {
            return false;
        };
        self.retained[&message.topic].iter().any(|&other| {
            let other = &self.messages[index(other)];
            other.routing == Routing::Certain
                && other.sequence <= *newest
                && surely_after(other, message)
                && other.publisher == message.publisher
                && other.late() == message.late()
        })
    }

    /// True when another value had surely replaced this one by the given tick.
    pub(super) fn superseded(&self, id: MessageId, retained: &[MessageId], by: Tick) -> bool {
        let message = &self.messages[index(id)];
        retained.iter().any(|&other| {
            let other = &self.messages[index(other)];
            other.routing == Routing::Certain
                && other.routed.is_some_and(|routed| routed <= by)
                && surely_after(other, message)
        })
    }

    /// [MQTT5-3.3.2-5], [MQTT5-3.3.2-6]: nothing is sent after it expired, and the interval on a
    /// copy is what is left. `ready_ns`: the server cannot have sent the copy earlier.
    fn judge_expiry(
        &self,
        message: &Message,
        ready_ns: Nanos,
        delivery: &Delivery<'_>,
    ) -> Result<(), String> {
        let Some(expiry) = message.expiry_seconds else {
            return match delivery.expiry_seconds {
                Some(_) => Err("an expiry interval that nobody set".into()),
                None => Ok(()),
            };
        };
        let lifetime = u64::from(expiry) * SECOND;
        if let Some(routed) = message.routed_ns
            && !delivery.dup
            && ready_ns > routed + lifetime + SECOND
        {
            return Err("it has expired".into());
        }
        if !delivery.properties {
            return Ok(());
        }
        let left = delivery
            .expiry_seconds
            .ok_or("the expiry interval is missing")?;
        let waited = ready_ns.saturating_sub(message.routed_ns.unwrap_or(u64::MAX)) / SECOND;
        if left > 0 && u64::from(left) + waited > u64::from(expiry) + 1 {
            return Err(format!(
                "expiry interval {left} of {expiry}, {waited} s late"
            ));
        }
        let age = (self.now - message.sent_ns) / SECOND + 2;
        if left > expiry || u64::from(left) + age < u64::from(expiry) {
            return Err(format!("expiry interval {left} of {expiry} after {age} s"));
        }
        Ok(())
    }

    /// An empty payload carries no number: there must be a clearing message for every copy.
    fn judge_clear(
        &mut self,
        at: usize,
        session: usize,
        delivery: &Delivery<'_>,
    ) -> Result<(), String> {
        if delivery.dup {
            return Ok(());
        }
        let mut causes = Vec::new();
        for &id in self.retained.get(delivery.topic).into_iter().flatten() {
            let message = &self.messages[index(id)];
            let own = message.publisher == at;
            let window = self.window(message);
            let found = self.sessions[session].meets(&message.topic, message.qos, own, window);
            let fits = found.possible && (found.qos_low..=found.qos_high).contains(&delivery.qos);
            if message.size == 0 && fits {
                let times = usize::try_from(message.transmissions).expect("few");
                causes.extend((0..times).map(|time| (id.to_string(), time)));
            }
        }
        let clears = &mut self.sessions[session].clears;
        let got = clears.entry(delivery.topic.to_owned()).or_default();
        got.copies.push(Copy {
            live: false,
            replays: causes,
        });
        match got.is_explained(0) {
            true => Ok(()),
            false => Err("an empty message that nobody sent it".into()),
        }
    }

    /// From when it was sent to when it had surely reached every session.
    /// A routed message may still be on its way between shards, and find a subscriber there that
    /// came after its acknowledgement.
    pub(super) fn window(&self, message: &Message) -> (Tick, Tick) {
        (message.sent, message.settled.unwrap_or(self.tick))
    }
}

/// The messages whose order holds among them, in one session.
fn stream_of(message: &Message, acknowledged: bool) -> Stream {
    (
        message.publisher,
        message.topic_number,
        message.late(),
        acknowledged,
    )
}

/// True when `later` was surely routed after `earlier`.
fn surely_after(later: &Message, earlier: &Message) -> bool {
    let same_stream = later.publisher == earlier.publisher
        && later.late() == earlier.late()
        && !later.will
        && !earlier.will
        && later.transmissions == 1
        && earlier.transmissions == 1;
    earlier.routed.is_some_and(|routed| routed < later.sent)
        || (same_stream && later.sequence > earlier.sequence)
}

pub(super) fn index(id: MessageId) -> usize {
    usize::try_from(id).expect("u32 fits in usize")
}
