//! PUBLISH both ways, at every QoS.

use crate::{fresh, many, publisher, shared, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::mqttsn::{SnClient, SnTopic, flag, kind, message, publish};

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn mqttsn_6_6_messages_of_every_length_arrive_byte_for_byte_both_ways() {
    let broker = shared();
    let topic = fresh("lengths");
    let mut witness = watcher(&broker, &topic);
    let mut client = SnClient::open(&broker, &fresh("lengths"));
    let mut publisher = publisher(&broker);
    let [high, low] = client.subscribe(SnTopic::Name(&topic), 1).to_be_bytes();
    // Around where Length grows to three bytes, and what one packet of Ethernet takes.
    for length in [0, 1, 247, 248, 249, 251, 252, 253, 1_400, 4_000] {
        let payload: String = ('a'..='z').cycle().take(length).collect();
        let msg_id = client.new_msg_id();
        client.send_bytes(&publish(0x20, [high, low], msg_id, payload.as_bytes()));
        let [first, second] = msg_id.to_be_bytes();
        client.expect(kind::PUBACK, &[high, low, first, second, 0]);
        witness.expect(&topic, &payload, QoS::AtLeastOnce, false);
        // It is subscribed itself.
        client.expect_publish(&topic, &payload, 1);
        publisher.publish(&topic, &payload, QoS::AtLeastOnce, false);
        client.expect_publish(&topic, &payload, 1);
        witness.expect(&topic, &payload, QoS::AtLeastOnce, false);
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    client.send_bytes(&publish(0, [high, low], 0, &every_byte));
    assert_eq!(witness.message().payload, every_byte);
    assert_eq!(client.message().payload, every_byte);
    client.disconnect();
}

#[test]
fn mqttsn_6_6_the_qos_of_a_message_is_the_lower_of_both_sides() {
    let broker = shared();
    let topic = fresh("lower");
    let mut publisher = publisher(&broker);
    for granted in 0..=2 {
        let mut client = SnClient::open(&broker, &fresh("granted"));
        client.subscribe(SnTopic::Name(&topic), granted);
        for (sent, qos) in (0..).zip(ALL) {
            publisher.publish(&topic, "lower", qos, false);
            client.expect_publish(&topic, "lower", granted.min(sent));
        }
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn mqttsn_6_6_a_repeated_publish_at_qos_2_is_published_once() {
    let broker = shared();
    let topic = fresh("once");
    let mut witness = watcher(&broker, &topic);
    for mut client in many(&broker, "twice") {
        let id = client.register(&topic).to_be_bytes();
        let msg_id = client.new_msg_id();
        let pair = msg_id.to_be_bytes();
        client.send_bytes(&publish(0x40, id, msg_id, b"once"));
        client.expect(kind::PUBREC, &pair);
        // Its PUBREC got lost, then its PUBCOMP.
        client.send_bytes(&publish(0x40 | flag::DUP, id, msg_id, b"once"));
        client.expect(kind::PUBREC, &pair);
        for _ in 0..2 {
            client.send(kind::PUBREL, &pair);
            client.expect(kind::PUBCOMP, &pair);
        }
        // The network kept a copy for later.
        client.send_bytes(&publish(0x40 | flag::DUP, id, msg_id, b"once"));
        client.expect(kind::PUBREC, &pair);
        client.send(kind::PUBREL, &pair);
        client.expect(kind::PUBCOMP, &pair);
        witness.expect(&topic, "once", QoS::ExactlyOnce, false);
        client.disconnect();
    }
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_6_a_client_has_one_message_outstanding_at_a_time() {
    let broker = shared();
    let topic = fresh("one-by-one");
    let mut publisher = publisher(&broker);
    for qos in [1, 2] {
        let mut client = SnClient::open(&broker, &fresh("slow"));
        client.subscribe(SnTopic::Name(&topic), qos);
        for number in 0..5 {
            publisher.publish(&topic, &number.to_string(), ALL[2], false);
        }
        for number in 0..5 {
            let message = client.receive();
            let publish = client.decode_publish(&message);
            assert_eq!(publish.payload, number.to_string().into_bytes());
            client.expect_nothing();
            client.acknowledge(&publish);
        }
        client.disconnect();
    }
}

#[test]
fn messages_keep_their_order_behind_a_register() {
    let broker = shared();
    let root = fresh("order");
    let mut client = SnClient::open(&broker, &fresh("ordered"));
    client.subscribe(SnTopic::Name(&format!("{root}/#")), 2);
    let mut publisher = publisher(&broker);
    let topics: Vec<String> = (0..3).map(|number| format!("{root}/{number}")).collect();
    for number in 0..30 {
        let topic = &topics[number % 3];
        publisher.publish(topic, &number.to_string(), ALL[number % 2], false);
    }
    // Order is kept between messages of one topic and one QoS.
    let mut last = [None; 6];
    for _ in 0..30 {
        let message = client.message();
        let payload = String::from_utf8(message.payload).expect("digits");
        let number: usize = payload.parse().expect("digits");
        assert_eq!(message.topic, topics[number % 3]);
        let before = last[number % 6].replace(number);
        assert_eq!(before, number.checked_sub(6), "{number} too early");
    }
    client.disconnect();
}

#[test]
fn mqttsn_6_10_a_client_that_forgot_an_id_is_told_again_and_loses_nothing() {
    const INVALID_TOPIC_ID: u8 = 2;
    let broker = shared();
    let topic = fresh("forgotten");
    let mut client = SnClient::open(&broker, &fresh("forgets"));
    let id = client.subscribe(SnTopic::Name(&topic), 1).to_be_bytes();
    publisher(&broker).publish(&topic, "who?", ALL[1], false);
    let message = client.receive();
    let publish = client.decode_publish(&message);
    let [high, low] = publish.msg_id.to_be_bytes();
    client.send(kind::PUBACK, &[id[0], id[1], high, low, INVALID_TOPIC_ID]);
    let register = client.expect_register(&topic);
    client.accept_register(&register);
    client.expect_publish(&topic, "who?", 1);
    client.expect_nothing();
    client.disconnect();
}

#[test]
fn mqttsn_5_2_1_a_long_length_is_understood_where_a_short_one_would_do() {
    let broker = shared();
    let topic = fresh("long");
    let mut witness = watcher(&broker, &topic);
    let mut client = SnClient::open(&broker, &fresh("long"));
    let [high, low] = client.register(&topic).to_be_bytes();
    let short = message(kind::PUBLISH, &[0, high, low, 0, 0, b'!']);
    let mut long = vec![1, 0, 10];
    long.extend_from_slice(&short[1..]);
    client.send_bytes(&long);
    witness.expect(&topic, "!", ALL[0], false);
    client.disconnect();
}
