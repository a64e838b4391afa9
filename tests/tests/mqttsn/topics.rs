//! Names of topics: registered, known beforehand, of two characters, and by wildcards.

use crate::{TopicsFile, ZERO, fresh, publisher, shared, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{SnClient, SnHello, SnTopic, kind, message};
use ringbus_tests::program::{finish, ringbus};

const INVALID_TOPIC_ID: u8 = 2;
const NOT_SUPPORTED: u8 = 3;

#[test]
fn mqttsn_6_5_a_client_registers_names_and_gets_an_id_for_each() {
    let broker = shared();
    let mut client = SnClient::open(&broker, &fresh("registers"));
    let names: Vec<String> = (0..20).map(|_| fresh("named/by")).collect();
    let ids: Vec<u16> = names.iter().map(|name| client.register(name)).collect();
    let mut witness = watcher(&broker, "named/#");
    for (name, id) in names.iter().zip(&ids) {
        assert_eq!(client.register(name), *id, "the same name again");
        client.publish(SnTopic::Id(*id), name, 1);
        witness.expect(name, name, QoS::AtLeastOnce, false);
    }
    for wrong in ["a/+", "#", "a+"] {
        assert_eq!(client.register_code(wrong).1, NOT_SUPPORTED, "{wrong}");
    }
    client.disconnect();
}

#[test]
fn mqttsn_6_5_ids_are_each_clients_own_and_of_one_connection() {
    let broker = shared();
    let (name, hello) = (fresh("mine"), SnHello::new(&fresh("mine")));
    let mut client = SnClient::hello(&broker, &hello);
    let mut other = SnClient::open(&broker, &fresh("other"));
    let mut witness = watcher(&broker, &name);
    let id = client.register(&name);
    let refused = |client: &mut SnClient| {
        let msg_id = client.send_publish(SnTopic::Id(id), "nobody knows", 1);
        let head = [id.to_be_bytes(), msg_id.to_be_bytes()].concat();
        client.expect(kind::PUBACK, &[&head[..], &[INVALID_TOPIC_ID]].concat());
    };
    refused(&mut other);
    client.send(kind::DISCONNECT, &[]);
    client.expect(kind::DISCONNECT, &[]);
    client.forgotten();
    client.connect(&hello);
    refused(&mut client);
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_6_a_publish_to_an_unknown_id_is_refused_at_every_qos() {
    let broker = shared();
    let mut client = SnClient::open(&broker, &fresh("unknown"));
    for topic in [SnTopic::Id(4711), SnTopic::Id(0), SnTopic::Predefined(4711)] {
        for qos in 0..=2 {
            let msg_id = client.send_publish(topic, "where to?", qos).to_be_bytes();
            let answer = client.answer(kind::PUBACK);
            assert_eq!(answer.body[2..4], msg_id, "{topic:?} at {qos}");
            assert_eq!(answer.body[4], INVALID_TOPIC_ID, "{topic:?} at {qos}");
        }
    }
    client.disconnect();
}

#[test]
fn mqttsn_6_7_topics_that_both_sides_know_beforehand() {
    let file = TopicsFile::new("# known to all sensors\n\n7 known/seven\n65534 known/last one\n");
    let broker = Broker::start_mqttsn(&["--mqttsn-topics", file.path()]);
    let mut witness = watcher(&broker, "known/#");
    let mut publisher = publisher(&broker);
    let mut client = SnClient::open(&broker, "knows");
    for (id, name) in [(7, "known/seven"), (65_534, "known/last one")] {
        let topic = SnTopic::Predefined(id);
        for qos in 0..=2 {
            client.publish(topic, "up", qos);
            let wanted = QoS::try_from(qos.unsigned_abs()).expect("a QoS");
            witness.expect(name, "up", wanted, false);
        }
        assert_eq!(client.subscribe(topic, 1), id);
        publisher.publish(name, "down", QoS::AtLeastOnce, false);
        client.expect_publish(&format!("#{id}"), "down", 1);
        witness.expect(name, "down", QoS::AtLeastOnce, false);
        client.unsubscribe(topic);
        publisher.publish(name, "no more", QoS::AtLeastOnce, false);
        client.expect_nothing();
        witness.expect(name, "no more", QoS::AtLeastOnce, false);
    }
    let (_, _, code) = client.subscribe_code(SnTopic::Predefined(8), 1);
    assert_eq!(code, INVALID_TOPIC_ID);
    client.disconnect();
    broker.stop();
}

#[test]
fn a_file_of_topics_with_a_mistake_stops_the_start() {
    for text in [
        "7 a\n7 b\n",
        "7 a\n8 a\n",
        "0 a\n",
        "65535 a\n",
        "x a\n",
        "7\n",
        "7 a/#\n",
    ] {
        let file = TopicsFile::new(text);
        let mut command = ringbus(&["serve", "--mqttsn-topics", file.path()]);
        let finished = finish(&mut command);
        assert!(
            finished.one_line(2).contains("line"),
            "{text}: {finished:?}"
        );
    }
}

#[test]
fn mqttsn_6_7_a_topic_of_two_characters_is_its_own_id() {
    let broker = shared();
    // Two bytes are all that such a name has: nobody else here uses these.
    for name in ["q1", "/q", "é"] {
        let mut witness = watcher(&broker, name);
        let mut client = SnClient::open(&broker, &fresh("short"));
        for qos in 0..=2 {
            client.publish(SnTopic::Short(name), "up", qos);
            let wanted = QoS::try_from(qos.unsigned_abs()).expect("a QoS");
            witness.expect(name, "up", wanted, false);
        }
        client.subscribe(SnTopic::Short(name), 1);
        publisher(&broker).publish(name, "down", QoS::AtLeastOnce, false);
        // Nothing is registered before it.
        let first = client.receive();
        let publish = client.decode_publish(&first);
        assert_eq!(
            (publish.topic.as_str(), &publish.payload[..]),
            (name, &b"down"[..])
        );
        client.acknowledge(&publish);
        client.disconnect();
    }
}

#[test]
fn mqttsn_6_9_a_subscription_by_name_gets_its_id_and_the_messages_carry_it() {
    let broker = shared();
    let topic = fresh("subscribed");
    let mut client = SnClient::open(&broker, &fresh("subscriber"));
    let id = client.subscribe(SnTopic::Name(&topic), 2);
    assert!(id != 0 && id != 0xFFFF, "{id}");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publisher(&broker).publish(&topic, "down", qos, false);
        let message = client.receive();
        // No REGISTER before it: SUBACK has told the id.
        let publish = client.decode_publish(&message);
        assert_eq!(publish.topic_id, id.to_be_bytes());
        client.acknowledge(&publish);
    }
    assert_eq!(client.register(&topic), id, "the name has its id already");
    client.disconnect();
}

#[test]
fn mqttsn_6_10_a_register_comes_before_the_first_message_of_each_topic_of_a_wildcard() {
    let broker = shared();
    for wildcard in ["+/value", "#"] {
        let root = fresh("house");
        let mut client = SnClient::open(&broker, &fresh("wild"));
        let filter = format!("{root}/{wildcard}");
        assert_eq!(client.subscribe(SnTopic::Name(&filter), 1), 0, "{filter}");
        let mut publisher = publisher(&broker);
        for room in ["kitchen", "bath"] {
            let topic = format!("{root}/{room}/value");
            publisher.publish(&topic, "first", QoS::AtLeastOnce, false);
            let register = client.expect_register(&topic);
            publisher.publish(&topic, "second", QoS::AtLeastOnce, false);
            // Nothing is published before the id is acknowledged.
            client.ping();
            client.accept_register(&register);
            let first = client.expect_publish(&topic, "first", 1);
            assert_eq!(first.topic_id[..], register.body[..2]);
            client.expect_publish(&topic, "second", 1);
        }
        client.disconnect();
    }
}

#[test]
fn mqttsn_6_10_a_client_that_refuses_a_register_misses_the_message_and_nothing_else() {
    let broker = shared();
    let root = fresh("refusing");
    let mut client = SnClient::open(&broker, &fresh("refuses"));
    client.subscribe(SnTopic::Name(&format!("{root}/#")), 1);
    let mut publisher = publisher(&broker);
    let (unwanted, wanted) = (format!("{root}/unwanted"), format!("{root}/wanted"));
    publisher.publish(&unwanted, "no", QoS::AtLeastOnce, false);
    let register = client.expect_register(&unwanted);
    publisher.publish(&wanted, "yes", QoS::AtLeastOnce, false);
    let body = [&register.body[..4], &[NOT_SUPPORTED]].concat();
    client.send(kind::REGACK, &body);
    client.expect_publish(&wanted, "yes", 1);
    client.expect_nothing();
    client.disconnect();
}

#[test]
fn mqttsn_6_9_who_unsubscribes_gets_no_more() {
    let broker = shared();
    let topic = fresh("enough");
    let mut client = SnClient::open(&broker, &fresh("leaves"));
    let mut publisher = publisher(&broker);
    for filter in [topic.clone(), format!("{topic}/#")] {
        client.subscribe(SnTopic::Name(&filter), 1);
        publisher.publish(&topic, "one", QoS::AtLeastOnce, false);
        client.expect_publish(&topic, "one", 1);
        client.unsubscribe(SnTopic::Name(&filter));
        publisher.publish(&topic, "two", QoS::AtLeastOnce, false);
        client.expect_nothing();
    }
    client.disconnect();
}

#[test]
fn mqttsn_6_9_a_filter_that_is_none_is_refused() {
    let broker = shared();
    let mut client = SnClient::open(&broker, &fresh("wrong"));
    for filter in ["a/#/b", "a+", "#b"] {
        let (_, id, code) = client.subscribe_code(SnTopic::Name(filter), 1);
        assert_eq!((id, code), (0, NOT_SUPPORTED), "{filter}");
    }
    client.ping();
    client.disconnect();
}

#[test]
fn retained_messages_come_to_who_subscribes() {
    let broker = shared();
    let topic = fresh("kept");
    let mut publisher = publisher(&broker);
    publisher.publish(&topic, "from before", QoS::AtLeastOnce, true);
    let mut client = SnClient::open(&broker, &fresh("late"));
    client.subscribe(SnTopic::Name(&topic), 1);
    assert!(client.expect_publish(&topic, "from before", 1).retain);
    // And it can retain, too.
    let id = client.register(&topic);
    let [high, low] = id.to_be_bytes();
    let retained = [0x30, high, low, 0, 99, b'n', b'e', b'w'];
    client.send_bytes(&message(kind::PUBLISH, &retained));
    client.expect(kind::PUBACK, &[high, low, 0, 99, 0]);
    let mut late = watcher(&broker, &topic);
    late.expect(&topic, "new", QoS::AtLeastOnce, true);
    publisher.publish(&topic, "", ZERO, true);
    client.disconnect();
}
