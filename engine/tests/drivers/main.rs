//! The drivers with real sockets: each test runs on every driver with 1, 2 and 4 shards.

mod broker;
mod client;
mod datagrams;
mod listeners;
mod process;

use broker::on_every_driver;
use client::{Client, payload};
use ringbus::io::clock::Clock;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::scope;
use std::time::Duration;

/// Whatever is waited for takes less, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn input_that_comes_byte_by_byte_is_understood() {
    on_every_driver(&[], |broker| {
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("slow/#");
        let mut stream = broker.stream();
        let mut script = client::connect_packet("dripping");
        client::publish_packet(&mut script, "slow/drip", b"one byte at a time");
        for byte in script {
            stream.write_all(&[byte]).expect("the broker reads on");
        }
        let (topic, payload) = subscriber.message();
        assert_eq!(
            (topic.as_str(), &payload[..]),
            ("slow/drip", &b"one byte at a time"[..])
        );
    });
}

#[test]
fn a_large_message_reaches_many_subscribers_whole() {
    const SUBSCRIBERS: usize = 40;
    on_every_driver(&[], |broker| {
        let large = payload(1 << 20);
        let mut subscribers: Vec<Client> = (0..SUBSCRIBERS)
            .map(|number| {
                let mut client = Client::connect(broker, &format!("large-{number}"));
                client.subscribe("large/#");
                client
            })
            .collect();
        let mut publisher = Client::connect(broker, "publisher");
        for round in 0..3 {
            publisher.publish(&format!("large/{round}"), &large);
            for subscriber in &mut subscribers {
                let (topic, payload) = subscriber.message();
                assert_eq!(topic, format!("large/{round}"));
                assert!(payload == large, "1 MiB, as it was sent");
            }
        }
    });
}

#[test]
fn a_reader_that_stops_harms_only_itself() {
    const ROUNDS: u8 = 200;
    on_every_driver(&["--queue-bytes", "2MiB"], |broker| {
        let mut stopped = Client::connect(broker, "stopped");
        stopped.subscribe("flood/#");
        let mut reading = Client::connect(broker, "reading");
        reading.subscribe("flood/#");
        let mut publisher = Client::connect(broker, "publisher");
        let mut block = payload(256 << 10);
        for round in 0..ROUNDS {
            block[0] = round;
            publisher.publish("flood/topic", &block);
            // Far more than sockets and queue hold for the one that does not read.
            assert!(reading.message().1 == block);
        }
        // What it gets is whole and in order; what did not fit is missing.
        let mut got = stopped.payloads_until_pong();
        publisher.publish("flood/topic", b"again");
        while got.last().is_none_or(|payload| payload != b"again") {
            got.push(stopped.message().1);
        }
        got.pop();
        assert!(
            got.iter().all(|payload| payload[1..] == block[1..]),
            "whole"
        );
        let rounds: Vec<u8> = got.iter().map(|payload| payload[0]).collect();
        assert!(
            rounds.is_sorted_by(|one, next| one < next),
            "in order: {rounds:?}"
        );
        assert!(
            (1..usize::from(ROUNDS)).contains(&rounds.len()),
            "{rounds:?}"
        );
    });
}

#[test]
fn a_thousand_connects_at_once_are_served() {
    const CLIENTS: usize = 1000;
    on_every_driver(&[], |broker| {
        let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| broker.stream()).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            let packet = client::connect_packet(&format!("crowd-{number}"));
            stream.write_all(&packet).expect("the broker reads");
        }
        let mut clients: Vec<Client> = streams.into_iter().map(Client::adopt).collect();
        for client in &mut clients {
            client.connack();
        }
        let (last, rest) = clients.split_last_mut().expect("a thousand");
        last.subscribe("crowd/+");
        for (number, client) in rest.iter_mut().enumerate() {
            client.publish(&format!("crowd/{number}"), b"here");
        }
        let mut seen: Vec<String> = (1..CLIENTS).map(|_| last.message().0).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), CLIENTS - 1, "each exactly once");
    });
}

#[test]
fn what_came_before_a_half_close_counts() {
    on_every_driver(&[], |broker| {
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("half/#");
        for number in 0..20 {
            let mut stream = broker.stream();
            let mut script = client::connect_packet(&format!("half-{number}"));
            client::publish_packet(&mut script, &format!("half/{number}"), b"last words");
            stream.write_all(&script).expect("the broker reads");
            stream.shutdown(Shutdown::Write).expect("connected");
            assert_eq!(subscriber.message().0, format!("half/{number}"));
            // The broker closes its side too.
            assert_ended(&mut stream);
        }
    });
}

#[test]
fn garbage_and_resets_harm_nobody_else() {
    on_every_driver(&[], |broker| {
        let mut witness = Client::connect(broker, "witness");
        witness.subscribe("calm/#");
        for number in 0..50 {
            let mut stream = broker.stream();
            let garbage: &[u8] = if number % 2 == 0 {
                b"GET / HTTP/1.1\r\n\r\n"
            } else {
                &[0xff; 64]
            };
            stream.write_all(garbage).expect("the broker reads");
            if number % 5 == 0 {
                // Unread input on close makes it a reset.
                drop(stream);
            } else {
                assert_ended(&mut stream);
            }
        }
        let mut publisher = Client::connect(broker, "publisher");
        publisher.publish("calm/after", b"all is well");
        assert_eq!(witness.message().1, b"all is well");
    });
}

#[test]
fn a_refused_client_still_reads_why() {
    // Bytes that the broker never reads must not turn its answer into a reset.
    on_every_driver(&[], |broker| {
        for _ in 0..20 {
            let mut client = Client::connect(broker, "breaking");
            let mut packets = vec![0x10, 0x00];
            packets.resize(100_000, 0);
            client.send(&packets);
            assert_eq!(client.disconnect_reason(), Some(0x81), "malformed packet");
        }
    });
}

#[test]
fn pipelined_publishers_are_held_back_and_lose_nothing() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 20_000;
    on_every_driver(&["--queue-bytes", "256MiB"], |broker| {
        let mut subscriber = Client::connect(broker, "subscriber");
        subscriber.subscribe("pipe/#");
        scope(|scope| {
            for publisher in 0..PUBLISHERS {
                scope.spawn(move || {
                    let mut client = Client::connect(broker, &format!("pipe-{publisher}"));
                    let mut batch = Vec::new();
                    for number in 0..EACH {
                        let text = number.to_string();
                        client::publish_packet(
                            &mut batch,
                            &format!("pipe/{publisher}"),
                            text.as_bytes(),
                        );
                        if batch.len() > 100_000 {
                            client.send(&std::mem::take(&mut batch));
                        }
                    }
                    client.send(&batch);
                    client.ping();
                });
            }
            let mut next = [0; PUBLISHERS];
            for _ in 0..PUBLISHERS * EACH {
                let (topic, payload) = subscriber.message();
                let publisher: usize = topic["pipe/".len()..].parse().expect("a publisher");
                let text = String::from_utf8(payload).expect("a number");
                assert_eq!(text, next[publisher].to_string(), "in order, each once");
                next[publisher] += 1;
            }
        });
    });
}

#[test]
fn connections_over_the_limit_are_refused_and_places_come_back() {
    on_every_driver(&["--max-connections", "3"], |broker| {
        let mut clients: Vec<Client> = (0..3)
            .map(|number| Client::connect(broker, &format!("seat-{number}")))
            .collect();
        assert_eq!(connack_code(broker), Some(QUOTA_EXCEEDED));
        clients[0].ping();
        drop(clients.pop());
        // The broker notices at some point; then there is room again.
        let clock = Clock::start();
        while connack_code(broker) != Some(0) {
            assert!(clock.now().to_duration() < PATIENCE, "no place came back");
        }
    });
}

const QUOTA_EXCEEDED: u8 = 0x97;

/// How a CONNECT is answered.
fn connack_code(broker: &broker::Broker) -> Option<u8> {
    let mut stream = broker.stream();
    let connect = client::connect_packet("latecomer");
    stream.write_all(&connect).ok()?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).ok()?;
    Some(connack[3])
}

#[test]
fn unix_sockets_are_served_like_tcp() {
    let path = std::env::temp_dir().join(format!("ringbus-{}.sock", std::process::id()));
    let url = format!("unix:{}", path.display());
    on_every_driver(&["--listen", &url, "--max-packet-size", "4MiB"], |broker| {
        let unix = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        let mut subscriber = Client::adopt(unix);
        subscriber.introduce("local");
        subscriber.subscribe("unix/#");
        let mut publisher = Client::connect(broker, "publisher");
        let large = payload(3 << 20);
        publisher.publish("unix/large", &large);
        assert!(subscriber.message().1 == large, "whole");
    });
    assert!(!path.exists(), "removed at the end");
}

/// The other end closes: end of stream, or a reset.
pub(crate) fn assert_ended(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the broker did not close: {error}"),
        }
    }
}

#[test]
fn idle_brokers_sleep() {
    on_every_driver(&[], |broker| {
        let mut clients: Vec<Client> = (0..10)
            .map(|number| Client::connect(broker, &format!("idle-{number}")))
            .collect();
        for client in &mut clients {
            client.ping();
        }
        let before = broker.cpu();
        // Time has to pass: it is what is measured.
        assert!(
            clients[0]
                .message_within(Duration::from_millis(500))
                .is_none()
        );
        let used = broker.cpu() - before;
        assert!(
            used < Duration::from_millis(50),
            "used {used:?} in half a second of idling"
        );
    });
}
