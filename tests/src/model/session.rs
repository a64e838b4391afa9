//! What the model knows of a session: its subscriptions over time, and what it received.

use std::collections::{BTreeMap, BTreeSet};

use super::copies::Got;
use super::{MessageId, Nanos, Tick, matches};

/// The options of one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The QoS the client asked for and, here, always gets.
    pub qos: u8,
    /// Not the client's own messages.
    pub no_local: bool,
    /// RETAIN as the publisher set it.
    pub retain_as_published: bool,
    /// 0 send retained messages, 1 only for a new subscription, 2 never.
    pub retain_handling: u8,
    /// The subscription identifier, if any.
    pub identifier: Option<u32>,
}

/// One SUBSCRIBE of one filter: from when to when it may and must have counted.
#[derive(Debug)]
pub struct Version {
    /// The SUBSCRIBE was sent: it may count from here.
    pub start_low: Tick,
    /// The SUBACK was here: it does count from here, if ever.
    pub start_high: Option<Tick>,
    /// UNSUBSCRIBE or a new SUBSCRIBE was sent.
    pub end_low: Option<Tick>,
    /// It does not count after this.
    pub end_high: Option<Tick>,
    /// It ended because a SUBSCRIBE of the same filter replaced it.
    pub replaced: bool,
    /// The options.
    pub options: Options,
    /// Retained messages may be sent for it; must be when also `replay_must`.
    pub replay_may: bool,
    /// Retained messages must be sent for it.
    pub replay_must: bool,
    /// The number of the connection it was sent on.
    pub connection: u32,
    /// When it was sent.
    pub sent_ns: Nanos,
    /// Whether its retained copies were checked at a point of rest.
    pub replay_checked: bool,
}

impl Version {
    /// True when it may have counted at some moment of the window.
    fn possible(&self, from: Tick, to: Tick) -> bool {
        self.start_low <= to && self.end_high.is_none_or(|end| end >= from)
    }
}

/// The subscriptions that one message met.
#[derive(Default, Debug)]
pub struct Match {
    /// Some subscription must have counted all the time.
    pub certain: bool,
    /// Some subscription may have counted.
    pub possible: bool,
    /// The least and the greatest QoS a copy may have.
    pub qos_low: u8,
    /// See `qos_low`.
    pub qos_high: u8,
    /// Identifiers that must be on the copy.
    pub identifiers_must: BTreeSet<u32>,
    /// Identifiers that may be on the copy.
    pub identifiers_may: BTreeSet<u32>,
    /// A copy of a message published with RETAIN may keep it.
    pub retain_may: bool,
    /// A copy of a message published with RETAIN may lose it.
    pub retain_may_not: bool,
}

/// Publisher, topic, whether it is routed on PUBREL, whether it is acknowledged: what one
/// publisher sends within these stays in order.
pub type Stream = (usize, u32, bool, bool);

/// One session, from the CONNACK that began it.
#[derive(Debug)]
pub struct Session {
    /// The client's number.
    pub client: usize,
    /// How many connections it has had.
    pub connections: u32,
    /// It may have ended from here.
    pub ended: Option<Tick>,
    /// Subscriptions by filter, oldest first.
    pub filters: BTreeMap<String, Vec<Version>>,
    /// Everything received.
    pub got: BTreeMap<MessageId, Got>,
    /// Empty messages received, by topic.
    pub clears: BTreeMap<String, Got>,
    /// What must still arrive, when the client comes back.
    pub owed: BTreeSet<MessageId>,
    /// The last sequence seen, and that of the last will.
    pub streams: BTreeMap<Stream, (u64, u64)>,
    /// The newest retained copy that came.
    pub replayed: BTreeMap<Stream, u64>,
    /// Per (topic, acknowledged): messages in the order of their first copy.
    pub seen: BTreeMap<(u32, bool), Vec<MessageId>>,
}

impl Session {
    pub(super) fn new(client: usize) -> Session {
        Session {
            client,
            connections: 1,
            ended: None,
            filters: BTreeMap::new(),
            got: BTreeMap::new(),
            clears: BTreeMap::new(),
            owed: BTreeSet::new(),
            streams: BTreeMap::new(),
            replayed: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn subscribe_sent(
        &mut self,
        filter: &str,
        options: Options,
        tick: Tick,
        now: Nanos,
    ) {
        let versions = self.filters.entry(filter.to_owned()).or_default();
        let existed_certainly = versions
            .last()
            .is_some_and(|v| v.start_high.is_some() && v.end_low.is_none());
        let existed_possibly = versions.iter().any(|v| v.end_high.is_none());
        let (may, must) = match options.retain_handling {
            0 => (true, true),
            1 => (!existed_certainly, !existed_possibly),
            _ => (false, false),
        };
        for version in versions.iter_mut().filter(|v| v.end_low.is_none()) {
            version.end_low = Some(tick);
            version.replaced = true;
        }
        versions.push(Version {
            start_low: tick,
            start_high: None,
            end_low: None,
            end_high: None,
            replaced: false,
            options,
            replay_may: may,
            replay_must: must,
            connection: self.connections,
            sent_ns: now,
            replay_checked: false,
        });
    }

    pub(super) fn subscribed(&mut self, filter: &str, tick: Tick) {
        let Some(versions) = self.filters.get_mut(filter) else {
            return;
        };
        // The latest SUBSCRIBE of this filter that has no answer yet is not always the one that is
        // answered: answers come in order, so it is the oldest of this connection.
        let connection = self.connections;
        let Some(at) = versions
            .iter()
            .position(|v| v.start_high.is_none() && v.connection == connection)
        else {
            return;
        };
        versions[at].start_high = Some(tick);
        for earlier in &mut versions[..at] {
            earlier.end_high.get_or_insert(tick);
        }
    }

    pub(super) fn unsubscribe_sent(&mut self, filter: &str, tick: Tick) {
        for version in self.filters.get_mut(filter).into_iter().flatten() {
            version.end_low.get_or_insert(tick);
        }
    }

    /// Everything that was subscribed when the UNSUBSCRIBE was sent has ended.
    pub(super) fn unsubscribed(&mut self, filter: &str, sent: Tick, tick: Tick) {
        for version in self.filters.get_mut(filter).into_iter().flatten() {
            if version.start_low < sent {
                version.end_high.get_or_insert(tick);
            }
        }
    }

    /// Whether this message came as a retained copy, or live with RETAIN kept, which looks alike.
    pub(super) fn got_replay(&self, id: MessageId) -> bool {
        let versions = &mut self.filters.values().flatten();
        let as_published = versions.any(|version| version.options.retain_as_published);
        let got = self.got.get(&id);
        got.is_some_and(|got| got.has_replay() || (as_published && got.has_live()))
    }

    /// The subscriptions a message may meet that reaches sessions within `from..=to`. `own`: this
    /// client published it.
    pub(super) fn meets(&self, topic: &str, qos: u8, own: bool, (from, to): (Tick, Tick)) -> Match {
        let mut found = Match::default();
        for (filter, versions) in &self.filters {
            if matches(filter, topic) {
                found.add(versions, qos, own, (from, to));
            }
        }
        found
    }
}

impl Match {
    fn add(&mut self, versions: &[Version], qos: u8, own: bool, (from, to): (Tick, Tick)) {
        let possible: Vec<&Version> = versions.iter().filter(|v| v.possible(from, to)).collect();
        let counting: Vec<&&Version> = possible
            .iter()
            .filter(|v| !(own && v.options.no_local))
            .collect();
        let copies = counting.iter().map(|v| v.options.qos.min(qos));
        let Some(high) = copies.clone().max() else {
            return;
        };
        let low = copies.min().expect("as many as for the greatest");
        self.possible = true;
        self.qos_high = self.qos_high.max(high);
        self.identifiers_may
            .extend(counting.iter().filter_map(|v| v.options.identifier));
        self.retain_may |= counting.iter().any(|v| v.options.retain_as_published);
        self.retain_may_not |= counting.iter().any(|v| !v.options.retain_as_published);
        if counting.len() == possible.len() && certain(versions, from, to) {
            self.certain = true;
            self.qos_low = self.qos_low.max(low);
            if let [only] = possible[..] {
                self.identifiers_must.extend(only.options.identifier);
            }
        }
    }
}

/// True when the filter was subscribed all the time, by whatever version.
fn certain(versions: &[Version], from: Tick, to: Tick) -> bool {
    let mut since: Option<Tick> = None;
    for version in versions {
        if let Some(start) = version.start_high {
            since.get_or_insert(start);
        }
        if let Some(end) = version.end_low.filter(|_| !version.replaced) {
            if since.is_some_and(|start| start <= from && end > to) {
                return true;
            }
            since = None;
        }
    }
    since.is_some_and(|start| start <= from)
}
