//! The lines of [`lines`], said to the broker and to nats-server.

use crate::lines::{self, End, Line, Peer};
use ringbus_tests::broker::{Broker, DEADLINE};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// What came for the bytes, PONGs aside: each line, and the end.
type Answer = (Vec<String>, End);

#[test]
fn bad_lines_get_their_error_and_their_end() {
    let broker = Broker::start_nats(&[]);
    for line in lines::all() {
        for size in [usize::MAX, 1] {
            let answer = ask(broker.nats_address(), &line.bytes, size);
            let shown = line.bytes.escape_ascii();
            assert_eq!(answer, ours(&line), "to {shown} in pieces of {size}");
        }
    }
    broker.stop();
}

/// What the table says of nats-server is so: we differ where we mean to, and nowhere else.
#[test]
#[ignore = "needs nats-server, which tests/run installs"]
fn nats_server_does_what_the_table_says_of_it() {
    let server = NatsServer::start();
    for line in lines::all() {
        let (errors, end) = ours(&line);
        let expected = match line.peer {
            Peer::Same => (errors, end),
            Peer::Silent => (Vec::new(), end),
            Peer::Else(end, _) => (Vec::new(), end),
        };
        let answer = ask(server.address, &line.bytes, usize::MAX);
        assert_eq!(answer, expected, "to {}", line.bytes.escape_ascii());
    }
}

#[test]
fn the_bound_of_control_lines_is_what_the_flag_says() {
    let broker = Broker::start_nats(&["--nats-max-control-line", "512"]);
    let sub = |length: usize| format!("SUB {} 1\r\n", "a".repeat(length - 2));
    let fits = ask(broker.nats_address(), sub(512).as_bytes(), usize::MAX);
    assert_eq!(fits, (Vec::new(), End::Open));
    let (errors, end) = ask(broker.nats_address(), sub(513).as_bytes(), usize::MAX);
    assert_eq!(errors, ["-ERR 'maximum control line exceeded'"]);
    assert_eq!(end, End::Closed);
    broker.stop();
}

fn ours(line: &Line) -> Answer {
    let error = format!("-ERR '{}'", line.words);
    let errors = if line.words.is_empty() {
        vec![]
    } else {
        vec![error]
    };
    (errors, line.end)
}

/// Says CONNECT, then the bytes in pieces, then PING: what comes, until its PONG or the end.
fn ask(address: SocketAddr, bytes: &[u8], size: usize) -> Answer {
    let stream = TcpStream::connect(address).expect("it accepts");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut lines = BufReader::new(&stream);
    assert!(next(&mut lines).is_some_and(|info| info.starts_with("INFO {")));
    send(
        &stream,
        b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n",
    );
    assert_eq!(next(&mut lines).as_deref(), Some("PONG"));
    // The PING of a payload that is too short is part of it.
    for piece in bytes.chunks(size).chain([&b"PING\r\n"[..]]) {
        send(&stream, piece);
    }
    let mut errors = Vec::new();
    loop {
        match next(&mut lines) {
            None => return (errors, End::Closed),
            Some(line) if line == "PONG" => return (errors, End::Open),
            Some(line) => errors.push(line),
        }
    }
}

/// It may have closed already.
fn send(mut stream: &TcpStream, bytes: &[u8]) {
    match stream.write_all(bytes) {
        Err(error) if !is_end(error.kind()) => panic!("cannot send: {error}"),
        _ => {}
    }
}

/// The next line; `None` at the end.
fn next(lines: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match lines.read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(line.trim_end_matches("\r\n").to_owned()),
        Err(error) if is_end(error.kind()) => None,
        Err(error) => panic!("no answer in time: {error}"),
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// A nats-server on a free port; killed when dropped.
struct NatsServer {
    child: Child,
    address: SocketAddr,
    // It writes its log there until its end.
    _log: BufReader<ChildStderr>,
}

impl NatsServer {
    fn start() -> NatsServer {
        // Where Debian installs it is not on everyone's path.
        let there = Path::new("/usr/sbin/nats-server");
        let program = if there.exists() {
            there
        } else {
            Path::new("nats-server")
        };
        let mut child = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", "-1"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("tests/run installs it");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
        let address = loop {
            let line = next(&mut log).expect("it says where it listens");
            if let Some((_, address)) = line.split_once("client connections on ") {
                break address.trim().parse().expect("an address");
            }
        };
        NatsServer {
            child,
            address,
            _log: log,
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // In vain where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
