//! Clients that sleep: `[MQTTSN-6.14]`.

use crate::{fresh, many, publisher, shared};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{SnClient, SnHello, SnPublish, SnTopic, kind};

const ONE: QoS = QoS::AtLeastOnce;

fn payloads(messages: &[SnPublish]) -> Vec<String> {
    let text = |message: &SnPublish| String::from_utf8(message.payload.clone()).expect("text");
    messages.iter().map(text).collect()
}

/// Publishes, and waits until a client that does not sleep has it.
fn publish_seen(broker: &Broker, topic: &str, says: &[&str]) {
    let mut awake = SnClient::open(broker, &fresh("awake"));
    awake.subscribe(SnTopic::Name(topic), 2);
    let mut publisher = publisher(broker);
    for one in says {
        publisher.publish(topic, one, ONE, false);
        awake.expect_publish(topic, one, 1);
    }
    awake.disconnect();
}

#[test]
fn mqttsn_6_14_messages_wait_for_a_sleeping_client() {
    let broker = shared();
    let topic = fresh("asleep");
    for mut client in many(&broker, "sleeper") {
        client.subscribe(SnTopic::Name(&topic), 1);
        client.sleep(600);
        for _ in 0..2 {
            publish_seen(&broker, &topic, &["one", "two", "three"]);
            assert_eq!(client.socket().receive_now(), None, "it sleeps");
            assert_eq!(payloads(&client.wake_up()), ["one", "two", "three"]);
            // It sleeps again by itself.
        }
        assert_eq!(client.wake_up(), []);
    }
}

#[test]
fn mqttsn_6_14_what_waits_comes_at_every_qos_and_behind_a_register() {
    let broker = shared();
    for qos in 0..=2 {
        let root = fresh("naps");
        let mut client = SnClient::open(&broker, &fresh("napper"));
        client.subscribe(SnTopic::Name(&format!("{root}/#")), qos);
        client.sleep(600);
        for number in 0..5 {
            let topic = format!("{root}/{}", number % 2);
            publish_seen(&broker, &topic, &[&number.to_string()]);
        }
        let mut messages = client.wake_up();
        assert!(messages.iter().all(|message| message.qos == qos.min(1)));
        messages.sort_by_key(|message| message.payload.clone());
        assert_eq!(payloads(&messages), ["0", "1", "2", "3", "4"]);
        assert_eq!(messages[3].topic, format!("{root}/1"));
    }
}

#[test]
fn mqttsn_6_14_a_client_that_connects_is_active_again() {
    let broker = shared();
    let topic = fresh("woken");
    let hello = SnHello::persistent(&fresh("wakes"));
    let mut client = SnClient::hello(&broker, &hello);
    client.subscribe(SnTopic::Name(&topic), 1);
    client.sleep(600);
    publish_seen(&broker, &topic, &["waits"]);
    client.send_bytes(&hello.encode());
    client.expect(kind::CONNACK, &[0]);
    client.expect_publish(&topic, "waits", 1);
    publish_seen(&broker, &topic, &["live"]);
    client.expect_publish(&topic, "live", 1);
    client.disconnect();
}

#[test]
fn mqttsn_6_14_only_a_sleepers_own_name_wakes_it() {
    let broker = shared();
    let topic = fresh("named");
    let mut client = SnClient::open(&broker, &fresh("sleeps"));
    client.subscribe(SnTopic::Name(&topic), 1);
    client.sleep(600);
    publish_seen(&broker, &topic, &["waits"]);
    client.send(kind::PINGREQ, b"somebody else");
    // No answer, so what comes next is for the name.
    let messages = client.wake_up();
    assert_eq!(payloads(&messages), ["waits"]);
    client.send(kind::DISCONNECT, &[]);
    client.expect(kind::DISCONNECT, &[]);
}

#[test]
fn mqttsn_6_14_a_sleeper_that_is_late_loses_its_connection_but_not_its_session() {
    let broker = shared();
    let (topic, gone) = (fresh("late"), fresh("gone"));
    let hello = SnHello::persistent(&fresh("late"));
    let mut witness = crate::watcher(&broker, &gone);
    let mut client = SnClient::hello(&broker, &hello.clone().with_will(&gone, "gone"));
    client.subscribe(SnTopic::Name(&topic), 1);
    client.sleep(1);
    publish_seen(&broker, &topic, &["waits"]);
    witness.expect(&gone, "gone", ONE, false);
    client.forgotten();
    client.connect(&hello);
    client.expect_publish(&topic, "waits", 1);
    client.disconnect();
}
