//! Topic names and filters: section 4.7.

use crate::BOTH;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;

/// Filter, and for each topic name of `TOPICS` whether it matches. From the examples of 4.7.1.
const TABLE: [(&str, &[&str]); 11] = [
    (
        "sport/tennis/player1/#",
        &[
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
    ),
    (
        "sport/#",
        &[
            "sport",
            "sport/",
            "sport/tennis",
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
    ),
    ("sport/tennis/+", &["sport/tennis/player1"]),
    ("sport/+", &["sport/", "sport/tennis"]),
    ("+/+", &["/finance", "sport/", "sport/tennis"]),
    ("/+", &["/finance"]),
    ("+", &["finance", "sport"]),
    (
        "+/tennis/#",
        &[
            "sport/tennis",
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
    ),
    (
        "#",
        &[
            "/finance",
            "finance",
            "sport",
            "sport/",
            "sport/tennis",
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
    ),
    ("$data/#", &["$data/monitor/Clients"]),
    ("$data/monitor/+", &["$data/monitor/Clients"]),
];

const TOPICS: [&str; 9] = [
    "/finance",
    "finance",
    "sport",
    "sport/",
    "sport/tennis",
    "sport/tennis/player1",
    "sport/tennis/player1/ranking",
    "sport/tennis/player1/score/wimbledon",
    "$data/monitor/Clients",
];

/// `[MQTT5-3.3.2-3]` `[MQTT5-4.5.0-1]` `[MQTT5-4.7.2-1]` `[MQTT311-3.3.2-3]` `[MQTT311-4.5.0-1]`
/// `[MQTT311-4.7.2-1]`
#[test]
fn mqtt_4_7_1_wildcards_match_as_the_examples_say_and_not_dollar_topics() {
    let broker = Broker::start();
    for version in BOTH {
        let mut publisher = Client::open(&broker, version, "publisher");
        for (filter, wanted) in TABLE {
            let mut subscriber = Client::open(&broker, version, "subscriber");
            subscriber.subscribe(filter, QoS::AtLeastOnce);
            for topic in TOPICS {
                publisher.publish(topic, filter, QoS::AtLeastOnce, false);
            }
            let mut got: Vec<_> = wanted.iter().map(|_| subscriber.message().topic).collect();
            got.sort();
            assert_eq!(got, wanted, "{filter}");
            subscriber.expect_nothing();
            subscriber.disconnect();
        }
    }
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-3.8.4-7]` `[MQTT5-4.7.1-1]` `[MQTT5-4.7.1-2]` `[MQTT5-4.7.3-1]` `[MQTT311-3.8.4-5]`
/// `[MQTT311-4.7.1-2]` `[MQTT311-4.7.1-3]` `[MQTT311-4.7.3-1]`
#[test]
fn mqtt_4_7_1_misplaced_wildcards_are_refused_one_by_one() {
    let broker = Broker::start();
    for version in BOTH {
        let refusal = if version == Version::V5 { 0x8F } else { 0x80 };
        let mut client = Client::open(&broker, version, "filters");
        for bad in [
            "sport/tennis#",
            "sport/#/ranking",
            "sport+",
            "sport/+a",
            "##",
            "a/#b",
            "",
        ] {
            let filters = [
                ringbus_protocols::mqtt::SubscribeFilter::new("good", QoS::AtLeastOnce),
                ringbus_protocols::mqtt::SubscribeFilter::new(bad, QoS::AtLeastOnce),
            ];
            assert_eq!(
                client.subscribe_codes(&filters, None),
                [1, refusal],
                "{bad:?}"
            );
        }
        client.publish("good", "works", QoS::AtLeastOnce, false);
        client.expect("good", "works", QoS::AtLeastOnce, false);
    }
    broker.stop();
}

/// `[MQTT5-1.5.4-3]` `[MQTT5-4.7.3-4]` `[MQTT311-1.5.3-3]` `[MQTT311-4.7.3-4]`
#[test]
fn mqtt_4_7_3_names_are_compared_byte_by_byte_and_may_be_long() {
    let broker = Broker::start();
    let (deep, long) = ("a/".repeat(1000), "x".repeat(65_535));
    // é in one code point and in two: not normalised.
    let topics = [
        "A",
        "a",
        "a/ b",
        "\u{e9}",
        "e\u{301}",
        "\u{feff}bom",
        "/",
        "//",
        &deep,
        &long,
    ];
    for version in BOTH {
        let mut client = Client::open(&broker, version, "exact");
        for topic in topics {
            client.subscribe(topic, QoS::AtLeastOnce);
        }
        for topic in topics {
            client.publish(topic, "once", QoS::AtLeastOnce, false);
            client.expect(topic, "once", QoS::AtLeastOnce, false);
        }
        client.expect_nothing();
        client.disconnect();
    }
    broker.stop();
}
