//! Floods: what anybody can send from any address costs a bounded amount, and disturbs nobody.

use crate::{fresh, loopback, many, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{SnClient, SnHello, SnSocket, SnTopic, connect, kind};
use std::time::Duration;

const ADDRESSES: usize = 100_000;
/// Clients of one shard that may be about to connect, in all and from one address.
const HALF_OPEN_MAX: u64 = 4_096;
const HALF_OPEN_PER_ADDRESS_MAX: usize = 16;
const KIB: u64 = 1 << 10;

/// Between the datagrams of a flood, others have to be served.
fn flood(others: &mut [SnClient], witness: &mut ringbus_tests::client::Client, topic: &str) {
    let gateway = others[0].socket().gateway();
    for number in 0..ADDRESSES {
        let hello = connect(0x0C, 60, &format!("flood-{number}"));
        SnSocket::at(gateway, loopback(number)).send(&hello);
        // One round trip to each shard every so often: the kernel's buffers are small.
        if number % 200 == 0 {
            others.iter_mut().for_each(SnClient::ping);
        }
        if number % 10_000 == 0 {
            for other in others.iter_mut() {
                let id = other.register(topic);
                other.publish(SnTopic::Id(id), "served", 1);
                witness.expect(topic, "served", QoS::AtLeastOnce, false);
            }
        }
    }
}

/// Says CONNECT until somebody asks for the will, as a client does whose datagrams get lost.
fn connect_in_the_end(client: &SnClient, hello: &SnHello) {
    let is_asked = |_: &()| {
        client.send_bytes(&hello.encode());
        let answer = client.socket().receive_within(Duration::from_millis(200));
        answer.is_some_and(|answer| answer == [2, kind::WILLTOPICREQ])
    };
    let asked = std::iter::repeat_n((), 150).find(is_asked);
    assert!(asked.is_some(), "no place becomes free");
}

#[test]
fn a_hundred_thousand_addresses_that_begin_to_connect() {
    let broker = Broker::start_mqttsn(&["--mqttsn-retry", "1s"]);
    let topic = fresh("flooded");
    let mut witness = watcher(&broker, &topic);
    let mut others = many(&broker, "other");
    let before = broker.resident_bytes();
    broker.forget_peak_memory();
    flood(&mut others, &mut witness, &topic);
    let growth = broker.peak_resident_bytes().saturating_sub(before);
    let shards = u64::from(broker.shards());
    println!("grown by {} KiB on {shards} shards", growth / KIB);
    // 2 KiB for each that may be there, and room for buffers.
    let growth_max = shards * HALF_OPEN_MAX * 2 * KIB + 8_192 * KIB;
    assert!(growth < growth_max, "grown by {} KiB", growth / KIB);

    // Those that never said more make room again.
    let hello = SnHello::new("afterwards").with_will("a", "b");
    connect_in_the_end(&SnClient::raw(&broker), &hello);
    others.into_iter().for_each(SnClient::disconnect);
    let stopped = broker.stop();
    let of = |name: &str| stopped.total(name);
    let received = of("datagrams_received");
    println!("received {received}, lost {}", of("datagrams_lost"));
    assert!(received > ADDRESSES as u64 / 2, "no flood: {received}");
    assert_eq!(of("datagrams_malformed"), 0);
}

#[test]
fn one_address_begins_to_connect_only_so_often() {
    // A minute until they are given up: nothing becomes free meanwhile.
    let broker = Broker::start_mqttsn(&["--mqttsn-retry", "15s", "--shards", "1"]);
    let address = loopback(77);
    let sockets: Vec<SnSocket> = (0..100)
        .map(|_| SnSocket::at(broker.mqttsn_address(), address))
        .collect();
    for (number, socket) in sockets.iter().enumerate() {
        socket.send(&connect(0x0C, 60, &format!("greedy-{number}")));
    }
    // Another address is served, behind all of them.
    SnClient::open(&broker, "other").disconnect();
    let asked = |socket: &&SnSocket| socket.receive_now().is_some();
    let asked = sockets.iter().filter(asked).count();
    assert_eq!(asked, HALF_OPEN_PER_ADDRESS_MAX);
    // Who goes on makes room for another.
    sockets[0].send(&[2, kind::DISCONNECT]);
    assert_eq!(sockets[0].receive(), [2, kind::DISCONNECT]);
    sockets[99].send(&connect(0x0C, 60, "greedy-99"));
    assert_eq!(sockets[99].receive(), [2, kind::WILLTOPICREQ]);
    let dropped = broker.stop().total("datagrams_dropped");
    assert_eq!(dropped, 100 - HALF_OPEN_PER_ADDRESS_MAX as u64);
}

#[test]
fn beyond_the_most_clients_a_connect_is_told_of_congestion() {
    const CONGESTION: u8 = 1;
    let broker = Broker::start_mqttsn(&["--mqttsn-max-clients", "8", "--shards", "1"]);
    let hello = |number: usize| {
        let socket = SnSocket::at(broker.mqttsn_address(), loopback(number));
        socket.send(&connect(4, 60, &fresh("crowd")));
        (socket.receive(), socket)
    };
    let answers: Vec<_> = (0..40).map(hello).collect();
    let with = |code: u8| {
        let is = |(answer, _): &&(Vec<u8>, SnSocket)| *answer == [3, kind::CONNACK, code];
        answers.iter().filter(is).count()
    };
    assert_eq!((with(0), with(CONGESTION)), (8, 32));
    let (_, first) = &answers[0];
    first.send(&[2, kind::DISCONNECT]);
    assert_eq!(first.receive(), [2, kind::DISCONNECT]);
    assert_eq!(hello(41).0, [3, kind::CONNACK, 0]);
    broker.stop();
}

#[test]
fn a_hundred_thousand_questions_of_strangers_leave_nothing_behind() {
    let broker = Broker::start_mqttsn(&[]);
    let mut other = SnClient::open(&broker, &fresh("other"));
    let before = broker.resident_bytes();
    for number in 0..ADDRESSES {
        let socket = SnSocket::at(broker.mqttsn_address(), loopback(number));
        socket.send(&[2, kind::PINGREQ]);
        if number % 200 == 0 {
            other.ping();
        }
    }
    let growth = broker.resident_bytes().saturating_sub(before);
    println!("grown by {} KiB", growth / KIB);
    // Receive buffers that a turn needs for the first time are a shard's 2 MiB at most.
    let growth_max = (3_072 + 2_048 * u64::from(broker.shards())) * KIB;
    assert!(growth < growth_max, "grown by {} KiB", growth / KIB);
    other.disconnect();
    broker.stop();
}
