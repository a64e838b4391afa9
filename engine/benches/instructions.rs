//! One scenario at a time, for callgrind to count: `instructions SCENARIO ROUNDS`.
//!
//! `tests/instructions` runs each scenario with two numbers of rounds and takes the difference, so that
//! neither the start of the process nor the growth of buffers counts. Everything is seeded; a run
//! executes the same instructions every time. Without arguments all scenarios run once, as a check.

#[path = "support/one_shard.rs"]
mod one_shard;

use one_shard::{OneShard, in_frame, publishes};
use ringbus::pubsub::Trie;
use ringbus_protocols::mqtt::{
    Connect, Frame, Packet, Properties, PropertiesBuf, Property, Publish, QoS, Version, frame,
};
use ringbus_protocols::topic::TopicFilter;
use std::hint::black_box;

const TOPIC: &str = "site/line/device/temperature";
const PAYLOAD: [u8; 64] = [b'x'; 64];

type Scenario = (&'static str, fn(usize));

const SCENARIOS: &[Scenario] = &[
    ("decode-publish", |rounds| {
        decode(Version::V3_1_1, &plain_publish(), rounds)
    }),
    ("decode-publish-v5-properties", |rounds| {
        decode(Version::V5, &publish_with_properties(), rounds)
    }),
    ("decode-connect-v5", |rounds| {
        decode(Version::V5, &connect(), rounds)
    }),
    ("encode-publish", encode_publish),
    ("trie-10-of-10000", match_ten),
    ("shard-publish-to-1", |rounds| {
        publish(1, 1, QoS::AtMostOnce, rounds)
    }),
    ("shard-publish-to-10", |rounds| {
        publish(10, 1, QoS::AtMostOnce, rounds)
    }),
    ("shard-publish-to-1000", |rounds| {
        publish(1_000, 1, QoS::AtMostOnce, rounds)
    }),
    ("shard-16-publishes-to-1", |rounds| {
        publish(1, 16, QoS::AtMostOnce, rounds)
    }),
    ("shard-ws-publish-to-1", |rounds| {
        publish_over_websocket(1, rounds)
    }),
    ("shard-ws-16-publishes-to-1", |rounds| {
        publish_over_websocket(16, rounds)
    }),
    ("shard-16-by-nats-to-1", |rounds| publish_by_nats(1, rounds)),
    ("shard-16-by-nats-to-100", |rounds| {
        publish_by_nats(100, rounds)
    }),
    ("shard-topic-socket-to-1", |rounds| {
        publish_to_topic_sockets(1, 1, rounds)
    }),
    ("shard-16-of-topic-socket-to-1", |rounds| {
        publish_to_topic_sockets(1, 16, rounds)
    }),
    ("shard-topic-socket-to-1000", |rounds| {
        publish_to_topic_sockets(1_000, 1, rounds)
    }),
    ("shard-connect-subscribe-disconnect", come_and_go),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [only] if only == "--list" => {
            SCENARIOS.iter().for_each(|(name, _)| println!("{name}"));
        }
        [name, rounds] => {
            let rounds = rounds.parse().expect("a number of rounds");
            let found = SCENARIOS.iter().find(|(known, _)| known == name);
            let (_, run) = found.unwrap_or_else(|| panic!("no scenario {name}"));
            run(rounds);
        }
        // `cargo bench` and `cargo test` pass a flag of their own.
        _ => SCENARIOS.iter().for_each(|(_, run)| run(1)),
    }
}

fn plain_publish() -> Vec<u8> {
    publishes(Version::V3_1_1, TOPIC, &PAYLOAD, 1)
}

fn publish_with_properties() -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MessageExpiryInterval(60));
    properties.push(Property::ContentType("application/json"));
    properties.push(Property::UserProperty(("source", "line-7")));
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TOPIC,
        packet_identifier: None,
        properties: properties.as_properties(),
        payload: &PAYLOAD,
    });
    let mut bytes = Vec::new();
    publish.encode(Version::V5, &mut bytes);
    bytes
}

fn connect() -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::SessionExpiryInterval(3_600));
    properties.push(Property::ReceiveMaximum(100));
    let connect = Packet::Connect(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_seconds: 60,
        client_id: "line-7-controller",
        will: None,
        username: Some("controller"),
        password: Some(b"secret"),
        properties: properties.as_properties(),
    });
    let mut bytes = Vec::new();
    connect.encode(Version::V5, &mut bytes);
    bytes
}

fn decode(version: Version, bytes: &[u8], rounds: usize) {
    for _ in 0..rounds {
        let framed = frame(black_box(bytes), 1 << 20);
        let Ok(Frame::Complete { header, body, .. }) = framed else {
            panic!("a whole packet");
        };
        black_box(Packet::decode(header, body, version).expect("a valid packet"));
    }
}

fn encode_publish(rounds: usize) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TOPIC,
        packet_identifier: None,
        properties: Properties::default(),
        payload: &PAYLOAD,
    };
    let mut out = Vec::with_capacity(256);
    for _ in 0..rounds {
        out.clear();
        black_box(&publish).encode(Version::V5, &mut out);
        black_box(&out);
    }
}

fn match_ten(rounds: usize) {
    let mut trie = Trie::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    let mut insert = |filter: &str| {
        trie.insert(&TopicFilter::parse(filter).expect("a valid filter"));
    };
    let matching = [
        TOPIC,
        "#",
        "site/#",
        "site/line/#",
        "site/line/device/#",
        "site/line/device/+",
        "site/line/+/temperature",
        "site/+/device/temperature",
        "+/line/device/temperature",
        "+/+/+/temperature",
    ];
    matching.iter().for_each(|filter| insert(filter));
    for other in 0..9_990 {
        insert(&format!(
            "site/line/{}device{other}/pressure",
            ["", "+/"][other % 2]
        ));
    }
    let hash = trie.hash(TOPIC);
    let mut found = Vec::with_capacity(16);
    for _ in 0..rounds {
        found.clear();
        trie.matches(black_box(TOPIC), hash, &mut found);
        assert_eq!(found.len(), matching.len());
    }
}

fn publish(subscribers: usize, per_turn: usize, qos: QoS, rounds: usize) {
    let mut shard = OneShard::new();
    let publisher = shard.connect(Version::V3_1_1);
    for _ in 0..subscribers {
        let subscriber = shard.connect(Version::V3_1_1);
        shard.subscribe(subscriber, TOPIC, qos);
    }
    let bytes = publishes(Version::V3_1_1, TOPIC, &PAYLOAD, per_turn);
    for _ in 0..rounds {
        assert_eq!(shard.turn(publisher, &bytes), bytes.len() * subscribers);
    }
}

/// MQTT over WebSocket: what comes in one masked frame leaves in one frame.
fn publish_over_websocket(per_turn: usize, rounds: usize) {
    let mut shard = OneShard::new();
    let publisher = shard.connect_over_websocket(Version::V3_1_1);
    let subscriber = shard.connect_over_websocket(Version::V3_1_1);
    shard.subscribe_over_websocket(subscriber, TOPIC, QoS::AtMostOnce);
    let bytes = in_frame(&publishes(Version::V3_1_1, TOPIC, &PAYLOAD, per_turn));
    for _ in 0..rounds {
        // What leaves has no mask.
        assert_eq!(shard.turn(publisher, &bytes), bytes.len() - 4);
    }
}

/// Sockets of one topic: each message is a frame.
/// A round is 16 messages of one NATS client to others.
fn publish_by_nats(subscribers: usize, rounds: usize) {
    let mut broker = OneShard::new();
    let subject = TOPIC.replace('/', ".");
    for _ in 0..subscribers {
        let conn = broker.connect_by_nats();
        let subscribe = format!("SUB {subject} 1\r\nPING\r\n");
        assert_eq!(broker.turn(conn, subscribe.as_bytes()), 6, "a PONG");
    }
    let publisher = broker.connect_by_nats();
    let mut ops = Vec::new();
    for _ in 0..16 {
        ops.extend_from_slice(format!("PUB {subject} {}\r\n", PAYLOAD.len()).as_bytes());
        ops.extend_from_slice(&PAYLOAD);
        ops.extend_from_slice(b"\r\n");
    }
    let expected = subscribers * (ops.len() + 16 * "1 ".len());
    for _ in 0..rounds {
        assert_eq!(broker.turn(publisher, &ops), expected);
    }
}

fn publish_to_topic_sockets(subscribers: usize, per_turn: usize, rounds: usize) {
    let mut shard = OneShard::new();
    let target = format!("/{TOPIC}");
    let publisher = shard.open_websocket(&format!("{target}?echo=0"), None);
    for _ in 0..subscribers {
        shard.open_websocket(&target, None);
    }
    let bytes = in_frame(&PAYLOAD).repeat(per_turn);
    let sent = (bytes.len() - 4 * per_turn) * subscribers;
    for _ in 0..rounds {
        assert_eq!(shard.turn(publisher, &bytes), sent);
    }
}

fn come_and_go(rounds: usize) {
    let mut shard = OneShard::new();
    for _ in 0..rounds {
        let conn = shard.connect(Version::V3_1_1);
        shard.subscribe(conn, "site/+/device/#", QoS::AtMostOnce);
        shard.hang_up(conn);
    }
}
