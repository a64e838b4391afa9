//! A steady stream of small messages from many publishers to one subscriber, whatever the broker
//! makes of it: to see what turn pacing does.

use ringbus::base::{Nanos, Socket};
use ringbus::io::sim::{Faults, Sim};
use ringbus::shard::ShardConfig;
use ringbus_protocols::mqtt::{Packet, Publish, QoS, Version};

use super::innocent::{connect, subscribe_to};
use super::plan::Plan;

const TOPIC: &str = "stream";
const PUBLISHERS: usize = 16;
const WINDOW_BYTES: usize = 1 << 20;

/// A broker on a network without delays, and its clients.
pub struct Stream {
    /// The broker.
    pub sim: Sim,
    publishers: Vec<Socket>,
    subscriber: Socket,
    packet: Vec<u8>,
    sent: usize,
    received_bytes: usize,
}

impl Stream {
    /// All connected, nothing sent.
    #[must_use]
    pub fn new(shards: u16, pace_us_max: u32) -> Stream {
        let config = ShardConfig {
            pace_us_max,
            ..Plan {
                shards,
                ..Plan::new(1)
            }
            .shard_config()
        };
        let faults = Faults {
            short_read_percent: 0,
            short_write_percent: 0,
            delay_max: Nanos(0),
            interleave_percent: 0,
            turn_max: Nanos(1),
        };
        let mut sim = Sim::new(config, 64, faults, 1);
        let open = |(client, shard): (usize, u16)| {
            let socket = sim.connect(usize::from(shard), WINDOW_BYTES);
            sim.send(socket, &connect(&format!("client-{client}"), Version::V5));
            socket
        };
        let shards = (0..shards).cycle().take(PUBLISHERS + 1);
        let mut publishers: Vec<Socket> = shards.enumerate().map(open).collect();
        let subscriber = publishers.pop().expect("it was opened last");
        sim.send(subscriber, &subscribe_to(TOPIC));
        let mut stream = Stream {
            sim,
            publishers,
            subscriber,
            packet: packet(),
            sent: 0,
            received_bytes: 0,
        };
        stream.pass(Nanos::from_millis(5));
        stream.received_bytes = 0;
        stream
    }

    /// Publishes a message each `gap` for this long. `look` sees the broker after every step.
    pub fn run(&mut self, gap: Nanos, duration: Nanos, mut look: impl FnMut(&Sim)) {
        let end = self.sim.now() + duration;
        let mut next = self.sim.now();
        while next < end {
            while next <= self.sim.now() && next < end {
                self.publish();
                next = next + gap;
            }
            self.sim.step(next);
            self.receive();
            look(&self.sim);
        }
    }

    /// One message.
    pub fn publish(&mut self) {
        let publisher = self.publishers[self.sent % PUBLISHERS];
        self.sim.send(publisher, &self.packet);
        self.sent += 1;
    }

    /// Time without a message.
    pub fn pass(&mut self, duration: Nanos) {
        self.sim.run_until(self.sim.now() + duration);
        self.receive();
    }

    /// Messages under way to the subscriber.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.sent - self.received_bytes / self.packet.len()
    }

    /// Lets the subscriber read.
    pub fn receive(&mut self) {
        self.received_bytes += self.sim.receive(self.subscriber, usize::MAX).bytes.len();
    }
}

fn packet() -> Vec<u8> {
    let publish = Publish {
        qos: QoS::AtMostOnce,
        topic: TOPIC,
        payload: b"0123456789abcdef",
        ..Publish::default()
    };
    let mut out = Vec::new();
    Packet::Publish(publish).encode(Version::V5, &mut out);
    out
}
