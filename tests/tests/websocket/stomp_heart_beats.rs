//! STOMP 1.2: heart-beats.

use crate::shared;
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{StompClient, StompFrame};
use std::time::{Duration, Instant};

/// Connects with heart-beats; what the server says of its own.
fn open(broker: &Broker, asked: &str) -> (StompClient, u64, u64) {
    let mut client = StompClient::raw(broker);
    let connect = StompFrame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("host", "h")
        .with("heart-beat", asked);
    client.send(&connect);
    let connected = client.receive();
    assert_eq!(connected.command, "CONNECTED", "{connected:?}");
    let beats = connected.header("heart-beat").expect("a heart-beat header");
    let (sends, wants) = beats.split_once(',').expect("two numbers");
    let number = |text: &str| text.parse().expect("milliseconds");
    (client, number(sends), number(wants))
}

#[test]
fn stomp_1_2_heart_beats_are_negotiated() {
    let broker = shared();
    for asked in ["0,0", "10000,10000", "10000,0", "0,10000", "500,500"] {
        let (mut client, ..) = open(&broker, asked);
        client.expect_nothing();
    }
    for asked in ["1", "1,2,3", "-1,0", "a,b"] {
        let mut client = StompClient::raw(&broker);
        let connect = StompFrame::new("CONNECT").with("accept-version", "1.2");
        client.send(&connect.with("host", "h").with("heart-beat", asked));
        client.refused();
    }
}

/// The server's come in time, and a client that sends none is closed. In one test, as it waits.
#[test]
fn stomp_1_2_heart_beats_come_and_are_missed() {
    let broker = shared();
    let (mut beaten, sends, _) = open(&broker, "0,500");
    let (mut silent, _, wants) = open(&broker, "500,0");
    let began = Instant::now();
    assert_eq!(beaten.web.message().payload, b"\n");
    let most = Duration::from_millis(sends.max(500)) + Duration::from_secs(1);
    assert!(began.elapsed() <= most, "{:?}, {sends} ms", began.elapsed());
    // An ERROR may come before.
    while silent.web.receive_or_end().is_some() {}
    let least = Duration::from_millis(wants.max(500));
    assert!(
        began.elapsed() >= least,
        "closed after {:?}",
        began.elapsed()
    );
}
