//! The gateway says that it is there: `[MQTTSN-6.1]`.

use crate::barrier;
use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::mqttsn::{SnMessage, SnSocket, kind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// GwId, as GWINFO says it as well.
const GATEWAY_ID: u8 = 1;

/// A client that waits for a gateway.
struct Listener(UdpSocket);

impl Listener {
    fn at(ip: Ipv4Addr) -> Listener {
        let socket = UdpSocket::bind((ip, 0)).expect("a free port");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Listener(socket)
    }

    /// As a value of `--mqttsn-advertise`.
    fn address(&self) -> String {
        self.0.local_addr().expect("it is bound").to_string()
    }

    /// The next message, and who sent it.
    #[track_caller]
    fn hear(&self) -> (SnMessage, SocketAddr) {
        let mut buffer = [0; 64];
        let (length, from) = self.0.recv_from(&mut buffer).expect("no datagram came");
        (SnMessage::decode(&buffer[..length]), from)
    }

    fn has_more(&self) -> bool {
        self.0.set_nonblocking(true).expect("a mode");
        self.0.recv_from(&mut [0; 64]).is_ok()
    }
}

fn advertise(seconds: u16) -> SnMessage {
    let [high, low] = seconds.to_be_bytes();
    SnMessage {
        kind: kind::ADVERTISE,
        body: vec![GATEWAY_ID, high, low],
    }
}

#[test]
fn mqttsn_6_1_a_gateway_says_at_each_interval_that_it_is_there() {
    let here = Listener::at(Ipv4Addr::LOCALHOST);
    let flags = ["--mqttsn-advertise", &here.address()];
    let broker =
        Broker::start_mqttsn(&[&flags[..], &["--mqttsn-advertise-interval", "1s"]].concat());
    for _ in 0..3 {
        assert_eq!(here.hear(), (advertise(1), broker.mqttsn_address()));
    }
    // Where it says that it is, it is, under the same GwId.
    let client = SnSocket::at(broker.mqttsn_address(), Ipv4Addr::LOCALHOST);
    client.send(&[3, kind::SEARCHGW, 0]);
    assert_eq!(client.receive(), [3, kind::GWINFO, GATEWAY_ID]);
    broker.stop();
}

#[test]
fn mqttsn_6_1_one_shard_speaks_for_the_gateway_to_each_address() {
    let listeners = [1, 2, 3].map(|last| Listener::at(Ipv4Addr::new(127, 0, 0, last)));
    let addresses = listeners.each_ref().map(Listener::address);
    let flags = addresses.each_ref().map(|at| ["--mqttsn-advertise", at]);
    let broker = Broker::start_mqttsn(&flags.concat());
    for listener in &listeners {
        assert_eq!(listener.hear(), (advertise(900), broker.mqttsn_address()));
    }
    barrier(&SnSocket::new(&broker));
    let stopped = broker.stop();
    assert!(!listeners.iter().any(Listener::has_more));
    assert_eq!(stopped.total("datagrams_sent"), 3 + 1);
    assert_eq!(stopped.total("datagrams_dropped"), 0);
}

#[test]
fn mqttsn_6_1_it_may_be_a_broadcast() {
    // That of the loopback interface.
    let here = Listener::at(Ipv4Addr::new(127, 255, 255, 255));
    let broker = Broker::start_mqttsn(&["--mqttsn-advertise", &here.address()]);
    assert_eq!(here.hear(), (advertise(900), broker.mqttsn_address()));
    broker.stop();
}

#[test]
fn mqttsn_6_1_it_may_be_for_a_multicast_group() {
    let group = Ipv4Addr::new(239, 255, 18, 84);
    let here = Listener::at(group);
    let joined = here.0.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
    joined.expect("a group of the loopback interface");
    let broker = Broker::start_mqttsn(&["--mqttsn-advertise", &here.address()]);
    assert_eq!(here.hear(), (advertise(900), broker.mqttsn_address()));
    broker.stop();
}

#[test]
fn without_an_address_no_gateway_advertises() {
    let broker = Broker::start_mqttsn(&["--mqttsn-advertise-interval", "1s"]);
    barrier(&SnSocket::new(&broker));
    assert_eq!(broker.stop().total("datagrams_sent"), 1);
}

#[test]
fn what_cannot_be_sent_is_said_and_nothing_more() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return; // A machine without IPv6 has no address that it refuses like this.
    }
    // There is no interface of that number.
    let to = "[ff02::1%999999]:1884";
    let listen = ["--listen", "mqttsn://[::1]:0"];
    let broker = Broker::start_mqttsn(&[&listen[..], &["--mqttsn-advertise", to]].concat());
    let line = broker.wait_line("cannot send a datagram to ");
    assert!(line.contains(to), "{line}");
    barrier(&SnSocket::new(&broker));
    assert_eq!(broker.stop().total("datagrams_dropped"), 1);
}
