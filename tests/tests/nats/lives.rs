//! How a connection begins, is kept alive, and ends.

use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::nats::NatsClient;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Instant;

#[test]
fn the_server_says_what_clients_need_to_know() {
    let broker = Broker::start_nats(&["--max-packet-size", "4MiB"]);
    let mut ids = HashSet::new();
    for _ in 0..8 {
        let client = NatsClient::raw(broker.nats_address());
        let info: Value = serde_json::from_str(client.info()).expect("JSON");
        assert_eq!(info["proto"], 1, "{info}");
        assert_eq!(info["headers"], true, "{info}");
        assert_eq!(info["client_ip"], "127.0.0.1", "{info}");
        assert_eq!(info["port"], broker.nats_address().port(), "{info}");
        let payload_max = info["max_payload"].as_u64().expect("a size");
        assert!(payload_max > 4_000_000 && payload_max <= 4 << 20, "{info}");
        for text in ["server_id", "server_name", "version", "go", "host"] {
            assert!(info[text].is_string(), "no {text} in {info}");
        }
        assert!(ids.insert(info["client_id"].as_u64()), "a second {info}");
    }
    broker.stop();
}

/// In one test, as all of it waits.
#[test]
fn silent_clients_are_pinged_and_closed_and_others_are_not() {
    let broker = Broker::start_nats(&["--nats-ping", "1s"]);
    let open = || NatsClient::open(broker.nats_address());
    // Also one that never said a word.
    let mut silent = [open(), NatsClient::raw(broker.nats_address())];
    let mut answering = open();
    for _ in 0..5 {
        answering.expect_line("PING");
        answering.send("PONG\r\n");
    }
    for client in &mut silent {
        client.expect_line("PING");
        client.expect_line("PING");
        client.expect_line("-ERR 'Stale Connection'");
        client.expect_closed();
    }
    broker.stop();
}

#[test]
fn a_server_that_stops_says_so() {
    let broker = Broker::start_nats(&[]);
    let mut clients: Vec<_> = (0..20)
        .map(|_| NatsClient::open(broker.nats_address()))
        .collect();
    broker.terminate();
    for client in &mut clients {
        let line = client.next_line();
        let info = line.strip_prefix("INFO ").expect("an INFO");
        let info: Value = serde_json::from_str(info).expect("JSON");
        assert_eq!(info["ldm"], true, "{info}");
        client.expect_closed();
    }
    let stopped = broker.wait();
    assert_eq!(stopped.status.code(), Some(0), "{:?}", stopped.lines);
}

#[test]
fn who_finds_no_place_is_told_so_until_there_is_one() {
    let broker = Broker::start_nats(&["--max-connections", "2"]);
    let mut first = NatsClient::open(broker.nats_address());
    let second = NatsClient::open(broker.nats_address());
    let mut third = NatsClient::raw(broker.nats_address());
    third.expect_line("-ERR 'maximum connections exceeded'");
    third.expect_closed();
    first.barrier();
    drop(second);
    // That it left is news for the broker, too.
    let end = Instant::now() + DEADLINE;
    while !is_admitted(&broker) {
        assert!(Instant::now() < end, "the place stays taken");
    }
    broker.stop();
}

fn is_admitted(broker: &Broker) -> bool {
    let mut client = NatsClient::raw(broker.nats_address());
    // It may be closed already, which shows in what comes.
    client.try_send(b"CONNECT {\"verbose\":true}\r\n");
    client.next_line() == "+OK"
}
