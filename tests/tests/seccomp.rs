//! Where io_uring is denied, as container runtimes do, or has no room for the
//! rings of the shards: `--io auto` serves on epoll and says so, and a driver
//! that needs io_uring is one clear line.

use ringbus_tests::broker::Broker;
use ringbus_tests::program::{finish, ringbus};
use ringbus_tests::sandbox::{deny_io_uring, fail_rings};
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
    assert_serves(&broker);
    broker.stop();
}

/// More than the ring that finds out whether io_uring is allowed, and no more
/// than those of the shards.
const LARGE: u32 = 64;

/// What a ring fails with, and what the operator reads.
const SHORTAGES: [(i32, &str); 3] = [
    (
        libc::ENOMEM,
        "not enough locked memory for io_uring: RLIMIT_MEMLOCK, ulimit -l",
    ),
    (
        libc::EMFILE,
        "not enough open files for io_uring: RLIMIT_NOFILE, ulimit -n",
    ),
    (
        libc::ENFILE,
        "not enough open files for io_uring: sysctl fs.file-max",
    ),
];

#[test]
fn auto_falls_back_to_epoll_where_the_shards_get_no_rings() {
    for (errno, why) in SHORTAGES {
        let broker = Broker::start_prepared(&["--io", "auto"], |command| {
            fail_rings(command, LARGE, errno);
        });
        let line = broker.wait_line("; io: ");
        assert!(line.ends_with(&format!("io: epoll ({why})")), "{line}");
        assert_serves(&broker);
        broker.stop();
    }
}

#[test]
fn ring_without_room_is_one_line_that_names_the_limit() {
    for (errno, why) in SHORTAGES {
        let mut command = ringbus(&["--io", "ring", "--listen", "mqtt://127.0.0.1:0"]);
        let finished = finish(fail_rings(&mut command, LARGE, errno));
        let line = format!("cannot use --io ring: {why} (try --io epoll)");
        assert_eq!(finished.one_line(1), line);
    }
}

/// The kernel accepts, and the broker closes what is no CONNECT.
fn assert_serves(broker: &Broker) {
    let mut stream = broker.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("closed in order");
    assert_eq!(answer, b"", "nothing is said to what is not MQTT");
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
