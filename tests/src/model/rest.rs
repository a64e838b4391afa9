//! What must hold when everything is at rest: nothing is under way, every client that is connected
//! has read all that was sent to it and acknowledged it.

use std::collections::{BTreeMap, BTreeSet};

use super::delivery::index;
use super::{Leave, Message, MessageId, Model, Routing, Tick, WILL_SLACK, matches};

impl Model {
    /// Everything is at rest: what must have arrived has arrived.
    pub fn at_rest(&mut self) {
        let tick = self.next_tick();
        let now = self.now;
        self.let_go();
        for id in std::mem::take(&mut self.unsettled) {
            self.settle_routing(id, now);
            match self.messages[index(id)].routing {
                Routing::Open | Routing::Delayed { .. } => self.unsettled.push(id),
                Routing::Never => {}
                Routing::Maybe => self.settle(id, tick),
                Routing::Certain => {
                    self.settle(id, tick);
                    self.expect(id, tick);
                }
            }
        }
        self.check_owed();
        self.check_replays(tick);
        self.conclude();
        self.last_rest = tick;
    }

    /// Which connections the server has surely seen the end of.
    fn let_go(&mut self) {
        let now = self.now;
        for client in &mut self.clients {
            if client.online {
                for id in std::mem::take(&mut client.unread) {
                    self.messages[index(id)].routing = Routing::Certain;
                }
            }
            let Some(left) = &mut client.left else {
                continue;
            };
            if left.how != Leave::Abandon {
                left.seen_ns.get_or_insert(now);
                for id in std::mem::take(&mut client.unread) {
                    self.messages[index(id)].routing = Routing::Certain;
                }
            }
        }
    }

    fn settle_routing(&mut self, id: MessageId, now: u64) {
        let message = &mut self.messages[index(id)];
        if let Routing::Delayed {
            from,
            until: Some(until),
        } = message.routing
        {
            // A shard that stood still saw the end of the connection only afterwards.
            let delay = from - message.sent_ns;
            let thawed = self.frozen_until + delay + WILL_SLACK;
            if until.max(thawed) < now {
                message.routing = Routing::Certain;
            }
        }
        if message.routing == Routing::Open && self.clients[message.publisher].online {
            let (publisher, qos) = (message.publisher, message.qos);
            self.violation(format!(
                "message {id} (QoS {qos}) of client {publisher}: no ack"
            ));
        }
    }

    fn settle(&mut self, id: MessageId, tick: Tick) {
        let now = self.now;
        let message = &mut self.messages[index(id)];
        message.settled = Some(tick);
        message.routed.get_or_insert(tick);
        message.routed_ns.get_or_insert(now);
    }

    /// Every session that was subscribed all the time has the message, or is owed it.
    fn expect(&mut self, id: MessageId, tick: Tick) {
        let message = self.messages[index(id)].clone();
        let mortal = message.expiry_seconds.is_some_and(|seconds| seconds < 3600);
        if mortal || message.size == 0 {
            return;
        }
        for at in 0..self.clients.len() {
            let Some(number) = self.clients[at].session else {
                continue;
            };
            let session = &self.sessions[number];
            let own = message.publisher == at;
            let window = (message.sent, tick);
            let found = session.meets(&message.topic, message.qos, own, window);
            if !found.certain || session.got.get(&id).is_some_and(|got| got.has_live()) {
                continue;
            }
            let unbroken = self.clients[at].online && self.clients[at].since <= message.sent;
            if unbroken || (found.qos_low > 0 && self.outlives(at)) {
                self.sessions[number].owed.insert(id);
            }
        }
    }

    /// True when the client's session is certainly there, connected or not.
    fn outlives(&self, at: usize) -> bool {
        let client = &self.clients[at];
        let Some(session) = client.session else {
            return false;
        };
        let expiry = client.spec.as_ref().and_then(|spec| spec.expiry_seconds);
        let left = client.left.map_or(self.now, |left| left.now);
        let over = expiry.is_some_and(|seconds| {
            !client.online && self.now >= left + u64::from(seconds) * super::SECOND
        });
        self.sessions[session].ended.is_none() && !over
    }

    fn check_owed(&mut self) {
        for at in 0..self.clients.len() {
            let Some(number) = self.clients[at].session.filter(|_| self.clients[at].online) else {
                continue;
            };
            for id in std::mem::take(&mut self.sessions[number].owed) {
                self.report_missing(format!(
                    "client {at} (session {number}) never got message {id}: {:?}",
                    self.messages[index(id)]
                ));
            }
        }
    }

    /// What connected clients have received, they have acknowledged, and the server knows it.
    fn conclude(&mut self) {
        for client in self.clients.iter().filter(|client| client.online) {
            let Some(number) = client.session else {
                continue;
            };
            for (id, got) in &mut self.sessions[number].got {
                // While copies may still come of a message that is sent again, DUP may be on them.
                let message = &self.messages[index(*id)];
                got.done = message.settled.is_some() && message.transmissions == 1;
            }
        }
    }

    fn report_missing(&mut self, what: String) {
        if self.lossy {
            self.missing += 1;
        } else {
            self.violation(what);
        }
    }

    /// [MQTT5-3.3.1-9]: a new subscription gets the retained message of every topic it matches.
    fn check_replays(&mut self, tick: Tick) {
        for at in 0..self.clients.len() {
            let Some(number) = self.clients[at].session.filter(|_| self.clients[at].online) else {
                continue;
            };
            let wanted = self.replays_wanted(at, number);
            let mut topics: BTreeMap<String, BTreeSet<MessageId>> = BTreeMap::new();
            for (filter, start) in wanted {
                let retained = self
                    .retained
                    .iter()
                    .filter(|(topic, _)| matches(&filter, topic));
                for (topic, ids) in retained {
                    if let Some(values) = self.values_during(ids, start, tick) {
                        topics.entry(topic.clone()).or_default().extend(values);
                    }
                }
            }
            for (topic, values) in topics {
                let got = values
                    .iter()
                    .any(|id| self.sessions[number].got_replay(*id));
                if !got {
                    self.report_missing(format!(
                        "client {at} (session {number}) got no retained message of {topic}, \
                         which is one of {values:?}"
                    ));
                }
            }
        }
    }

    /// The subscriptions since the last rest whose retained messages must have come by now.
    fn replays_wanted(&mut self, at: usize, number: usize) -> Vec<(String, Tick)> {
        let since = self.clients[at].since;
        let session = &mut self.sessions[number];
        let mut wanted = Vec::new();
        for (filter, versions) in &mut session.filters {
            for version in versions.iter_mut().filter(|v| !v.replay_checked) {
                let answered = version.start_high.is_some() && version.end_low.is_none();
                version.replay_checked = true;
                if answered
                    && version.replay_must
                    && !version.options.no_local
                    && version.start_low > since
                {
                    wanted.push((filter.clone(), version.start_low));
                }
            }
        }
        wanted
    }

    /// The values a topic may have had during the window; none when it may have had no value.
    fn values_during(
        &self,
        ids: &[MessageId],
        from: Tick,
        to: Tick,
    ) -> Option<BTreeSet<MessageId>> {
        let had_one = ids.iter().any(|&id| {
            let message = &self.messages[index(id)];
            message.routing == Routing::Certain && message.routed.is_some_and(|r| r <= from)
        });
        if !had_one {
            return None;
        }
        let mut values = BTreeSet::new();
        for &id in ids {
            let message: &Message = &self.messages[index(id)];
            let out = matches!(message.routing, Routing::Never) || message.sent > to;
            if out || self.superseded(id, ids, from) {
                continue;
            }
            let mortal = message.expiry_seconds.is_some_and(|seconds| seconds < 3600);
            if message.size == 0 || mortal {
                return None;
            }
            values.insert(id);
        }
        Some(values)
    }

    /// At the end of a run: is there one order of the messages of each topic that every
    /// subscriber's view agrees with?
    pub fn check_orders(&mut self) {
        let mut edges: BTreeMap<u32, BTreeSet<(MessageId, MessageId)>> = BTreeMap::new();
        for session in &self.sessions {
            for ((topic, _), seen) in &session.seen {
                let once: Vec<MessageId> = seen
                    .iter()
                    .copied()
                    .filter(|&id| self.messages[index(id)].transmissions == 1)
                    .collect();
                edges
                    .entry(*topic)
                    .or_default()
                    .extend(once.windows(2).map(|w| (w[0], w[1])));
            }
        }
        for (topic, edges) in edges {
            let left = without_sources(edges);
            if !left.is_empty() {
                self.violation(format!(
                    "topic {topic}: subscribers disagree on the order {left:?}"
                ));
            }
        }
    }
}

/// Takes away messages that nothing precedes until none is left, or only circles.
fn without_sources(
    mut edges: BTreeSet<(MessageId, MessageId)>,
) -> BTreeSet<(MessageId, MessageId)> {
    loop {
        let targets: BTreeSet<MessageId> = edges.iter().map(|edge| edge.1).collect();
        let before = edges.len();
        edges.retain(|edge| targets.contains(&edge.0));
        if edges.len() == before {
            return edges;
        }
    }
}
