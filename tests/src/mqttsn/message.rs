//! Messages of MQTT-SN as bytes, and the sockets that carry them.

use crate::broker::{Broker, DEADLINE};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// The MsgType field `[MQTTSN-5.2.2]`.
pub mod kind {
    #![expect(missing_docs, reason = "the names are those of the specification")]
    pub const ADVERTISE: u8 = 0x00;
    pub const SEARCHGW: u8 = 0x01;
    pub const GWINFO: u8 = 0x02;
    pub const CONNECT: u8 = 0x04;
    pub const CONNACK: u8 = 0x05;
    pub const WILLTOPICREQ: u8 = 0x06;
    pub const WILLTOPIC: u8 = 0x07;
    pub const WILLMSGREQ: u8 = 0x08;
    pub const WILLMSG: u8 = 0x09;
    pub const REGISTER: u8 = 0x0A;
    pub const REGACK: u8 = 0x0B;
    pub const PUBLISH: u8 = 0x0C;
    pub const PUBACK: u8 = 0x0D;
    pub const PUBCOMP: u8 = 0x0E;
    pub const PUBREC: u8 = 0x0F;
    pub const PUBREL: u8 = 0x10;
    pub const SUBSCRIBE: u8 = 0x12;
    pub const SUBACK: u8 = 0x13;
    pub const UNSUBSCRIBE: u8 = 0x14;
    pub const UNSUBACK: u8 = 0x15;
    pub const PINGREQ: u8 = 0x16;
    pub const PINGRESP: u8 = 0x17;
    pub const DISCONNECT: u8 = 0x18;
    pub const WILLTOPICUPD: u8 = 0x1A;
    pub const WILLTOPICRESP: u8 = 0x1B;
    pub const WILLMSGUPD: u8 = 0x1C;
    pub const WILLMSGRESP: u8 = 0x1D;
    pub const FORWARDED: u8 = 0xFE;
}

/// The bits of the Flags field `[MQTTSN-5.3.4]`.
pub mod flag {
    #![expect(missing_docs, reason = "the names are those of the specification")]
    pub const DUP: u8 = 0x80;
    pub const QOS: u8 = 0x60;
    pub const RETAIN: u8 = 0x10;
    pub const WILL: u8 = 0x08;
    pub const CLEAN_SESSION: u8 = 0x04;
    pub const PREDEFINED: u8 = 0x01;
    pub const SHORT: u8 = 0x02;
}

/// A message: its type, and what follows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnMessage {
    /// One of [`kind`].
    pub kind: u8,
    /// What follows MsgType.
    pub body: Vec<u8>,
}

impl SnMessage {
    /// Reads a datagram; the test fails if it is not one whole message with the shortest Length
    /// that tells it `[MQTTSN-5.2.1]`.
    #[track_caller]
    pub fn decode(datagram: &[u8]) -> SnMessage {
        let (length, rest) = match *datagram {
            [1, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
            [length, ref rest @ ..] => (usize::from(length), rest),
            [] => panic!("an empty datagram"),
        };
        assert_eq!(length, datagram.len(), "Length of {datagram:02x?}");
        let is_long = datagram[0] == 1;
        assert!(!is_long || length > 255, "a long Length without need");
        let (&kind, body) = rest.split_first().expect("a MsgType");
        let body = body.to_vec();
        SnMessage { kind, body }
    }

    /// The 16 bits at that place of the body.
    #[track_caller]
    pub fn u16_at(&self, at: usize) -> u16 {
        let bytes = self.body.get(at..).and_then(|rest| rest.first_chunk());
        u16::from_be_bytes(*bytes.unwrap_or_else(|| panic!("too short: {self:02x?}")))
    }
}

/// A datagram with one message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let head = match u8::try_from(body.len() + 2) {
        Ok(length) => vec![length, kind],
        Err(_) => {
            let length = u16::try_from(body.len() + 4).expect("it fits into a datagram");
            let [high, low] = length.to_be_bytes();
            vec![1, high, low, kind]
        }
    };
    [&head, body].concat()
}

/// CONNECT; `flags` may have [`flag::WILL`] and [`flag::CLEAN_SESSION`].
pub fn connect(flags: u8, duration_seconds: u16, client_id: &str) -> Vec<u8> {
    let [high, low] = duration_seconds.to_be_bytes();
    let head = [flags, 1, high, low];
    message(kind::CONNECT, &[&head, client_id.as_bytes()].concat())
}

/// PUBLISH; `flags` tell everything else.
pub fn publish(flags: u8, topic_id: [u8; 2], msg_id: u16, payload: &[u8]) -> Vec<u8> {
    let msg_id = msg_id.to_be_bytes();
    let body = [&[flags][..], &topic_id, &msg_id, payload].concat();
    message(kind::PUBLISH, &body)
}

/// A message in the envelope of a forwarder `[MQTTSN-5.5]`.
pub fn forwarded(node: &[u8], datagram: &[u8]) -> Vec<u8> {
    let length = u8::try_from(3 + node.len()).expect("a short node id");
    [&[length, kind::FORWARDED, 0][..], node, datagram].concat()
}

/// The node that a datagram in an envelope is for, and the message.
#[track_caller]
pub fn unwrap_forwarded(datagram: &[u8]) -> (Vec<u8>, SnMessage) {
    let [length, kind::FORWARDED, _, ..] = *datagram else {
        panic!("no envelope: {datagram:02x?}")
    };
    let (envelope, inside) = datagram.split_at(usize::from(length));
    (envelope[3..].to_vec(), SnMessage::decode(inside))
}

/// The two bits of a QoS from −1 to 2.
pub fn qos_flags(qos: i8) -> u8 {
    match qos {
        -1 => flag::QOS,
        0..=2 => qos.unsigned_abs() << 5,
        _ => panic!("no QoS {qos}"),
    }
}

/// A UDP socket that talks to one broker.
#[derive(Debug)]
pub struct SnSocket {
    socket: UdpSocket,
    gateway: SocketAddr,
}

impl SnSocket {
    /// On a free port of 127.0.0.1.
    pub fn new(broker: &Broker) -> SnSocket {
        SnSocket::at(broker.mqttsn_address(), Ipv4Addr::LOCALHOST)
    }

    /// On a free port of one of the loopback addresses.
    pub fn at(gateway: SocketAddr, from: Ipv4Addr) -> SnSocket {
        let socket = UdpSocket::bind((from, 0)).expect("a free port");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        SnSocket { socket, gateway }
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// The broker's address.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Sends a datagram as it is.
    pub fn send(&self, datagram: &[u8]) {
        let sent = self.socket.send_to(datagram, self.gateway);
        assert_eq!(sent.expect("it is sent"), datagram.len());
    }

    /// The next datagram.
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        self.receive_before_timeout().expect("no datagram came")
    }

    /// The next datagram, if it comes within that time.
    pub fn receive_within(&self, time: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(time)).expect("a timeout");
        let datagram = self.receive_before_timeout();
        self.socket
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout");
        datagram
    }

    /// A datagram that is there already.
    pub fn receive_now(&self) -> Option<Vec<u8>> {
        self.socket.set_nonblocking(true).expect("a mode");
        let datagram = self.receive_before_timeout();
        self.socket.set_nonblocking(false).expect("a mode");
        datagram
    }

    fn receive_before_timeout(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                assert_eq!(from, self.gateway, "only the broker talks to it");
                buffer.truncate(length);
                Some(buffer)
            }
            Err(error) if is_timeout(error.kind()) => None,
            Err(error) => panic!("cannot receive: {error}"),
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
