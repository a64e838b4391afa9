//! `$SYS`: what the broker says of itself, and that nobody else speaks there.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use std::collections::BTreeMap;

const ONE: QoS = QoS::AtLeastOnce;
const NOT_AUTHORIZED: u8 = 0x87;

/// Reads what comes until `is_enough`.
fn read_until(client: &mut Client, is_enough: impl Fn(&BTreeMap<String, String>) -> bool) {
    let mut said = BTreeMap::new();
    while !is_enough(&said) {
        let message = client.message();
        let payload = String::from_utf8(message.payload).expect("text");
        said.insert(message.topic, payload);
    }
}

#[test]
fn the_topics_that_mosquitto_has_are_there_and_follow_what_clients_do() {
    let broker = Broker::start_with(&["--sys-interval", "1s"]);
    let mut watcher = Client::open(&broker, Version::V3_1_1, "watcher");
    watcher.subscribe("$SYS/broker/#", QoS::AtMostOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for number in 0..10 {
        publisher.publish("some/topic", &number.to_string(), ONE, true);
    }
    read_until(&mut watcher, |said| {
        let of = |topic: &str| {
            said.get(&format!("$SYS/broker/{topic}"))
                .map(String::as_str)
        };
        let above_zero = |topic: &str| {
            of(topic).is_some_and(|text| text.parse().is_ok_and(|load: f64| load > 0.0))
        };
        of("version").is_some_and(|text| text.starts_with("ringbus version "))
            && of("uptime").is_some_and(|text| text.ends_with(" seconds"))
            && of("clients/connected") == Some("2")
            && of("clients/maximum") == Some("2")
            && of("subscriptions/count") == Some("1")
            && of("retained messages/count") == Some("1")
            && of("publish/messages/received") == Some("10")
            && above_zero("load/bytes/sent/15min")
            && above_zero("load/connections/1min")
    });
    broker.stop();
}

#[test]
fn each_shard_says_what_it_has_counted() {
    let broker = Broker::start_with(&["--sys-interval", "1s"]);
    let mut client = Client::open(&broker, Version::V5, "client");
    client.subscribe("$SYS/shard/+/turns", QoS::AtMostOnce);
    let shards = usize::from(broker.shards());
    read_until(&mut client, |said| said.len() == shards);
    broker.stop();
}

/// `[MQTT5-4.7.2-1]` `[MQTT311-4.7.2-1]`
#[test]
fn mqtt_4_7_2_1_leading_wildcards_do_not_reach_sys() {
    let broker = Broker::start_with(&["--sys-interval", "1s"]);
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("$SYS/broker/uptime", QoS::AtMostOnce);
    let mut client = Client::open(&broker, Version::V5, "client");
    for filter in ["#", "+/#", "+/broker/uptime", "+/+/+"] {
        client.subscribe(filter, QoS::AtMostOnce);
    }
    // What was retained there, and two updates.
    for _ in 0..3 {
        watcher.message();
    }
    client.expect_nothing();
    broker.stop();
}

/// `[MQTT311-3.3.5-2]`
#[test]
fn nobody_publishes_below_sys() {
    let broker = Broker::start_with(&["--sys-interval", "60s"]);
    for version in BOTH {
        let mut watcher = Client::open(&broker, version, "watcher");
        watcher.subscribe("$SYS/mine/t", ONE);
        let mut client = Client::open(&broker, version, "client");
        let refusal = if version.is_v5() { NOT_AUTHORIZED } else { 0 };
        client.publish("$SYS/mine/t", "x", QoS::AtMostOnce, true);
        for qos in [ONE, QoS::ExactlyOnce] {
            assert_eq!(client.publish("$SYS/mine/t", "x", qos, true), refusal);
        }
        watcher.expect_nothing();
        watcher.subscribe("$SYS/mine/t", ONE);
        watcher.expect_nothing();
        client.disconnect();
        let hello = Hello::new(version, "client").with_will("$SYS/mine/t", "x", ONE, false);
        let mut refused = Client::raw(broker.address(), version);
        refused.send_bytes(&hello.encode());
        let code = if version.is_v5() { NOT_AUTHORIZED } else { 5 };
        assert_eq!(refused.refused(), code);
    }
    assert_eq!(broker.stop().total("dropped"), 6);
}
