//! Listeners that are shut under the shards, as a drain does it.

use crate::broker::drivers;
use crate::client::Client;
use crate::process::{config, in_a_process};
use ringbus::config::IoChoice;
use ringbus::io::clock::Clock;
use ringbus::server::Server;
use socket2::SockRef;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;

#[test]
fn a_shard_whose_listener_is_shut_sleeps() {
    for driver in drivers() {
        let test = format!("listeners::child_with_shut_{driver}_listeners");
        let output = in_a_process(&test);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let number = |name: &str| -> Vec<u64> {
            let after = log.split(name).skip(1);
            let words = after.filter_map(|rest| rest.split_whitespace().next());
            words.map(|word| word.parse().expect("a number")).collect()
        };
        let (turns, pauses) = (number("turns="), number("pauses="));
        assert_eq!((turns.len(), pauses.len()), (2, 1), "{log}");
        // One of the two has no connection: it only asks its listener again and again.
        let idle = turns.iter().min().expect("two");
        let bound = 100 + pauses[0] * 5;
        assert!(*idle < bound, "{idle} turns, at most {bound} on {driver}");
    }
}

/// Pings that are answered meanwhile, so that a shard that spins has time to.
const PINGS: usize = 2000;

/// A server in this process, with listeners that are shut before it knows.
fn shut_listeners(io: IoChoice) {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let server = Server::start(&config(io)).expect("it starts");
    let url = server.addresses().next().expect("a listener");
    let address = url.trim_start_matches("mqtt://").parse();
    let address = address.expect("an address");
    let stream = TcpStream::connect(address).expect("it listens");
    let mut client = Client::adopt(stream);
    client.introduce("witness");
    let clock = Clock::start();
    shut(address);
    for _ in 0..PINGS {
        client.ping();
    }
    eprintln!("pauses={} ", clock.now().0 / 100_000_000);
    server.stop();
}

/// Shuts the listening socket of that address, wherever this process has it.
fn shut(address: SocketAddr) {
    let is_it = |fd: &i32| {
        // SAFETY: nothing in this process closes a descriptor meanwhile.
        let socket = unsafe { BorrowedFd::borrow_raw(*fd) };
        let socket = SockRef::from(&socket);
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        local == Some(address) && socket.is_listener().unwrap_or(false)
    };
    let fd = (3..1000).find(is_it).expect("a listener");
    // SAFETY: as above.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&socket)
        .shutdown(Shutdown::Both)
        .expect("it listened");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_shut_ring_listeners() {
    shut_listeners(IoChoice::Ring);
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_shut_epoll_listeners() {
    shut_listeners(IoChoice::Epoll);
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_shut_glommio_listeners() {
    shut_listeners(IoChoice::Glommio);
}
