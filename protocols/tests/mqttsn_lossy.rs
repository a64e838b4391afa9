//! A client, the gateway and a broker over a network that drops, copies and delays 30 % of the
//! datagrams each, in virtual time: QoS 1 arrives at least once, QoS 2 exactly once, both in their
//! order, in both directions, sleep included. A failure prints its seed.

mod mqttsn;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use mqttsn::broker::{Broker, Message};
use mqttsn::device::{Device, Step};
use mqttsn::encoded;
use mqttsn::line::SECOND;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{Datagrams, Gateway, Io, Packet, Settings, Verdict, decode};

const MILLISECOND: u64 = 1_000_000;
const SEEDS: u64 = 1_000;
const MESSAGES: usize = 30;
/// More than any run needs.
const END: u64 = 40_000 * SECOND;
const STEPS_MAX: u32 = 100_000;
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn the_guarantees_hold_over_a_bad_network() {
    let mut all = Counts::default();
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.run();
        all.lost_clients += world.counts.lost_clients;
        all.times_asleep += world.counts.times_asleep;
        all.copies += world.counts.copies;
        all.drops += world.counts.drops;
    }
    // What is to be survived has happened.
    assert!(all.lost_clients > 20, "{all:?}");
    assert!(all.times_asleep > 300, "{all:?}");
    assert!(all.copies > 10_000 && all.drops > 10_000, "{all:?}");
}

/// Splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn qos(&mut self) -> QoS {
        LEVELS[usize::try_from(self.below(3)).expect("small")]
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    ToGateway(Vec<u8>),
    ToDevice(Vec<u8>),
    /// The broker has a message for the device.
    Publish(usize),
}

#[derive(Debug, Default)]
struct Counts {
    lost_clients: u32,
    times_asleep: u32,
    copies: u32,
    drops: u32,
}

struct World {
    counts: Counts,
    seed: u64,
    chance: Chance,
    now: u64,
    serial: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    device: Device,
    gateway: Option<Gateway>,
    settings: Settings,
    broker: Broker,
    published: Vec<Message>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let plan: VecDeque<_> = (0..MESSAGES)
            .map(|_| match chance.percent(15) {
                true => Step::Sleep(1 + u32::try_from(chance.below(4)).expect("small")),
                false => Step::Publish(chance.qos()),
            })
            .collect();
        let published: Vec<_> = (0..MESSAGES)
            .map(|number| {
                let topic =
                    ["down/a", "down/b", "ab"][usize::try_from(chance.below(3)).expect("small")];
                (chance.qos(), topic.to_owned(), format!("{topic} {number}"))
            })
            .collect();
        let mut world = Self {
            counts: Counts::default(),
            seed,
            chance,
            now: SECOND,
            serial: 0,
            events: BinaryHeap::new(),
            device: Device::new(plan),
            gateway: None,
            settings: Settings::default(),
            broker: Broker::default(),
            published,
        };
        let mut at = 0;
        for number in 0..MESSAGES {
            at += world.chance.below(15 * SECOND);
            world.at(at, Event::Publish(number));
        }
        world
    }

    fn run(&mut self) {
        let mut steps = 0;
        while !self.is_done() {
            steps += 1;
            let is_alive = self.now < END && steps < STEPS_MAX;
            assert!(is_alive, "seed {}: it does not come to an end", self.seed);
            self.step();
        }
        let seed = self.seed;
        check(seed, "up", &self.device.published, &self.broker.received);
        check(seed, "down", &self.published, &self.device.received);
    }

    fn is_done(&self) -> bool {
        let all_published = !self
            .events
            .iter()
            .any(|e| matches!(e.0.2, Event::Publish(_)));
        all_published && self.device.is_done() && self.broker.is_done()
    }

    /// The next thing that happens: a datagram arrives, or somebody has waited long enough.
    fn step(&mut self) {
        let event = self.events.peek().map_or(u64::MAX, |event| event.0.0);
        let settings = &self.settings;
        let gateway = self.gateway.as_ref().and_then(|g| g.deadline(settings));
        let gateway = gateway.unwrap_or(u64::MAX);
        let device = self.device.deadline();
        self.now = self.now.max(event.min(gateway).min(device));
        if event <= self.now {
            let Some(Reverse((_, _, event))) = self.events.pop() else {
                return;
            };
            match event {
                Event::ToDevice(datagram) => {
                    let packet = decode(&datagram).expect("a good datagram");
                    self.device.on_packet(&packet, self.now);
                }
                Event::ToGateway(datagram) => {
                    let packet = decode(&datagram).expect("a good datagram");
                    self.hear(&packet);
                }
                Event::Publish(number) => {
                    self.broker.publish(self.published[number].clone());
                    self.with_gateway(|_, _, _| Verdict::Open);
                }
            }
        } else if gateway <= self.now {
            self.with_gateway(Gateway::on_timer);
        } else {
            self.device.on_timer(self.now);
        }
        for datagram in std::mem::take(&mut self.device.out) {
            self.transmit(Event::ToGateway, &datagram);
        }
    }

    fn hear(&mut self, packet: &Packet<'_>) {
        if self.gateway.is_none() {
            if !matches!(packet, Packet::Connect { .. }) {
                let answer = encoded(&Packet::Disconnect {
                    duration_seconds: None,
                });
                return self.transmit(Event::ToDevice, &answer);
            }
            self.gateway = Some(Gateway::new());
        }
        let starts_anew =
            self.with_gateway(|gateway, settings, io| gateway.on_packet(packet, settings, io));
        if starts_anew {
            self.hear(packet);
        }
    }

    /// Lets the gateway work, and then gateway and broker with each other until both are quiet.
    /// Says whether the client has started anew.
    fn with_gateway(
        &mut self,
        work: impl FnOnce(&mut Gateway, &Settings, &mut Io<'_>) -> Verdict,
    ) -> bool {
        let Some(gateway) = &mut self.gateway else {
            return false;
        };
        let (mut to_broker, mut to_client) = (Vec::new(), Datagrams::default());
        let mut io = Io {
            now: self.now,
            to_broker: &mut to_broker,
            to_client: &mut to_client,
        };
        let mut verdict = work(gateway, &self.settings, &mut io);
        while verdict == Verdict::Open {
            self.broker.receive(&std::mem::take(io.to_broker));
            if !gateway.takes_output() || self.broker.output.is_empty() {
                break;
            }
            let output = std::mem::take(&mut self.broker.output);
            verdict = gateway.on_mqtt(&output, &self.settings, &mut io);
        }
        let was_awake = gateway.takes_output();
        gateway.output_done(&self.settings, &mut io);
        self.counts.times_asleep += u32::from(was_awake && !gateway.takes_output());
        self.counts.lost_clients += u32::from(verdict == Verdict::Lost);
        if verdict != Verdict::Open {
            self.broker.receive(&to_broker);
            self.broker.disconnected();
            self.gateway = None;
        }
        for datagram in to_client.iter() {
            self.transmit(Event::ToDevice, datagram);
        }
        verdict == Verdict::Restart
    }

    fn transmit(&mut self, event: fn(Vec<u8>) -> Event, datagram: &[u8]) {
        let copies = 1 + u64::from(self.chance.percent(30));
        self.counts.copies += u32::from(copies > 1);
        for _ in 0..copies {
            if self.chance.percent(30) {
                self.counts.drops += 1;
                continue;
            }
            let mut delay = 5 + self.chance.below(10);
            if self.chance.percent(30) {
                delay += self.chance.below(150);
            }
            let at = self.now + delay * MILLISECOND;
            self.at(at, event(datagram.to_vec()));
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((at, self.serial, event)));
    }
}

fn check(seed: u64, direction: &str, sent: &[Message], received: &[Message]) {
    let sent_at = |message: &Message| sent.iter().position(|other| other == message);
    let mut seen = BTreeSet::new();
    let mut last = None;
    for message in received {
        let position = sent_at(message);
        let Some(position) = position else {
            panic!("seed {seed} {direction}: {message:?} was never sent");
        };
        let is_new = seen.insert(position);
        if message.0 == QoS::ExactlyOnce {
            assert!(is_new, "seed {seed} {direction}: {message:?} came twice");
        }
        if message.0 != QoS::AtMostOnce && is_new {
            assert!(
                last < Some(position),
                "seed {seed} {direction}: {message:?} is late"
            );
            last = Some(position);
        }
    }
    for (position, message) in sent.iter().enumerate() {
        let is_there = message.0 == QoS::AtMostOnce || seen.contains(&position);
        assert!(is_there, "seed {seed} {direction}: {message:?} is lost");
    }
}
