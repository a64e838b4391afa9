//! What clients cost that read nothing, or subscribe to much.

use ringbus_tests::broker::Broker;
use ringbus_tests::nats::NatsClient;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// What an allocator may keep of what was needed for a while: of one client that is still going when
/// the next one comes. Six that leave all behind would be 200 MiB.
const SLACK: u64 = 48 * MIB;

/// How long it may take until what is not needed is given back.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn subscriptions_leave_nothing_when_their_client_goes() {
    const SUBSCRIPTIONS: usize = 100_000;
    let broker = Broker::start_nats(&[]);
    let mut bystander = NatsClient::open(broker.nats_address());
    let mut subscribed = || {
        let before = broker.resident_bytes();
        let mut client = NatsClient::open(broker.nats_address());
        for batch in 0..SUBSCRIPTIONS / 1000 {
            let ops: String = (batch * 1000..(batch + 1) * 1000)
                .map(|number| format!("SUB many.{number}.x {number}\r\n"))
                .collect();
            client.send(ops);
            client.barrier();
        }
        for number in [0, 77_777, SUBSCRIPTIONS - 1] {
            bystander.publish(&format!("many.{number}.x"), b"heard");
            assert_eq!(client.expect_message().sid, number.to_string());
        }
        let after = broker.resident_bytes();
        drop(client);
        after.saturating_sub(before)
    };
    let cost = subscribed();
    assert!(cost <= 1024 * SUBSCRIPTIONS as u64, "{} KiB", cost >> 10);
    subscribed();
    let warm = settled(&broker, None);
    for _ in 0..6 {
        subscribed();
    }
    settled(&broker, Some(warm + SLACK));
    broker.stop();
}

/// Memory when it does not shrink any more, or as soon as it is at most this.
fn settled(broker: &Broker, most: Option<u64>) -> u64 {
    let mut client = NatsClient::open(broker.nats_address());
    let end = Instant::now() + most.map_or(Duration::from_secs(2), |_| PATIENCE);
    loop {
        let resident = broker.resident_bytes();
        match most {
            Some(most) if resident <= most => return resident,
            None if Instant::now() >= end => return resident,
            _ => {}
        }
        assert!(Instant::now() < end, "{} KiB are kept", resident >> 10);
        // What is given back late is given back while something happens.
        client.barrier();
    }
}

#[test]
fn who_pings_and_reads_no_pong_is_closed() {
    let broker = Broker::start_nats(&["--queue-bytes", "1MiB", "--max-packet-size", "512KiB"]);
    let mut bystander = NatsClient::open(broker.nats_address());
    let client = NatsClient::open(broker.nats_address());
    let before = broker.resident_bytes();
    broker.forget_peak_memory();
    const PINGS: usize = 4_000_000;
    let pings = b"PING\r\n".repeat(PINGS / 100);
    let mut stream = client.stream();
    for _ in 0..100 {
        // It may be closed already.
        if stream.write_all(&pings).is_err() {
            break;
        }
    }
    let received = read_to_end(&client);
    assert!(received < PINGS * 6 / 2, "{received} bytes of PONGs");
    bystander.barrier();
    let peak = broker.peak_resident_bytes().saturating_sub(before);
    assert!(peak <= 16 * MIB, "grown by {} KiB", peak >> 10);
    broker.stop();
}

/// What does not fit is dropped, and what fits comes whole.
#[test]
fn slow_clients_are_bounded_and_hear_on() {
    let broker = Broker::start_nats(&["--queue-bytes", "1MiB", "--max-packet-size", "512KiB"]);
    let mut slow: Vec<_> = (0..10)
        .map(|_| NatsClient::open(broker.nats_address()))
        .collect();
    for client in &mut slow {
        client.subscribe("slow.*", "1");
    }
    let mut quick = NatsClient::open(broker.nats_address());
    let before = broker.resident_bytes();
    broker.forget_peak_memory();
    let message = vec![b's'; 10_000];
    for _ in 0..10_000 {
        quick.publish("slow.x", &message);
    }
    quick.barrier();
    let peak = broker.peak_resident_bytes().saturating_sub(before);
    assert!(peak <= 48 * MIB, "grown by {} KiB", peak >> 10);
    for client in &mut slow {
        let mut heard = 0;
        loop {
            // Again and again: there was no room for the first ones.
            quick.publish("slow.last", b"");
            quick.barrier();
            let next = client.expect_message();
            if next.subject == "slow.last" {
                break;
            }
            assert!(next.payload == message, "cut or mixed");
            heard += 1;
        }
        assert!(heard < 10_000, "nothing was dropped");
    }
    broker.stop();
}

#[test]
fn slow_clients_are_closed_where_that_is_the_policy() {
    let flags = ["--queue-bytes", "1MiB", "--max-packet-size", "512KiB"];
    let flags = [&flags[..], &["--queue-policy", "disconnect"]].concat();
    let broker = Broker::start_nats(&flags);
    let mut slow = NatsClient::open(broker.nats_address());
    slow.subscribe("slow.x", "1");
    let mut quick = NatsClient::open(broker.nats_address());
    let message = vec![b's'; 10_000];
    for _ in 0..5_000 {
        quick.publish("slow.x", &message);
    }
    quick.barrier();
    let received = read_to_end(&slow);
    assert!(received < 5_000 * message.len(), "nothing was lost");
    quick.barrier();
    broker.stop();
}

/// How many bytes came before the end of the connection.
fn read_to_end(client: &NatsClient) -> usize {
    let mut received = 0;
    let mut bytes = vec![0; 1 << 20];
    loop {
        match client.stream().read(&mut bytes) {
            Ok(0) => return received,
            Ok(length) => received += length,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return received,
            Err(error) => panic!("not closed: {error}"),
        }
    }
}
