//! A million retained messages for one subscriber: each topic comes once with RETAIN, in an order
//! that agrees with the live messages that flow meanwhile, and the broker hardly grows for it.
//!
//! `cargo test -p ringbus-tests --test retained_million -- --nocapture` prints what it measured.
#![expect(
    clippy::disallowed_methods,
    reason = "how long it took is printed, from outside, with a clock of our own"
)]

use ringbus::config::IoChoice;
use ringbus::io::probe;
use ringbus_protocols::mqtt::{
    Ack, Frame, Packet, PacketIdentifier, Publish, QoS, SubscribeFilter, Version, frame,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

const V3: Version = Version::V3_1_1;
/// First levels, so that every shard owns some of the topics.
const PREFIXES: usize = 64;
/// PUBLISH packets in one write.
const CHUNK: usize = 4_096;
const PACKET_BYTES_MAX: u32 = 1 << 20;

/// What is retained, and how it is served.
#[derive(Clone, Copy)]
struct Load {
    topics: usize,
    qos: QoS,
    payload_len: usize,
    /// How much the broker may grow while it serves the subscriber.
    growth_max: u64,
}

/// Drivers that this machine allows.
fn drivers() -> &'static [&'static str] {
    match probe::choose(IoChoice::Ring) {
        Ok(_) => &["ring", "epoll"],
        Err(_) => &["epoll"],
    }
}

fn topic(number: usize) -> String {
    format!("p{:02}/x/{number:07}", number % PREFIXES)
}

/// A payload that starts with the version of its topic's value.
fn payload(version: u32, len: usize) -> Vec<u8> {
    let mut payload = version.to_be_bytes().to_vec();
    payload.resize(len, b'.');
    payload
}

/// Fills the store; returns when every owner has the last of it.
fn fill(broker: &Broker, load: Load) {
    let mut client = Client::open(broker, V3, "filler");
    let payload = payload(0, load.payload_len);
    let numbers: Vec<usize> = (0..load.topics).collect();
    for chunk in numbers.chunks(CHUNK) {
        client.hold();
        let mut acks = 0;
        for (at, &number) in chunk.iter().enumerate() {
            // Behind the last message on the way to each owner there is one that is acknowledged.
            let is_last = load.topics - number <= PREFIXES;
            let qos = if is_last { QoS::AtLeastOnce } else { load.qos };
            let identifier = u16::try_from(at + 1).expect("a chunk is small");
            let packet_identifier = PacketIdentifier::new(identifier);
            acks += usize::from(qos != QoS::AtMostOnce);
            client.send(&Packet::Publish(Publish {
                qos,
                retain: true,
                topic: &topic(number),
                payload: &payload,
                packet_identifier: packet_identifier.filter(|_| qos != QoS::AtMostOnce),
                ..Publish::default()
            }));
        }
        client.release();
        for _ in 0..acks {
            client.ack(ringbus_protocols::mqtt::PacketType::PubAck);
        }
    }
    client.disconnect();
}

/// Changes values, one after the other, until it is told to stop.
fn keep_changing(broker: &Broker, load: Load, stop: &AtomicBool, changed: &AtomicU64) {
    let mut client = Client::open(broker, V3, "changer");
    let mut version = 0;
    let mut number = 1;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        number = (number * 48_271) % load.topics;
        let payload = payload(version, load.payload_len);
        client.send_publish(&topic(number), &payload, QoS::AtLeastOnce, true);
        client.ack(ringbus_protocols::mqtt::PacketType::PubAck);
        changed.fetch_add(1, Ordering::Relaxed);
    }
    // Behind all of it, once for each way to an owner.
    for prefix in 0..PREFIXES {
        client.send_publish(&format!("p{prefix:02}/x/mark"), b"", QoS::AtMostOnce, false);
    }
    client.ping();
    client.disconnect();
}

/// A subscriber to everything, and what it has seen.
struct Reader {
    client: Client,
    input: Vec<u8>,
    acks: Vec<u8>,
    has_retained: Vec<bool>,
    latest: Vec<u32>,
    retained: usize,
    live: u64,
    marks: usize,
}

impl Reader {
    fn subscribe(broker: &Broker, load: Load) -> Reader {
        let mut client = Client::open(broker, V3, "reader");
        client.send_subscribe(&[SubscribeFilter::new("#", load.qos)], None);
        Reader {
            client,
            input: Vec::new(),
            acks: Vec::new(),
            has_retained: vec![false; load.topics],
            latest: vec![0; load.topics],
            retained: 0,
            live: 0,
            marks: 0,
        }
    }

    /// Reads on until that holds.
    fn until(&mut self, is_enough: impl Fn(&Reader) -> bool) {
        let mut buffer = vec![0; 1 << 16];
        while !is_enough(self) {
            let length = self.client.stream().read(&mut buffer).expect("more comes");
            assert!(length > 0, "closed after {} topics", self.retained);
            self.input.extend_from_slice(&buffer[..length]);
            let input = std::mem::take(&mut self.input);
            let taken = self.take_packets(&input);
            self.input.extend_from_slice(&input[taken..]);
            let acks = std::mem::take(&mut self.acks);
            self.client.stream().write_all(&acks).expect("it is open");
        }
    }

    fn take_packets(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while let Ok(Frame::Complete {
            header,
            body,
            length,
        }) = frame(&input[taken..], PACKET_BYTES_MAX)
        {
            taken += length;
            let packet = Packet::decode(header, body, V3).expect("a valid packet");
            if let Packet::Publish(publish) = packet {
                self.take(&publish);
            }
        }
        taken
    }

    fn take(&mut self, publish: &Publish<'_>) {
        if let Some(identifier) = publish.packet_identifier {
            Packet::PubAck(Ack::new(identifier)).encode(V3, &mut self.acks);
        }
        let last = publish.topic.rsplit('/').next().expect("three levels");
        let Ok(number) = last.parse::<usize>() else {
            self.marks += 1;
            return;
        };
        let version = publish.payload.first_chunk().expect("a version");
        let version = u32::from_be_bytes(*version);
        let (topic, latest) = (publish.topic, self.latest[number]);
        assert!(version >= latest, "{topic}: {version} after {latest}");
        self.latest[number] = version;
        if publish.retain {
            assert!(!self.has_retained[number], "{topic} twice with RETAIN");
            self.has_retained[number] = true;
            self.retained += 1;
        } else {
            self.live += 1;
        }
    }
}

/// Fills a broker and serves one subscriber; `pause` is what happens while that does not read.
fn serve(broker: &Broker, load: Load, pause: impl FnOnce(&mut Reader, &AtomicU64)) {
    let empty = broker.resident_bytes();
    let began = Instant::now();
    fill(broker, load);
    let filled = began.elapsed();
    let before = broker.resident_bytes();
    broker.forget_peak_memory();
    let (stop, changed) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let mut reader = thread::scope(|scope| {
        scope.spawn(|| keep_changing(broker, load, &stop, &changed));
        let mut reader = Reader::subscribe(broker, load);
        pause(&mut reader, &changed);
        reader.until(|reader| reader.retained == load.topics);
        stop.store(true, Ordering::Relaxed);
        reader
    });
    let served = began.elapsed();
    let growth = broker.peak_resident_bytes().saturating_sub(before);
    reader.until(|reader| reader.marks == PREFIXES);
    assert_eq!(reader.retained, load.topics);
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{} topics filled in {filled:.1?}, {} bytes each; served in {served:.1?} beside {} live \
         messages, grown by {} MiB over {} MiB",
        load.topics,
        (before - empty) / load.topics as u64,
        reader.live,
        mib(growth),
        mib(before),
    );
    assert!(reader.live > 0, "nothing changed meanwhile");
    assert!(growth <= load.growth_max, "grown by {} MiB", mib(growth));
}

#[test]
fn a_subscriber_gets_a_million_topics_once_each_while_values_change() {
    let load = Load {
        topics: 1_000_000,
        qos: QoS::AtMostOnce,
        payload_len: 16,
        growth_max: 64 << 20,
    };
    for driver in drivers() {
        for shards in ["1", "2"] {
            println!("on {driver}, shards: {shards}");
            let broker = Broker::start_with(&["--io", driver, "--shards", shards]);
            serve(&broker, load, |_, _| {});
            assert_eq!(broker.stop().total("dropped"), 0);
        }
    }
}

/// What waits for it stays within `--queue-bytes`: the replay waits, too.
#[test]
fn a_subscriber_that_stops_reading_for_a_while_gets_every_topic() {
    for (driver, qos) in drivers()
        .iter()
        .flat_map(|driver| [(driver, QoS::AtMostOnce), (driver, QoS::AtLeastOnce)])
    {
        println!("on {driver}, {qos:?}");
        let load = Load {
            topics: 100_000,
            qos,
            payload_len: 200,
            // A third of what is retained.
            growth_max: 8 << 20,
        };
        let flags = ["--queue-bytes", "256KiB", "--max-packet-size", "64KiB"];
        let broker = Broker::start_with(&[&["--io", driver, "--shards", "2"], &flags[..]].concat());
        serve(&broker, load, |reader, changed| {
            reader.until(|reader| reader.retained > 1_000);
            let before = changed.load(Ordering::Relaxed);
            while changed.load(Ordering::Relaxed) < before + 5_000 {
                thread::yield_now();
            }
        });
        broker.stop();
    }
}
