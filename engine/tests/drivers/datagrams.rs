//! UDP sockets under every driver, by MQTT-SN of senders that do not connect.

use crate::PATIENCE;
use crate::broker::{Broker, on_every_driver};
use crate::client::{Client, payload};
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{FilterRef, Packet, PublishQoS, ShortTopic, TopicRef, encode};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

const UDP: [&str; 2] = ["--listen", "mqttsn://127.0.0.1:0"];

#[test]
fn what_comes_in_datagrams_reaches_subscribers_of_mqtt() {
    const SENDERS: usize = 10;
    const ROUNDS: usize = 100;
    on_every_driver(&UDP, |broker| {
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("aa");
        let senders: Vec<UdpSocket> = (0..SENDERS).map(|_| sender(broker)).collect();
        for round in 0..ROUNDS {
            // As many as any buffer holds: more could be lost.
            for (number, sender) in senders.iter().enumerate() {
                for part in 0..5 {
                    send(sender, &publish("aa", text(number, round, part).as_bytes()));
                }
            }
            let mut got: Vec<String> = (0..5 * SENDERS)
                .map(|_| String::from_utf8(subscriber.message().1).expect("text"))
                .collect();
            // In order from each sender, though not between them.
            got.sort_by_key(|text| text.split(' ').next().map(ToOwned::to_owned));
            let numbers = (0..SENDERS).flat_map(|number| (0..5).map(move |part| (number, part)));
            let wanted: Vec<String> = numbers
                .map(|(number, part)| text(number, round, part))
                .collect();
            assert_eq!(got, wanted);
        }
    });
}

fn text(number: usize, round: usize, part: usize) -> String {
    format!("{number} {round} {part}")
}

#[test]
fn the_largest_datagram_arrives_whole() {
    on_every_driver(&UDP, |broker| {
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("aa");
        let sender = sender(broker);
        // 65,507 bytes are what UDP has, and 9 of them are the head.
        for length in [0, 1, 248, 249, 1500, 4095, 4096, 20_000, 65_498] {
            let payload = payload(length);
            send(&sender, &publish("aa", &payload));
            assert!(subscriber.message().1 == payload, "{length} bytes");
        }
    });
}

#[test]
fn clients_connect_wherever_their_home_is() {
    // Enough that each shard receives for each other.
    const CLIENTS: usize = 40;
    on_every_driver(&UDP, |broker| {
        let mut publisher = Client::connect(broker, "publisher");
        let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| sender(broker)).collect();
        for (number, socket) in clients.iter().enumerate() {
            let client_id = &format!("sensor-{number}");
            let connect = Packet::Connect {
                clean_session: true,
                will: false,
                duration_seconds: 60,
                client_id,
            };
            send(socket, &encoded(&connect));
            assert_eq!(receive(socket), [3, 0x05, 0], "CONNACK");
            let subscribe = Packet::Subscribe {
                dup: false,
                qos: QoS::AtMostOnce,
                msg_id: 1,
                filter: FilterRef::Short(ShortTopic::new("aa").expect("two characters")),
            };
            send(socket, &encoded(&subscribe));
            assert_eq!(receive(socket)[..2], [8, 0x13], "SUBACK");
        }
        publisher.publish("aa", b"to all of you");
        for socket in &clients {
            let datagram = receive(socket);
            assert_eq!(datagram[..2], [20, 0x0C], "PUBLISH");
            assert_eq!(datagram[7..], *b"to all of you");
        }
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("bb");
        for (number, socket) in clients.iter().enumerate() {
            let qos = PublishQoS::Of(QoS::AtLeastOnce);
            let text = number.to_string();
            send(socket, &encoded(&publish_at(qos, "bb", text.as_bytes())));
            assert_eq!(receive(socket)[..2], [7, 0x0D], "PUBACK");
            assert_eq!(subscriber.message().1, text.as_bytes());
        }
    });
}

#[test]
fn strangers_get_short_answers() {
    on_every_driver(&UDP, |broker| {
        let sender = sender(broker);
        send(&sender, b"");
        send(&sender, b"garbage");
        send(&sender, &encoded(&Packet::SearchGw { radius: 1 }));
        assert_eq!(receive(&sender), [3, 0x02, 1], "GWINFO");
        send(&sender, &encoded(&Packet::PingReq { client_id: None }));
        assert_eq!(receive(&sender), [2, 0x18], "DISCONNECT");
    });
}

#[test]
fn a_flood_is_served_in_turns_and_then_the_broker_sleeps() {
    on_every_driver(&UDP, |broker| {
        let mut witness = Client::connect(broker, "witness");
        let sender = sender(broker);
        let datagram = publish("aa", &[b'x'; 64]);
        for _ in 0..200 {
            for _ in 0..100 {
                send(&sender, &datagram);
            }
            witness.ping();
        }
        let before = broker.cpu();
        assert!(witness.message_within(Duration::from_millis(500)).is_none());
        let used = broker.cpu() - before;
        assert!(used < Duration::from_millis(100), "used {used:?} idling");
    });
}

fn sender(broker: &Broker) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = broker.listener("mqttsn");
    socket.connect(address).expect("UDP");
    socket.set_read_timeout(Some(PATIENCE)).expect("UDP");
    socket
}

fn send(socket: &UdpSocket, datagram: &[u8]) {
    let sent = socket.send(datagram).expect("it listens");
    assert_eq!(sent, datagram.len());
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut datagram = vec![0; 1 << 16];
    let length = loop {
        match socket.recv(&mut datagram) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.expect("an answer"),
        }
    };
    datagram.truncate(length);
    datagram
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    encoded(&publish_at(PublishQoS::MinusOne, topic, payload))
}

fn publish_at<'a>(qos: PublishQoS, topic: &str, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicRef::Short(ShortTopic::new(topic).expect("two characters")),
        msg_id: 1,
        payload,
    }
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    encode(packet, &mut datagram);
    datagram
}
