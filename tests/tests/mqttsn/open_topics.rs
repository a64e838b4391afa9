//! QoS −1: messages without a connection `[MQTTSN-6.8]`, and who may send them.

use crate::{TopicsFile, ZERO, fresh, loopback, shared, watcher};
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{SnClient, SnSocket, SnTopic, flag, publish};

/// QoS −1 and a name of two characters.
const SHORT: u8 = flag::QOS | flag::SHORT;
/// QoS −1 and an id that both sides know.
const PREDEFINED: u8 = flag::QOS | flag::PREDEFINED;

#[test]
fn mqttsn_6_8_a_message_of_nobody_arrives_and_is_not_answered() {
    let broker = shared();
    let mut witness = watcher(&broker, "m1");
    for number in 0..20 {
        let socket = SnSocket::at(broker.mqttsn_address(), loopback(number));
        // A message id has no meaning here.
        socket.send(&publish(SHORT, *b"m1", 7, b"21.5"));
        witness.expect("m1", "21.5", ZERO, false);
        crate::barrier(&socket);
    }
    let mut client = SnClient::open(&broker, &fresh("connected"));
    client.send_publish(SnTopic::Short("m1"), "from a client", -1);
    witness.expect("m1", "from a client", ZERO, false);
    client.expect_nothing();
}

#[test]
fn mqttsn_6_8_such_a_message_can_be_retained_and_deleted() {
    let broker = shared();
    let socket = SnSocket::new(&broker);
    let mut live = watcher(&broker, "m2");
    socket.send(&publish(SHORT | flag::RETAIN, *b"m2", 0, b"kept"));
    live.expect("m2", "kept", ZERO, false);
    watcher(&broker, "m2").expect("m2", "kept", ZERO, true);
    socket.send(&publish(SHORT | flag::RETAIN, *b"m2", 0, b""));
    live.expect("m2", "", ZERO, false);
    watcher(&broker, "m2").expect_nothing();
}

#[test]
fn mqttsn_6_8_messages_of_one_sender_keep_their_order_and_bursts_arrive() {
    let broker = shared();
    let socket = SnSocket::new(&broker);
    let mut witness = watcher(&broker, "m3");
    for burst in 0..20 {
        for number in 0..50 {
            let payload = (burst * 50 + number).to_string();
            socket.send(&publish(SHORT, *b"m3", 0, payload.as_bytes()));
        }
        for number in 0..50 {
            let payload = (burst * 50 + number).to_string();
            witness.expect("m3", &payload, ZERO, false);
        }
    }
}

#[test]
fn mqttsn_6_8_only_open_topics_take_messages_of_nobody() {
    let file = TopicsFile::new("1 open/one\n2 closed/two\n");
    let topics = ["--mqttsn-topics", file.path()];
    let open = ["--mqttsn-open-topics", "open/#"];
    let broker =
        Broker::start_mqttsn(&[&topics[..], &open, &["--mqttsn-open-topics", "oo"]].concat());
    let mut witness = watcher(&broker, "#");
    let socket = SnSocket::new(&broker);
    socket.send(&publish(PREDEFINED, [0, 2], 0, b"closed"));
    socket.send(&publish(SHORT, *b"cc", 0, b"closed"));
    socket.send(&publish(SHORT, *b"$S", 0, b"closed"));
    socket.send(&publish(PREDEFINED, [0, 3], 0, b"unknown"));
    // An id that somebody registers is not for everybody.
    socket.send(&publish(flag::QOS, [0, 1], 0, b"registered"));
    socket.send(&publish(PREDEFINED, [0, 1], 0, b"open"));
    witness.expect("open/one", "open", ZERO, false);
    socket.send(&publish(SHORT, *b"oo", 0, b"open"));
    witness.expect("oo", "open", ZERO, false);
    // Who connects may publish anywhere.
    let mut client = SnClient::open(&broker, "connected");
    client.publish(SnTopic::Predefined(2), "connected", 1);
    let message = witness.message();
    assert_eq!(message.topic, "closed/two");
    witness.expect_nothing();
    assert_eq!(broker.stop().total("datagrams_dropped"), 5);
}

#[test]
fn mqttsn_6_8_without_the_flag_a_loopback_listener_takes_every_topic_but_the_brokers_own() {
    let file = TopicsFile::new("1 any/topic\n2 $SYS/broker/version\n");
    let broker = Broker::start_mqttsn(&["--mqttsn-topics", file.path()]);
    let mut witness = watcher(&broker, "#");
    let mut own = watcher(&broker, "$SYS/#");
    let socket = SnSocket::new(&broker);
    socket.send(&publish(PREDEFINED, [0, 2], 0, b"a lie"));
    socket.send(&publish(PREDEFINED, [0, 1], 0, b"open"));
    witness.expect("any/topic", "open", ZERO, false);
    while let Some(received) = own.receive_within(std::time::Duration::from_millis(1)) {
        assert_ne!(received.message().payload, b"a lie");
    }
    assert_eq!(broker.stop().total("datagrams_dropped"), 1);
}
