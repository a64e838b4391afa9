//! Messages: when each was sent, when it was surely routed, and the life of wills.

use super::{Connecting, Leave, MessageId, Model, Nanos, SECOND, Tick, WILL_SLACK, WillSpec};

/// What is known of the routing of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// A will whose connection still stands, or that was cancelled: it must not appear.
    Never,
    /// It may have been routed, and nothing will tell more.
    Maybe,
    /// Sent, and to be acknowledged or sent again.
    Open,
    /// It was routed, or will be without anything more from the client.
    Certain,
    /// A will that is published at the given time at the earliest, unless its client comes back.
    Delayed {
        /// The least and the greatest time of its publication.
        from: Nanos,
        /// `None`: nobody knows when the server sees that the client is gone.
        until: Option<Nanos>,
    },
}

/// One published message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who published it.
    pub publisher: usize,
    /// Where.
    pub topic: String,
    /// The topic's number.
    pub topic_number: u32,
    /// At which QoS.
    pub qos: u8,
    /// With RETAIN.
    pub retain: bool,
    /// Payload bytes; 0 clears a retained message when `retain`.
    pub size: usize,
    /// Message Expiry Interval.
    pub expiry_seconds: Option<u32>,
    /// Published by the server for the client.
    pub will: bool,
    /// Its place among the publisher's messages.
    pub sequence: u64,
    /// How often it may have been routed.
    pub transmissions: u32,
    /// When it was first sent.
    pub sent: Tick,
    /// When it was first sent.
    pub sent_ns: Nanos,
    /// When it was surely routed.
    pub routed: Option<Tick>,
    /// When it was surely routed.
    pub routed_ns: Option<Nanos>,
    /// When it had surely reached every session.
    pub settled: Option<Tick>,
    /// What is known.
    pub routing: Routing,
}

impl Message {
    /// True when it is routed on PUBREL, so that it may be overtaken.
    #[must_use]
    pub fn late(&self) -> bool {
        self.qos == 2 && !self.will
    }
}

/// The payload of a message: its number, then filler that depends on it.
#[must_use]
pub fn payload(id: MessageId, size: usize) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    let block = u64::from(id)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .to_le_bytes();
    while out.len() < size {
        out.extend_from_slice(&block);
    }
    out.truncate(size);
    out
}

impl Model {
    /// PUBLISH was sent for the first time. A `size` of 0 is an empty payload; anything else must
    /// be at least 4. Returns the number that the payload carries.
    pub fn publish_sent(
        &mut self,
        publisher: usize,
        topic: &str,
        (qos, retain, size): (u8, bool, usize),
        expiry_seconds: Option<u32>,
    ) -> MessageId {
        let tick = self.next_tick();
        let id = self.new_message(publisher, topic, (qos, retain, size), expiry_seconds);
        let now = self.now;
        let message = self.message_mut(id);
        message.sent = tick;
        message.sent_ns = now;
        message.routing = if qos == 0 {
            Routing::Maybe
        } else {
            Routing::Open
        };
        let client = &mut self.clients[publisher];
        client.last_sent_ns = now;
        client.sequence += 1;
        let sequence = client.sequence;
        if qos == 0 {
            client.unread.push(id);
        }
        self.message_mut(id).sequence = sequence;
        self.enter(id);
        id
    }

    /// The same PUBLISH was sent again, with DUP. At QoS 2 that never makes a second message.
    pub fn publish_resent(&mut self, id: MessageId) {
        let message = self.message_mut(id);
        if message.qos == 1 {
            message.transmissions += 1;
        }
    }

    /// PUBACK or PUBCOMP arrived.
    pub fn publish_acknowledged(&mut self, id: MessageId) {
        let tick = self.next_tick();
        let now = self.now;
        let message = self.message_mut(id);
        message.routing = Routing::Certain;
        message.routed.get_or_insert(tick);
        message.routed_ns.get_or_insert(now);
        let (publisher, sent) = (message.publisher, message.sent);
        self.read_before(publisher, sent);
    }

    /// The client gave the message up: its session is lost.
    pub fn publish_abandoned(&mut self, id: MessageId) {
        self.message_mut(id).routing = Routing::Maybe;
    }

    /// The server answered something the client sent at this tick, so it has read everything
    /// before it.
    pub fn read_before(&mut self, at: usize, tick: Tick) {
        let unread = std::mem::take(&mut self.clients[at].unread);
        for id in unread {
            if self.message_mut(id).sent < tick {
                self.message_mut(id).routing = Routing::Certain;
            } else {
                self.clients[at].unread.push(id);
            }
        }
    }

    pub(super) fn register_will(&mut self, at: usize, will: &WillSpec) -> MessageId {
        let spec = (will.qos, will.retain, will.size);
        let id = self.new_message(at, &will.topic, spec, None);
        self.message_mut(id).will = true;
        id
    }

    fn new_message(
        &mut self,
        publisher: usize,
        topic: &str,
        (qos, retain, size): (u8, bool, usize),
        expiry_seconds: Option<u32>,
    ) -> MessageId {
        let id = MessageId::try_from(self.messages.len()).expect("fewer than 2^32 messages");
        let numbers = u32::try_from(self.topics.len()).expect("few topics");
        let topic_number = *self.topics.entry(topic.to_owned()).or_insert(numbers);
        self.messages.push(Message {
            publisher,
            topic: topic.to_owned(),
            topic_number,
            qos,
            retain,
            size,
            expiry_seconds,
            will: false,
            sequence: 0,
            transmissions: 1,
            sent: 0,
            sent_ns: 0,
            routed: None,
            routed_ns: None,
            settled: None,
            routing: Routing::Never,
        });
        id
    }

    /// From here on the message may appear.
    fn enter(&mut self, id: MessageId) {
        self.unsettled.push(id);
        let message = self.message_mut(id);
        if message.retain {
            let topic = message.topic.clone();
            self.retained.entry(topic).or_default().push(id);
        }
    }

    /// [MQTT5-3.1.2-8], [MQTT5-3.1.2-10]: a will goes out unless DISCONNECT came first.
    pub(super) fn will_meets_leave(&mut self, at: usize, how: Leave) {
        let client = &self.clients[at];
        let (Some(id), Some(spec)) = (client.will, &client.spec) else {
            return;
        };
        if how == Leave::Clean {
            return;
        }
        let delay = spec.will.as_ref().map_or(0, |will| will.delay_seconds);
        let delay = u64::from(
            spec.expiry_seconds
                .map_or(delay, |expiry| expiry.min(delay)),
        );
        let silence = match (how, spec.keep_alive_seconds) {
            (Leave::Abandon, 0) => None,
            (Leave::Abandon, keep_alive) => Some(u64::from(keep_alive) * SECOND * 3 / 2),
            _ => Some(0),
        };
        let from = self.now + delay * SECOND;
        let last_sent = client.last_sent_ns.max(self.now);
        let until = silence.map(|silence| last_sent + silence + delay * SECOND + WILL_SLACK);
        self.will_appears(at, id);
        self.message_mut(id).routing = if delay == 0 && silence == Some(0) {
            Routing::Certain
        } else {
            Routing::Delayed { from, until }
        };
    }

    fn will_appears(&mut self, at: usize, id: MessageId) {
        let (tick, now) = (self.tick, self.now);
        self.clients[at].sequence += 1;
        let sequence = self.clients[at].sequence;
        let message = self.message_mut(id);
        message.sent = tick;
        message.sent_ns = now;
        message.sequence = sequence;
        self.enter(id);
    }

    /// A CONNECT of the same client ends the old connection, whatever state it is in.
    pub(super) fn will_meets_connect(&mut self, at: usize, clean_start: bool) {
        let client = &self.clients[at];
        let (Some(id), Some(left)) = (client.will, client.left) else {
            return;
        };
        if left.how == Leave::Clean {
            if left.seen_ns.is_none() {
                // The CONNECT may overtake the DISCONNECT: then it is a takeover, with a will.
                self.will_appears(at, id);
                self.message_mut(id).routing = Routing::Maybe;
            }
            self.clients[at].will = None;
            return;
        }
        let delay = client
            .spec
            .as_ref()
            .and_then(|s| s.will.as_ref())
            .map_or(0, |w| w.delay_seconds);
        if let Routing::Delayed { .. } = self.message_mut(id).routing
            && (clean_start || delay == 0)
        {
            // The session ends, or there is no delay: it is published now at the latest.
            self.message_mut(id).routing = Routing::Certain;
        }
    }

    /// The session goes on within the delay: the will is cancelled [MQTT5-3.1.3-9].
    pub(super) fn will_meets_connack(&mut self, at: usize, present: bool, by: &Connecting) {
        let Some(id) = self.clients[at].will else {
            return;
        };
        let Routing::Delayed { from, .. } = self.message_mut(id).routing else {
            return;
        };
        self.message_mut(id).routing = if !present {
            Routing::Certain
        } else if self.now < from {
            Routing::Never
        } else if by.now < from {
            Routing::Maybe
        } else {
            // Both the delay and the return were before the server saw the end, or not.
            Routing::Maybe
        };
    }
}
