//! A small blocking MQTT client for tests: it sends what it is told, waits for what it is told,
//! and panics with what came instead. Nothing is retried, nothing is hidden.

mod hello;
mod received;
mod wire;

pub use hello::{Hello, Last};
pub use received::{Message, Received};
pub use wire::Wire;

use crate::broker::{Broker, DEADLINE};
use ringbus_protocols::mqtt::{
    Ack, ConnAck, Disconnect, Frame, Packet, PacketIdentifier, PacketType, PingReq, Properties,
    PropertiesBuf, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter, Unsubscribe,
    Version, frame,
};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Larger than any packet a test receives.
const PACKET_BYTES_MAX: u32 = 64 << 20;

/// A network connection that speaks MQTT: over TCP, or over a wire of the simulator.
pub struct Client<W = TcpStream> {
    wire: W,
    version: Version,
    input: Vec<u8>,
    /// Read already, while something else was waited for.
    inbox: VecDeque<Received>,
    next_packet_identifier: u16,
    /// What [`Client::hold`] keeps back.
    held: Option<Vec<u8>>,
}

impl Client {
    /// A network connection on which nothing was said yet.
    pub fn raw(address: SocketAddr, version: Version) -> Client {
        let stream = TcpStream::connect(address).expect("the broker accepts");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Client::over(stream, version)
    }

    /// Connects with a clean session and no keep alive.
    pub fn open(broker: &Broker, version: Version, client_id: &str) -> Client {
        Client::hello(broker, &Hello::new(version, client_id)).0
    }

    /// Connects as said; also returns session present.
    pub fn hello(broker: &Broker, hello: &Hello) -> (Client, bool) {
        let mut client = Client::raw(broker.address(), hello.version);
        client.send_bytes(&hello.encode());
        let present = client.connected(|connack| connack.session_present);
        (client, present)
    }

    /// Sends what the socket takes without waiting for long; how many bytes that was.
    pub fn send_some(&mut self, bytes: &[u8]) -> usize {
        let patience = Some(Duration::from_millis(500));
        self.wire.set_write_timeout(patience).expect("a timeout");
        let sent = self.wire.write(bytes).unwrap_or(0);
        self.wire.set_write_timeout(None).expect("no timeout");
        sent
    }

    /// The connection itself, for what this client does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.wire
    }

    /// Waits at most this long for a packet; `None` after that, or when the connection ended.
    pub fn receive_within(&mut self, time: Duration) -> Option<Received> {
        self.wire.set_read_timeout(Some(time)).expect("a timeout");
        let received = self
            .inbox
            .pop_front()
            .or_else(|| self.read_packet_or_time_out());
        self.wire
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout");
        received
    }

    fn read_packet_or_time_out(&mut self) -> Option<Received> {
        let end = Instant::now() + self.wire.read_timeout().expect("a socket")?;
        loop {
            if let Some(received) = self.take_packet() {
                return Some(received);
            }
            if Instant::now() >= end || !matches!(self.read_bytes(), Ok(1..)) {
                return None;
            }
        }
    }
}

impl<W: Wire> Client<W> {
    /// A client on a connection on which nothing was said yet.
    pub fn over(wire: W, version: Version) -> Client<W> {
        Client {
            wire,
            version,
            input: Vec::new(),
            inbox: VecDeque::new(),
            next_packet_identifier: 0,
            held: None,
        }
    }

    /// What carries the bytes, for what this client does not do.
    pub fn wire(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Waits for a successful CONNACK and reads something of it.
    pub fn connected<T>(&mut self, read: impl FnOnce(ConnAck<'_>) -> T) -> T {
        let received = self.receive();
        let Packet::ConnAck(connack) = received.packet() else {
            panic!("not a CONNACK: {received:?}")
        };
        assert_eq!(connack.reason, ReasonCode::Success, "CONNACK");
        read(connack)
    }

    /// Waits for a CONNACK that refuses, and for the close; the code as on the wire.
    pub fn refused(&mut self) -> u8 {
        let received = self.receive();
        assert!(
            matches!(received.packet(), Packet::ConnAck(_)),
            "not a CONNACK: {received:?}"
        );
        self.closed();
        received.body[1]
    }

    /// After a CONNECT that is no good: the code of the CONNACK, if one comes, and then the end.
    pub fn end_of_bad_connect(&mut self) -> Option<u8> {
        let received = self.read_packet()?;
        assert!(
            matches!(received.packet(), Packet::ConnAck(_)),
            "not a CONNACK: {received:?}"
        );
        self.closed();
        Some(received.body[1])
    }

    /// The next packet, unless the connection ends before.
    pub fn receive_or_end(&mut self) -> Option<Received> {
        self.read_packet()
    }

    /// Whether the broker still serves this connection: `Some` after a PINGRESP, `None` after a
    /// close. What else comes is skipped.
    pub fn answers_ping(&mut self) -> Option<()> {
        self.send(&Packet::PingReq(PingReq));
        loop {
            match self.read_packet()?.packet() {
                Packet::PingResp(_) => return Some(()),
                Packet::Disconnect(_) => return None,
                _ => {}
            }
        }
    }

    /// Sends a PUBLISH at QoS 0 with a topic alias.
    pub fn send_aliased(&mut self, topic: &str, alias: u16) {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::TopicAlias(alias));
        let properties = properties.as_properties();
        let publish = Publish {
            topic,
            properties,
            payload: b"aliased",
            ..Publish::default()
        };
        self.send(&Packet::Publish(publish));
    }

    /// Publishes at QoS 1 with a message expiry interval.
    pub fn publish_expiring(&mut self, topic: &str, seconds: u32) {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::MessageExpiryInterval(seconds));
        let packet_identifier = Some(self.new_packet_identifier());
        self.send(&Packet::Publish(Publish {
            qos: QoS::AtLeastOnce,
            topic,
            packet_identifier,
            properties: properties.as_properties(),
            ..Publish::default()
        }));
        self.ack(PacketType::PubAck);
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are. The broker may have closed already, which is not an error here:
    /// what it said before shows in what is received.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            return;
        }
        match self.wire.send(bytes) {
            Ok(()) => {}
            Err(error) if is_close(error.kind()) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// From now on nothing is sent, until [`Client::release`] sends it in one piece.
    pub fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// What was kept back; from now on everything is sent at once again.
    pub fn held(&mut self) -> Vec<u8> {
        self.held.take().expect("held before")
    }

    /// Sends what was kept back.
    pub fn release(&mut self) {
        let held = self.held();
        self.send_bytes(&held);
    }

    /// Says that nothing more will be sent; answers can still come.
    pub fn finish_sending(&mut self) {
        self.wire.finish_sending();
    }

    /// Reads until the connection ends; the bytes that were not looked at yet.
    pub fn drain(&mut self) -> Vec<u8> {
        loop {
            match self.read_bytes() {
                Ok(1..) => {}
                Ok(0) => break,
                Err(error) if is_close(error.kind()) => break,
                Err(error) => panic!("the broker does not close: {error}"),
            }
        }
        std::mem::take(&mut self.input)
    }

    /// The next packet.
    pub fn receive(&mut self) -> Received {
        if let Some(received) = self.inbox.pop_front() {
            return received;
        }
        self.read_packet()
            .expect("a packet, but the broker closed the connection")
    }

    /// The next packet of a type; others wait for their turn.
    pub fn receive_only(&mut self, wanted: PacketType) -> Received {
        let is_wanted = |received: &Received| received.header.packet_type == wanted;
        if let Some(at) = self.inbox.iter().position(is_wanted) {
            return self.inbox.remove(at).expect("just found");
        }
        loop {
            let Some(received) = self.read_packet() else {
                panic!(
                    "the broker closed the connection before {wanted:?}: {:?}",
                    self.inbox
                );
            };
            if is_wanted(&received) {
                return received;
            }
            self.inbox.push_back(received);
        }
    }

    /// Waits for the end of the connection; fails if a packet comes first.
    pub fn closed(&mut self) {
        if let Some(received) = self.inbox.pop_front().or_else(|| self.read_packet()) {
            panic!("not closed, but {:?}", received.packet());
        }
    }

    /// Waits for the DISCONNECT and the end of the connection; the reason as on the wire.
    /// In version 3, where a server sends none, the end alone: `None`.
    pub fn disconnected(&mut self) -> Option<u8> {
        let mut reason = None;
        if self.version == Version::V5 {
            let received = self.receive();
            let packet = received.packet();
            let Packet::Disconnect(disconnect) = packet else {
                panic!("not a DISCONNECT: {packet:?}")
            };
            reason = Some(disconnect.reason as u8);
        }
        self.closed();
        reason
    }

    /// Subscribes and returns the codes of the SUBACK.
    pub fn subscribe_codes(&mut self, filters: &[SubscribeFilter<'_>], id: Option<u32>) -> Vec<u8> {
        let packet_identifier = self.send_subscribe(filters, id);
        let received = self.receive_only(PacketType::SubAck);
        let Packet::SubAck(suback) = received.packet() else {
            unreachable!("by its type")
        };
        assert_eq!(suback.packet_identifier, packet_identifier, "of the SUBACK");
        suback.reasons.to_vec()
    }

    /// Sends a SUBSCRIBE and waits for nothing.
    pub fn send_subscribe(
        &mut self,
        filters: &[SubscribeFilter<'_>],
        identifier: Option<u32>,
    ) -> PacketIdentifier {
        let mut properties = PropertiesBuf::new();
        if let Some(identifier) = identifier {
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        let packet_identifier = self.new_packet_identifier();
        let mut bytes = Vec::new();
        let properties = properties.as_properties();
        Subscribe::encode_from(
            packet_identifier,
            &properties,
            filters,
            self.version,
            &mut bytes,
        );
        self.send_bytes(&bytes);
        packet_identifier
    }

    /// Subscribes to one filter and checks that this QoS is granted.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = SubscribeFilter::new(filter, qos);
        assert_eq!(
            self.subscribe_codes(&[filter], None),
            [u8::from(qos)],
            "SUBACK"
        );
    }

    /// Unsubscribes; the codes of the UNSUBACK, none in version 3.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let packet_identifier = self.new_packet_identifier();
        let mut bytes = Vec::new();
        Unsubscribe::encode_from(
            packet_identifier,
            &Properties::default(),
            filters,
            self.version,
            &mut bytes,
        );
        self.send_bytes(&bytes);
        let received = self.receive_only(PacketType::UnsubAck);
        let Packet::UnsubAck(unsuback) = received.packet() else {
            unreachable!("by its type")
        };
        assert_eq!(
            unsuback.packet_identifier, packet_identifier,
            "of the UNSUBACK"
        );
        unsuback.reasons.to_vec()
    }

    /// Publishes and waits for every acknowledgement; the reason code of the first.
    pub fn publish(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) -> u8 {
        let packet_identifier = self.send_publish(topic, payload.as_bytes(), qos, retain);
        match qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => {
                let (identifier, reason) = self.ack(PacketType::PubAck);
                assert_eq!(Some(identifier), packet_identifier, "of the PUBACK");
                reason
            }
            QoS::ExactlyOnce => {
                let (identifier, reason) = self.ack(PacketType::PubRec);
                assert_eq!(Some(identifier), packet_identifier, "of the PUBREC");
                if reason < 0x80 {
                    self.send(&Packet::PubRel(success(identifier)));
                    let (identifier, reason) = self.ack(PacketType::PubComp);
                    assert_eq!(Some(identifier), packet_identifier, "of the PUBCOMP");
                    assert_eq!(reason, 0, "PUBCOMP");
                }
                reason
            }
        }
    }

    /// Sends a PUBLISH and waits for nothing.
    pub fn send_publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Option<PacketIdentifier> {
        let packet_identifier = (qos != QoS::AtMostOnce).then(|| self.new_packet_identifier());
        self.send(&Packet::Publish(Publish {
            qos,
            retain,
            topic,
            packet_identifier,
            payload,
            ..Publish::default()
        }));
        packet_identifier
    }

    /// The next acknowledgement of a type: its packet identifier and reason code.
    pub fn ack(&mut self, wanted: PacketType) -> (PacketIdentifier, u8) {
        let received = self.receive_only(wanted);
        let (Packet::PubAck(ack)
        | Packet::PubRec(ack)
        | Packet::PubRel(ack)
        | Packet::PubComp(ack)) = received.packet()
        else {
            panic!("{wanted:?} is no acknowledgement")
        };
        (ack.packet_identifier, ack.reason as u8)
    }

    /// The next application message, acknowledged in full.
    pub fn message(&mut self) -> Message {
        let message = self.message_unacknowledged();
        self.acknowledge(&message);
        message
    }

    /// The next application message; nothing is answered.
    pub fn message_unacknowledged(&mut self) -> Message {
        self.receive_only(PacketType::Publish).message()
    }

    /// Acknowledges a message in full.
    pub fn acknowledge(&mut self, message: &Message) {
        let Some(identifier) = message.packet_identifier else {
            return;
        };
        if message.qos == QoS::AtLeastOnce {
            self.send(&Packet::PubAck(success(identifier)));
            return;
        }
        self.send(&Packet::PubRec(success(identifier)));
        let (released, reason) = self.ack(PacketType::PubRel);
        assert_eq!((released, reason), (identifier, 0), "PUBREL");
        self.send(&Packet::PubComp(success(identifier)));
    }

    /// Checks that the next message is this, and acknowledges it.
    pub fn expect(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) -> Message {
        let message = self.message();
        let got = (
            message.topic.as_str(),
            message.payload.as_slice(),
            message.qos,
            message.retain,
        );
        assert_eq!(got, (topic, payload.as_bytes(), qos, retain));
        message
    }

    /// Checks that no message came. Two rounds: what reached the shard before the first PINGREQ
    /// was handled is sent before the second PINGRESP.
    pub fn expect_nothing(&mut self) {
        self.wire.settle();
        for _ in 0..2 {
            self.ping();
        }
        assert!(self.inbox.is_empty(), "unexpected: {:?}", self.inbox);
    }

    /// A round trip to the broker.
    pub fn ping(&mut self) {
        self.send(&Packet::PingReq(PingReq));
        self.receive_only(PacketType::PingResp);
    }

    /// Leaves politely, and waits until the broker has closed; what it still sent is forgotten.
    pub fn disconnect(self) {
        self.disconnect_with(ReasonCode::NormalDisconnection, Properties::default());
    }

    /// Leaves politely with a reason and properties (version 5).
    pub fn disconnect_with(mut self, reason: ReasonCode, properties: Properties<'_>) {
        self.send(&Packet::Disconnect(Disconnect { reason, properties }));
        self.drain();
    }

    /// Ends the network connection without a word.
    pub fn cut(mut self) {
        self.wire.cut();
    }

    /// A packet identifier that no packet of this client had before.
    pub fn new_packet_identifier(&mut self) -> PacketIdentifier {
        self.next_packet_identifier += 1;
        PacketIdentifier::new(self.next_packet_identifier).expect("above zero")
    }

    /// `None` at the end of the connection; a reset counts as an end.
    fn read_packet(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.take_packet() {
                return Some(received);
            }
            match self.read_bytes() {
                Ok(0) => {
                    assert!(
                        self.input.is_empty(),
                        "ended inside a packet: {:02x?}",
                        self.input
                    );
                    return None;
                }
                Ok(_) => {}
                // A debugger, or a machine that was suspended.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_close(error.kind()) => return None,
                Err(error) => panic!("nothing came: {error} {:?}", self.inbox),
            }
        }
    }

    fn read_bytes(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let length = self.wire.receive(&mut buffer)?;
        self.input.extend_from_slice(&buffer[..length]);
        Ok(length)
    }

    fn take_packet(&mut self) -> Option<Received> {
        let framed = frame(&self.input, PACKET_BYTES_MAX)
            .unwrap_or_else(|error| panic!("the broker sent {error}: {:02x?}", self.input));
        let Frame::Complete {
            header,
            body,
            length,
        } = framed
        else {
            return None;
        };
        let received = Received {
            header,
            body: body.to_vec(),
            version: self.version,
        };
        self.input.drain(..length);
        Some(received)
    }
}

fn success(packet_identifier: PacketIdentifier) -> Ack<'static> {
    Ack {
        packet_identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    }
}

fn is_close(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}
