//! STOMP 1.2: commands, headers and bodies.

use crate::{fresh, shared};
use ringbus_protocols::mqtt::{Packet, PacketType, PropertiesBuf, Property, Publish, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::web::{BINARY, Frame, Request, StompClient, StompFrame, TEXT, WebClient};

const V5: Version = Version::V5;

fn send(destination: &str) -> StompFrame {
    StompFrame::new("SEND").with("destination", destination)
}

/// A client that is subscribed to a topic of its own.
fn subscribed(broker: &Broker) -> (String, StompClient) {
    let topic = fresh("stomp");
    let mut client = StompClient::open(broker);
    client.subscribe("s", &topic, "auto");
    (topic, client)
}

#[test]
fn stomp_1_2_connect_is_answered_with_the_best_version() {
    let broker = shared();
    for (command, accepted, version) in [
        ("CONNECT", Some("1.2"), "1.2"),
        ("STOMP", Some("1.2"), "1.2"),
        ("CONNECT", Some("1.0,1.1,1.2"), "1.2"),
        ("CONNECT", Some("1.0,1.1"), "1.1"),
        ("CONNECT", Some("1.1,2.0"), "1.1"),
        ("CONNECT", None, "1.0"),
    ] {
        let mut client = StompClient::raw(&broker);
        let mut connect = StompFrame::new(command).with("host", "broker.test");
        if let Some(accepted) = accepted {
            connect = connect.with("accept-version", accepted);
        }
        client.send(&connect);
        let connected = client.receive();
        assert_eq!(connected.command, "CONNECTED", "{connected:?}");
        assert_eq!(connected.header("version"), Some(version));
        assert!(connected.header("session").is_some(), "{connected:?}");
        let server = connected.header("server").unwrap_or_default();
        assert!(server.starts_with("ringbus"), "{connected:?}");
        assert_eq!(connected.body, b"");
    }
}

#[test]
fn stomp_1_2_a_version_nobody_speaks_is_refused() {
    let broker = shared();
    let mut client = StompClient::raw(&broker);
    let connect = StompFrame::new("CONNECT").with("accept-version", "2.0,2.1");
    client.send(&connect.with("host", "broker.test"));
    let (error, _) = client.refused();
    let said = format!("{:?} {}", error.headers, error.text());
    assert!(said.contains("1.2"), "{said}");
}

#[test]
fn stomp_1_2_send_and_message_to_and_from_mqtt() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut mqtt = Client::open(&broker, V5, "stomp-mqtt");
    mqtt.subscribe(&topic, QoS::AtLeastOnce);
    for (qos, granted) in [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce)] {
        stomp.send(&send(&topic).with("qos", qos).body("from stomp"));
        mqtt.expect(&topic, "from stomp", granted, false);
        let message = stomp.message("s");
        assert_eq!(message.header("destination"), Some(topic.as_str()));
        assert_eq!(message.header("content-length"), Some("10"));
        assert_eq!(message.header("retain"), None);
        assert_eq!(message.header("ack"), None);
        assert_eq!(message.body, b"from stomp");
    }
    mqtt.publish(&topic, "from mqtt", QoS::AtLeastOnce, false);
    mqtt.message();
    assert_eq!(stomp.message("s").body, b"from mqtt");
}

#[test]
fn stomp_1_2_receipts_say_that_a_message_is_accepted() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut other = StompClient::open(&broker);
    for number in 0..50 {
        let body = number.to_string();
        other.receipted(send(&topic).body(&body), &format!("r:{number}"));
        assert_eq!(stomp.message("s").body, body.as_bytes());
    }
    // Nobody listens, and it is accepted.
    other.receipted(send(&fresh("nobody")).body("x"), "nobody");
}

#[test]
fn stomp_1_2_content_types_and_other_headers_are_properties() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut mqtt = Client::open(&broker, V5, "stomp-properties");
    mqtt.subscribe(&topic, QoS::AtMostOnce);
    let frame = send(&topic)
        .with("content-type", "application/json")
        .with("priority", "4")
        .with("with:colon", "line\nfeed and back\\slash")
        .body("{}");
    stomp.send(&frame);
    let message = stomp.message("s");
    for (name, value) in &frame.headers[1..] {
        assert_eq!(message.header(name), Some(value.as_str()), "{message:?}");
    }
    let received = mqtt.receive_only(PacketType::Publish);
    let Packet::Publish(publish) = received.packet() else {
        unreachable!("by its type")
    };
    assert_eq!(publish.properties.content_type(), Some("application/json"));
    let pairs: Vec<_> = publish.properties.user_properties().collect();
    let wanted = [
        ("priority", "4"),
        ("with:colon", "line\nfeed and back\\slash"),
    ];
    assert_eq!(pairs, wanted);
    let mut properties = PropertiesBuf::new();
    properties.push(Property::ContentType("text/csv"));
    properties.push(Property::UserProperty(("origin:", "mqtt\\five")));
    mqtt.send(&Packet::Publish(Publish {
        topic: &topic,
        payload: b"a,b",
        properties: properties.as_properties(),
        ..Publish::default()
    }));
    let message = stomp.message("s");
    assert_eq!(message.header("content-type"), Some("text/csv"));
    assert_eq!(message.header("origin:"), Some("mqtt\\five"));
}

/// A user property must not pass for a header of the broker's own.
#[test]
fn stomp_1_2_properties_do_not_replace_headers() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut mqtt = Client::open(&broker, V5, "stomp-forger");
    let mut properties = PropertiesBuf::new();
    for name in [
        "subscription",
        "destination",
        "message-id",
        "content-length",
        "retain",
        "ack",
    ] {
        properties.push(Property::UserProperty((name, "forged")));
    }
    mqtt.send(&Packet::Publish(Publish {
        topic: &topic,
        payload: b"body",
        properties: properties.as_properties(),
        ..Publish::default()
    }));
    // Its first headers are checked, as the first of repeated ones counts.
    let message = stomp.message("s");
    assert_eq!(message.header("destination"), Some(topic.as_str()));
    assert_ne!(message.header("message-id"), Some("forged"));
    assert_eq!(message.header("content-length"), Some("4"));
    assert_ne!(message.header("retain"), Some("true"));
}

#[test]
fn stomp_1_2_text_frames_are_for_what_is_text() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut web = WebClient::open(&broker, &format!("/{topic}"));
    web.echo(TEXT, "κόσμε");
    let message = stomp.message("s");
    let kind = message.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{message:?}");
    assert!(message.is_text);
    web.echo(BINARY, [0xFF, 0x00, 0xFE]);
    let message = stomp.message("s");
    assert_eq!(message.body, [0xFF, 0x00, 0xFE]);
    assert_eq!(message.header("content-type"), None);
    assert!(!message.is_text);
    // NUL inside a body that has its length.
    let body = b"zero \0 inside\0";
    let length = body.len().to_string();
    stomp.send(&send(&topic).with("content-length", &length).body(body));
    web.message();
    assert_eq!(stomp.message("s").body, body);
}

#[test]
fn stomp_1_2_retain_is_a_header() {
    let broker = shared();
    let topic = fresh("stomp-retain");
    let mut stomp = StompClient::open(&broker);
    for (retain, body) in [("true", "by true"), ("1", "by one")] {
        stomp.receipted(send(&topic).with("retain", retain).body(body), "kept");
        let mut late = StompClient::open(&broker);
        late.send(
            &StompFrame::new("SUBSCRIBE")
                .with("id", "late")
                .with("destination", &topic),
        );
        let message = late.message("late");
        assert_eq!(message.header("retain"), Some("true"), "{message:?}");
        assert_eq!(message.body, body.as_bytes());
    }
    stomp.receipted(send(&topic).with("retain", "0").body("not kept"), "live");
    stomp.receipted(send(&topic).with("retain", "true"), "cleared");
    let mut late = StompClient::open(&broker);
    late.subscribe("late", &topic, "auto");
    late.expect_nothing();
}

#[test]
fn stomp_1_2_destinations_of_subscribe_are_filters() {
    let broker = shared();
    let root = fresh("stomp-filter");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("one", &format!("{root}/+/x"), "auto");
    stomp.subscribe("all", &format!("{root}/deep/#"), "auto");
    stomp.send(&send(&format!("{root}/a/x")).body("for one"));
    assert_eq!(stomp.message("one").body, b"for one");
    stomp.send(&send(&format!("{root}/deep/er")).body("for all"));
    assert_eq!(stomp.message("all").body, b"for all");
    let unsubscribe = StompFrame::new("UNSUBSCRIBE").with("id", "one");
    stomp.receipted(unsubscribe, "left");
    stomp.receipted(send(&format!("{root}/a/x")).body("unheard"), "sent");
    stomp.send(&send(&format!("{root}/deep/er")).body("heard"));
    assert_eq!(stomp.message("all").body, b"heard");
    // The id is free again.
    stomp.subscribe("one", &format!("{root}/+/x"), "auto");
    stomp.send(&send(&format!("{root}/a/x")).body("again"));
    assert_eq!(stomp.message("one").body, b"again");
}

#[test]
fn stomp_1_2_disconnect_is_answered_before_the_close() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let mut watcher = StompClient::open(&broker);
    watcher.subscribe("w", &topic, "auto");
    stomp.send(&send(&topic).body("last words"));
    stomp.message("s");
    stomp.receipted(StompFrame::new("DISCONNECT"), "77");
    stomp.web.expect_close(1000);
    assert_eq!(watcher.message("w").body, b"last words");
    let mut stomp = StompClient::open(&broker);
    stomp.send(&StompFrame::new("DISCONNECT"));
    stomp.web.expect_close(1000);
}

/// Frames and messages of WebSocket have nothing to do with each other on the way in.
#[test]
fn stomp_1_2_frames_may_come_in_any_pieces() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let frames: Vec<_> = (0..20)
        .flat_map(|number| send(&topic).body(number.to_string()).encode())
        .collect();
    for size in [1, 3, 50, usize::MAX] {
        for part in frames.chunks(size) {
            stomp.web.send(&Frame::new(TEXT, part));
        }
        for number in 0..20 {
            assert_eq!(stomp.message("s").body, number.to_string().as_bytes());
        }
    }
    // Heart-beats between frames, CRLF for LF, and no content-length.
    let crlf = format!("\n\r\n\nSEND\r\ndestination:{topic}\r\nx: spaces kept \r\n\r\ncrlf\0\n");
    stomp.send_bytes(crlf.as_bytes());
    let message = stomp.message("s");
    assert_eq!(message.body, b"crlf");
    assert_eq!(message.header("x"), Some(" spaces kept "));
    // In binary frames as well.
    let frame = send(&topic).body("binary").encode();
    stomp.web.send(&Frame::new(BINARY, frame));
    assert_eq!(stomp.message("s").body, b"binary");
}

#[test]
fn stomp_1_2_the_first_of_repeated_headers_counts() {
    let broker = shared();
    let (topic, mut stomp) = subscribed(&broker);
    let frame = send(&topic)
        .with("destination", "elsewhere/entirely")
        .with("content-type", "text/first")
        .with("content-type", "text/second")
        .body("first");
    stomp.send(&frame);
    let message = stomp.message("s");
    assert_eq!(message.header("content-type"), Some("text/first"));
    assert_eq!(message.body, b"first");
}

/// `[STOMP 1.2]` CONNECT has no escapes, so that 1.0 clients can connect.
#[test]
fn stomp_1_2_connect_has_no_escapes() {
    let broker = shared();
    let mut client = StompClient::raw(&broker);
    client.send_bytes(b"CONNECT\naccept-version:1.2\nhost:a\\tb:c\\\n\n\0");
    assert_eq!(client.receive().command, "CONNECTED");
}

#[test]
fn stomp_1_1_and_1_0_are_spoken_to_those_who_ask() {
    let broker = shared();
    for (subprotocol, version) in [("v11.stomp", "1.1"), ("v10.stomp", "1.0")] {
        let request = Request::upgrade("/").subprotocols(subprotocol);
        let web = WebClient::connect(&broker, &request);
        assert_eq!(web.subprotocol(), Some(subprotocol));
        let mut client = StompClient { web };
        let connect = StompFrame::new("CONNECT").with("host", "h");
        client.send(&connect.with("accept-version", version));
        assert_eq!(client.receive().header("version"), Some(version));
        let topic = fresh("stomp-old");
        client.subscribe("1", &topic, "auto");
        client.send(&send(&topic).body("hello"));
        assert_eq!(client.message("1").body, b"hello");
    }
}
