//! The bare topic socket: what the query changes.

use crate::{fresh, shared};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::web::{BINARY, Request, TEXT, WebClient};

const V3: Version = Version::V3_1_1;

/// A topic of its own, and a socket there with that query.
fn open(broker: &Broker, query: &str) -> (String, WebClient) {
    let topic = fresh("query");
    let web = WebClient::open(broker, &format!("/{topic}?{query}"));
    (topic, web)
}

#[test]
fn queries_that_mean_nothing_are_refused_with_those_that_do() {
    let broker = shared();
    for query in [
        "foo=1",
        "echo=2",
        "echo=",
        "echo",
        "echo=no",
        "qos=2",
        "qos=3",
        "qos=-1",
        "retain=yes",
        "last=0x1",
        "text=true",
        "echo=0&foo=1",
        "Echo=0",
        "token=secret",
    ] {
        let response = Request::upgrade(&format!("/query?{query}")).ask(&broker);
        let reason = response.assert_refuses(400);
        for known in ["echo", "qos", "retain", "last", "text"] {
            assert!(reason.contains(known), "{query}: {reason}");
        }
    }
}

#[test]
fn echo_0_leaves_out_what_a_socket_said_itself() {
    let broker = shared();
    let (topic, mut silent) = open(&broker, "echo=0");
    let mut other = WebClient::open(&broker, &format!("/{topic}?echo=1"));
    silent.text("mine");
    other.expect(TEXT, "mine");
    silent.expect_nothing();
    other.echo(TEXT, "yours");
    silent.expect(TEXT, "yours");
}

#[test]
fn qos_is_that_of_the_messages_of_a_socket() {
    let broker = shared();
    let mut mqtt = Client::open(&broker, V3, "qos-watcher");
    mqtt.subscribe("query/#", QoS::AtLeastOnce);
    for (query, qos) in [("qos=0", QoS::AtMostOnce), ("qos=1", QoS::AtLeastOnce)] {
        let (topic, mut web) = open(&broker, query);
        for number in 0..100 {
            web.text(&number.to_string());
        }
        for number in 0..100 {
            web.expect(TEXT, number.to_string());
        }
        let mut seen = 0;
        while seen < 100 {
            let message = mqtt.message();
            if message.topic == topic {
                assert_eq!(message.payload, seen.to_string().as_bytes());
                assert_eq!(message.qos, qos);
                seen += 1;
            }
        }
        mqtt.publish(&topic, "at least once", QoS::AtLeastOnce, false);
        web.expect(BINARY, "at least once");
        web.close();
    }
}

#[test]
fn retain_1_retains_and_an_empty_message_clears() {
    let broker = shared();
    let (topic, mut web) = open(&broker, "retain=1");
    web.echo(TEXT, "first");
    web.echo(TEXT, "second");
    let mut late = Client::open(&broker, V3, "late-reader");
    late.subscribe(&topic, QoS::AtMostOnce);
    late.expect(&topic, "second", QoS::AtMostOnce, true);
    web.echo(TEXT, "");
    late.expect(&topic, "", QoS::AtMostOnce, false);
    let mut later = Client::open(&broker, V3, "later-reader");
    later.subscribe(&topic, QoS::AtMostOnce);
    later.expect_nothing();
}

#[test]
fn nothing_is_retained_without_being_asked() {
    let broker = shared();
    let (topic, mut web) = open(&broker, "retain=0");
    web.echo(TEXT, "gone");
    let mut late = Client::open(&broker, V3, "nothing-retained");
    late.subscribe(&topic, QoS::AtMostOnce);
    late.expect_nothing();
}

#[test]
fn last_1_starts_with_the_retained_message() {
    let broker = shared();
    let (topic, mut writer) = open(&broker, "retain=1");
    writer.echo(TEXT, "retained");
    for _ in 0..20 {
        let mut web = WebClient::open(&broker, &format!("/{topic}?last=1"));
        web.text("live");
        web.expect(TEXT, "retained");
        web.expect(TEXT, "live");
        writer.expect(TEXT, "live");
        web.close();
    }
    let mut without = WebClient::open(&broker, &format!("/{topic}"));
    without.echo(TEXT, "live");
    writer.expect(TEXT, "live");
    writer.echo(BINARY, [0xFF; 3]);
    let mut web = WebClient::open(&broker, &format!("/{topic}?last=1&echo=0&qos=1"));
    web.expect(BINARY, [0xFF; 3]);
}

#[test]
fn last_1_of_nothing_is_nothing() {
    let broker = shared();
    let (_, mut web) = open(&broker, "last=1");
    web.expect_nothing();
    web.echo(TEXT, "live");
}

#[test]
fn text_1_makes_text_of_what_is_utf_8() {
    let broker = shared();
    let (topic, mut text) = open(&broker, "text=1");
    let mut plain = WebClient::open(&broker, &format!("/{topic}"));
    let mut mqtt = Client::open(&broker, V3, "text-writer");
    for (payload, opcode) in [
        (&b"21.5"[..], TEXT),
        ("κόσμε".as_bytes(), TEXT),
        (b"", TEXT),
        (b"\xff\xfe", BINARY),
        (b"\xed\xa0\x80", BINARY),
        (b"cut \xe2\x82", BINARY),
    ] {
        mqtt.send_publish(&topic, payload, QoS::AtMostOnce, false);
        text.expect(opcode, payload);
        plain.expect(BINARY, payload);
    }
    // What says that it is binary, or text, stays what it is.
    plain.binary("21.5");
    plain.expect(BINARY, "21.5");
    plain.echo(TEXT, "21.5");
}
