//! Receive buffers that are used up: a shard with four of them, and far more that arrives.

use super::run_with;
use crate::base::{Nanos, Scheme, ShardId};
use crate::config::{ListenAddress, Listener};
use crate::io::clock::Clock;
use crate::io::listener::Acceptor;
use crate::io::{Control, Phase, Station, WakeFd};
use crate::mailbox::{Wake, mesh};
use crate::shard::{Admission, Shard, ShardConfig};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

const BUFFERS: u16 = 4;
const BUFFER_BYTES: usize = 4096;
/// More at once than there are buffers, even before CONNECT.
const CLIENTS: usize = 32;
/// More from each than all buffers hold, and no more than a socket takes while nobody reads.
const PAYLOAD_BYTES: usize = 60_000;

#[test]
fn receives_that_found_no_buffer_are_asked_for_again() {
    let mut any = Listener::loopback(Scheme::Mqtt);
    any.address = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
    let acceptors: Arc<[_]> = [Acceptor::bind(&any).expect("a free port")].into();
    let ListenAddress::Tcp(address) = acceptors[0].listener().address else {
        panic!("TCP was asked for");
    };
    let doorbell = Arc::new(WakeFd::new().expect("a descriptor"));
    let control = Arc::new(Control::new(vec![Arc::clone(&doorbell)]));
    control.order(Phase::Run);
    let its_control = Arc::clone(&control);
    let serve = move || {
        let station = station(acceptors, its_control, doorbell);
        run_with(station, BUFFERS, BUFFER_BYTES).expect("it serves")
    };
    let shard = Builder::new().spawn(serve).expect("a thread");

    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&hello(number)).expect("it is read");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        // CONNACK and SUBACK, of MQTT 3.1.1.
        expect(client, &[0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]);
        client.write_all(&publish(number)).expect("it is read");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        expect(client, &publish(number));
    }
    drop(clients);
    control.order(Phase::Quit);
    let counters = shard.join().expect("it ends").counters;
    assert_eq!(counters.delivered, CLIENTS as u64);
}

/// One shard, made on its thread.
fn station(acceptors: Arc<[Acceptor]>, control: Arc<Control>, doorbell: Arc<WakeFd>) -> Station {
    let clock = Clock::start();
    let shard = Shard::new(ShardId(0), Arc::new(config()), clock.now(), 7);
    let wakers = vec![Arc::clone(&doorbell) as Arc<dyn Wake>];
    let mailbox = mesh(1, 4, wakers).pop().expect("one shard");
    Station {
        shard,
        mailbox,
        acceptors,
        udp: Arc::new([]),
        control,
        doorbell,
        clock,
        cpu: 0,
        started: Box::new(|| {}),
    }
}

fn config() -> ShardConfig {
    ShardConfig {
        queue_bytes: 8 << 20,
        connect_timeout: Nanos::from_secs(60),
        admission: Arc::new(Admission::new(CLIENTS)),
        ..ShardConfig::of_tests(1)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("TCP");
    stream.set_write_timeout(patience).expect("TCP");
    stream
}

/// CONNECT without keep alive, and SUBSCRIBE to a topic of its own.
fn hello(number: usize) -> Vec<u8> {
    let mut bytes = b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\x04".to_vec();
    write!(bytes, "c-{number:02}").expect("memory");
    bytes.extend_from_slice(b"\x82\x09\0\x01\0\x04");
    write!(bytes, "t/{number:02}").expect("memory");
    bytes.push(0);
    bytes
}

/// PUBLISH at QoS 0, of bytes that differ from their neighbours and from other clients'.
fn publish(number: usize) -> Vec<u8> {
    let mut bytes = vec![0x30];
    let mut length = PAYLOAD_BYTES + 6;
    while length > 0 {
        let more = if length > 127 { 0x80 } else { 0 };
        bytes.push(u8::try_from(length % 128 + more).expect("a byte"));
        length /= 128;
    }
    bytes.extend_from_slice(b"\0\x04");
    write!(bytes, "t/{number:02}").expect("memory");
    let payload = (0..PAYLOAD_BYTES).map(|at| (at * 31 + at / 251 + number) % 256);
    bytes.extend(payload.map(|byte| u8::try_from(byte).expect("below 256")));
    bytes
}

fn expect(client: &mut TcpStream, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    match client.read_exact(&mut bytes) {
        Ok(()) => assert!(bytes == wanted, "other bytes than were sent"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("bytes are missing"),
        Err(error) => panic!("the connection broke: {error}"),
    }
}
