//! Shards in one thread, fed by hand.

mod advertise;
mod aliases;
mod authentication;
mod expiry;
mod mqttsn;
mod nats;
mod net;
mod payload_format;
mod queues;
mod reasons;
mod retained;
mod runs;
mod sessions;
mod shared;
mod sys;
mod turned_away;
mod web;

use std::sync::Arc;

use ringbus_protocols::mqtt::{
    Ack, Connect, Frame, Packet, PropertiesBuf, Property, Publish, QoS, ReasonCode,
    SubscribeFilter, Version, Will, frame,
};
use ringbus_protocols::topic::TopicName;

use super::Shard;
use crate::base::{Nanos, Peer, Scheme};

use net::*;

const V5: Version = Version::V5;

#[test]
fn a_publish_reaches_each_subscriber_on_every_shard_once() {
    for shards in [1, 2, 4, 8] {
        let mut net = Net::new(shards);
        let sockets: Vec<usize> = (0..20)
            .map(|n| {
                let name = format!("client-{n}");
                let socket = net.connect(n % usize::from(shards), client(V5, &name));
                net.send_bytes(socket, &subscribe(&[("a/#", QoS::AtLeastOnce)], V5, 5));
                net.send_bytes(socket, &subscribe(&[("+/b", QoS::AtMostOnce)], V5, 6));
                let seen = net.read(socket, V5);
                assert_eq!(seen, ["connack Success false", "suback [1]", "suback [0]"]);
                socket
            })
            .collect();
        let packet = Packet::Publish(publish("a/b", b"x", QoS::AtLeastOnce));
        net.send(sockets[3], V5, &packet);
        for (n, &socket) in sockets.iter().enumerate() {
            let mut seen = net.read(socket, V5);
            seen.sort();
            let own = if n == 3 {
                vec!["puback #1 Success"]
            } else {
                vec![]
            };
            assert_eq!(seen[..own.len()], own);
            assert!(
                ["publish a/b=x q1 #1 s5 s6", "publish a/b=x q1 #1 s6 s5"]
                    .contains(&seen[own.len()].as_str()),
                "{seen:?}"
            );
            assert_eq!(seen.len(), own.len() + 1);
        }
        if shards > 1 {
            assert!(
                net.shards
                    .iter()
                    .any(|shard| shard.counters().mail_items > 0)
            );
        }
        for socket in sockets {
            net.hang_up(socket);
        }
        assert_eq!(net.leaks(), 0);
    }
}

/// `[MQTT5-4.3.3-8]` `[MQTT5-4.3.3-10]` `[MQTT5-4.3.3-11]`
#[test]
fn qos2_is_routed_on_pubrel_and_only_once() {
    let mut net = Net::new(2);
    let subscriber = net.connect(0, client(V5, "s"));
    net.send_bytes(subscriber, &subscribe(&[("t", QoS::ExactlyOnce)], V5, 0));
    let publisher = net.connect(1, client(V5, "p"));
    net.read(subscriber, V5);
    net.read(publisher, V5);
    let packet = publish("t", b"m", QoS::ExactlyOnce);
    for dup in [false, true] {
        net.send(publisher, V5, &Packet::Publish(Publish { dup, ..packet }));
        assert_eq!(net.read(publisher, V5), ["pubrec #1 Success"]);
        assert!(net.read(subscriber, V5).is_empty());
    }
    let pubrel = Packet::PubRel(Ack {
        packet_identifier: id(1),
        reason: ReasonCode::Success,
        properties: Default::default(),
    });
    net.send(publisher, V5, &pubrel);
    assert_eq!(net.read(publisher, V5), ["pubcomp #1 Success"]);
    assert_eq!(net.read(subscriber, V5), ["publish t=m q2 #1"]);
    net.send(publisher, V5, &pubrel);
    assert_eq!(
        net.read(publisher, V5),
        ["pubcomp #1 PacketIdentifierNotFound"]
    );
    assert!(net.read(subscriber, V5).is_empty());
}

/// `[MQTT5-3.1.2-5]` `[MQTT5-3.1.4-3]` `[MQTT5-3.2.2-3]` `[MQTT5-4.1.0-2]`
#[test]
fn a_takeover_tells_the_old_connection_and_keeps_the_session() {
    let mut net = Net::new(4);
    let mut properties = PropertiesBuf::new();
    properties.push(Property::SessionExpiryInterval(100));
    let lasting = Connect {
        clean_start: false,
        properties: properties.as_properties(),
        ..client(V5, "c")
    };
    let old = net.connect(0, lasting);
    net.send_bytes(old, &subscribe(&[("t", QoS::AtLeastOnce)], V5, 0));
    assert_eq!(net.read(old, V5), ["connack Success false", "suback [1]"]);
    let new = net.connect(2, lasting);
    assert_eq!(net.read(old, V5), ["disconnect SessionTakenOver"]);
    assert!(net.sockets[old].is_closed);
    assert_eq!(net.read(new, V5), ["connack Success true"]);
    net.hang_up(new);
    let publisher = net.connect(3, client(V5, "p"));
    net.send(
        publisher,
        V5,
        &Packet::Publish(publish("t", b"kept", QoS::AtLeastOnce)),
    );
    let again = net.connect(1, lasting);
    assert_eq!(
        net.read(again, V5),
        ["connack Success true", "publish t=kept q1 #1"]
    );
    net.hang_up(again);
    net.hang_up(publisher);
    assert!(net.leaks() > 0, "the session is still there");
    net.pass(Nanos::from_secs(101));
    assert_eq!(net.leaks(), 0);
}

#[test]
fn retained_messages_meet_new_subscriptions_on_every_partition() {
    let mut net = Net::new(4);
    let publisher = net.connect(0, client(V5, "p"));
    for n in 0..200 {
        let topic = format!("r/{n}/x");
        let retained = Publish {
            retain: true,
            ..publish(&topic, b"v", QoS::AtMostOnce)
        };
        net.send(publisher, V5, &Packet::Publish(retained));
    }
    let subscriber = net.connect(1, client(Version::V3_1_1, "s"));
    net.send_bytes(
        subscriber,
        &subscribe(&[("#", QoS::AtLeastOnce)], Version::V3_1_1, 0),
    );
    let seen = net.read(subscriber, Version::V3_1_1);
    assert_eq!(
        seen.iter().filter(|word| word.ends_with("retain")).count(),
        200
    );
    net.send(
        publisher,
        V5,
        &Packet::Publish(Publish {
            retain: true,
            ..publish("r/7/x", b"", QoS::AtMostOnce)
        }),
    );
    assert_eq!(
        net.read(subscriber, Version::V3_1_1),
        ["publish r/7/x= q0 #0"]
    );
    net.send_bytes(
        subscriber,
        &subscribe(&[("r/7/+", QoS::AtMostOnce)], Version::V3_1_1, 0),
    );
    assert_eq!(net.read(subscriber, Version::V3_1_1), ["suback [0]"]);
    net.hang_up(publisher);
    net.hang_up(subscriber);
    assert_eq!(net.leaks(), 0);
}

/// `[MQTT5-3.1.2-8]` `[MQTT5-3.1.2-10]` `[MQTT5-3.1.2-22]` `[MQTT5-3.14.4-3]`
#[test]
fn a_will_follows_a_lost_connection_but_not_a_disconnect() {
    let mut net = Net::new(2);
    let watcher = net.connect(0, client(V5, "w"));
    net.send_bytes(watcher, &subscribe(&[("will", QoS::AtMostOnce)], V5, 0));
    net.read(watcher, V5);
    let with_will = || {
        let topic = TopicName::parse("will").unwrap();
        let will = Will {
            topic,
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Default::default(),
        };
        Connect {
            will: Some(will),
            ..client(V5, "c")
        }
    };
    let polite = net.connect(1, with_will());
    net.send_bytes(polite, &[0xE0, 0]);
    assert!(net.read(watcher, V5).is_empty());
    let lost = net.connect(1, with_will());
    net.hang_up(lost);
    assert_eq!(net.read(watcher, V5), ["publish will=gone q0 #0"]);
    let silent = net.connect(
        1,
        Connect {
            keep_alive_seconds: 10,
            ..with_will()
        },
    );
    net.pass(Nanos::from_secs(14));
    assert!(!net.sockets[silent].is_closed);
    net.pass(Nanos::from_secs(2));
    assert!(net.sockets[silent].is_closed);
    assert_eq!(net.read(watcher, V5), ["publish will=gone q0 #0"]);
}

#[test]
fn any_split_of_the_bytes_is_the_same_to_the_shard() {
    let mut stream = Vec::new();
    Packet::Connect(client(V5, "split")).encode(V5, &mut stream);
    stream.extend(subscribe(&[("s/+", QoS::AtLeastOnce)], V5, 3));
    for n in 0..3u8 {
        let payload = [b'0' + n];
        Packet::Publish(publish("s/t", &payload, QoS::AtLeastOnce)).encode(V5, &mut stream);
    }
    let mut whole = None;
    for step in 1..=stream.len() {
        let mut net = Net::new(2);
        let socket = net.open(0);
        for piece in stream.chunks(step) {
            net.send_bytes(socket, piece);
        }
        let mut seen = net.read(socket, V5);
        seen.sort();
        assert_eq!(seen.len(), 8);
        assert_eq!(
            *whole.get_or_insert_with(|| seen.clone()),
            seen,
            "in pieces of {step}"
        );
    }
}

#[test]
fn garbage_is_answered_by_a_reason_or_a_close() {
    let mut net = Net::new(1);
    let stranger = net.open(0);
    net.send_bytes(stranger, b"GET / HTTP/1.1\r\n\r\n");
    assert!(net.sockets[stranger].is_closed && net.sockets[stranger].received.is_empty());
    let rude = net.connect(0, client(V5, "rude"));
    net.read(rude, V5);
    net.send_bytes(rude, &[0x30, 4, 0, 1, b'+', 0]);
    assert_eq!(net.read(rude, V5), ["disconnect MalformedPacket"]);
    let greedy = net.open(0);
    net.send_bytes(greedy, &[0x10, 0xFF, 0xFF, 0x1F]);
    assert!(
        net.sockets[greedy].is_closed,
        "no CONNECT is half a megabyte"
    );
    let slow = net.open(0);
    net.pass(Nanos::from_secs(11));
    assert!(net.sockets[slow].is_closed, "no CONNECT within the timeout");
    assert_eq!(net.leaks(), 0);
}

#[test]
fn a_remembered_topic_sees_filters_come_and_go() {
    for shards in [1, 3] {
        let mut net = Net::new(shards);
        let publisher = net.connect(0, client(V5, "p"));
        let first = net.connect(0, client(V5, "a"));
        let second = net.connect(0, client(Version::V3_1_1, "b"));
        let send = |net: &mut Net, topic: &str| {
            net.send(
                publisher,
                V5,
                &Packet::Publish(publish(topic, b"x", QoS::AtMostOnce)),
            );
        };
        net.send_bytes(first, &subscribe(&[("m/n", QoS::AtMostOnce)], V5, 0));
        send(&mut net, "m/n");
        send(&mut net, "m/n");
        net.send_bytes(
            second,
            &subscribe(&[("m/+", QoS::AtMostOnce)], Version::V3_1_1, 0),
        );
        send(&mut net, "m/n");
        send(&mut net, "m/o");
        let unsubscribe = {
            let mut out = Vec::new();
            ringbus_protocols::mqtt::Unsubscribe::encode_from(
                id(4),
                &Default::default(),
                &["m/n"],
                V5,
                &mut out,
            );
            out
        };
        net.send_bytes(first, &unsubscribe);
        send(&mut net, "m/n");
        let (n, o) = ("publish m/n=x q0 #0", "publish m/o=x q0 #0");
        assert_eq!(
            net.read(first, V5),
            [
                "connack Success false",
                "suback [0]",
                n,
                n,
                n,
                "unsuback [0]"
            ]
        );
        assert_eq!(
            net.read(second, Version::V3_1_1),
            ["connack Success false", "suback [0]", n, o, n]
        );
    }
}

#[test]
fn what_came_before_the_end_of_a_paused_connection_still_counts() {
    use crate::base::limits::OUTBOX_PUBLISH_ITEMS_MAX;
    let mut net = Net::new(2);
    let subscriber = net.connect(0, client(V5, "s"));
    net.send_bytes(subscriber, &subscribe(&[("#", QoS::AtMostOnce)], V5, 0));
    let publisher = net.connect(1, client(V5, "p"));
    net.read(subscriber, V5);
    let (home, conn) = net.sockets[publisher].at.unwrap();
    let partitioner = net.shards[home].config.partitioner.clone();
    let is_far = |topic: &String| partitioner.owner(topic).index() != home;
    // Two topics in turn: each message is an item of mail.
    let mut two = Vec::new();
    for topic in (0..).map(|n| format!("t{n}")).filter(is_far).take(2) {
        Packet::Publish(publish(&topic, b"x", QoS::AtMostOnce)).encode(V5, &mut two);
    }
    let mut bytes = two.repeat(OUTBOX_PUBLISH_ITEMS_MAX / 2 + 1);
    bytes.truncate(bytes.len() - two.len() / 2);
    let last = bytes.split_off(bytes.len() - 1);
    net.shards[home].begin_turn(net.now);
    assert_eq!(net.shards[home].on_bytes(conn, &bytes), bytes.len());
    assert_eq!(
        net.shards[home].on_bytes(conn, &last),
        1,
        "the backlog has room"
    );
    assert_eq!(net.shards[home].leaks().paused, 1);
    net.hang_up(publisher);
    let seen = net.read(subscriber, V5);
    assert_eq!(seen.len(), OUTBOX_PUBLISH_ITEMS_MAX + 1);
    net.hang_up(subscriber);
    assert_eq!(net.leaks(), 0);
}
