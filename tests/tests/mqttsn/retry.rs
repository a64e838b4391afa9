//! What gets lost is sent again: `[MQTTSN-6.13]`. These wait for timers, so there are few of them.

use crate::{fresh, publisher, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::broker::Broker;
use ringbus_tests::mqttsn::{SnClient, SnHello, SnTopic, kind};

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

fn impatient() -> Broker {
    Broker::start_mqttsn(&["--mqttsn-retry", "400ms"])
}

#[test]
fn mqttsn_6_13_a_publish_that_gets_lost_comes_again_with_dup() {
    let broker = impatient();
    let mut publisher = publisher(&broker);
    for (qos, sent) in [(1, ONE), (2, TWO)] {
        let topic = fresh("lost");
        let mut client = SnClient::open(&broker, &fresh("loses"));
        client.subscribe(SnTopic::Name(&topic), qos);
        client.drop_next(1);
        publisher.publish(&topic, "again", sent, false);
        let message = client.receive();
        let publish = client.decode_publish(&message);
        assert!(publish.dup, "{publish:?}");
        assert_eq!((&publish.payload[..], publish.qos), (&b"again"[..], qos));
        client.acknowledge(&publish);
        // On a slow machine there may be more copies.
        client.ping();
        client.disconnect();
    }
    broker.stop();
}

#[test]
fn mqttsn_6_13_a_register_that_gets_lost_comes_again() {
    let broker = impatient();
    let topic = fresh("lost/register");
    let mut client = SnClient::open(&broker, "loses");
    client.subscribe(SnTopic::Name("lost/#"), 1);
    client.drop_next(1);
    publisher(&broker).publish(&topic, "after all", ONE, false);
    client.expect_publish(&topic, "after all", 1);
    client.disconnect();
    broker.stop();
}

#[test]
fn mqttsn_6_13_a_pubrel_that_gets_lost_comes_again_and_the_message_once() {
    let broker = impatient();
    let topic = fresh("lost/pubrel");
    let mut client = SnClient::open(&broker, "loses");
    client.subscribe(SnTopic::Name(&topic), 2);
    publisher(&broker).publish(&topic, "once", TWO, false);
    let message = client.receive();
    let publish = client.decode_publish(&message);
    client.drop_next(1);
    // Its PUBREL is lost; the next one is not.
    client.acknowledge(&publish);
    client.ping();
    client.disconnect();
    broker.stop();
}

#[test]
fn mqttsn_6_13_who_does_not_answer_for_nretry_times_is_lost() {
    let broker = impatient();
    let (topic, gone) = (fresh("silence"), fresh("gone"));
    let mut witness = watcher(&broker, &gone);
    let hello = SnHello::persistent(&fresh("silent"));
    let mut client = SnClient::hello(&broker, &hello.clone().with_will(&gone, "gone"));
    let id = client.subscribe(SnTopic::Name(&topic), 1);
    publisher(&broker).publish(&topic, "anybody?", ONE, false);
    witness.expect(&gone, "gone", ONE, false);
    // Once, three times more, and nothing after that.
    let mut copies = Vec::new();
    while let Some(datagram) = client.socket().receive_now() {
        copies.push(datagram);
    }
    let is_dup: Vec<bool> = copies.iter().map(|copy| copy[2] & 0x80 != 0).collect();
    assert_eq!(is_dup, [false, true, true, true]);
    assert!(copies.iter().all(|copy| copy[3..5] == id.to_be_bytes()));
    // Its session has the message still.
    client.forgotten();
    client.connect(&hello);
    client.expect_publish(&topic, "anybody?", 1);
    client.disconnect();
    broker.stop();
}

#[test]
fn a_client_that_never_says_its_will_gives_its_place_back() {
    let broker = impatient();
    let client = SnClient::raw(&broker);
    client.send_bytes(&SnHello::new("undecided").with_will("a", "b").encode());
    assert_eq!(client.socket().receive(), [2, kind::WILLTOPICREQ]);
    // A stranger is told DISCONNECT; a client that is about to connect is told nothing.
    loop {
        client.send(kind::PINGREQ, &[]);
        let patience = std::time::Duration::from_millis(100);
        if let Some(answer) = client.socket().receive_within(patience) {
            assert_eq!(answer, [2, kind::DISCONNECT]);
            break;
        }
    }
    broker.stop();
}
