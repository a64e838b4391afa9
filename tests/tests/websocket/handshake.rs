//! The opening handshake: section 4.2.

use crate::{fresh, shared};
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{Frame, HOST, Request, TEXT, WebClient, read_response, web_stream};
use std::io::Write;

fn upgrade() -> Request {
    Request::upgrade(&format!("/{}", fresh("handshake")))
}

#[track_caller]
fn accepted(broker: &Broker, request: &Request) {
    let mut client = WebClient::connect(broker, request);
    assert_eq!(client.subprotocol(), None);
    client.echo(TEXT, "open");
    client.close();
}

#[test]
fn rfc6455_4_2_1_requests_as_browsers_and_libraries_send_them() {
    let broker = shared();
    accepted(&broker, &upgrade());
    for connection in ["upgrade", "keep-alive, Upgrade", "UPGRADE,keep-alive"] {
        accepted(&broker, &upgrade().replaced("Connection", connection));
    }
    for token in ["WebSocket", "WEBSOCKET", "h2c, websocket"] {
        accepted(&broker, &upgrade().replaced("Upgrade", token));
    }
    let twice = upgrade().with("Connection", "keep-alive");
    accepted(&broker, &twice);
    let browser = upgrade()
        .with("User-Agent", "Mozilla/5.0")
        .with("Origin", &format!("http://{HOST}"))
        .with("Pragma", "no-cache")
        .with("Cookie", "a=b; c=d")
        .with("Accept-Encoding", "gzip, deflate, br");
    accepted(&broker, &browser);
}

#[test]
fn rfc9110_5_1_header_names_have_no_case() {
    let broker = shared();
    let request = upgrade();
    let text = String::from_utf8(request.encode()).expect("ASCII");
    let (line, headers) = text.split_once("\r\n").expect("a line");
    let names_changed = |change: fn(&str) -> String| {
        let lines = headers.trim_end().split("\r\n").map(|header| {
            let (name, value) = header.split_once(": ").expect("a header");
            format!("{}:  {value} \r\n", change(name))
        });
        format!("{line}\r\n{}\r\n", lines.collect::<String>())
    };
    for change in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
        let mut stream = web_stream(&broker);
        let bytes = names_changed(change);
        stream.write_all(bytes.as_bytes()).expect("it is open");
        WebClient::accepted(stream, &request).close();
    }
}

#[test]
fn rfc9112_3_2_2_an_absolute_target_is_taken() {
    let broker = shared();
    let topic = fresh("absolute");
    let mut watcher = WebClient::open(&broker, &format!("/{topic}"));
    let target = format!("http://{HOST}/{topic}");
    let mut client = WebClient::open(&broker, &target);
    client.echo(TEXT, "here");
    watcher.expect(TEXT, "here");
}

#[test]
fn rfc6455_4_2_1_a_request_may_come_byte_by_byte() {
    let broker = shared();
    let request = upgrade();
    let mut stream = web_stream(&broker);
    for byte in request.encode() {
        stream.write_all(&[byte]).expect("it is open");
    }
    let mut client = WebClient::accepted(stream, &request);
    client.echo(TEXT, "open");
}

/// A client that cannot wait: its first frames are right behind the request.
#[test]
fn rfc6455_4_1_frames_behind_the_request_are_kept() {
    let broker = shared();
    for cut in [0, 1, 7] {
        let request = upgrade();
        let mut bytes = request.encode();
        let head = bytes.len();
        Frame::new(TEXT, "early").encode(Some([1, 2, 3, 4]), &mut bytes);
        Frame::new(TEXT, "birds").encode(Some([5, 6, 7, 8]), &mut bytes);
        let mut stream = web_stream(&broker);
        let (first, second) = bytes.split_at(head + cut);
        stream.write_all(first).expect("it is open");
        stream.write_all(second).expect("it is open");
        let mut client = WebClient::accepted(stream, &request);
        client.expect(TEXT, "early");
        client.expect(TEXT, "birds");
        client.close();
    }
}

/// `[RFC6455 4.2.2]` "abort … with an appropriate HTTP error code (such as 426)", and say which.
#[test]
fn rfc6455_4_4_another_version_is_told_which_one_is_spoken() {
    let broker = shared();
    for version in ["0", "7", "8", "12", "14", "25", "255", "13a", "-13", "013"] {
        let request = upgrade().replaced("Sec-WebSocket-Version", version);
        let response = request.ask(&broker);
        assert_eq!(response.status, 426, "{version}: {response:?}");
        assert_eq!(response.header("sec-websocket-version"), Some("13"));
    }
    let response = upgrade().without("Sec-WebSocket-Version").ask(&broker);
    assert!(matches!(response.status, 400 | 426), "{response:?}");
}

#[test]
fn rfc6455_4_2_1_keys_that_are_not_16_bytes_are_refused() {
    let broker = shared();
    for key in [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBsZSBub25jZTEy",
        "dGhl!HNhbXBsZSBub25jZQ==",
        "dGhl IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        let request = upgrade().replaced("Sec-WebSocket-Key", key);
        request.ask(&broker).assert_refuses(400);
    }
    let request = upgrade().without("Sec-WebSocket-Key");
    request.ask(&broker).assert_refuses(400);
    let request = upgrade().with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    request.ask(&broker).assert_refuses(400);
}

#[test]
fn rfc6455_4_2_1_what_a_request_must_have_is_asked_for() {
    let broker = shared();
    upgrade().without("Host").ask(&broker).assert_refuses(400);
    let two_hosts = upgrade().with("Host", HOST);
    two_hosts.ask(&broker).assert_refuses(400);
    let request = upgrade().without("Connection");
    request.ask(&broker).assert_refuses(400);
    let request = upgrade().replaced("Connection", "keep-alive");
    request.ask(&broker).assert_refuses(400);
    let request = upgrade().with("Content-Length", "5");
    request.ask(&broker).assert_refuses(400);
    let request = upgrade().with("Transfer-Encoding", "chunked");
    request.ask(&broker).assert_refuses(400);
}

#[test]
fn rfc6455_4_2_1_only_get_of_http_1_1_opens_a_websocket() {
    let broker = shared();
    let text = String::from_utf8(upgrade().encode()).expect("ASCII");
    for (from, to, statuses) in [
        ("GET ", "POST ", &[400, 405][..]),
        ("GET ", "PUT ", &[400, 405]),
        ("GET ", "get ", &[400, 405]),
        ("HTTP/1.1", "HTTP/1.0", &[400, 426, 505]),
        ("HTTP/1.1", "HTTP/2.0", &[400, 505]),
        ("HTTP/1.1", "HTP/1.1", &[400, 505]),
    ] {
        let mut stream = web_stream(&broker);
        let bytes = text.replacen(from, to, 1);
        stream.write_all(bytes.as_bytes()).expect("it is open");
        let response = read_response(&mut stream, false);
        assert!(statuses.contains(&response.status), "{to}: {response:?}");
    }
}

#[test]
fn rfc6455_4_2_2_the_first_known_subprotocol_is_chosen() {
    let broker = shared();
    for (offered, chosen) in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("mqtt, mqttv3.1", "mqtt"),
        ("mqttv3.1,mqtt", "mqttv3.1"),
        ("chat, superchat, mqtt", "mqtt"),
        ("v12.stomp, v11.stomp, v10.stomp", "v12.stomp"),
        ("v11.stomp", "v11.stomp"),
        ("v10.stomp", "v10.stomp"),
        ("v12.stomp, mqtt", "v12.stomp"),
        ("mqtt, v12.stomp", "mqtt"),
    ] {
        let client = WebClient::connect(&broker, &upgrade().subprotocols(offered));
        assert_eq!(client.subprotocol(), Some(chosen), "{offered}");
    }
    let several = upgrade().subprotocols("chat").subprotocols("mqtt");
    let client = WebClient::connect(&broker, &several);
    assert_eq!(client.subprotocol(), Some("mqtt"));
}

/// A client that wants something else must not end up talking to a topic.
#[test]
fn rfc6455_4_2_2_unknown_subprotocols_are_refused_with_the_known_ones() {
    let broker = shared();
    for offered in [
        "chat",
        "chat, superchat",
        "MQTT",
        "mqttv5",
        "wamp.2.json",
        "v13.stomp",
    ] {
        let response = upgrade().subprotocols(offered).ask(&broker);
        let reason = response.assert_refuses(400);
        for known in ["mqtt", "v12.stomp"] {
            assert!(reason.contains(known), "{reason}");
        }
    }
}
