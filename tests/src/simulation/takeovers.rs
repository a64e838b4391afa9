//! Clean Start takeovers of one client while its acknowledgements are outstanding on other shards.

use ringbus::base::{Nanos, Socket};
use ringbus::io::sim::{Chance, Faults, Sim};
use ringbus::shard::ShardConfig;
use ringbus_protocols::mqtt::{Frame, Packet, QoS, SubscribeFilter, Version, frame};

use super::innocent::{connect, subscribe_to_all};
use super::plan::Plan;
use crate::takeover::{CLIENT, Life, TOPICS, is_heard, topic};

const PACKET_BYTES_MAX: u32 = 1 << 20;
const WINDOW_BYTES: usize = 1 << 16;
/// Several of these fill the mail for one shard.
const HEAVY_PAYLOAD_BYTES: usize = 50_000;
/// More than one life has under way.
const RECEIVE_MAXIMUM: u16 = 100;
/// The end of a run comes to rest within this.
const REST: Nanos = Nanos::from_secs(5);

/// What a run saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Takeovers {
    /// Connections that the next one replaced.
    pub takeovers: usize,
    /// Those whose acknowledgements were outstanding on another shard.
    pub outstanding: usize,
    /// Acknowledgements received.
    pub acknowledgements: usize,
    /// Batches of mail that found a full queue.
    pub refusals: u64,
}

struct Open {
    socket: Socket,
    version: Version,
    life: Life,
    buffer: Vec<u8>,
}

struct Run {
    sim: Sim,
    chance: Chance,
    owners: [usize; TOPICS],
    home: usize,
    /// Until when each shard stands still.
    frozen: Vec<Nanos>,
    /// The connections that the client still reads; the last is the newest.
    open: Vec<Open>,
    report: Takeovers,
}

/// Takes one client over so many times, with shards that stand still and mailboxes of one batch.
///
/// # Errors
/// Which connection got what it must not get.
pub fn take_over(seed: u64, takeovers: usize) -> Result<Takeovers, String> {
    let mut run = Run::new(seed);
    run.subscribe();
    for number in 0..=takeovers {
        run.begin(number);
        run.go_on()?;
    }
    run.finish()
}

impl Run {
    fn new(seed: u64) -> Run {
        let shards = u16::try_from(2 + seed % 3).expect("2 to 4");
        let plan = Plan {
            shards,
            queue_bytes: 8 << 20,
            ..Plan::new(seed)
        };
        let config = ShardConfig {
            receive_maximum: RECEIVE_MAXIMUM,
            ..plan.shard_config()
        };
        let mut chance = Chance::new(seed ^ 0x7A4E);
        let faults = Faults {
            delay_max: Nanos::from_micros(*chance.pick(&[0, 20, 500])),
            turn_max: Nanos::from_micros(5),
            ..plan.faults
        };
        let owner = |number| usize::from(config.partitioner.owner(&topic(number)).0);
        Run {
            owners: std::array::from_fn(owner),
            home: usize::try_from(config.hasher.hash_one(CLIENT) % u64::from(shards))
                .expect("a shard"),
            frozen: vec![Nanos::ZERO; usize::from(shards)],
            sim: Sim::new(config, 1, faults, seed),
            open: Vec::new(),
            report: Takeovers::default(),
            chance,
        }
    }

    /// Somebody hears every other topic.
    fn subscribe(&mut self) {
        let heard: Vec<String> = (0..TOPICS).filter(|&n| is_heard(n)).map(topic).collect();
        let filters = heard.iter().map(String::as_str);
        let filters: Vec<_> = filters
            .map(|filter| SubscribeFilter::new(filter, QoS::AtMostOnce))
            .collect();
        let listener = self.sim.connect(0, WINDOW_BYTES);
        self.sim.send(listener, &connect("listener", Version::V5));
        self.sim.send(listener, &subscribe_to_all(&filters));
        self.sim.run_until(self.sim.now() + REST);
    }

    fn asleep(&self) -> [Nanos; TOPICS] {
        self.owners.map(|owner| self.frozen[owner])
    }

    /// The next connection: CONNECT and the first messages in one go.
    fn begin(&mut self, number: usize) {
        let now = self.sim.now();
        let shard = self.chance.index(self.frozen.len());
        if self.frozen[shard] <= now && self.chance.percent(40) {
            let duration = Nanos::from_micros(self.chance.range(50, 3_000));
            self.sim.freeze(shard, duration);
            self.frozen[shard] = now + duration;
        }
        if let Some(last) = self.open.last() {
            let away = |topic| self.owners[topic] != self.home;
            self.report.takeovers += 1;
            self.report.outstanding += usize::from(last.life.outstanding().any(away));
        }
        let version = *self
            .chance
            .pick(&[Version::V3_1_1, Version::V5, Version::V5]);
        let shard = self.chance.index(self.frozen.len());
        let life = Life::new(number, version);
        let socket = self.sim.connect(shard, WINDOW_BYTES);
        self.sim.send(socket, &life.hello());
        self.open.push(Open {
            socket,
            version,
            life,
            buffer: Vec::new(),
        });
        self.publish();
    }

    /// Some messages on the newest connection.
    fn publish(&mut self) {
        let asleep = self.asleep();
        let size = match self.chance.percent(3) {
            true => HEAVY_PAYLOAD_BYTES,
            false => 8,
        };
        let payload = vec![b'x'; size];
        let newest = self.open.last_mut().expect("just begun");
        for _ in 0..self.chance.range(1, 8) {
            let bytes = newest.life.publish(&mut self.chance, &payload, &asleep);
            self.sim.send(newest.socket, &bytes);
        }
    }

    /// Some turns, in which the client reads and sometimes publishes more. Now and then the next
    /// CONNECT does not wait for this one's answer.
    fn go_on(&mut self) -> Result<(), String> {
        let hasty = self.chance.percent(15);
        let mut turns = self.chance.below(40);
        while turns > 0 || !(hasty || self.newest_is_connected()) {
            turns = turns.saturating_sub(1);
            let limit = self.sim.now() + Nanos::from_micros(100);
            self.sim.step(limit);
            self.read()?;
            if self.newest_is_connected() && self.chance.percent(5) {
                self.publish();
            }
        }
        Ok(())
    }

    fn newest_is_connected(&self) -> bool {
        self.open
            .last()
            .is_some_and(|last| last.life.is_connected())
    }

    fn read(&mut self) -> Result<(), String> {
        let asleep = self.asleep();
        let now = self.sim.now();
        let mut open = std::mem::take(&mut self.open);
        for one in &mut open {
            let received = self.sim.receive(one.socket, usize::MAX);
            one.buffer.extend_from_slice(&received.bytes);
            for answer in one.take_packets(now, &asleep, &mut self.report)? {
                self.sim.send(one.socket, &answer);
            }
        }
        let (sim, newest) = (&self.sim, open.last().map(|last| last.socket));
        let stays = |one: &Open| Some(one.socket) == newest || !sim.is_gone(one.socket);
        open.retain(stays);
        self.open = open;
        Ok(())
    }

    /// Everything comes to rest: one connection is left, with all its acknowledgements.
    fn finish(mut self) -> Result<Takeovers, String> {
        let end = self.sim.now() + REST;
        while self.sim.now() < end {
            self.sim.step(self.sim.now() + Nanos::from_millis(1));
            self.read()?;
        }
        let mut alive = self.open.iter().filter(|one| !self.sim.is_gone(one.socket));
        match (alive.next(), alive.next()) {
            (Some(last), None) if last.life.outstanding().next().is_none() => {}
            (Some(last), None) => return Err(format!("unacknowledged: {:?}", last.life)),
            (first, _) => {
                return Err(format!(
                    "{} connections are left",
                    first.map_or("no", |_| "several")
                ));
            }
        }
        self.report.refusals = self.sim.mail_refusals();
        Ok(self.report)
    }
}

impl Open {
    fn take_packets(
        &mut self,
        now: Nanos,
        asleep: &[Nanos; TOPICS],
        report: &mut Takeovers,
    ) -> Result<Vec<Vec<u8>>, String> {
        let (mut used, mut answers) = (0, Vec::new());
        while let Frame::Complete {
            header,
            body,
            length,
        } =
            frame(&self.buffer[used..], PACKET_BYTES_MAX).map_err(|error| error.to_string())?
        {
            let packet = Packet::decode(header, body, self.version)
                .map_err(|error| format!("a bad packet: {error}"))?;
            report.acknowledgements +=
                usize::from(matches!(packet, Packet::PubAck(_) | Packet::PubComp(_)));
            answers.extend(self.life.take(&packet, now, asleep)?);
            used += length;
        }
        self.buffer.drain(..used);
        Ok(answers)
    }
}
