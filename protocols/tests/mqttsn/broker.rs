//! A small broker of MQTT 5.0 with the session of one client. Messages at QoS 1 and 2 leave one at a
//! time, as the Receive Maximum of 1 says.

use std::collections::{BTreeSet, VecDeque};

use ringbus_protocols::mqtt::{
    Ack, ConnAck, Packet, PacketIdentifier, Properties, Publish, QoS, ReasonCode, SubAck, Version,
};

use super::line::mqtt_packets;

/// A message, as it went in or came out.
pub type Message = (QoS, String, String);

/// The broker, and what it has received.
#[derive(Default)]
pub struct Broker {
    pub received: Vec<Message>,
    /// What the client has not been given.
    pub output: Vec<u8>,
    queue: VecDeque<Message>,
    inflight: Option<(u16, Message, bool)>,
    /// QoS 2 between PUBLISH and PUBREL; routed when it arrives first.
    unreleased: BTreeSet<u16>,
    last_identifier: u16,
    is_connected: bool,
    is_subscribed: bool,
}

impl Broker {
    /// Publishes for the client, if it has subscribed by now.
    pub fn publish(&mut self, message: Message) {
        self.queue.push_back(message);
        self.send();
    }

    pub fn is_done(&self) -> bool {
        self.queue.is_empty() && self.inflight.is_none() && self.output.is_empty()
    }

    /// The connection is gone; the session stays.
    pub fn disconnected(&mut self) {
        self.is_connected = false;
        self.output.clear();
    }

    /// Packets of the client.
    pub fn receive(&mut self, bytes: &[u8]) {
        for packet in mqtt_packets(bytes) {
            self.on_packet(&packet);
        }
        self.send();
    }

    fn on_packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => {
                assert!(!connect.clean_start);
                assert_eq!(connect.properties.receive_maximum(), Some(1));
                self.is_connected = true;
                self.put(&Packet::ConnAck(ConnAck {
                    session_present: self.is_subscribed,
                    reason: ReasonCode::Success,
                    properties: Properties::default(),
                }));
                self.resume();
            }
            Packet::Subscribe(subscribe) => {
                self.is_subscribed = true;
                self.put(&Packet::SubAck(SubAck {
                    packet_identifier: subscribe.packet_identifier,
                    properties: Properties::default(),
                    reasons: &[2],
                }));
            }
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubRel(ack) => {
                let identifier = ack.packet_identifier;
                let reason = match self.unreleased.remove(&identifier.get()) {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                self.put(&Packet::PubComp(Ack::with_reason(identifier, reason)));
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                assert_eq!(ack.reason, ReasonCode::Success);
                let (identifier, ..) = self.inflight.take().expect("something is under way");
                assert_eq!(ack.packet_identifier.get(), identifier);
            }
            Packet::PubRec(ack) => {
                assert_eq!(ack.reason, ReasonCode::Success);
                let (identifier, _, is_released) =
                    self.inflight.as_mut().expect("something is under way");
                assert_eq!(ack.packet_identifier.get(), *identifier);
                *is_released = true;
                self.put(&Packet::PubRel(Ack::new(ack.packet_identifier)));
            }
            other => panic!("{other:?}"),
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        let identifier = publish.packet_identifier;
        let is_new = match (publish.qos, identifier) {
            (QoS::ExactlyOnce, Some(identifier)) => self.unreleased.insert(identifier.get()),
            _ => true,
        };
        if is_new {
            let payload = str::from_utf8(publish.payload).expect("ours is text");
            let message = (publish.qos, publish.topic.to_owned(), payload.to_owned());
            self.received.push(message);
        }
        match (publish.qos, identifier) {
            (QoS::AtLeastOnce, Some(identifier)) => {
                self.put(&Packet::PubAck(Ack::new(identifier)));
            }
            (QoS::ExactlyOnce, Some(identifier)) => {
                self.put(&Packet::PubRec(Ack::new(identifier)));
            }
            _ => {}
        }
    }

    /// What was under way is sent again `[MQTT5-4.4.0-1]`.
    fn resume(&mut self) {
        let Some((identifier, message, is_released)) = self.inflight.clone() else {
            return;
        };
        let identifier = PacketIdentifier::new(identifier).expect("not zero");
        if is_released {
            self.put(&Packet::PubRel(Ack::new(identifier)));
        } else {
            self.put_publish(&message, Some(identifier), true);
        }
    }

    fn send(&mut self) {
        while self.is_connected && self.is_subscribed {
            let Some(message) = self.queue.front() else {
                return;
            };
            if message.0 != QoS::AtMostOnce && self.inflight.is_some() {
                return;
            }
            let message = message.clone();
            self.queue.pop_front();
            let identifier = (message.0 != QoS::AtMostOnce).then(|| self.next_identifier());
            self.put_publish(&message, identifier, false);
            if let Some(identifier) = identifier {
                self.inflight = Some((identifier.get(), message, false));
            }
        }
    }

    fn next_identifier(&mut self) -> PacketIdentifier {
        self.last_identifier = self.last_identifier.wrapping_add(1).max(1);
        PacketIdentifier::new(self.last_identifier).expect("not zero")
    }

    fn put_publish(
        &mut self,
        message: &Message,
        packet_identifier: Option<PacketIdentifier>,
        dup: bool,
    ) {
        let (qos, topic, payload) = message;
        self.put(&Packet::Publish(Publish {
            dup,
            qos: *qos,
            topic,
            packet_identifier,
            payload: payload.as_bytes(),
            ..Publish::default()
        }));
    }

    fn put(&mut self, packet: &Packet<'_>) {
        packet.encode(Version::V5, &mut self.output);
    }
}
