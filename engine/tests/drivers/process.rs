//! The process around the drivers: signals, exit codes, limits, panics.

use crate::broker::{Broker, drivers};
use crate::client::Client;
use ringbus::base::Scheme;
use ringbus::config::{
    Config, IoChoice, ListenAddress, Listener, LogFormat, LogLevel, Machine, PartitionLevels,
};
use ringbus::io::Phase;
use ringbus::server::{Server, Signals};
use ringbus_protocols::http::OriginList;
use std::process::{Command, Stdio};
use std::time::Duration;

fn ringbus(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbus"));
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let complaint = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), complaint)
}

#[test]
fn sigterm_takes_leave_of_every_client() {
    for driver in drivers() {
        for shards in ["1", "4"] {
            let mut broker = Broker::start(driver, shards, &[]);
            let guest = |number| Client::connect(&broker, &format!("guest-{number}"));
            let mut clients: Vec<Client> = (0..20).map(guest).collect();
            broker.signal(libc::SIGTERM);
            for client in &mut clients {
                assert_eq!(
                    client.disconnect_reason(),
                    Some(0x8b),
                    "server shutting down"
                );
            }
            drop(clients);
            assert_eq!(broker.wait().code(), Some(0));
            assert!(
                std::net::TcpStream::connect(broker.address).is_err(),
                "nobody listens"
            );
        }
    }
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_the_end() {
    for driver in drivers() {
        let arguments = ["--drain-timeout", "300ms", "--queue-bytes", "64MiB"];
        let mut broker = Broker::start(driver, "2", &arguments);
        let mut stopped = Client::connect(&broker, "stopped");
        stopped.subscribe("flood/#");
        let mut publisher = Client::connect(&broker, "publisher");
        for _ in 0..64 {
            publisher.publish("flood/x", &crate::payload(256 << 10));
        }
        publisher.ping();
        broker.signal(libc::SIGINT);
        assert_eq!(broker.wait().code(), Some(0));
        let log = broker.log();
        assert!(log.contains("within the drain timeout"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for driver in drivers() {
        let mut broker = Broker::start(
            driver,
            "2",
            &["--drain-timeout", "10m", "--queue-bytes", "64MiB"],
        );
        let mut stopped = Client::connect(&broker, "stopped");
        stopped.subscribe("flood/#");
        let mut publisher = Client::connect(&broker, "publisher");
        for _ in 0..64 {
            publisher.publish("flood/x", &crate::payload(256 << 10));
        }
        publisher.ping();
        broker.signal(libc::SIGTERM);
        broker.signal(libc::SIGINT);
        assert_eq!(broker.wait().code(), Some(1));
        assert!(broker.log().contains("second signal"));
    }
}

#[test]
fn a_busy_port_is_one_line_and_exit_code_1() {
    let broker = Broker::start("epoll", "1", &[]);
    let url = format!("mqtt://{}", broker.address);
    let (code, complaint) = ringbus(&["--listen", &url]);
    assert_eq!(code, Some(1));
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    let expected = format!(
        "ringbus: cannot listen on {url}: address in use (another broker? try --listen mqtt://"
    );
    assert!(complaint.starts_with(&expected), "{complaint}");
}

#[test]
fn a_bad_address_is_one_line_and_exit_code_2() {
    for url in ["mqtt://127.0.0.1:99999", "nonsense", "mqtt://:1"] {
        let (code, complaint) = ringbus(&["--listen", url]);
        assert_eq!(code, Some(2), "{url}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

#[test]
fn more_connections_than_files_are_one_line_and_exit_code_1() {
    let (code, complaint) = ringbus(&[
        "--listen",
        "mqtt://127.0.0.1:0",
        "--max-connections",
        "16777216",
    ]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("open files"), "{complaint}");
}

#[test]
fn the_banner_names_the_driver_and_why() {
    for driver in drivers() {
        let broker = Broker::start(driver, "2", &[]);
        let line = broker
            .banner
            .iter()
            .find(|line| line.contains("io: "))
            .expect("a driver");
        assert!(line.contains(&format!("io: {driver}")), "{line}");
        assert!(broker.banner.len() <= 6);
    }
}

/// Runs the ignored test of that name in a process of its own.
pub(crate) fn in_a_process(test: &str) -> std::process::Output {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .expect("it runs")
}

#[test]
fn a_shard_that_panics_stops_the_process_with_a_clear_message() {
    for test in [
        "process::child_with_a_panicking_ring_shard",
        "process::child_with_a_panicking_epoll_shard",
    ] {
        if test.contains("ring") && !drivers().contains(&"ring") {
            continue;
        }
        let output = in_a_process(test);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{complaint}");
        assert!(complaint.contains("ordered to panic"), "{complaint}");
        assert!(complaint.contains("so the broker stops"), "{complaint}");
        assert!(!complaint.contains("still alive"), "{complaint}");
    }
}

/// Two shards on a free port.
pub(crate) fn config(io: IoChoice) -> Config {
    Config {
        shards: 2,
        cpus: Machine::detect().allowed_cpus,
        partition_levels: PartitionLevels::default(),
        listeners: vec![Listener {
            scheme: Scheme::Mqtt,
            address: ListenAddress::Tcp(([127, 0, 0, 1], 0).into()),
        }],
        max_packet_size: 1 << 20,
        max_connections: None,
        queue_bytes: 8 << 20,
        versions: ringbus::config::Versions::ALL,
        check_payload_format: false,
        queue_messages: usize::MAX,
        queue_policy: ringbus::config::QueuePolicy::DropNewest,
        shared_strategy: ringbus::config::SharedStrategy::RoundRobin,
        session_expiry_max: u32::MAX,
        retained_messages_max: usize::MAX,
        retained_bytes_max: usize::MAX,
        topic_alias_max: 64,
        publish_rate_max: None,
        connect_rate_max: None,
        response_information: None,
        server_reference: None,
        connect_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(10),
        pace_us_max: 0,
        sys_interval: Duration::ZERO,
        ws_origins: OriginList::default(),
        ws_compression: false,
        ws_ping: Duration::ZERO,
        nats_control_line_max: 4096,
        nats_ping: Duration::ZERO,
        mqttsn_topics: Default::default(),
        mqttsn_open_topics: None,
        mqttsn_clients_max: 100,
        mqttsn_retry: Duration::from_secs(10),
        mqttsn_advertise: Vec::new(),
        mqttsn_advertise_interval: 900,
        io,
        log_format: LogFormat::Text,
        log_level: LogLevel::Info,
    }
}

/// Starts a broker in this process and has its shards panic.
fn panic_shards(io: IoChoice) {
    let server = Server::start(&config(io)).expect("it starts");
    server.control().order(Phase::Panic);
    // Never ends if the process lives on without its shards.
    let ended = server.run(Signals::catch().expect("signals"), Duration::ZERO);
    eprintln!("still alive after {ended:?}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_a_panicking_ring_shard() {
    panic_shards(IoChoice::Ring);
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_a_panicking_epoll_shard() {
    panic_shards(IoChoice::Epoll);
}
