//! A small blocking MQTT 5 client that panics where something is not as it should be.

use crate::broker::Broker;
use ringbus_protocols::mqtt::{
    Connect, Disconnect, Frame, Packet, Properties, Publish, QoS, ReasonCode, Version, frame,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A stream with a read timeout.
pub(crate) trait Stream: Read + Write + Send {
    fn patience(&self, span: Duration);
}

impl Stream for TcpStream {
    fn patience(&self, span: Duration) {
        self.set_read_timeout(Some(span)).expect("a socket");
    }
}

impl Stream for UnixStream {
    fn patience(&self, span: Duration) {
        self.set_read_timeout(Some(span)).expect("a socket");
    }
}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// Received, not yet taken.
    buffer: Vec<u8>,
    start: usize,
}

/// Bytes that differ from their neighbours.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("below 256"))
        .collect()
}

pub(crate) fn connect_packet(client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut bytes = Vec::new();
    Packet::Connect(connect).encode(Version::V5, &mut bytes);
    bytes
}

pub(crate) fn publish_packet(bytes: &mut Vec<u8>, topic: &str, payload: &[u8]) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_identifier: None,
        properties: Properties::default(),
        payload,
    };
    Packet::Publish(publish).encode(Version::V5, bytes);
}

impl Client {
    pub(crate) fn connect(broker: &Broker, client_id: &str) -> Self {
        let mut client = Self::adopt(broker.stream());
        client.introduce(client_id);
        client
    }

    pub(crate) fn adopt(stream: impl Stream + 'static) -> Self {
        stream.patience(crate::PATIENCE);
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
            start: 0,
        }
    }

    pub(crate) fn introduce(&mut self, client_id: &str) {
        self.send(&connect_packet(client_id));
        self.connack();
    }

    pub(crate) fn connack(&mut self) {
        let accepted = self.packet(|packet| match packet {
            Packet::ConnAck(connack) => connack.reason == ReasonCode::Success,
            _ => false,
        });
        assert_eq!(accepted, Some(true), "accepted");
    }

    /// Subscribes at QoS 0 and waits for the answer.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        // Packet identifier 1, no properties, one filter with default options.
        let length = u8::try_from(filter.len()).expect("a short filter");
        let mut packet = vec![0x82, length + 6, 0, 1, 0, 0, length];
        packet.extend_from_slice(filter.as_bytes());
        packet.push(0);
        self.send(&packet);
        let granted = self.packet(|packet| match packet {
            Packet::SubAck(suback) => suback.reasons == [0],
            _ => false,
        });
        assert_eq!(granted, Some(true), "granted");
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        let mut packet = Vec::new();
        publish_packet(&mut packet, topic, payload);
        self.send(&packet);
    }

    /// A ping and its answer: everything sent before has been read.
    pub(crate) fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        assert_eq!(
            self.packet(|packet| matches!(packet, Packet::PingResp(_))),
            Some(true)
        );
    }

    /// The payloads of the messages that wait here or at the broker.
    pub(crate) fn payloads_until_pong(&mut self) -> Vec<Vec<u8>> {
        self.send(&[0xc0, 0]);
        let mut payloads = Vec::new();
        loop {
            let payload = self.packet(|packet| match packet {
                Packet::Publish(publish) => Some(publish.payload.to_vec()),
                _ => None,
            });
            match payload.expect("an answer in time") {
                Some(payload) => payloads.push(payload),
                None => return payloads,
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// The next message, topic and payload.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        self.message_within(crate::PATIENCE)
            .expect("a message in time")
    }

    pub(crate) fn message_within(&mut self, span: Duration) -> Option<(String, Vec<u8>)> {
        self.stream.patience(span);
        let message = self.packet(|packet| match packet {
            Packet::Publish(publish) => (publish.topic.to_owned(), publish.payload.to_vec()),
            other => panic!("expected a message, got {other:?}"),
        });
        self.stream.patience(crate::PATIENCE);
        message
    }

    /// The reason code of a DISCONNECT, followed by the end of the stream.
    pub(crate) fn disconnect_reason(&mut self) -> Option<u8> {
        let reason = self.packet(|packet| match packet {
            Packet::Disconnect(Disconnect { reason, .. }) => *reason as u8,
            other => panic!("expected a DISCONNECT, got {other:?}"),
        });
        let mut rest = [0; 16];
        assert_eq!(
            read(&mut self.stream, &mut rest).expect("an orderly end"),
            0
        );
        reason
    }

    /// Hands the next packet to `take`; `None` if none comes in time.
    fn packet<T>(&mut self, take: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            let unread = &self.buffer[self.start..];
            if let Frame::Complete {
                header,
                body,
                length,
            } = frame(unread, u32::MAX).expect("well-formed")
            {
                let packet = Packet::decode(header, body, Version::V5).expect("well-formed");
                let taken = take(&packet);
                self.start += length;
                return Some(taken);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let before = self.buffer.len();
            self.buffer.resize(before + (256 << 10), 0);
            match read(&mut self.stream, &mut self.buffer[before..]) {
                Ok(0) => panic!("the broker closed the connection"),
                Ok(count) => self.buffer.truncate(before + count),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.buffer.truncate(before);
                    return None;
                }
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }
}

/// One read. A debugger or a suspended machine interrupts it, for which it makes up.
pub(crate) fn read(stream: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
