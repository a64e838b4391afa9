//! Descriptors, on every driver: how many a connection takes, and what a broker does without.

use ringbus::config::IoChoice;
use ringbus::io::clock::Clock;
use ringbus::io::probe;
use ringbus_protocols::mqtt::{PacketType, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::sandbox::{hoard, limit};
use std::io::{ErrorKind, Read};
use std::time::Duration;

/// Drivers that this machine allows.
fn drivers() -> &'static [&'static str] {
    match probe::choose(IoChoice::Ring) {
        Ok(_) => &["ring", "epoll", "glommio"],
        Err(_) => &["epoll"],
    }
}

const SHARDS: u64 = 2;

fn start(driver: &str, files: u32, hoarded: i32) -> Broker {
    let shards = SHARDS.to_string();
    let flags = ["--io", driver, "--shards", &shards];
    Broker::start_prepared(&flags, |command| {
        limit(hoard(command, hoarded), libc::RLIMIT_NOFILE, files.into());
    })
}

/// Far more than its connections limit leaves, so that accepting fails.
const FILES: u32 = 300;
const HOARDED: i32 = 220;
/// What a connection takes besides, for a moment.
const SPARE: usize = 4;
/// Connections that find no descriptor, or most of them do not.
const WAITING: usize = 10;

#[test]
fn without_descriptors_connections_wait_and_the_others_go_on() {
    for driver in drivers() {
        eprintln!("on {driver}");
        let broker = start(driver, FILES, HOARDED);
        let clock = Clock::start();
        let mut served = fill(&broker);
        let mut waiting: Vec<Client> = (0..WAITING).map(|at| knock(&broker, at)).collect();
        broker.wait_line("cannot accept connections for now");
        served.iter_mut().for_each(Client::ping);
        assert_unanswered(waiting.last().expect("some wait"));
        served.iter_mut().for_each(Client::ping);

        // Half of the descriptors come back.
        served.truncate(served.len() / 2);
        for client in &mut waiting {
            client.receive_only(PacketType::ConnAck);
        }
        served.iter_mut().chain(&mut waiting).for_each(Client::ping);
        let connections = (served.len() * 2 + waiting.len()) as u64;
        drop((served, waiting));

        let seconds = clock.now().as_secs();
        let stopped = broker.stop();
        let warnings = stopped.lines.iter().filter(|line| line.contains("WARN"));
        let warnings = warnings.filter(|line| !line.contains("loopback only"));
        assert!(warnings.count() as u64 <= SHARDS, "{:#?}", stopped.lines);
        // A shard that spins takes a hundred thousand a second.
        let turns = stopped.total("turns");
        let bound = connections * 20 + SHARDS * (seconds + 1) * 200;
        assert!(
            turns < bound,
            "{turns} turns in {seconds} s, at most {bound}"
        );
    }
}

/// Connects as many as there are descriptors for, within a few.
fn fill(broker: &Broker) -> Vec<Client> {
    let count = FILES as usize - broker.open_files() - SPARE;
    assert!(count >= 2 * WAITING, "only {count} fit");
    let connect = |at| Client::open(broker, Version::V5, &format!("served-{at}"));
    (0..count).map(connect).collect()
}

/// A connection that says CONNECT and does not wait for the answer.
fn knock(broker: &Broker, number: usize) -> Client {
    let mut client = Client::raw(broker.address(), Version::V5);
    let hello = Hello::new(Version::V5, &format!("waiting-{number}"));
    client.send_bytes(&hello.encode());
    client
}

/// Nothing arrives while time passes in which a broker could spin, or warn again.
fn assert_unanswered(client: &Client) {
    let mut stream = client.stream();
    let patience = stream.read_timeout().expect("a socket");
    let short = Some(Duration::from_millis(500));
    stream.set_read_timeout(short).expect("a socket");
    let error = stream.read(&mut [0]).expect_err("no descriptor is free");
    let nothing = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
    assert!(nothing.contains(&error.kind()), "{error}");
    stream.set_read_timeout(patience).expect("a socket");
}

/// Less than two descriptors for each of the connections.
const ROOM: u32 = 400;
const CONNECTIONS: usize = 250;

#[test]
fn an_established_connection_takes_one_descriptor() {
    for driver in drivers() {
        eprintln!("on {driver}");
        let broker = start(driver, ROOM, 0);
        let connect = |at| Client::open(&broker, Version::V5, &format!("one-{at}"));
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(connect).collect();
        clients.iter_mut().for_each(Client::ping);
        drop(clients);
        broker.stop();
    }
}
