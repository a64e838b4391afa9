//! Requests that are too long, too slow, or none: they are answered and closed.

use crate::shared;
use ringbus_protocols::mqtt::Version;
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::web::{Request, Response, TEXT, WebClient, read_response, web_stream};
use std::io::{Read, Write};

#[track_caller]
fn asked(broker: &Broker, bytes: &[u8]) -> Response {
    let mut stream = web_stream(broker);
    // The broker may close before it has all.
    let _ = stream.write_all(bytes);
    read_response(&mut stream, false)
}

/// A request with so many more headers of that length.
fn long_head(headers: usize, value_len: usize) -> Vec<u8> {
    let mut request = Request::upgrade("/long");
    for number in 0..headers {
        request = request.with(&format!("X-{number}"), &"v".repeat(value_len));
    }
    request.encode()
}

#[test]
fn rfc6585_5_heads_over_the_limits_are_refused_with_431() {
    let broker = shared();
    asked(&broker, &long_head(101, 1)).assert_refuses(431);
    asked(&broker, &long_head(1, 17 << 10)).assert_refuses(431);
    asked(&broker, &long_head(17, 1 << 10)).assert_refuses(431);
    asked(&broker, &long_head(100_000, 8)).assert_refuses(431);
    asked(&broker, &long_head(1, 1 << 20)).assert_refuses(431);
}

#[test]
fn rfc6585_5_heads_within_the_limits_are_read() {
    let broker = shared();
    for bytes in [long_head(90, 20), long_head(1, 12 << 10)] {
        let mut stream = web_stream(&broker);
        stream.write_all(&bytes).expect("it is open");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 101");
    }
}

/// Nothing that ends a line: a long target, a long name, just a long something.
#[test]
fn rfc9112_3_lines_without_an_end_are_refused() {
    let broker = shared();
    for start in [
        "",
        "GET /",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nX: ",
    ] {
        let bytes = [start.as_bytes(), &vec![b'a'; 1 << 20]].concat();
        let response = asked(&broker, &bytes);
        let is_refused = matches!(response.status, 400 | 414 | 431);
        assert!(is_refused, "{start:?}: {response:?}");
    }
}

#[test]
fn rfc9112_2_2_what_is_no_http_is_refused() {
    let broker = shared();
    for bytes in [
        &b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let response = asked(&broker, bytes);
        let is_refused = matches!(response.status, 400 | 405 | 505);
        assert!(is_refused, "{}: {response:?}", bytes.escape_ascii());
    }
}

/// A head that stays incomplete, and one that never starts.
#[test]
fn rfc9110_15_5_9_a_slow_request_is_closed_in_time() {
    let broker = Broker::start_web_socket(&["--connect-timeout", "1s"]);
    let whole = Request::upgrade("/slow").encode();
    for length in [1, 20, whole.len() - 1] {
        let response = asked(&broker, &whole[..length]);
        assert_eq!(response.status, 408, "{response:?}");
    }
    let mut silent = web_stream(&broker);
    let mut said = Vec::new();
    silent.read_to_end(&mut said).expect("an orderly end");
    // Who was in time is not affected by the timeout.
    let mut client = WebClient::open(&broker, "/in-time");
    let mut other = web_stream(&broker);
    other.read_to_end(&mut said).expect("an orderly end");
    client.echo(TEXT, "still here");
    broker.stop();
}

/// MQTT's own timeout holds when the WebSocket is open and nothing is said on it.
#[test]
fn mqtt_3_1_0_1_a_websocket_without_connect_is_closed_in_time() {
    let broker = Broker::start_web_socket(&["--connect-timeout", "1s"]);
    for subprotocol in ["mqtt", "v12.stomp"] {
        let request = Request::upgrade("/").subprotocols(subprotocol);
        let mut client = WebClient::connect(&broker, &request);
        while client.receive_or_end().is_some() {}
    }
    broker.stop();
}

/// Half of everything, cut off at every byte: the broker keeps nothing of it.
#[test]
fn rfc6455_4_2_1_requests_that_end_early_leave_nothing() {
    let broker = shared();
    let whole = Request::upgrade("/early").encode();
    for length in 0..whole.len() {
        let mut stream = web_stream(&broker);
        stream.write_all(&whole[..length]).expect("it is open");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    Client::open(&broker, Version::V5, "after-early").ping();
}
