//! SUBSCRIBE and UNSUBSCRIBE: sections 3.8 to 3.11.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, SubscribeFilter, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;

const ONE: QoS = QoS::AtLeastOnce;

/// `[MQTT5-2.2.1-6]` `[MQTT5-3.8.4-1]` `[MQTT5-3.8.4-2]` `[MQTT5-3.8.4-5]` `[MQTT5-3.8.4-6]`
/// `[MQTT5-3.8.4-7]` `[MQTT5-3.9.3-1]` `[MQTT5-3.9.3-2]` `[MQTT311-2.3.1-7]` `[MQTT311-3.8.4-1]`
/// `[MQTT311-3.8.4-2]` `[MQTT311-3.8.4-4]` `[MQTT311-3.8.4-5]` `[MQTT311-3.9.3-1]`
/// `[MQTT311-3.9.3-2]`
#[test]
fn mqtt_3_8_4_6_suback_has_a_code_for_each_filter_in_order() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        let filters = [
            SubscribeFilter::new("a/b", QoS::ExactlyOnce),
            SubscribeFilter::new("#", QoS::AtMostOnce),
            SubscribeFilter::new("a/+/c", ONE),
            SubscribeFilter::new("a/b", QoS::AtMostOnce),
        ];
        assert_eq!(client.subscribe_codes(&filters, None), [2, 0, 1, 0]);
    }
    broker.stop();
}

/// `[MQTT5-3.8.4-3]` `[MQTT5-3.10.4-1]` `[MQTT5-3.10.4-2]` `[MQTT311-3.8.4-3]` `[MQTT311-3.10.4-1]`
/// `[MQTT311-3.10.4-2]`
#[test]
fn mqtt_3_8_4_3_a_new_subscription_to_the_same_filter_replaces_the_old() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        for qos in [QoS::ExactlyOnce, QoS::AtMostOnce, ONE] {
            client.subscribe("again/t", qos);
            client.publish("again/t", "once", QoS::ExactlyOnce, false);
            client.expect("again/t", "once", qos, false);
            client.expect_nothing();
        }
        // One UNSUBSCRIBE ends what three SUBSCRIBEs made.
        client.unsubscribe(&["again/t"]);
        client.publish("again/t", "nobody", ONE, false);
        client.expect_nothing();
    }
    broker.stop();
}

/// Messages flow on while their subscription is replaced again and again.
/// `[MQTT5-3.8.4-4]` `[MQTT311-3.8.4-3]`
#[test]
fn mqtt_3_8_4_4_no_message_is_lost_while_a_subscription_is_replaced() {
    let broker = Broker::start();
    for version in BOTH {
        for filter in ["flow/x/t", "flow/#"] {
            let mut client = Client::open(&broker, version, "client");
            client.subscribe(filter, ONE);
            let mut publisher = Client::open(&broker, Version::V5, "publisher");
            for number in 0..200 {
                let payload = number.to_string();
                publisher.send_publish("flow/x/t", payload.as_bytes(), ONE, false);
                if number % 3 == 0 {
                    let qos = [ONE, QoS::ExactlyOnce][number % 2];
                    client.send_subscribe(&[SubscribeFilter::new(filter, qos)], None);
                }
            }
            for number in 0..200 {
                client.expect("flow/x/t", &number.to_string(), ONE, false);
            }
            client.disconnect();
        }
    }
    broker.stop();
}

/// A subscription is active when its SUBACK is there, on whatever shards it lives.
#[test]
fn mqtt_3_8_4_after_suback_no_message_is_missed() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        for number in 0..40 {
            let mut client = Client::open(&broker, version, &format!("prompt{number}"));
            let topic = format!("prompt/{number}/t");
            let filter = match number % 4 {
                0 => topic.clone(),
                1 => format!("prompt/{number}/#"),
                2 => "#".to_owned(),
                _ => format!("+/{number}/t"),
            };
            client.subscribe(&filter, ONE);
            publisher.publish(&topic, "caught", ONE, false);
            client.expect(&topic, "caught", ONE, false);
            client.disconnect();
        }
    }
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-2.2.1-6]` `[MQTT5-3.10.4-1]` `[MQTT5-3.10.4-2]` `[MQTT5-3.10.4-4]` `[MQTT311-2.3.1-7]`
/// `[MQTT311-3.10.4-1]` `[MQTT311-3.10.4-2]` `[MQTT311-3.10.4-4]`
#[test]
fn mqtt_3_10_4_1_unsubscribe_ends_that_filter_only() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        for filter in ["u/a", "u/+", "u/#"] {
            client.subscribe(filter, ONE);
        }
        for (filter, left) in [("u/+", true), ("u/#", true), ("u/a", false)] {
            let codes = client.unsubscribe(&[filter]);
            assert_eq!(
                codes,
                if version == Version::V5 {
                    vec![0]
                } else {
                    vec![]
                }
            );
            client.publish("u/a", "still?", ONE, false);
            if left {
                client.expect("u/a", "still?", ONE, false);
            }
            client.expect_nothing();
        }
    }
    broker.stop();
}

/// `[MQTT5-2.2.1-6]` `[MQTT5-3.10.4-5]` `[MQTT5-3.10.4-6]` `[MQTT5-3.11.3-1]` `[MQTT5-3.11.3-2]`
/// `[MQTT311-3.10.4-5]`
#[test]
fn mqtt5_3_11_3_unsuback_has_a_code_for_each_filter_in_order() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    client.subscribe("here", ONE);
    assert_eq!(
        client.unsubscribe(&["nowhere", "here", "here", "x/#"]),
        [0x11, 0, 0x11, 0x11]
    );
    let mut old = Client::open(&broker, Version::V3_1_1, "old");
    assert_eq!(old.unsubscribe(&["nowhere"]), [] as [u8; 0]);
    broker.stop();
}

/// `[MQTT5-3.8.3-3]`
#[test]
fn mqtt5_3_8_3_3_no_local_keeps_own_messages_away() {
    let broker = Broker::start();
    for number in 0..8 {
        let mut client = Client::open(&broker, Version::V5, &format!("deaf{number}"));
        let topic = format!("local/{number}");
        let filter = SubscribeFilter {
            no_local: true,
            ..SubscribeFilter::new(&topic, ONE)
        };
        assert_eq!(client.subscribe_codes(&[filter], None), [1]);
        client.publish(&topic, "own", ONE, false);
        let mut other = Client::open(&broker, Version::V5, "other");
        other.publish(&topic, "other", ONE, false);
        client.expect(&topic, "other", ONE, false);
        // Another subscription of the same client without the option brings its own messages.
        client.subscribe(&format!("local/{number}/#"), ONE);
        client.publish(&topic, "own", ONE, false);
        client.expect(&topic, "own", ONE, false);
        client.expect_nothing();
    }
    broker.stop();
}

/// `[MQTT5-3.8.4-5]` `[MQTT311-3.8.4-4]` `[MQTT311-3.10.4-6]`
#[test]
fn many_filters_in_one_subscribe_are_all_active() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        let topics: Vec<_> = (0..500).map(|n| format!("mass/{}/{n}", n % 13)).collect();
        let filters: Vec<_> = topics
            .iter()
            .map(|t| SubscribeFilter::new(t, ONE))
            .collect();
        assert_eq!(client.subscribe_codes(&filters, None), vec![1; 500]);
        for topic in &topics {
            client.publish(topic, "all", ONE, false);
            client.expect(topic, "all", ONE, false);
        }
        let names: Vec<_> = topics.iter().map(String::as_str).collect();
        client.unsubscribe(&names);
        client.publish(&topics[17], "none", ONE, false);
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}
