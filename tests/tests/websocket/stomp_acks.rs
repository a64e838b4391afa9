//! STOMP 1.2: acknowledgements.

use crate::{fresh, shared};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::client::Client;
use ringbus_tests::web::{StompClient, StompFrame};

fn ack(command: &str, id: &str) -> StompFrame {
    StompFrame::new(command).with("id", id)
}

/// More messages than may be unacknowledged at once, if each is answered.
#[test]
fn stomp_1_2_client_individual_messages_are_acknowledged_one_by_one() {
    let broker = shared();
    let topic = fresh("acks");
    let mut mqtt = Client::open(&broker, Version::V5, "acks-publisher");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("s", &topic, "client-individual");
    for number in 0..500 {
        let body = number.to_string();
        mqtt.publish(&topic, &body, QoS::AtLeastOnce, false);
        let message = stomp.message("s");
        assert_eq!(message.body, body.as_bytes());
        let id = message.header("ack").expect("an ack header");
        stomp.send(&ack("ACK", id));
    }
    mqtt.publish(&topic, "last", QoS::AtLeastOnce, false);
    let message = stomp.message("s");
    let id = message.header("ack").expect("an ack header");
    stomp.receipted(ack("ACK", id), "acknowledged");
    stomp.expect_nothing();
}

#[test]
fn stomp_1_2_an_ack_of_mode_client_is_for_all_before() {
    let broker = shared();
    let topic = fresh("acks");
    let mut mqtt = Client::open(&broker, Version::V5, "acks-cumulative");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("s", &topic, "client");
    for round in 0..200 {
        for number in 0..10 {
            let body = (round * 10 + number).to_string();
            mqtt.publish(&topic, &body, QoS::AtLeastOnce, false);
        }
        let mut last = None;
        for number in 0..10 {
            let message = stomp.message("s");
            assert_eq!(message.body, (round * 10 + number).to_string().as_bytes());
            last = message.header("ack").map(str::to_owned);
        }
        // The other nine are acknowledged with it, or nothing would come after a while.
        let last = last.expect("an ack header");
        stomp.send(&ack("ACK", &last));
    }
    stomp.expect_nothing();
}

#[test]
fn stomp_1_2_nack_is_taken() {
    let broker = shared();
    let topic = fresh("acks");
    let mut mqtt = Client::open(&broker, Version::V5, "acks-nack");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("s", &topic, "client-individual");
    mqtt.publish(&topic, "unwanted", QoS::AtLeastOnce, false);
    let message = stomp.message("s");
    let id = message.header("ack").expect("an ack header");
    stomp.receipted(ack("NACK", id), "refused");
    mqtt.publish(&topic, "next", QoS::AtLeastOnce, false);
    assert_eq!(stomp.message("s").body, b"next");
}

#[test]
fn stomp_1_2_messages_of_mode_auto_need_no_ack() {
    let broker = shared();
    let topic = fresh("acks");
    let mut mqtt = Client::open(&broker, Version::V5, "acks-auto");
    let mut stomp = StompClient::open(&broker);
    // Auto is the default.
    let subscribe = StompFrame::new("SUBSCRIBE").with("id", "s");
    stomp.receipted(subscribe.with("destination", &topic), "active");
    for number in 0..1_000 {
        mqtt.publish(&topic, &number.to_string(), QoS::AtLeastOnce, false);
        let message = stomp.message("s");
        assert_eq!(message.header("ack"), None);
        assert_eq!(message.body, number.to_string().as_bytes());
    }
}

/// Two subscriptions that overlap, one of them with acknowledgements: the message says for which
/// it is, and each can be acknowledged.
#[test]
fn stomp_1_2_ids_tell_subscriptions_apart() {
    let broker = shared();
    let (first, second) = (fresh("acks"), fresh("acks"));
    let mut mqtt = Client::open(&broker, Version::V5, "acks-ids");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("with", &first, "client-individual");
    stomp.subscribe("without", &second, "auto");
    mqtt.publish(&first, "one", QoS::AtLeastOnce, false);
    let message = stomp.message("with");
    let id = message.header("ack").expect("an ack header").to_owned();
    mqtt.publish(&second, "two", QoS::AtLeastOnce, false);
    assert_eq!(stomp.message("without").header("ack"), None);
    stomp.receipted(ack("ACK", &id), "done");
}
