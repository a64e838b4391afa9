//! Rates, places and drains: who is turned away, and how.

use super::*;
use crate::shard::{Admission, Rate};

const V3: Version = Version::V3_1_1;

fn connects(net: &mut Net, version: Version) -> Vec<String> {
    let name = format!("client{}", net.sockets.len());
    let socket = net.connect(0, client(version, &name));
    net.read(socket, version)
}

/// What a refusal or good-bye says besides its code.
fn reference(packet: &Packet<'_>) -> (ReasonCode, Option<String>) {
    let (reason, properties) = match packet {
        Packet::ConnAck(ack) => (ack.reason, ack.properties),
        Packet::Disconnect(disconnect) => (disconnect.reason, disconnect.properties),
        other => panic!("{other:?}"),
    };
    (reason, properties.server_reference().map(str::to_owned))
}

fn limited(shards: u16) -> Net {
    Net::with(shards, |config| {
        config.publish_rate = Some(Rate::per_second(10));
    })
}

/// `count` PUBLISH packets in one piece: at QoS 0 a run.
fn burst(count: usize, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    Packet::Publish(publish("t", b"x", QoS::AtMostOnce)).encode(version, &mut bytes);
    bytes.repeat(count)
}

#[test]
fn a_client_may_publish_as_many_at_once_as_in_a_second() {
    for shards in [1, 2] {
        for version in [V3, V5] {
            let mut net = limited(shards);
            let watcher = net.connect(0, client(V3, "watcher"));
            net.send_bytes(watcher, &subscribe(&[("t", QoS::AtMostOnce)], V3, 0));
            net.read(watcher, V3);
            let socket = net.connect(0, client(version, "p"));
            net.read(socket, version);
            net.send_bytes(socket, &burst(10, version));
            net.pass(Nanos::from_millis(500));
            net.send_bytes(socket, &burst(5, version));
            assert_eq!(net.read(watcher, V3).len(), 15);
            assert!(!net.sockets[socket].is_closed);
            net.pass(Nanos::from_millis(300));
            // Three are back. The rest of the run is refused.
            net.send_bytes(socket, &burst(20, version));
            assert_eq!(net.read(watcher, V3).len(), 3);
            assert!(net.sockets[socket].is_closed);
            let told = net.read(socket, version);
            match version {
                V5 => assert_eq!(told, ["disconnect MessageRateTooHigh"]),
                _ => assert!(told.is_empty()),
            }
        }
    }
}

#[test]
fn messages_that_are_no_run_count_as_well() {
    let mut net = limited(1);
    let socket = net.connect(0, client(V5, "p"));
    net.read(socket, V5);
    for number in 1..=11 {
        let packet = Publish {
            packet_identifier: Some(id(number)),
            ..publish("t", b"x", QoS::AtLeastOnce)
        };
        net.send(socket, V5, &Packet::Publish(packet));
        // What is no PUBLISH does not count.
        net.send_bytes(socket, &[0xC0, 0]);
    }
    let told = net.read(socket, V5);
    let acks = told.iter().filter(|word| word.starts_with("puback"));
    assert_eq!(acks.count(), 10);
    assert_eq!(told.last().unwrap(), "disconnect MessageRateTooHigh");
}

#[test]
fn a_client_at_its_rate_is_never_turned_away() {
    let mut net = limited(1);
    let socket = net.connect(0, client(V5, "p"));
    for _ in 0..200 {
        net.send_bytes(socket, &burst(1, V5));
        net.pass(Nanos::from_millis(100));
    }
    assert!(!net.sockets[socket].is_closed);
}

/// A publish that had to wait for room is offered again, and counts once.
#[test]
fn back_pressure_does_not_use_up_the_rate() {
    let mut net = Net::with(2, |config| {
        config.publish_rate = Some(Rate::per_second(6_000));
    });
    let publisher = net.connect(1, client(V5, "p"));
    net.read(publisher, V5);
    let (home, conn) = net.sockets[publisher].at.unwrap();
    let partitioner = net.shards[home].config.partitioner.clone();
    let is_far = |topic: &String| partitioner.owner(topic).index() != home;
    let mut two = Vec::new();
    for topic in (0..).map(|n| format!("t{n}")).filter(is_far).take(2) {
        Packet::Publish(publish(&topic, b"x", QoS::AtMostOnce)).encode(V5, &mut two);
    }
    let bytes = two.repeat(2_500);
    net.shards[home].begin_turn(net.now);
    let taken = net.shards[home].on_bytes(conn, &bytes);
    assert!(taken < bytes.len(), "5,000 do not find room in one turn");
    let mut rest = &bytes[taken..];
    while !rest.is_empty() {
        net.settle();
        for _ in 0..4_000 {
            // Nothing is taken while it is paused; what is offered again was charged back.
            let taken = net.shards[home].on_bytes(conn, rest);
            rest = &rest[taken..];
            if rest.is_empty() {
                break;
            }
        }
    }
    net.settle();
    assert!(!net.sockets[publisher].is_closed);
    assert_eq!(net.shards[home].counters().received, 5_000);
}

#[test]
fn connects_beyond_the_rate_are_refused_in_the_words_of_their_version() {
    let mut net = Net::with(4, |config| {
        let rate = Rate::per_second(3);
        config.admission = Arc::new(Admission::with_rate(100, Some(rate)));
    });
    for _ in 0..3 {
        assert_eq!(connects(&mut net, V5), ["connack Success false"]);
    }
    assert_eq!(
        connects(&mut net, V5),
        ["connack ConnectionRateExceeded false"]
    );
    assert_eq!(connects(&mut net, V3), ["connack ServerUnavailable false"]);
    net.pass(Nanos::from_millis(334));
    assert_eq!(connects(&mut net, V3), ["connack Success false"]);
    assert_eq!(
        connects(&mut net, V5),
        ["connack ConnectionRateExceeded false"]
    );
    net.pass(Nanos::from_secs(1));
    for _ in 0..3 {
        assert_eq!(connects(&mut net, V5), ["connack Success false"]);
    }
}

/// `[MQTT5-3.2.2-8]`
#[test]
fn a_connection_without_a_place_is_told_so_at_its_connect() {
    for (server, expected) in [
        (None, "QuotaExceeded"),
        (Some("there:1"), "UseAnotherServer"),
    ] {
        let mut net = Net::with(2, |config| {
            config.admission = Arc::new(Admission::new(2));
            config.server_reference = server.map(Into::into);
        });
        let first = net.connect(0, client(V5, "first"));
        net.connect(1, client(V5, "second"));
        let third = net.connect(0, client(V5, "third"));
        assert!(net.sockets[third].is_closed);
        let seen = net.read_with(third, V5, reference);
        assert_eq!(format!("{:?}", seen[0].0), expected);
        assert_eq!(seen[0].1.as_deref(), server);
        assert_eq!(connects(&mut net, V3), ["connack ServerUnavailable false"]);
        // A place that comes free before the CONNECT is taken.
        let waiting = net.open(1);
        net.hang_up(first);
        net.send(waiting, V5, &Packet::Connect(client(V5, "third")));
        assert_eq!(net.read(waiting, V5), ["connack Success false"]);
        assert_eq!(net.shards[0].config.admission.open(), 2);
    }
}

#[test]
fn only_a_few_without_a_place_are_kept_and_not_for_long() {
    use crate::base::limits::SURPLUS_CONNECTIONS_MAX;
    let mut net = Net::with(1, |config| config.admission = Arc::new(Admission::new(1)));
    net.connect(0, client(V5, "only"));
    for _ in 0..SURPLUS_CONNECTIONS_MAX {
        net.open(0);
    }
    assert_eq!(
        net.shards[0].on_accept(999, Peer::default(), Scheme::Mqtt),
        None
    );
    net.pass(Nanos::from_secs(11));
    assert_eq!(net.shards[0].connections(), 1);
    net.open(0);
    assert_eq!(
        net.shards[0].counters().refused,
        2 + SURPLUS_CONNECTIONS_MAX as u64
    );
}

fn drain(net: &mut Net) {
    for shard in &mut net.shards {
        shard.start_drain();
    }
    net.settle();
}

#[test]
fn a_drain_sends_clients_to_the_other_server() {
    for (server, goodbye, refusal) in [
        (
            None,
            ReasonCode::ServerShuttingDown,
            ReasonCode::ServerUnavailable,
        ),
        (
            Some("there:1"),
            ReasonCode::UseAnotherServer,
            ReasonCode::UseAnotherServer,
        ),
    ] {
        let mut net = Net::with(2, |config| {
            config.server_reference = server.map(Into::into);
        });
        let there = server.map(str::to_owned);
        let connected = net.connect(0, client(V5, "c"));
        let old = net.connect(0, client(V3, "o"));
        let late = [net.open(0), net.open(1)];
        let silent = net.open(0);
        net.read(connected, V5);
        net.read(old, V3);
        drain(&mut net);
        assert_eq!(
            net.read_with(connected, V5, reference),
            [(goodbye, there.clone())]
        );
        assert!(net.sockets[old].is_closed && net.sockets[old].received.is_empty());
        net.send(late[0], V5, &Packet::Connect(client(V5, "late")));
        assert_eq!(net.read_with(late[0], V5, reference), [(refusal, there)]);
        net.send(late[1], V3, &Packet::Connect(client(V3, "late")));
        assert_eq!(net.read(late[1], V3), ["connack ServerUnavailable false"]);
        assert!(!net.sockets[silent].is_closed);
        net.pass(Nanos::from_millis(201));
        assert!(net.sockets[silent].is_closed);
        assert!(net.shards.iter().all(Shard::is_drained));
    }
}

#[test]
fn a_server_reference_that_is_too_large_is_left_out() {
    let mut net = Net::with(1, |config| {
        config.server_reference = Some("a-long-name.example.com:1883".into());
    });
    let properties: PropertiesBuf = [Property::MaximumPacketSize(24)].into_iter().collect();
    let connect = Connect {
        properties: properties.as_properties(),
        ..client(V5, "c")
    };
    let socket = net.connect(0, connect);
    net.read(socket, V5);
    drain(&mut net);
    let expected = [(ReasonCode::UseAnotherServer, None)];
    assert_eq!(net.read_with(socket, V5, reference), expected);
}

/// `[MQTT5-3.1.2-28]`
#[test]
fn response_information_is_for_those_who_ask() {
    let mut net = Net::with(4, |config| {
        config.response_information = Some("replies/%c/#".into());
    });
    let mut ask = |asked: Option<bool>, client_id: &str| {
        let properties: PropertiesBuf = asked
            .map(Property::RequestResponseInformation)
            .into_iter()
            .collect();
        let connect = Connect {
            properties: properties.as_properties(),
            ..client(V5, client_id)
        };
        let socket = net.connect(0, connect);
        let told = net.read_with(socket, V5, |packet| match packet {
            Packet::ConnAck(ack) => {
                let assigned = ack.properties.assigned_client_identifier();
                let told = ack.properties.response_information();
                (told.map(str::to_owned), assigned.map(str::to_owned))
            }
            other => panic!("{other:?}"),
        });
        told[0].clone()
    };
    assert_eq!(ask(None, "c").0, None);
    assert_eq!(ask(Some(false), "c").0, None);
    assert_eq!(ask(Some(true), "c").0.as_deref(), Some("replies/c/#"));
    let (told, assigned) = ask(Some(true), "");
    assert_eq!(told, assigned.map(|id| format!("replies/{id}/#")));
    // As long as a string may be, and longer.
    let long = "x".repeat(65_530);
    assert_eq!(ask(Some(true), &long).0, None);
}
