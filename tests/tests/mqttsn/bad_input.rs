//! Datagrams that are no messages: dropped, counted, and nothing else.

use crate::strangers::one_of_each;
use crate::{ZERO, barrier, fresh, watcher};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::mqttsn::{SnClient, SnSocket, SnTopic, connect, flag, kind, message, publish};
use ringbus_tests::random::Random;

/// No more datagrams at a time: the kernel drops what does not fit into the socket's buffer.
const BATCH: usize = 50;

fn every_message() -> Vec<Vec<u8>> {
    let mut all = one_of_each("bad", 1, 1);
    all.push(connect(4, 60, "bad"));
    all.push(publish(flag::QOS | flag::SHORT, *b"zz", 0, &[b'z'; 300]));
    all
}

/// Sends datagrams of a stranger and of a client, none of which may have an answer or an effect;
/// they are all counted as malformed.
#[track_caller]
fn all_malformed(datagrams: &[Vec<u8>]) {
    let broker = Broker::start_mqttsn(&[]);
    let mut witness = watcher(&broker, "#");
    let mut client = SnClient::open(&broker, "client");
    let topic = fresh("stays");
    let id = client.subscribe(SnTopic::Name(&topic), 1);
    let stranger = SnSocket::new(&broker);
    for batch in datagrams.chunks(BATCH) {
        batch.iter().for_each(|datagram| stranger.send(datagram));
        barrier(&stranger);
        batch
            .iter()
            .for_each(|datagram| client.send_bytes(datagram));
        client.expect_nothing();
    }
    client.publish(SnTopic::Id(id), "works", 1);
    client.expect_publish(&topic, "works", 1);
    witness.expect(&topic, "works", QoS::AtLeastOnce, false);
    client.disconnect();
    witness.expect_nothing();
    let sent = 2 * datagrams.len() as u64;
    assert_eq!(broker.stop().total("datagrams_malformed"), sent);
}

#[test]
fn mqttsn_5_2_1_every_truncation_of_every_message() {
    let mut datagrams = Vec::new();
    for message in every_message() {
        datagrams.extend((0..message.len()).map(|length| message[..length].to_vec()));
    }
    all_malformed(&datagrams);
}

#[test]
fn mqttsn_5_2_1_a_length_that_is_not_the_datagrams() {
    let mut datagrams = Vec::new();
    for message in every_message() {
        let is_long = message[0] == 1;
        let after = if is_long {
            &message[3..]
        } else {
            &message[1..]
        };
        for lie in 0..=255_u8 {
            if lie != message[0] && lie != 1 {
                datagrams.push([&[lie], after].concat());
            }
        }
        let right = u16::try_from(after.len() + 3).expect("short");
        for lie in [0, 1, 2, 3, right - 1, right + 1, 0xFFFF] {
            let [high, low] = lie.to_be_bytes();
            datagrams.push([&[1, high, low], after].concat());
        }
        let mut trailing = message.clone();
        trailing.push(0);
        datagrams.push(trailing);
    }
    all_malformed(&datagrams);
}

#[test]
fn mqttsn_5_2_2_types_that_nobody_defined() {
    let reserved = [0x03, 0x11, 0x19]
        .into_iter()
        .chain(0x1E..=0xFD)
        .chain([0xFF]);
    let datagrams: Vec<_> = reserved
        .flat_map(|kind| [message(kind, &[]), message(kind, &[4, 1, 0, 60, b'x'])])
        .collect();
    all_malformed(&datagrams);
}

#[test]
fn mqttsn_5_4_fields_that_are_not_allowed() {
    all_malformed(&[
        // A protocol of another id, a client without a name, a name that is no text.
        message(kind::CONNECT, &[4, 2, 0, 60, b'x']),
        message(kind::CONNECT, &[4, 1, 0, 60]),
        message(kind::CONNECT, &[4, 1, 0, 60, 0xFF]),
        message(kind::CONNECT, &[4, 1, 0, 60, 0]),
        // A topic id type that is reserved, a short name that is no text.
        publish(3, [0, 1], 0, b"x"),
        publish(flag::QOS | 3, [0, 1], 0, b"x"),
        publish(flag::QOS | flag::SHORT, [0xFF, 0xFE], 0, b"x"),
        // A message id of zero where an answer has to name it.
        publish(0x20, [0, 1], 0, b"x"),
        publish(0x40, [0, 1], 0, b"x"),
        message(kind::SUBSCRIBE, b"\0\0\0topic"),
        message(kind::PUBREL, &[0, 0]),
        // QoS −1 where it has no meaning; no topic at all.
        message(kind::SUBSCRIBE, b"\x60\0\x01topic"),
        message(kind::SUBSCRIBE, b"\0\0\x01"),
        message(kind::SUBSCRIBE, b"\x03\0\x01to"),
        message(kind::REGISTER, b"\0\0\0\x01"),
        message(kind::REGISTER, b"\0\0\0\x01\xC3\x28"),
        message(kind::WILLTOPICUPD, b"\0"),
        message(kind::DISCONNECT, &[0]),
        message(kind::DISCONNECT, &[0, 1, 2]),
        message(kind::PUBACK, &[0, 1, 0, 1, 0, 0]),
        // An envelope that is not whole, one in another, one without anything.
        vec![9, kind::FORWARDED, 0, 1],
        vec![2, kind::FORWARDED],
        vec![0, kind::FORWARDED, 0],
        [
            &[4, kind::FORWARDED, 0, 1][..],
            &[4, kind::FORWARDED, 0, 2],
            &[3, 1, 0],
        ]
        .concat(),
        vec![4, kind::FORWARDED, 0, 1],
    ]);
}

/// Shortened messages whose Length tells the truth: some of them are messages.
#[test]
fn shortened_and_mutated_messages_harm_nobody_else() {
    let broker = Broker::start_mqttsn(&[]);
    let mut other = SnClient::open(&broker, "other");
    let topic = fresh("unharmed");
    let id = other.subscribe(SnTopic::Name(&topic), 2);
    let mut random = Random::new(5);
    let mut datagrams = Vec::new();
    for message_ in every_message().iter().filter(|message| message[0] != 1) {
        let (kind, body) = (message_[1], &message_[2..]);
        datagrams.extend((0..body.len()).map(|length| message(kind, &body[..length])));
        for _ in 0..20 {
            let mut mutated = message_.clone();
            for _ in 0..=random.below(3) {
                let at = 1 + random.below(mutated.len() - 1);
                mutated[at] = random.bytes(1)[0];
            }
            datagrams.push(mutated);
        }
    }
    let stranger = SnSocket::new(&broker);
    for batch in datagrams.chunks(BATCH) {
        batch.iter().for_each(|datagram| stranger.send(datagram));
        for (qos, payload) in ["zero", "one", "two"].iter().enumerate() {
            let qos = i8::try_from(qos).expect("small");
            other.publish(SnTopic::Id(id), payload, qos);
            other.expect_publish(&topic, payload, qos);
        }
    }
    other.disconnect();
    let stopped = broker.stop();
    assert!(
        stopped.total("datagrams_malformed") > 0,
        "{:?}",
        stopped.shards
    );
}

#[test]
fn what_is_dropped_is_told_in_sys() {
    let broker = Broker::start_mqttsn(&["--sys-interval", "1s", "--shards", "1"]);
    let stranger = SnSocket::new(&broker);
    stranger.send(b"garbage");
    stranger.send(&message(kind::PINGRESP, &[]));
    stranger.send(&message(kind::CONNACK, &[0]));
    barrier(&stranger);
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("$SYS/shard/0/#", ZERO);
    for (name, wanted) in [("malformed", "1"), ("dropped", "2")] {
        let topic = format!("$SYS/shard/0/datagrams_{name}");
        let said = std::iter::repeat_with(|| watcher.message())
            .find(|message| message.topic == topic)
            .expect("it goes on");
        assert_eq!(said.payload, wanted.as_bytes(), "{topic}");
    }
    broker.stop();
}
