//! A client as a protocol state machine: it speaks MQTT over a simulated connection, keeps its
//! half of the session, tells the model what it does and sees, and reports what no client should
//! ever see.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringbus::base::{Nanos, Scheme, Socket};
use ringbus::io::sim::{Chance, Sim};
use ringbus_protocols::mqtt::{
    Connect, Disconnect, Packet, PacketIdentifier, PacketType, PingReq, PropertiesBuf, Property,
    Publish, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeFilter, Unsubscribe, Version,
    Will,
};
use ringbus_protocols::topic::TopicName;

use super::web_end::WebEnd;
use crate::model::{ConnectSpec, Leave, MessageId, Model, Options, Tick, payload};

/// What a client is like; it stays so for the whole run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The protocol it speaks.
    pub version: Version,
    /// v3: Clean Session. v5: see `expiry_seconds`.
    pub clean_session: bool,
    /// v5 Session Expiry Interval.
    pub expiry_seconds: u32,
    /// Keep Alive.
    pub keep_alive_seconds: u16,
    /// v5 Receive Maximum, if it names one.
    pub receive_maximum: Option<u16>,
    /// v5 Topic Alias Maximum for what the server sends.
    pub topic_alias_maximum: u16,
    /// How many unread bytes its side of the connection holds.
    pub window_bytes: usize,
    /// Of 100 chances to acknowledge, how many it lets pass.
    pub laziness_percent: u64,
    /// What carries its packets.
    pub scheme: Scheme,
}

/// A PUBLISH of QoS 1 or 2 until its handshake is over.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) identifier: PacketIdentifier,
    pub(super) id: MessageId,
    pub(super) publication: Publication,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// PUBLISH was sent.
    Sent,
    /// PUBREC is here, PUBREL waits to be sent.
    Received,
    /// PUBREL was sent.
    Released,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The topic name.
    pub topic: String,
    /// The QoS.
    pub qos: QoS,
    /// With RETAIN.
    pub retain: bool,
    /// Payload bytes, 0 or at least 4.
    pub size: usize,
    /// v5 Message Expiry Interval.
    pub expiry_seconds: Option<u32>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) enum Pending {
    Subscribe {
        filters: Vec<String>,
        granted: Vec<u8>,
        sent: Tick,
    },
    Unsubscribe {
        filters: Vec<String>,
        sent: Tick,
    },
}

/// The connection in use.
pub(super) struct Link {
    pub(super) socket: Socket,
    /// If packets travel in WebSocket messages.
    pub(super) web: Option<WebEnd>,
    pub(super) buffer: Vec<u8>,
    pub(super) connected: bool,
    pub(super) last_sent: Nanos,
    /// PINGREQs that wait for their answer.
    pub(super) pings: VecDeque<Tick>,
    pub(super) server_receive_maximum: usize,
    pub(super) server_alias_maximum: u16,
    pub(super) aliases_out: BTreeMap<String, u16>,
    pub(super) aliases_in: BTreeMap<u16, String>,
    /// Packet identifiers the server has in use on this connection.
    pub(super) in_flight: BTreeSet<u16>,
    pub(super) disconnect: Option<ReasonCode>,
}

impl Link {
    fn send(&mut self, sim: &mut Sim, bytes: &[u8]) {
        match &mut self.web {
            Some(web) => web.send(sim, bytes),
            None => sim.send(self.socket, bytes),
        }
    }
}

/// One client.
pub struct Client {
    /// Its number in the model.
    pub at: usize,
    /// What it is like.
    pub profile: Profile,
    pub(super) link: Option<Link>,
    /// Connections it has left that the server may still hold.
    pub(super) left: Vec<(Socket, Leave)>,
    next_identifier: u16,
    pub(super) outgoing: VecDeque<Outgoing>,
    /// QoS 2 packet identifiers received and not released.
    pub(super) received_exactly: BTreeMap<u16, MessageId>,
    /// QoS 1 packet identifiers received and not acknowledged.
    pub(super) received_at_least: BTreeMap<u16, MessageId>,
    /// Acknowledgements to send, in order.
    pub(super) held: VecDeque<(PacketType, PacketIdentifier)>,
    pub(super) pending: BTreeMap<u16, Pending>,
    /// Filters it has subscribed to, in this session.
    pub filters: BTreeSet<String>,
}

impl Client {
    /// A client that was never connected.
    #[must_use]
    pub fn new(at: usize, profile: Profile) -> Client {
        Client {
            at,
            profile,
            link: None,
            left: Vec::new(),
            next_identifier: 1,
            outgoing: VecDeque::new(),
            received_exactly: BTreeMap::new(),
            received_at_least: BTreeMap::new(),
            held: VecDeque::new(),
            pending: BTreeMap::new(),
            filters: BTreeSet::new(),
        }
    }

    /// Past its CONNACK.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.connected)
    }

    /// Between CONNECT and CONNACK.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.connected)
    }

    /// Whether nothing of what it sent waits for an answer, nor the other way round.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let Some(link) = &self.link else {
            return true;
        };
        let pinging = !link.pings.is_empty();
        self.held.is_empty()
            && self.outgoing.is_empty()
            && self.pending.is_empty()
            && !pinging
            && !self.is_connecting()
    }

    /// Whether it has left connections that the server still holds.
    pub fn has_left_connections(&mut self, sim: &Sim, model: &mut Model) -> bool {
        self.left.retain(|&(socket, _)| !sim.is_gone(socket));
        if self.left.is_empty() {
            model.gone(self.at);
        }
        !self.left.is_empty()
    }

    /// Whether something has arrived that it has not read.
    #[must_use]
    pub fn has_news(&self, sim: &Sim) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| sim.has_news(link.socket))
    }

    /// How many connections the server holds that it must have let go of when all is at rest.
    #[must_use]
    pub fn overdue_connections(&self, sim: &Sim) -> usize {
        let silent = |how| how == Leave::Abandon && !self.is_online();
        let held = self
            .left
            .iter()
            .filter(|&&(socket, _)| !sim.is_gone(socket));
        held.filter(|&&(_, how)| !silent(how)).count()
    }

    /// Opens a connection to the given shard and sends CONNECT. One that is open is taken over:
    /// the client turns its back on it.
    pub fn connect(&mut self, sim: &mut Sim, model: &mut Model, shard: usize, spec: &ConnectSpec) {
        assert!(
            !self.is_connecting(),
            "a CONNECT is decided before the next is sent"
        );
        model.event(|| format!("client {} connects to shard {shard}: {spec:?}", self.at));
        if let Some(link) = self.link.take() {
            self.left.push((link.socket, Leave::Abandon));
        }
        self.held.clear();
        let will_id = model.connect_sent(self.at, spec.clone());
        let scheme = self.profile.scheme;
        let socket = sim.connect_to(scheme, shard, self.profile.window_bytes);
        let seed = u64::from(socket.unsigned_abs());
        let web =
            (scheme == Scheme::Ws).then(|| WebEnd::open(sim, socket, seed, "/mqtt", Some("mqtt")));
        let bytes = self.encode_connect(spec, will_id);
        let mut link = Link {
            socket,
            web,
            buffer: Vec::new(),
            connected: false,
            last_sent: sim.now(),
            pings: VecDeque::new(),
            server_receive_maximum: usize::from(u16::MAX),
            server_alias_maximum: 0,
            aliases_out: BTreeMap::new(),
            aliases_in: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            disconnect: None,
        };
        link.send(sim, &bytes);
        self.link = Some(link);
    }

    fn encode_connect(&self, spec: &ConnectSpec, will_id: Option<MessageId>) -> Vec<u8> {
        let (mut properties, mut will_properties) = (PropertiesBuf::new(), PropertiesBuf::new());
        if self.profile.version.is_v5() {
            match spec.expiry_seconds {
                Some(0) => {}
                finite => {
                    let seconds = finite.unwrap_or(u32::MAX);
                    properties.push(Property::SessionExpiryInterval(seconds));
                }
            }
            if let Some(maximum) = self.profile.receive_maximum {
                properties.push(Property::ReceiveMaximum(maximum));
            }
            if self.profile.topic_alias_maximum > 0 {
                properties.push(Property::TopicAliasMaximum(
                    self.profile.topic_alias_maximum,
                ));
            }
        }
        let will_payload = spec
            .will
            .as_ref()
            .zip(will_id)
            .map(|(w, id)| payload(id, w.size));
        let will = spec
            .will
            .as_ref()
            .zip(will_payload.as_ref())
            .map(|(will, payload)| {
                if will.delay_seconds > 0 {
                    will_properties.push(Property::WillDelayInterval(will.delay_seconds));
                }
                Will {
                    topic: TopicName::parse(&will.topic).expect("the script uses valid topics"),
                    payload,
                    qos: QoS::try_from(will.qos).expect("0, 1 or 2"),
                    retain: will.retain,
                    properties: will_properties.as_properties(),
                }
            });
        let mut out = Vec::new();
        Connect {
            version: self.profile.version,
            clean_start: spec.clean_start,
            keep_alive_seconds: spec.keep_alive_seconds,
            client_id: &format!("client-{}", self.at),
            will,
            username: None,
            password: None,
            properties: properties.as_properties(),
        }
        .encode(&mut out);
        out
    }

    /// Leaves the connection.
    pub fn leave(&mut self, sim: &mut Sim, model: &mut Model, how: Leave) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        assert!(
            link.connected,
            "a CONNECT is decided before the client leaves"
        );
        self.held.clear();
        model.event(|| format!("client {} leaves: {how:?}", self.at));
        model.leave(self.at, how);
        match how {
            Leave::Clean | Leave::CleanWithWill => {
                let reason = match how {
                    Leave::Clean => ReasonCode::Success,
                    _ => ReasonCode::DisconnectWithWill,
                };
                let mut out = Vec::new();
                Disconnect::new(reason).encode(self.profile.version, &mut out);
                link.send(sim, &out);
                sim.close(link.socket);
            }
            Leave::Close => sim.close(link.socket),
            Leave::Reset => sim.reset(link.socket),
            Leave::Abandon => {}
        }
        self.left.push((link.socket, how));
    }

    pub(super) fn send(&mut self, sim: &mut Sim, model: &mut Model, bytes: &[u8]) {
        let link = self.link.as_mut().expect("only a connected client sends");
        link.last_sent = sim.now();
        link.send(sim, bytes);
        model.sent(self.at);
    }

    pub(super) fn send_packet(&mut self, sim: &mut Sim, model: &mut Model, packet: &Packet<'_>) {
        let mut out = Vec::new();
        packet.encode(self.profile.version, &mut out);
        model.event(|| format!("client {} sends {packet:?}", self.at));
        self.send(sim, model, &out);
    }

    /// How many more QoS 1 and 2 publishes the server takes now.
    #[must_use]
    pub fn quota(&self) -> usize {
        let maximum = self
            .link
            .as_ref()
            .map_or(0, |link| link.server_receive_maximum);
        maximum.saturating_sub(self.outgoing.len())
    }

    /// Sends a PUBLISH.
    pub fn publish(&mut self, sim: &mut Sim, model: &mut Model, publication: Publication) {
        let what = (
            u8::from(publication.qos),
            publication.retain,
            publication.size,
        );
        let id = model.publish_sent(
            self.at,
            &publication.topic,
            what,
            publication.expiry_seconds,
        );
        let identifier = (publication.qos != QoS::AtMostOnce).then(|| self.identifier());
        self.send_publish(sim, model, &publication, (id, identifier, false));
        if let Some(identifier) = identifier {
            self.outgoing.push_back(Outgoing {
                identifier,
                id,
                publication,
                stage: Stage::Sent,
            });
        }
    }

    fn send_publish(
        &mut self,
        sim: &mut Sim,
        model: &mut Model,
        publication: &Publication,
        (id, packet_identifier, dup): (MessageId, Option<PacketIdentifier>, bool),
    ) {
        let mut properties = PropertiesBuf::new();
        let mut topic = publication.topic.as_str();
        if self.profile.version.is_v5() {
            if let Some(seconds) = publication.expiry_seconds {
                properties.push(Property::MessageExpiryInterval(seconds));
            }
            let link = self
                .link
                .as_mut()
                .expect("only a connected client publishes");
            let used = u16::try_from(link.aliases_out.len()).expect("at most the maximum");
            if let Some(&alias) = link.aliases_out.get(topic) {
                properties.push(Property::TopicAlias(alias));
                topic = "";
            } else if used < link.server_alias_maximum.min(3) {
                link.aliases_out.insert(topic.to_owned(), used + 1);
                properties.push(Property::TopicAlias(used + 1));
            }
        }
        let payload = payload(id, publication.size);
        let packet = Publish {
            dup,
            qos: publication.qos,
            retain: publication.retain,
            topic,
            packet_identifier,
            properties: properties.as_properties(),
            payload: &payload,
        };
        self.send_packet(sim, model, &Packet::Publish(packet));
    }

    /// After a CONNACK with Session Present: everything unacknowledged again, in its order
    /// [MQTT5-4.4.0-1].
    pub(super) fn resend(&mut self, sim: &mut Sim, model: &mut Model) {
        for at in 0..self.outgoing.len() {
            let outgoing = self.outgoing[at].clone();
            if outgoing.stage == Stage::Sent {
                model.publish_resent(outgoing.id);
                let how = (outgoing.id, Some(outgoing.identifier), true);
                self.send_publish(sim, model, &outgoing.publication, how);
            } else {
                self.outgoing[at].stage = Stage::Released;
                self.send_acknowledgement(sim, model, PacketType::PubRel, outgoing.identifier);
            }
        }
    }

    /// SUBSCRIBE to these filters.
    pub fn subscribe(&mut self, sim: &mut Sim, model: &mut Model, filters: &[(String, Options)]) {
        model.event(|| format!("client {} subscribes {filters:?}", self.at));
        let sent = model.subscribe_sent(self.at, filters);
        let identifier = self.identifier();
        let mut properties = PropertiesBuf::new();
        if self.profile.version.is_v5()
            && let Some(number) = filters[0].1.identifier
        {
            properties.push(Property::SubscriptionIdentifier(number));
        }
        let wanted: Vec<SubscribeFilter<'_>> = filters.iter().map(wanted).collect();
        let mut out = Vec::new();
        let properties = properties.as_properties();
        Subscribe::encode_from(
            identifier,
            &properties,
            &wanted,
            self.profile.version,
            &mut out,
        );
        self.send(sim, model, &out);
        let pending = Pending::Subscribe {
            filters: filters.iter().map(|f| f.0.clone()).collect(),
            granted: filters.iter().map(|f| f.1.qos).collect(),
            sent,
        };
        self.filters.extend(filters.iter().map(|f| f.0.clone()));
        self.pending.insert(identifier.get(), pending);
    }

    /// UNSUBSCRIBE from these filters.
    pub fn unsubscribe(&mut self, sim: &mut Sim, model: &mut Model, filters: &[String]) {
        model.event(|| format!("client {} unsubscribes {filters:?}", self.at));
        let sent = model.unsubscribe_sent(self.at, filters);
        let identifier = self.identifier();
        let wanted: Vec<&str> = filters.iter().map(String::as_str).collect();
        let mut out = Vec::new();
        let none = PropertiesBuf::new();
        Unsubscribe::encode_from(
            identifier,
            &none.as_properties(),
            &wanted,
            self.profile.version,
            &mut out,
        );
        self.send(sim, model, &out);
        for filter in filters {
            self.filters.remove(filter);
        }
        let pending = Pending::Unsubscribe {
            filters: filters.to_vec(),
            sent,
        };
        self.pending.insert(identifier.get(), pending);
    }

    /// Sends PINGREQ when half the keep alive has passed in silence, or when told to.
    pub fn ping(&mut self, sim: &mut Sim, model: &mut Model, now: bool) {
        let keep_alive = Nanos::from_secs(u64::from(self.profile.keep_alive_seconds));
        let Some(link) = self.link.as_mut().filter(|link| link.connected) else {
            return;
        };
        let quiet = sim.now().0 - link.last_sent.0;
        let due = keep_alive.0 > 0 && quiet >= keep_alive.0 / 2;
        if due || now {
            link.pings.push_back(model.tick());
            self.send_packet(sim, model, &Packet::PingReq(PingReq));
        }
    }

    /// A packet identifier that is not in use.
    fn identifier(&mut self) -> PacketIdentifier {
        loop {
            let value = self.next_identifier;
            // Few of them, so that they are reused often.
            self.next_identifier = if value >= 300 { 1 } else { value + 1 };
            let used = self.pending.contains_key(&value)
                || self.outgoing.iter().any(|o| o.identifier.get() == value);
            if !used {
                return PacketIdentifier::new(value).expect("counted from 1");
            }
        }
    }

    /// Sends some of the acknowledgements that are due; all of them when not `lazy`.
    pub fn acknowledge(
        &mut self,
        sim: &mut Sim,
        model: &mut Model,
        chance: &mut Chance,
        lazy: bool,
    ) {
        while self.is_online() && !self.held.is_empty() {
            if lazy && chance.percent(self.profile.laziness_percent) {
                return;
            }
            let Some((kind, identifier)) = self.held.pop_front() else {
                return;
            };
            self.note_acknowledgement(kind, identifier);
            self.send_acknowledgement(sim, model, kind, identifier);
        }
    }

    fn note_acknowledgement(&mut self, kind: PacketType, identifier: PacketIdentifier) {
        let link = self.link.as_mut().expect("it is online");
        match kind {
            PacketType::PubAck => {
                link.in_flight.remove(&identifier.get());
                self.received_at_least.remove(&identifier.get());
            }
            PacketType::PubComp => {
                link.in_flight.remove(&identifier.get());
            }
            PacketType::PubRel => {
                for outgoing in &mut self.outgoing {
                    if outgoing.identifier == identifier {
                        outgoing.stage = Stage::Released;
                    }
                }
            }
            _ => {}
        }
    }
}

fn wanted((filter, options): &(String, Options)) -> SubscribeFilter<'_> {
    SubscribeFilter {
        filter,
        qos: QoS::try_from(options.qos).expect("0, 1 or 2"),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        },
    }
}
