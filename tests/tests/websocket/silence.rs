//! Peers that say nothing: section 5.5.2.

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::web::{CLOSE, Frame, MqttWire, PING, PONG, Request, TEXT, WebClient};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

fn broker() -> Broker {
    Broker::start_web_socket(&["--ws-ping", "1s"])
}

/// The next Ping; whatever else comes is an error.
#[track_caller]
fn pinged(client: &mut WebClient) -> Frame {
    let frame = client.receive();
    assert_eq!(frame.opcode, PING, "not a Ping: {frame:?}");
    frame
}

/// How many Pings came before the end, and how long that took.
fn until_closed(client: &mut WebClient) -> (usize, Duration) {
    let began = Instant::now();
    let mut pings = 0;
    while let Some(frame) = client.receive_or_end() {
        assert!(matches!(frame.opcode, PING | CLOSE), "{frame:?}");
        pings += usize::from(frame.opcode == PING);
    }
    (pings, began.elapsed())
}

/// In one test, as all of it waits.
#[test]
fn rfc6455_5_5_2_silent_peers_are_pinged_and_closed_and_others_are_not() {
    let broker = broker();
    let requests = [
        Request::upgrade("/silent"),
        Request::upgrade("/").subprotocols("mqtt"),
        Request::upgrade("/").subprotocols("v12.stomp"),
    ];
    let mut silent = requests.map(|request| WebClient::connect(&broker, &request));
    let mut answering = WebClient::open(&broker, "/answering");
    let mut talking = WebClient::open(&broker, "/talking");
    for number in 0..5 {
        let ping = pinged(&mut answering);
        answering.send(&Frame::new(PONG, ping.payload));
        // Any byte counts as life, though the Ping is not answered.
        pinged(&mut talking);
        let message = number.to_string();
        talking.echo(TEXT, message);
    }
    for client in &mut silent {
        let (pings, _) = until_closed(client);
        assert_eq!(pings, 2, "Pings before the end");
    }
    answering.echo(TEXT, "still here");
    talking.echo(TEXT, "still here");
    broker.stop();
}

#[test]
fn rfc6455_5_5_2_a_silent_peer_is_closed_in_the_third_interval() {
    let broker = broker();
    let mut client = WebClient::open(&broker, "/third");
    let (pings, took) = until_closed(&mut client);
    assert_eq!(pings, 2);
    assert!(took > EVERY * 2 && took < EVERY * 6, "{took:?}");
    broker.stop();
}

/// A client that is gone without a word has a will, and its session ends.
#[test]
fn mqtt_3_1_2_8_a_half_open_connection_is_found() {
    let broker = broker();
    let mut watcher = Client::open(&broker, Version::V5, "half-watcher");
    watcher.subscribe("half/open", QoS::AtMostOnce);
    let hello =
        Hello::new(Version::V5, "half").with_will("half/open", "gone", QoS::AtMostOnce, false);
    let began = Instant::now();
    let (_half, _) = MqttWire::open(&broker, "mqtt").hello(&hello);
    watcher.expect("half/open", "gone", QoS::AtMostOnce, false);
    let took = began.elapsed();
    assert!(took > EVERY * 2 && took < EVERY * 6, "{took:?}");
    broker.stop();
}
