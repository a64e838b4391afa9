//! Retained messages: section 3.3.1.3.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, RetainHandling, SubscribeFilter, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;

const ONE: QoS = QoS::AtLeastOnce;

/// `[MQTT5-3.3.1-5]` `[MQTT5-3.3.1-9]` `[MQTT311-3.3.1-5]` `[MQTT311-3.3.1-6]` `[MQTT311-3.3.1-7]`
/// `[MQTT311-3.3.1-8]`
#[test]
fn mqtt_3_3_1_5_the_last_retained_message_is_sent_on_subscribe() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let topic = format!("last/{}", u8::from(qos));
            publisher.publish(&topic, "old", qos, true);
            publisher.publish(&topic, "new", qos, true);
            // Nothing acknowledges QoS 0: this comes to the same owner behind it.
            publisher.publish(&format!("{topic}/mark"), "", ONE, false);
            let mut client = Client::open(&broker, version, "client");
            client.subscribe(&topic, QoS::ExactlyOnce);
            client.expect(&topic, "new", qos, true);
            client.expect_nothing();
            client.disconnect();
        }
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-6]` `[MQTT5-3.3.1-7]` `[MQTT311-3.3.1-10]` `[MQTT311-3.3.1-11]`
#[test]
fn mqtt_3_3_1_6_an_empty_retained_message_removes_it_and_is_passed_on() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        client.publish("gone/t", "here", ONE, true);
        client.subscribe("gone/t", ONE);
        client.expect("gone/t", "here", ONE, true);
        client.publish("gone/t", "", ONE, true);
        client.expect("gone/t", "", ONE, false);
        client.unsubscribe(&["gone/t"]);
        client.subscribe("gone/t", ONE);
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-8]` `[MQTT311-3.3.1-12]`
#[test]
fn mqtt_3_3_1_8_a_message_without_retain_changes_nothing_that_is_retained() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        client.publish("stays/t", "kept", ONE, true);
        client.publish("stays/t", "passing", ONE, false);
        client.publish("stays/t", "", ONE, false);
        client.subscribe("stays/#", ONE);
        client.expect("stays/t", "kept", ONE, true);
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-12]` `[MQTT311-3.3.1-9]`
#[test]
fn mqtt_3_3_1_9_a_retained_message_to_a_present_subscriber_has_no_retain_flag() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        let topic = format!("live/{version:?}");
        client.subscribe(&topic, ONE);
        client.publish(&topic, "now", ONE, true);
        client.expect(&topic, "now", ONE, false);
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-9]` `[MQTT5-4.7.2-1]` `[MQTT311-3.3.1-6]` `[MQTT311-3.3.1-8]` `[MQTT311-4.7.2-1]`
#[test]
fn mqtt_3_8_4_4_wildcards_get_every_retained_message_once_and_not_those_of_dollar_topics() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        let mut topics: Vec<_> = (0..40).map(|n| format!("many/{}/{n}", n % 7)).collect();
        for topic in &topics {
            publisher.publish(topic, topic, ONE, true);
        }
        publisher.publish("$hidden/many", "hidden", ONE, true);
        for filter in ["many/#", "many/+/+", "#", "+/+/+"] {
            let mut client = Client::open(&broker, version, "client");
            client.subscribe(filter, ONE);
            let mut got: Vec<_> = topics
                .iter()
                .map(|_| {
                    let message = client.message();
                    assert!(message.retain);
                    assert_eq!(message.payload, message.topic.as_bytes());
                    message.topic
                })
                .collect();
            got.sort();
            topics.sort();
            assert_eq!(got, topics, "{filter}");
            client.expect_nothing();
            client.disconnect();
        }
        for topic in &topics {
            publisher.publish(topic, "", ONE, true);
        }
        publisher.publish("$hidden/many", "", ONE, true);
    }
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-3.3.1-9]` `[MQTT5-3.8.4-4]` `[MQTT311-3.8.4-3]`
#[test]
fn mqtt_3_8_4_3_subscribing_again_sends_retained_messages_again() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        client.publish("again/t", "kept", ONE, true);
        for _ in 0..3 {
            client.subscribe("again/t", ONE);
            client.expect("again/t", "kept", ONE, true);
        }
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.3.1-9]` `[MQTT5-3.3.1-10]` `[MQTT5-3.3.1-11]` `[MQTT5-3.8.4-4]`
#[test]
fn mqtt5_3_3_1_10_retain_handling_says_when_retained_messages_are_sent() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    client.publish("handling/t", "kept", ONE, true);
    let filter = |retain_handling| SubscribeFilter {
        retain_handling,
        ..SubscribeFilter::new("handling/t", ONE)
    };
    client.subscribe_codes(&[filter(RetainHandling::DoNotSend)], None);
    client.expect_nothing();
    client.subscribe_codes(&[filter(RetainHandling::SendIfNew)], None);
    client.expect_nothing();
    client.unsubscribe(&["handling/t"]);
    client.subscribe_codes(&[filter(RetainHandling::SendIfNew)], None);
    client.expect("handling/t", "kept", ONE, true);
    client.subscribe_codes(&[filter(RetainHandling::Send)], None);
    client.expect("handling/t", "kept", ONE, true);
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.3.1-13]`
#[test]
fn mqtt5_3_3_1_13_retain_as_published_keeps_the_flag() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    let filter = SubscribeFilter {
        retain_as_published: true,
        ..SubscribeFilter::new("flag/t", ONE)
    };
    client.subscribe_codes(&[filter], None);
    client.publish("flag/t", "retained", ONE, true);
    client.expect("flag/t", "retained", ONE, true);
    client.publish("flag/t", "plain", ONE, false);
    client.expect("flag/t", "plain", ONE, false);
    broker.stop();
}

/// `[MQTT5-3.3.4-3]`
#[test]
fn mqtt5_3_3_4_3_retained_messages_carry_the_subscription_identifier() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    client.publish("id/t", "kept", ONE, true);
    client.subscribe_codes(&[SubscribeFilter::new("id/#", ONE)], Some(42));
    let message = client.expect("id/t", "kept", ONE, true);
    assert_eq!(message.subscription_identifiers, [42]);
    broker.stop();
}

/// While values change, a new subscriber sees each topic's values in order: never an older one
/// after a newer one, and one value twice at most, once as retained and once live.
#[test]
fn retained_replay_and_live_messages_never_go_back_in_time() {
    let broker = Broker::start();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let mut value = 0_u32;
    for round in 0..30 {
        let mut client = Client::open(&broker, Version::V5, "client");
        client.send_subscribe(&[SubscribeFilter::new("clock/#", ONE)], None);
        let before = value;
        for _ in 0..10 {
            value += 1;
            publisher.publish("clock/t", &value.to_string(), ONE, true);
        }
        let (mut last, mut retained) = (before.max(1) - 1, 0);
        while last < value {
            let message = client.message();
            let text = String::from_utf8(message.payload).expect("digits");
            let got: u32 = text.parse().expect("a number");
            retained += u32::from(message.retain);
            assert!(
                got > last || got == last && retained == 1,
                "round {round}: {got} after {last}"
            );
            last = got;
        }
        assert!(retained <= 1, "round {round}: {retained} retained copies");
        client.disconnect();
    }
    broker.stop();
}
