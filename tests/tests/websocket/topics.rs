//! The bare topic socket: which topic a path is, and what goes there.

use crate::{fresh, shared};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::client::Client;
use ringbus_tests::web::{BINARY, Request, TEXT, WebClient};

const V3: Version = Version::V3_1_1;

#[test]
fn a_path_is_a_topic_in_both_directions() {
    let broker = shared();
    let mut mqtt = Client::open(&broker, V3, "path-topic");
    mqtt.subscribe("paths/#", QoS::AtMostOnce);
    for (target, topic) in [
        ("/paths/chat/room1", "paths/chat/room1"),
        ("/paths/with%20space", "paths/with space"),
        ("/paths/caf%C3%A9", "paths/café"),
        ("/paths/caf%c3%a9/lower", "paths/café/lower"),
        ("/paths/%E2%82%AC", "paths/€"),
        ("/paths/a%2Fb", "paths/a/b"),
        ("/paths/%25", "paths/%"),
        ("/paths/", "paths/"),
        ("/paths//empty", "paths//empty"),
        ("/paths/a:b@c,d;e=f", "paths/a:b@c,d;e=f"),
        ("/paths/$not-first", "paths/$not-first"),
        ("/paths/question%3Fmark", "paths/question?mark"),
    ] {
        let mut web = WebClient::open(&broker, target);
        web.text("from the web");
        mqtt.expect(topic, "from the web", QoS::AtMostOnce, false);
        web.expect(TEXT, "from the web");
        mqtt.publish(topic, "from mqtt", QoS::AtMostOnce, false);
        mqtt.expect(topic, "from mqtt", QoS::AtMostOnce, false);
        web.expect(BINARY, "from mqtt");
        web.close();
    }
}

#[test]
fn the_root_is_the_topic_ws() {
    let broker = shared();
    let mut mqtt = Client::open(&broker, V3, "root-topic");
    mqtt.subscribe("ws", QoS::AtMostOnce);
    let mut web = WebClient::open(&broker, "/");
    web.text("hello");
    mqtt.expect("ws", "hello", QoS::AtMostOnce, false);
    web.expect(TEXT, "hello");
}

#[test]
fn paths_that_are_no_topic_are_refused_with_a_reason() {
    let broker = shared();
    for target in [
        "/chat/+",
        "/chat/#",
        "/chat/%2B",
        "/chat/%23",
        "/a+b",
        "/%2b/x",
        "/chat%",
        "/chat%2",
        "/chat%zz",
        "/chat%2G",
        "/%FF",
        "/%C3",
        "/%ED%A0%80",
        "/%C0%AF",
        "/chat%00",
        "/%00",
        "/$share/group/chat",
        "/%24share/group/chat",
    ] {
        let response = Request::upgrade(target).ask(&broker);
        let reason = response.assert_refuses(400);
        assert!(reason.len() > 10, "{target}: {reason}");
    }
}

/// With a subprotocol the path has no meaning.
#[test]
fn any_path_will_do_for_mqtt_and_stomp() {
    let broker = shared();
    for subprotocol in ["mqtt", "mqttv3.1", "v12.stomp"] {
        for target in ["/", "/mqtt", "/ws", "/a/+/%zz", "/any?thing=else"] {
            let request = Request::upgrade(target).subprotocols(subprotocol);
            let client = WebClient::connect(&broker, &request);
            assert_eq!(client.subprotocol(), Some(subprotocol));
        }
    }
}

/// `[MQTT5-4.7.2]` The broker alone speaks below `$SYS`.
#[test]
fn mqtt5_4_7_2_nobody_publishes_below_sys() {
    let broker = shared();
    let mut web = WebClient::open(&broker, "/$SYS/broker/version");
    web.text("faked");
    web.expect_close(1008);
}

#[test]
fn nothing_is_missed_once_the_101_is_here() {
    let broker = shared();
    let mut mqtt = Client::open(&broker, V3, "nothing-missed");
    for _ in 0..200 {
        let topic = fresh("missed");
        let mut web = WebClient::open(&broker, &format!("/{topic}"));
        mqtt.publish(&topic, "at once", QoS::AtMostOnce, false);
        web.expect(BINARY, "at once");
    }
}

#[test]
fn messages_of_one_socket_keep_their_order_for_everyone() {
    let broker = shared();
    let topic = fresh("order");
    let target = format!("/{topic}");
    let mut mqtt = Client::open(&broker, V3, "order-keeper");
    mqtt.subscribe(&topic, QoS::AtMostOnce);
    let mut watchers = [(); 4].map(|()| WebClient::open(&broker, &target));
    let mut web = WebClient::open(&broker, &target);
    for number in 0..1_000 {
        web.text(&number.to_string());
    }
    for number in 0..1_000 {
        let text = number.to_string();
        web.expect(TEXT, &text);
        for watcher in &mut watchers {
            watcher.expect(TEXT, &text);
        }
        mqtt.expect(&topic, &text, QoS::AtMostOnce, false);
    }
}

#[test]
fn a_hundred_sockets_get_a_message_of_one() {
    let broker = shared();
    let target = format!("/{}", fresh("fan-out"));
    let mut all: Vec<_> = (0..100)
        .map(|_| WebClient::open(&broker, &target))
        .collect();
    let large = vec![b'x'; 100_000];
    all[17].binary(&large);
    for web in &mut all {
        web.expect(BINARY, &large);
    }
    // Who leaves is not in the way of those who stay.
    for web in all.drain(..50) {
        web.close();
    }
    all[17].text("fewer");
    for web in &mut all {
        web.expect(TEXT, "fewer");
    }
}
