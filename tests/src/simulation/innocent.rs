//! Any bytes on a connection of a whole broker, before and after CONNECT: no panic, no stall, and
//! what another connection does goes on.

use ringbus::base::{Nanos, Scheme, Socket};
use ringbus::io::sim::{Chance, Faults, Sim};
use ringbus_protocols::mqtt::{
    Connect, Packet, PacketIdentifier, PropertiesBuf, Publish, QoS, Subscribe, SubscribeFilter,
    Version,
};

use ringbus_protocols::websocket::Opcode;
use ringbus_protocols::websocket::frame::put_masked;
use ringbus_protocols::websocket::handshake::put_request;

use super::plan::Plan;

const INNOCENT_TOPIC: &str = "innocent/topic";

/// Feeds `bytes` to a broker of two shards; the first byte says whether a CONNECT of which version
/// precedes them, and how the connection ends.
///
/// # Panics
/// When the innocent connection does not get its own message and its acknowledgement.
pub fn innocent_goes_on(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let mut plan = Plan::new(1);
    plan.shards = 2;
    // Even: with compression.
    plan.seed = 2;
    let faults = Faults {
        short_read_percent: u64::from(how & 0x40),
        short_write_percent: 0,
        delay_max: Nanos(0),
        interleave_percent: 0,
        turn_max: Nanos(1_000),
    };
    let mut sim = Sim::new(plan.shard_config(), 4, faults, u64::from(how));
    let innocent = sim.connect(0, 1 << 20);
    sim.send(innocent, &connect("innocent", Version::V5));
    sim.send(innocent, &subscribe());
    rest(&mut sim);
    let scheme = match how & 0xA0 {
        0 => Scheme::Mqtt,
        0x20 => Scheme::Ws,
        _ => Scheme::Nats,
    };
    let other = sim.connect_to(scheme, usize::from(how & 1), 1 << 20);
    match (scheme, usize::from(how >> 1 & 3)) {
        (Scheme::Ws, role) => sim.send(other, &upgrade(role)),
        (Scheme::Mqtt | Scheme::MqttSn, version) => {
            if let Some(&version) = Version::ALL.get(version) {
                sim.send(other, &connect("other", version));
            }
        }
        (Scheme::Nats, 0) => {}
        (Scheme::Nats, _) => sim.send(other, NATS_HELLO),
    }
    sim.send(other, bytes);
    rest(&mut sim);
    if how & 8 == 0 {
        sim.reset(other);
    }
    sim.receive(innocent, usize::MAX);
    let message = publish();
    sim.send(innocent, &message);
    rest(&mut sim);
    check(&mut sim, innocent);
}

/// What a NATS client starts with, and a subscription to everything.
const NATS_HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB > 1\r\n";

/// The request of a WebSocket for MQTT, for STOMP or of a topic; or none.
fn upgrade(role: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (target, subprotocol) = match role {
        0 => return out,
        1 => ("/", Some("mqtt")),
        2 => ("/", Some("v12.stomp")),
        _ => ("/innocent/topic?qos=1&last=1&text=1", None),
    };
    let key = b"sixteen bytes ok";
    let extensions = Some("permessage-deflate; client_max_window_bits");
    put_request(&mut out, "sim", target, key, subprotocol, extensions);
    out
}

/// Both the acknowledgement and the message come, whatever else the stranger had published.
fn check(sim: &mut Sim, innocent: Socket) {
    let received = sim.receive(innocent, usize::MAX);
    assert!(!received.closed, "the innocent connection was closed");
    let acknowledged = received.bytes.windows(2).any(|pair| pair[0] == 0x40);
    let own = received.bytes.windows(9).any(|part| part == b"still her");
    assert!(
        acknowledged && own,
        "the innocent connection got only {:?}",
        received.bytes
    );
}

/// Random bytes, some of them the packets of a client.
#[must_use]
pub fn noise(seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let mut out = vec![chance.draw().to_le_bytes()[0]];
    for _ in 0..chance.range(1, 6) {
        match chance.below(7) {
            4 => put_masked(&mut out, Opcode::Text, true, false, [7; 4], b"hello"),
            5 => {
                let packet = connect("other", Version::V5);
                put_masked(
                    &mut out,
                    Opcode::Binary,
                    chance.percent(50),
                    false,
                    [9; 4],
                    &packet,
                );
            }
            6 => {
                let frame = b"CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:a\n\nx\0";
                put_masked(&mut out, Opcode::Text, true, false, [1; 4], frame);
            }
            0 => out.extend(publish()),
            1 => out.extend(subscribe()),
            2 => out.extend(connect("other", *chance.pick(&Version::ALL))),
            _ => out.extend((0..chance.range(1, 30)).map(|_| chance.draw().to_le_bytes()[0])),
        }
    }
    for _ in 0..chance.below(4) {
        let at = chance.index(out.len());
        out[at] ^= 1 << chance.below(8);
    }
    out
}

fn rest(sim: &mut Sim) {
    let limit = Nanos(sim.now().0 + 2_000_000);
    sim.run_until(limit);
}

pub(super) fn connect(client_id: &str, version: Version) -> Vec<u8> {
    let none = PropertiesBuf::new();
    let mut out = Vec::new();
    Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: none.as_properties(),
    }
    .encode(&mut out);
    out
}

fn subscribe() -> Vec<u8> {
    subscribe_to(INNOCENT_TOPIC)
}

pub(super) fn subscribe_to(filter: &str) -> Vec<u8> {
    subscribe_to_all(&[SubscribeFilter::new(filter, QoS::AtMostOnce)])
}

pub(super) fn subscribe_to_all(filters: &[SubscribeFilter<'_>]) -> Vec<u8> {
    let none = PropertiesBuf::new();
    let mut out = Vec::new();
    let none = none.as_properties();
    Subscribe::encode_from(identifier(), &none, filters, Version::V5, &mut out);
    out
}

/// CONNECT, SUBSCRIBE to a topic, and a message to it.
#[must_use]
pub fn hello(client_id: &str, topic: &str) -> [Vec<u8>; 3] {
    [
        connect(client_id, Version::V5),
        subscribe_to(topic),
        publish_to(topic),
    ]
}

fn publish() -> Vec<u8> {
    publish_to(INNOCENT_TOPIC)
}

fn publish_to(topic: &str) -> Vec<u8> {
    let publish = Publish {
        qos: QoS::AtLeastOnce,
        topic,
        packet_identifier: Some(identifier()),
        payload: b"still here",
        ..Publish::default()
    };
    let mut out = Vec::new();
    Packet::Publish(publish).encode(Version::V5, &mut out);
    out
}

fn identifier() -> PacketIdentifier {
    PacketIdentifier::new(7).expect("it is not 0")
}
