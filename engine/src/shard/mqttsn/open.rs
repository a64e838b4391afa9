//! QoS −1: messages of senders that never connect [MQTTSN-6.8].
//!
//! They come by the hundred thousand and mostly to few topics, so those of one topic that come in
//! one turn are a run: routed once, copied to each subscriber in one piece.

use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::TopicRef;
use ringbus_protocols::topic::{TopicFilter, TopicName};

use crate::base::Nanos;
use crate::base::limits::SHARED_PAYLOAD_BYTES_MIN;
use crate::pubsub::{Message, PublisherId};
use crate::shard::Shard;
use crate::shard::gathered::Gathered;
use crate::shard::route::Carried;
use crate::shard::run::Run;
use crate::shard::sys::is_brokers_own;
use crate::shard::topics::{Remembered, Topic};

/// Topics that are remembered; two that meet in one place only lose speed.
const SLOTS: usize = 256;
/// A run grows no further than this.
const RUN_BYTES_MAX: usize = 32 << 10;

/// The topics that came last, and what came to them in this turn.
#[derive(Debug)]
pub(super) struct OpenTopics {
    slots: Box<[OpenTopic]>,
    /// Places with something to publish.
    gathered: Vec<u8>,
}

/// A topic as senders name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    topic: TopicRef,
    listener: u16,
}

#[derive(Debug, Default)]
struct OpenTopic {
    /// `None` if nothing is remembered.
    name: Option<Name>,
    /// What follows from the name; `None` if nobody may publish there.
    target: Option<Target>,
    messages: Gathered,
}

#[derive(Debug)]
struct Target {
    name: String,
    known: Remembered,
}

impl Default for OpenTopics {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OpenTopic::default()).collect(),
            gathered: Vec::new(),
        }
    }
}

impl Target {
    fn topic(&self, epoch: u64) -> Topic<'_> {
        self.known.topic(&self.name, epoch)
    }
}

impl Name {
    fn slot(self) -> usize {
        let kind = match self.topic {
            TopicRef::Normal(_) => 0,
            TopicRef::Predefined(_) => 1,
            TopicRef::Short(_) => 2,
        };
        let mixed = u32::from(self.topic.field()) * 3 + kind + u32::from(self.listener) * 7;
        // All of it counts in the upper bits of the product.
        let spread = mixed.wrapping_mul(0x9E37_79B1) >> 16;
        spread as usize % SLOTS
    }
}

impl Shard {
    /// A message at QoS −1 came to that UDP listener, whoever sent it.
    #[inline]
    pub(super) fn publish_open(
        &mut self,
        listener: u16,
        topic: TopicRef,
        retain: bool,
        payload: &[u8],
    ) {
        let name = Name { topic, listener };
        let at = name.slot();
        if self.sn.open.slots[at].name != Some(name) {
            self.learn_open(at, name);
        }
        let slot = &mut self.sn.open.slots[at];
        let Some(target) = &slot.target else {
            self.counters.datagrams_dropped += 1;
            return;
        };
        if retain || payload.len() >= SHARED_PAYLOAD_BYTES_MIN {
            self.publish_gathered_at(at);
            return self.publish_alone(at, retain, payload);
        }
        if slot.messages.is_empty() {
            self.sn
                .open
                .gathered
                .push(u8::try_from(at).expect("below 256"));
        }
        slot.messages.push(&target.name, payload);
        if slot.messages.len() >= RUN_BYTES_MAX {
            self.publish_gathered_at(at);
        }
    }

    /// Publishes what was gathered in this turn.
    #[inline]
    pub(in crate::shard) fn publish_open_runs(&mut self) {
        while let Some(at) = self.sn.open.gathered.pop() {
            self.publish_gathered_at(usize::from(at));
        }
    }

    /// Remembers another topic in the place of one.
    #[cold]
    fn learn_open(&mut self, at: usize, name: Name) {
        self.publish_gathered_at(at);
        let old = self.sn.open.slots[at].target.take();
        let short;
        let text = match name.topic {
            // An id that a client registers is known to its connection alone.
            TopicRef::Normal(_) => None,
            TopicRef::Predefined(id) => self.config.sn.gateway.predefined.name(id),
            TopicRef::Short(topic) => {
                short = topic;
                Some(short.as_str())
            }
        };
        let text = text.filter(|text| self.is_open(text, name.listener));
        let target = text.map(|text| {
            let known = Remembered::of(&self.topic(text));
            let mut name = old.map(|old| old.name).unwrap_or_default();
            name.clear();
            name.push_str(text);
            Target { name, known }
        });
        let slot = &mut self.sn.open.slots[at];
        slot.name = Some(name);
        slot.target = target;
    }

    /// Whether anybody who reaches the listener may publish there.
    fn is_open(&self, text: &str, listener: u16) -> bool {
        let Ok(topic) = TopicName::parse(text) else {
            return false;
        };
        let is_open = match &self.config.sn.open_topics {
            None => self.config.sn.is_local(listener),
            Some(filters) => filters.iter().any(|filter| {
                let filter = TopicFilter::parse(filter).expect("the configuration is valid");
                filter.matches(&topic)
            }),
        };
        is_open && !is_brokers_own(text)
    }

    fn publish_gathered_at(&mut self, at: usize) {
        let slot = &mut self.sn.open.slots[at];
        if slot.messages.is_empty() {
            return;
        }
        // Out of the slot while others are written to.
        let mut messages = std::mem::take(&mut slot.messages);
        if let Some(mut target) = slot.target.take() {
            self.publish_open_run(&messages.run(PublisherId::default()), &mut target);
            self.sn.open.slots[at].target = Some(target);
        }
        messages.clear();
        self.sn.open.slots[at].messages = messages;
    }

    fn publish_open_run(&mut self, run: &Run<'_>, target: &mut Target) {
        if self.publish_blocker(target.known.owner).is_some() {
            // Who sends datagrams cannot be held back.
            self.counters.datagrams_dropped += u64::from(run.packets.count);
            return;
        }
        let epoch = self.partition.epoch;
        if let Some(only) = self.publish_run(run, &target.topic(epoch), None) {
            target.known.learn(only, epoch);
        }
    }

    /// One that cannot be part of a run.
    fn publish_alone(&mut self, at: usize, retain: bool, payload: &[u8]) {
        let Some(target) = self.sn.open.slots[at].target.take() else {
            return;
        };
        let message = Message {
            topic: &target.name,
            payload,
            properties: &[],
            qos: QoS::AtMostOnce,
            retain,
            expires_at: Nanos::MAX,
            publisher: PublisherId::default(),
        };
        let topic = target.topic(self.partition.epoch);
        if self.publish_blocker(topic.owner).is_some() {
            self.counters.datagrams_dropped += 1;
        } else {
            self.counters.received += 1;
            self.counters.publish_bytes_received += payload.len() as u64;
            if topic.owner == self.id {
                self.route(&mut Carried::on_topic(message, &topic, None));
            } else {
                self.outboxes
                    .publish(topic.owner, &message, None, topic.hash, None);
            }
        }
        self.sn.open.slots[at].target = Some(target);
    }
}
