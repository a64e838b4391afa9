//! An independent model of the MQTT rules: given what clients sent and when, it says what each of
//! them must, may and must not receive. It knows nothing of the broker.
//!
//! Clients run concurrently, so a message is not routed at one known moment but somewhere in a
//! window: from when it was sent to when its acknowledgement was seen (or, at QoS 0, to the next
//! point at which everything was at rest). Subscriptions have such windows too. A message *must*
//! arrive when its window lies wholly inside the subscription's certain time, *must not* when it
//! lies wholly outside its possible time, and *may* in between.

mod copies;
mod delivery;
mod message;
mod rest;
mod session;
mod topics;

use std::collections::BTreeMap;

pub use copies::{Copy, Got};
pub use delivery::Delivery;
pub use message::{Message, Routing, payload};
pub use session::{Options, Session, Version};
pub use topics::matches;

/// The order of events as the clients see them.
pub type Tick = u64;
/// Virtual time, nanoseconds.
pub type Nanos = u64;
/// The number of a message, which its payload carries.
pub type MessageId = u32;

const SECOND: Nanos = 1_000_000_000;
/// A will may come so much later than it is due.
const WILL_SLACK: Nanos = 2 * SECOND;

/// The longest that a CONNECT is under way.
const CONNECT_ARRIVES: Nanos = 15 * SECOND;

/// A will as CONNECT carries it.
#[derive(Clone, Debug)]
pub struct WillSpec {
    /// Where it goes.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// Will Delay Interval.
    pub delay_seconds: u32,
    /// The length of its payload.
    pub size: usize,
}

/// What a CONNECT asks for, as far as the rules depend on it.
#[derive(Clone, Debug)]
pub struct ConnectSpec {
    /// Clean Start, or Clean Session before v5.
    pub clean_start: bool,
    /// How long the session outlives the connection; `None` for ever.
    pub expiry_seconds: Option<u32>,
    /// Its will.
    pub will: Option<WillSpec>,
    /// Keep alive; 0 for none.
    pub keep_alive_seconds: u16,
}

/// How a client leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// DISCONNECT, then the end of the stream.
    Clean,
    /// DISCONNECT with reason 0x04: with the will.
    CleanWithWill,
    /// The end of the stream; everything sent before arrives.
    Close,
    /// A reset: what was sent may be lost.
    Reset,
    /// Silence, with the connection still up.
    Abandon,
}

/// One client, as the model sees it.
#[derive(Debug)]
struct Client {
    /// The session it has, if the broker should still know it.
    session: Option<usize>,
    spec: Option<ConnectSpec>,
    online: bool,
    /// Since when without a break.
    since: Tick,
    since_ns: Nanos,
    connecting: Option<Connecting>,
    left: Option<Left>,
    will: Option<MessageId>,
    /// QoS 0 messages of this connection that the broker may not have read yet.
    unread: Vec<MessageId>,
    sequence: u64,
    last_sent_ns: Nanos,
}

#[derive(Debug)]
struct Connecting {
    spec: ConnectSpec,
    tick: Tick,
    now: Nanos,
    present: Present,
    will: Option<MessageId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Present {
    Must,
    May,
    MustNot,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    how: Leave,
    now: Nanos,
    /// When the broker has surely seen it, once that is known.
    seen_ns: Option<Nanos>,
}

/// The model: everything that happened, and what is wrong with it.
pub struct Model {
    now: Nanos,
    tick: Tick,
    clients: Vec<Client>,
    sessions: Vec<Session>,
    messages: Vec<Message>,
    topics: BTreeMap<String, u32>,
    /// Messages published with RETAIN, by topic, in the order they were sent.
    retained: BTreeMap<String, Vec<MessageId>>,
    unsettled: Vec<MessageId>,
    violations: Vec<String>,
    missing: u64,
    lossy: bool,
    last_rest: Tick,
    /// When the last shard that stood still went on.
    frozen_until: Nanos,
    trace: bool,
}

impl Model {
    /// A model of `clients` clients. `lossy`: queues are so small that messages may be dropped;
    /// then what is missing is counted instead of reported.
    #[must_use]
    pub fn new(clients: usize, lossy: bool) -> Model {
        let client = || Client {
            session: None,
            spec: None,
            online: false,
            since: 0,
            since_ns: 0,
            connecting: None,
            left: None,
            will: None,
            unread: Vec::new(),
            sequence: 0,
            last_sent_ns: 0,
        };
        Model {
            now: 0,
            tick: 0,
            clients: (0..clients).map(|_| client()).collect(),
            sessions: Vec::new(),
            messages: Vec::new(),
            topics: BTreeMap::new(),
            retained: BTreeMap::new(),
            unsettled: Vec::new(),
            violations: Vec::new(),
            missing: 0,
            lossy,
            last_rest: 0,
            frozen_until: 0,
            trace: false,
        }
    }

    /// The virtual time of the events that follow.
    pub fn at(&mut self, now: Nanos) {
        self.now = now;
    }

    /// Prints every event from here on.
    pub fn trace(&mut self) {
        self.trace = true;
    }

    /// Prints an event, if asked to.
    pub fn event(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>6} {:>14} {}", self.tick, self.now, what());
        }
    }

    /// What was wrong, oldest first.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How many copies did not arrive that would have to without a queue bound.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// A shard stands still until then.
    pub fn freeze(&mut self, shard: usize, until: Nanos) {
        self.frozen_until = until;
        self.event(|| format!("shard {shard} freezes"));
    }

    /// Topics that may have a retained message.
    #[must_use]
    pub fn retained_topics(&self) -> Vec<String> {
        self.retained.keys().cloned().collect()
    }

    /// Messages published so far, wills included.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.messages.len()
    }

    /// Copies that arrived.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.sessions
            .iter()
            .flat_map(|session| session.got.values())
            .map(|got| got.copies.len() as u64)
            .sum()
    }

    /// Notes something wrong that a client saw by itself.
    pub fn violation(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.violations
            .push(format!("at tick {} ({} ns): {what}", self.tick, self.now));
    }

    /// Whether the client's connection has its CONNACK.
    #[must_use]
    pub fn is_online(&self, client: usize) -> bool {
        self.clients[client].online
    }

    /// The moment, in the order of events.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    fn next_tick(&mut self) -> Tick {
        self.tick += 1;
        self.tick
    }

    /// CONNECT is about to be sent. A connection the client still has is taken over by it.
    /// Returns the number that the payload of its will carries.
    pub fn connect_sent(&mut self, at: usize, spec: ConnectSpec) -> Option<MessageId> {
        if self.clients[at].online {
            self.leave(at, Leave::Abandon);
        }
        let tick = self.next_tick();
        let present = self.expected_session(at, &spec);
        self.will_meets_connect(at, spec.clean_start);
        let client = &mut self.clients[at];
        client.last_sent_ns = self.now;
        let unread = std::mem::take(&mut client.unread);
        // The broker may drop what it has not read of the old connection, unless it saw its end.
        if client.left.is_some_and(|left| left.seen_ns.is_some()) {
            for id in unread {
                self.message_mut(id).routing = Routing::Certain;
            }
        }
        let will = spec.will.clone().map(|will| self.register_will(at, &will));
        let now = self.now;
        self.clients[at].connecting = Some(Connecting {
            spec,
            tick,
            now,
            present,
            will,
        });
        will
    }

    /// Whether CONNACK must say Session Present [MQTT5-3.2.2-2], [MQTT5-3.2.2-3].
    fn expected_session(&self, at: usize, spec: &ConnectSpec) -> Present {
        let client = &self.clients[at];
        let (Some(_), Some(old), Some(left)) = (client.session, &client.spec, client.left) else {
            return Present::MustNot;
        };
        if spec.clean_start {
            return Present::MustNot;
        }
        match (old.expiry_seconds, left.seen_ns) {
            (None, _) => Present::Must,
            // Taken over before the broker saw the end of a session without expiry: both readings
            // of the rules are held by respected brokers.
            (Some(0), None) => Present::May,
            (Some(0), Some(_)) => Present::MustNot,
            // The CONNECT may take a while to arrive, at a shard that stands still.
            (Some(expiry), _)
                if self.now + CONNECT_ARRIVES < left.now + u64::from(expiry) * SECOND =>
            {
                Present::Must
            }
            (Some(expiry), Some(seen)) if self.now > seen + u64::from(expiry + 2) * SECOND => {
                Present::MustNot
            }
            _ => Present::May,
        }
    }

    /// CONNACK arrived. `session_present` is `None` where the protocol does not say (v3.1).
    /// Returns whether the client goes on with its session.
    pub fn connected(&mut self, at: usize, session_present: Option<bool>) -> bool {
        let tick = self.next_tick();
        let Some(connecting) = self.clients[at].connecting.take() else {
            self.violation(format!("client {at}: CONNACK without CONNECT"));
            return false;
        };
        let present = session_present.unwrap_or(connecting.present == Present::Must);
        let wrong = match connecting.present {
            Present::Must => !present,
            Present::MustNot => present,
            Present::May => false,
        };
        if wrong {
            self.violation(format!(
                "client {at}: CONNACK says session present = {present}"
            ));
        }
        self.will_meets_connack(at, present, &connecting);
        let old = self.clients[at].session;
        match old.filter(|_| present) {
            Some(session) => self.sessions[session].connections += 1,
            None => {
                if let Some(old) = old {
                    self.sessions[old].ended.get_or_insert(connecting.tick);
                    self.sessions[old].owed.clear();
                }
                self.sessions.push(Session::new(at));
                self.clients[at].session = Some(self.sessions.len() - 1);
            }
        }
        let client = &mut self.clients[at];
        client.online = true;
        client.since = tick;
        client.since_ns = connecting.now;
        client.left = None;
        client.will = connecting.will;
        client.unread.clear();
        client.spec = Some(connecting.spec);
        present
    }

    /// The client leaves its connection.
    pub fn leave(&mut self, at: usize, how: Leave) {
        let tick = self.next_tick();
        let now = self.now;
        let client = &mut self.clients[at];
        if !client.online {
            return;
        }
        client.online = false;
        client.left = Some(Left {
            how,
            now,
            seen_ns: None,
        });
        if matches!(how, Leave::Reset | Leave::Abandon) {
            client.unread.clear();
        }
        let ends = client
            .spec
            .as_ref()
            .is_some_and(|spec| spec.expiry_seconds == Some(0));
        if let Some(session) = client.session.filter(|_| ends) {
            self.sessions[session].ended.get_or_insert(tick);
            self.sessions[session].owed.clear();
        }
        self.will_meets_leave(at, how);
    }

    /// The server has let go of the connection that the client left: it has seen its end.
    pub fn gone(&mut self, at: usize) {
        let now = self.now;
        let client = &mut self.clients[at];
        if client.online || client.connecting.is_some() {
            return;
        }
        if let Some(left) = &mut client.left {
            left.seen_ns.get_or_insert(now);
        }
    }

    /// Anything else was sent: it keeps the connection alive.
    pub fn sent(&mut self, at: usize) {
        self.clients[at].last_sent_ns = self.now;
    }

    /// SUBSCRIBE was sent. Returns its tick, to hand back with the answer.
    pub fn subscribe_sent(&mut self, at: usize, filters: &[(String, Options)]) -> Tick {
        let tick = self.next_tick();
        let now = self.now;
        self.clients[at].last_sent_ns = now;
        if let Some(session) = self.clients[at].session {
            for (filter, options) in filters {
                self.sessions[session].subscribe_sent(filter, options.clone(), tick, now);
            }
        }
        tick
    }

    /// SUBACK arrived, on the connection that sent the SUBSCRIBE.
    pub fn subscribed(&mut self, at: usize, filters: &[String]) {
        let tick = self.next_tick();
        let Some(session) = self.clients[at].session else {
            return;
        };
        for filter in filters {
            self.sessions[session].subscribed(filter, tick);
        }
    }

    /// UNSUBSCRIBE was sent. Returns its tick, to hand back with the answer.
    pub fn unsubscribe_sent(&mut self, at: usize, filters: &[String]) -> Tick {
        let tick = self.next_tick();
        self.clients[at].last_sent_ns = self.now;
        if let Some(session) = self.clients[at].session {
            for filter in filters {
                self.sessions[session].unsubscribe_sent(filter, tick);
            }
        }
        tick
    }

    /// UNSUBACK arrived.
    pub fn unsubscribed(&mut self, at: usize, filters: &[String], sent: Tick) {
        let tick = self.next_tick();
        let Some(session) = self.clients[at].session else {
            return;
        };
        for filter in filters {
            self.sessions[session].unsubscribed(filter, sent, tick);
        }
    }

    /// The message with this number.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(usize::try_from(id).ok()?)
    }

    fn message_mut(&mut self, id: MessageId) -> &mut Message {
        &mut self.messages[usize::try_from(id).expect("u32 fits in usize")]
    }
}
