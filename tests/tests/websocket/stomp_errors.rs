//! STOMP 1.2: what is refused, and how.

use crate::{fresh, shared};
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{BINARY, Frame, StompClient, StompFrame};

fn send(destination: &str) -> StompFrame {
    StompFrame::new("SEND").with("destination", destination)
}

fn subscribe(id: &str, destination: &str) -> StompFrame {
    let frame = StompFrame::new("SUBSCRIBE").with("id", id);
    frame.with("destination", destination)
}

#[test]
fn stomp_1_2_transactions_are_refused_in_words() {
    let broker = shared();
    for command in ["BEGIN", "COMMIT", "ABORT"] {
        let mut client = StompClient::open(&broker);
        client.send(&StompFrame::new(command).with("transaction", "t1"));
        let (error, _) = client.refused();
        let said = format!("{:?} {}", error.headers, error.text()).to_lowercase();
        assert!(said.contains("transaction"), "{said}");
    }
    let mut client = StompClient::open(&broker);
    client.send(&send("x").with("transaction", "t1").body("in one"));
    let (error, _) = client.refused();
    let said = format!("{:?} {}", error.headers, error.text()).to_lowercase();
    assert!(said.contains("transaction"), "{said}");
}

/// `[STOMP 1.2]` An ERROR for a frame with a receipt names it.
#[test]
fn stomp_1_2_an_error_names_the_receipt() {
    let broker = shared();
    let mut client = StompClient::open(&broker);
    client.send(&StompFrame::new("BEGIN").with("receipt", "r-17"));
    let (error, _) = client.refused();
    assert_eq!(error.header("receipt-id"), Some("r-17"), "{error:?}");
}

#[test]
fn stomp_1_2_frames_that_make_no_sense_are_refused() {
    let broker = shared();
    for frame in [
        StompFrame::new("NONSENSE"),
        StompFrame::new("send").with("destination", "x"),
        StompFrame::new("CONNECTED"),
        StompFrame::new("CONNECT").with("accept-version", "1.2"),
        StompFrame::new("SEND"),
        send(""),
        send("a/+"),
        send("a/#"),
        send("$SYS/broker/version"),
        send("x").with("qos", "2"),
        send("x").with("qos", "high"),
        send("x").with("retain", "maybe"),
        send("x").with("content-length", "many"),
        send("x").with("content-length", "-1"),
        StompFrame::new("SUBSCRIBE").with("destination", "x"),
        StompFrame::new("SUBSCRIBE").with("id", "1"),
        subscribe("1", ""),
        subscribe("1", "a#"),
        subscribe("1", "x").with("ack", "sometimes"),
        StompFrame::new("UNSUBSCRIBE"),
        StompFrame::new("UNSUBSCRIBE").with("id", "unknown"),
        StompFrame::new("ACK"),
        StompFrame::new("ACK").with("id", "unknown"),
        StompFrame::new("NACK").with("id", "unknown"),
    ] {
        let mut client = StompClient::open(&broker);
        client.send(&frame);
        let (error, code) = client.refused();
        assert_ne!(code, 1000, "{frame:?}: {error:?}");
    }
}

#[test]
fn stomp_1_2_an_id_is_for_one_subscription() {
    let broker = shared();
    let topic = fresh("twice");
    let mut client = StompClient::open(&broker);
    client.subscribe("1", &topic, "auto");
    client.send(&subscribe("1", &fresh("twice")));
    client.refused();
}

#[test]
fn stomp_1_2_the_first_frame_is_connect() {
    let broker = shared();
    for frame in [
        send("x").body("early"),
        subscribe("1", "x"),
        StompFrame::new("NONSENSE"),
    ] {
        let mut client = StompClient::raw(&broker);
        client.send(&frame);
        client.refused();
    }
}

/// `[STOMP 1.2]` Undefined escapes "MUST be treated as a fatal protocol error".
#[test]
fn stomp_1_2_malformed_frames_are_refused() {
    let broker = shared();
    for bytes in [
        &b"SEND\ndestination:a\\tb\n\n\0"[..],
        b"SEND\ndestination:a\\\n\n\0",
        b"SEND\ndestination:x\nbad\\x:y\n\n\0",
        b"SEND\ndestination:x\nno colon\n\n\0",
        b"SEND\n\ndestination\0more\0",
        b"SEND\ndestination:x\ncontent-length:3\n\nfour\0",
        b"SEND\ndestination:x\n\xff\xfe:y\n\n\0",
        b"SEND\ndestination:\xed\xa0\x80\n\n\0",
        b"SE\0ND\ndestination:x\n\n\0",
        b"SEND \ndestination:x\n\n\0",
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
    ] {
        let mut client = StompClient::open(&broker);
        client.web.send(&Frame::new(BINARY, bytes));
        let (error, code) = client.refused();
        assert_ne!(code, 1000, "{}: {error:?}", bytes.escape_ascii());
    }
}

#[test]
fn stomp_1_2_what_came_before_an_error_is_done() {
    let broker = shared();
    let topic = fresh("before");
    let mut watcher = StompClient::open(&broker);
    watcher.subscribe("w", &topic, "auto");
    let mut client = StompClient::open(&broker);
    let frames = [
        send(&topic).body("before").encode(),
        StompFrame::new("BEGIN").encode(),
        send(&topic).body("behind").encode(),
    ];
    client.send_bytes(&frames.concat());
    client.refused();
    assert_eq!(watcher.message("w").body, b"before");
    watcher.expect_nothing();
}

#[test]
fn stomp_1_2_frames_without_an_end_are_bounded() {
    let broker = Broker::start_web_socket(&["--max-packet-size", "64KiB"]);
    let mut other = StompClient::open(&broker);
    other.subscribe("o", "bounded/#", "auto");
    let headers = |count: usize| "a:b\n".repeat(count);
    for start in [
        // No NUL.
        format!("SEND\ndestination:x\n\n{}", "b".repeat(100_000)),
        "SEND\ndestination:x\ncontent-length:100000\n\nstarts".to_owned(),
        // A command, a header and headers that do not end.
        "S".repeat(100_000),
        format!("SEND\n{}", "h".repeat(100_000)),
        format!("SEND\ndestination:x\n{}", headers(100_000)),
        format!("SEND\ndestination:x\n{}\n\0", headers(100_000)),
    ] {
        let mut client = StompClient::open(&broker);
        for part in start.as_bytes().chunks(10_000) {
            client.web.send(&Frame::new(BINARY, part));
        }
        let (_, code) = client.refused();
        assert!(matches!(code, 1002 | 1008 | 1009), "{code}");
        let body = format!("{} bytes", start.len());
        other.send(&send("bounded/x").body(&body));
        assert_eq!(other.message("o").body, body.as_bytes());
    }
    broker.stop();
}
