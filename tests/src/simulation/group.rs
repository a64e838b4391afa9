//! A shared subscription whose members come and go, by seed: each message is with one member at a
//! time, and none is lost `[MQTT5-4.8.2]`.
//!
//! The rules are these. Publishers stay connected, so that every message is routed. Member 0 has a
//! session that lasts, so that somebody is always there to keep messages. No member gets a message
//! that another has got on a connection it still has. At the end every message has been got; at
//! QoS 2, where all sessions last, exactly once.

use std::collections::{HashMap, HashSet};

use ringbus::base::{Nanos, Socket};
use ringbus::config::SharedStrategy;
use ringbus::io::sim::{Chance, Faults, Sim};
use ringbus::shard::ShardConfig;
use ringbus_protocols::mqtt::{
    Ack, Connect, Disconnect, Frame, Packet, PacketIdentifier, Properties, PropertiesBuf, Property,
    Publish, QoS, ReasonCode, Subscribe, SubscribeFilter, Unsubscribe, Version, frame,
};

use super::plan::Plan;
use super::rest::check_leaks;

/// From narrow to broad.
const FILTERS: [&str; 3] = ["$share/g/job/x/#", "$share/g/job/#", "$share/g/#"];
const WINDOW_BYTES: usize = 1 << 20;
const SESSION_SECONDS: u32 = 10_000;
const PUBLISHERS: usize = 3;
const OPERATIONS: usize = 1_500;
/// Virtual seconds in which everything must have arrived once all members are there to stay.
const REST_SECONDS_MAX: u64 = 120;

/// What a run did that found nothing wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupReport {
    /// Messages published.
    pub messages: usize,
    /// Messages that a second member got, because the first had left.
    pub moved: usize,
    /// Messages repeated to the same member on a new connection.
    pub repeated: usize,
    /// Batches of mail between shards.
    pub mail_batches: u64,
}

/// The group of one seed, its publishers and the broker.
pub struct Group {
    chance: Chance,
    sim: Sim,
    shards: u16,
    qos: QoS,
    filter: &'static str,
    freezes: bool,
    publishers: Vec<Publisher>,
    members: Vec<Member>,
    published: u32,
    /// How often members got each message, repetitions aside.
    got: HashMap<u32, u32>,
    report: GroupReport,
    wrong: Option<String>,
}

struct Publisher {
    socket: Socket,
    stream: Vec<u8>,
    unacknowledged: u16,
    next_identifier: u16,
}

#[derive(Default)]
struct Member {
    name: String,
    lasts: bool,
    socket: Option<Socket>,
    stream: Vec<u8>,
    is_subscribed: bool,
    /// What it got on this connection.
    mine: HashSet<u32>,
    /// QoS 2 identifiers it has and that are not released; they outlive connections.
    unreleased: HashSet<PacketIdentifier>,
    answers: Vec<Vec<u8>>,
    receive_maximum: u16,
}

impl Group {
    /// The world before anything happens.
    #[must_use]
    pub fn new(seed: u64) -> Group {
        let mut chance = Chance::new(seed);
        let shards = *chance.pick(&[1, 2, 3, 4, 8]);
        let qos = *chance.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let plan = Plan {
            shards,
            queue_bytes: 1 << 30,
            ..Plan::new(seed)
        };
        let config = ShardConfig {
            shared_strategy: *chance.pick(&[
                SharedStrategy::RoundRobin,
                SharedStrategy::Random,
                SharedStrategy::Sticky,
                SharedStrategy::HashClient,
                SharedStrategy::LeastInflight,
            ]),
            receive_maximum: 100,
            pace_us_max: 0,
            ..plan.shard_config()
        };
        let faults = Faults {
            short_read_percent: 10,
            short_write_percent: 10,
            delay_max: Nanos(*chance.pick(&[0, 50_000, 2_000_000])),
            // Nobody sees a turn half done: what a shard mails, its sockets show.
            interleave_percent: 0,
            turn_max: Nanos(20_000),
        };
        let capacity = *chance.pick(&[1, 2, 64]);
        let count = chance.range(2, 7);
        let member = |at: u64| Member {
            name: format!("member-{at}"),
            // A QoS 2 message under way may end with its session.
            lasts: at == 0 || qos == QoS::ExactlyOnce || chance.percent(60),
            receive_maximum: *chance.pick(&[1, 3, 100]),
            ..Member::default()
        };
        Group {
            members: (0..count).map(member).collect(),
            filter: FILTERS[chance.index(FILTERS.len())],
            freezes: chance.percent(30),
            sim: Sim::new(config, capacity, faults, chance.draw()),
            shards,
            qos,
            publishers: Vec::new(),
            published: 0,
            got: HashMap::new(),
            report: GroupReport::default(),
            wrong: None,
            chance,
        }
    }

    /// Runs the whole script.
    ///
    /// # Errors
    /// What was wrong, in words.
    pub fn run(mut self) -> Result<GroupReport, String> {
        self.join(0);
        self.settle_until("member 0 subscribes", |group| {
            group.members[0].is_subscribed
        })?;
        for at in 0..PUBLISHERS {
            self.open_publisher(at);
        }
        for _ in 0..OPERATIONS {
            self.operate();
            let pause = self.chance.below(3_000_000);
            self.pass(Nanos(pause))?;
        }
        self.finish()?;
        self.report.messages = self.published as usize;
        self.report.mail_batches = self.sim.mail_batches();
        Ok(self.report)
    }

    fn operate(&mut self) {
        let at = self.chance.index(self.members.len());
        match self.chance.below(100) {
            0..55 => self.publish(),
            55..62 => self.leave(at),
            62..75 if self.members[at].socket.is_none() => self.join(at),
            75..77 => self.join(at),
            77..79 if at > 0 => self.toggle(at),
            79 if self.freezes => {
                let shard = self.chance.index(usize::from(self.shards));
                self.sim.freeze(shard, Nanos::from_millis(500));
            }
            _ => self.answer(at),
        }
    }

    fn open_publisher(&mut self, at: usize) {
        let shard = self.chance.index(usize::from(self.shards));
        let socket = self.sim.connect(shard, WINDOW_BYTES);
        self.sim
            .send(socket, &connect(&format!("publisher-{at}"), true, 100));
        self.publishers.push(Publisher {
            socket,
            stream: Vec::new(),
            unacknowledged: 0,
            next_identifier: 0,
        });
    }

    fn publish(&mut self) {
        let at = self.chance.index(self.publishers.len());
        let topic = format!("job/x/{}", self.chance.below(4));
        let publisher = &mut self.publishers[at];
        if publisher.unacknowledged >= 50 {
            return;
        }
        publisher.unacknowledged += 1;
        publisher.next_identifier = publisher.next_identifier % 60_000 + 1;
        let packet = Publish {
            qos: self.qos,
            topic: &topic,
            packet_identifier: PacketIdentifier::new(publisher.next_identifier),
            payload: &self.published.to_be_bytes(),
            ..Publish::default()
        };
        self.published += 1;
        self.sim
            .send(publisher.socket, &encode(&Packet::Publish(packet)));
    }

    fn join(&mut self, at: usize) {
        self.lose(at);
        let shard = self.chance.index(usize::from(self.shards));
        let member = &mut self.members[at];
        let socket = self.sim.connect(shard, WINDOW_BYTES);
        member.socket = Some(socket);
        let hello = connect(&member.name, !member.lasts, member.receive_maximum);
        self.sim.send(socket, &hello);
    }

    fn leave(&mut self, at: usize) {
        let Some(socket) = self.members[at].socket else {
            return;
        };
        match self.chance.below(3) {
            0 => self.sim.reset(socket),
            1 => self.sim.close(socket),
            _ => {
                let bye = Disconnect {
                    reason: ReasonCode::Success,
                    properties: Properties::default(),
                };
                self.sim.send(socket, &encode(&Packet::Disconnect(bye)));
            }
        }
        self.lose(at);
    }

    /// Its connection is no more; what it got on it may go to others.
    fn lose(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.socket = None;
        member.stream.clear();
        member.answers.clear();
        member.mine.clear();
        if !member.lasts {
            member.is_subscribed = false;
        }
    }

    fn toggle(&mut self, at: usize) {
        let (filter, qos) = (self.filter, self.qos);
        let member = &mut self.members[at];
        let Some(socket) = member.socket else { return };
        if member.is_subscribed {
            let mut out = Vec::new();
            let none = Properties::default();
            Unsubscribe::encode_from(identifier(2), &none, &[filter], Version::V5, &mut out);
            self.sim.send(socket, &out);
            member.is_subscribed = false;
        } else {
            self.sim.send(socket, &subscribe(filter, qos));
        }
    }

    /// Sends one of the acknowledgements that it owes.
    fn answer(&mut self, at: usize) {
        let member = &mut self.members[at];
        if let (Some(socket), false) = (member.socket, member.answers.is_empty()) {
            let answer = member.answers.remove(0);
            self.sim.send(socket, &answer);
        }
    }

    fn pass(&mut self, span: Nanos) -> Result<(), String> {
        let until = self.sim.now() + span;
        self.sim.run_until(until);
        for at in 0..self.publishers.len() {
            self.read_publisher(at);
        }
        for at in 0..self.members.len() {
            self.read_member(at);
        }
        self.wrong.take().map_or(Ok(()), Err)
    }

    fn settle_until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), String> {
        for _ in 0..REST_SECONDS_MAX * 100 {
            if is_done(self) {
                return Ok(());
            }
            self.pass(Nanos::from_millis(10))?;
        }
        Err(format!("{what}: not within {REST_SECONDS_MAX} s"))
    }

    fn finish(&mut self) -> Result<(), String> {
        for at in 0..self.members.len() {
            self.join(at);
        }
        let published = self.published;
        let complete = self.settle_until("everything arrives", |group| {
            for at in 0..group.members.len() {
                // An earlier CONNECT that was overtaken on the way takes over.
                if group.members[at].socket.is_none() {
                    group.join(at);
                }
                while !group.members[at].answers.is_empty() {
                    group.answer(at);
                }
            }
            let acknowledged = group.publishers.iter().all(|one| one.unacknowledged == 0);
            acknowledged && (0..published).all(|number| group.got.contains_key(&number))
        });
        if let Err(what) = complete {
            let missing: Vec<u32> = (0..published)
                .filter(|n| !self.got.contains_key(n))
                .collect();
            return Err(format!("{what}; missing {missing:?} of {published}"));
        }
        // Nothing more comes, and what is acknowledged is forgotten.
        self.pass(Nanos::from_secs(5))?;
        for at in 0..self.members.len() {
            while !self.members[at].answers.is_empty() {
                self.answer(at);
            }
            self.leave(at);
        }
        for publisher in &self.publishers {
            self.sim.close(publisher.socket);
        }
        self.pass(Nanos::from_secs(u64::from(SESSION_SECONDS) + 60))?;
        check_leaks(&self.sim)
    }

    fn read_publisher(&mut self, at: usize) {
        let publisher = &mut self.publishers[at];
        let received = self.sim.receive(publisher.socket, usize::MAX);
        publisher.stream.extend(received.bytes);
        let mut answers = Vec::new();
        read_packets(&mut publisher.stream, |packet| match packet {
            Packet::PubAck(_) | Packet::PubComp(_) => publisher.unacknowledged -= 1,
            Packet::PubRec(ack) => {
                let ack = Ack::new(ack.packet_identifier);
                answers.push(encode(&Packet::PubRel(ack)));
            }
            _ => {}
        });
        for answer in answers {
            self.sim.send(publisher.socket, &answer);
        }
    }

    fn read_member(&mut self, at: usize) {
        let Some(socket) = self.members[at].socket else {
            return;
        };
        let received = self.sim.receive(socket, usize::MAX);
        let mut stream = std::mem::take(&mut self.members[at].stream);
        stream.extend(received.bytes);
        read_packets(&mut stream, |packet| self.on_packet(at, socket, &packet));
        self.members[at].stream = stream;
        if received.closed {
            self.lose(at);
        }
    }

    fn on_packet(&mut self, at: usize, socket: Socket, packet: &Packet<'_>) {
        let (filter, qos) = (self.filter, self.qos);
        let member = &mut self.members[at];
        match packet {
            Packet::ConnAck(connack) => {
                if !connack.session_present {
                    member.unreleased.clear();
                    member.is_subscribed = false;
                }
                if !member.is_subscribed {
                    self.sim.send(socket, &subscribe(filter, qos));
                }
            }
            Packet::SubAck(_) => member.is_subscribed = true,
            Packet::Publish(publish) => self.on_publish(at, publish),
            Packet::PubRel(ack) => {
                member.unreleased.remove(&ack.packet_identifier);
                let done = Ack::new(ack.packet_identifier);
                member.answers.push(encode(&Packet::PubComp(done)));
            }
            _ => {}
        }
    }

    fn on_publish(&mut self, at: usize, publish: &Publish<'_>) {
        let payload = publish.payload.try_into().expect("a number in four bytes");
        let number = u32::from_be_bytes(payload);
        let identifier = publish.packet_identifier.expect("QoS 1 or 2");
        let member = &mut self.members[at];
        let ack = Ack::new(identifier);
        let is_new = if publish.qos == QoS::ExactlyOnce {
            member.answers.push(encode(&Packet::PubRec(ack)));
            member.unreleased.insert(identifier)
        } else {
            member.answers.push(encode(&Packet::PubAck(ack)));
            // The first transmission may have been lost on the way.
            !publish.dup || !self.got.contains_key(&number)
        };
        self.report.repeated += usize::from(publish.dup);
        // The server may have ended a connection and the client not know it yet.
        let is_open = |member: &Member| {
            let socket = member.socket;
            socket.is_some_and(|socket| !self.sim.is_ended(socket))
        };
        let has_it = |member: &Member| is_open(member) && member.mine.contains(&number);
        let holder = self.members.iter().position(has_it);
        if let Some(holder) = holder
            && is_open(&self.members[at])
        {
            let what = format!("message {number} came to member {at}, but member {holder} has it");
            self.wrong.get_or_insert(what);
        }
        self.members[at].mine.insert(number);
        if is_new {
            let copies = self.got.entry(number).or_default();
            *copies += 1;
            self.report.moved += usize::from(*copies == 2);
            if self.qos == QoS::ExactlyOnce && *copies > 1 {
                let what = format!("message {number} at QoS 2 came {copies} times");
                self.wrong.get_or_insert(what);
            }
        }
    }
}

fn read_packets(stream: &mut Vec<u8>, mut read: impl FnMut(Packet<'_>)) {
    let mut at = 0;
    while let Ok(Frame::Complete {
        header,
        body,
        length,
    }) = frame(&stream[at..], u32::MAX)
    {
        read(Packet::decode(header, body, Version::V5).expect("the broker sends valid packets"));
        at += length;
    }
    stream.drain(..at);
}

fn connect(client_id: &str, clean_start: bool, receive_maximum: u16) -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    if !clean_start {
        properties.push(Property::SessionExpiryInterval(SESSION_SECONDS));
    }
    properties.push(Property::ReceiveMaximum(receive_maximum));
    let mut out = Vec::new();
    Connect {
        version: Version::V5,
        clean_start,
        keep_alive_seconds: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: properties.as_properties(),
    }
    .encode(&mut out);
    out
}

fn subscribe(filter: &str, qos: QoS) -> Vec<u8> {
    let filters = [SubscribeFilter::new(filter, qos)];
    let mut out = Vec::new();
    let none = Properties::default();
    Subscribe::encode_from(identifier(1), &none, &filters, Version::V5, &mut out);
    out
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    out
}

fn identifier(value: u16) -> PacketIdentifier {
    PacketIdentifier::new(value).expect("it is not 0")
}
