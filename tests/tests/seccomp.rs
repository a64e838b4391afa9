//! Where io_uring is denied, as container runtimes do: `--io auto` serves on
//! epoll and says so, and a driver that needs io_uring is one clear line.

use ringbus_tests::broker::Broker;
use ringbus_tests::program::{finish, ringbus};
use ringbus_tests::sandbox::deny_io_uring;
use std::io::{Read, Write};

#[test]
fn auto_falls_back_to_epoll_and_the_banner_says_why() {
    let broker = Broker::start_prepared(&["--io", "auto"], |command| {
        deny_io_uring(command);
    });
    let line = broker.wait_line("; io: ");
    assert!(
        line.contains("io: epoll (io_uring denied by seccomp)"),
        "{line}"
    );
    // It does serve: the kernel accepts, and the broker closes what is no CONNECT.
    let mut stream = broker.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("closed in order");
    assert_eq!(answer, b"", "nothing is said to what is not MQTT");
    broker.stop();
}

#[test]
fn ring_is_refused_in_one_line() {
    refused("ring");
}

#[test]
fn glommio_is_refused_in_one_line() {
    refused("glommio");
}

fn refused(driver: &str) {
    let mut command = ringbus(&["--io", driver, "--listen", "mqtt://127.0.0.1:0"]);
    let finished = finish(deny_io_uring(&mut command));
    assert_eq!(
        finished.one_line(1),
        format!("cannot use --io {driver}: io_uring denied by seccomp (try --io epoll)")
    );
}
