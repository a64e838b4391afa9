//! The receiving half of a client.

use ringbus::io::sim::{Chance, Sim};
use ringbus_protocols::mqtt::{
    Ack, ConnAck, Frame, Packet, PacketIdentifier, PacketType, Publish, QoS, ReasonCode, SubAck,
    UnsubAck, frame,
};

use super::client::{Client, Pending, Stage};
use crate::model::{Delivery, MessageId, Model};

const PACKET_BYTES_MAX: u32 = 1 << 20;

impl Client {
    /// Reads what has arrived, at most `max` bytes of it, and acts on it.
    pub fn poll(&mut self, sim: &mut Sim, model: &mut Model, max: usize) {
        let Some(link) = &mut self.link else { return };
        if !sim.has_news(link.socket) {
            return;
        }
        let received = sim.receive(link.socket, max);
        let bytes = match &mut link.web {
            None => Ok(received.bytes),
            Some(web) => web.receive(sim, &received.bytes),
        };
        match bytes {
            Ok(bytes) => link.buffer.extend_from_slice(&bytes),
            Err(why) => model.violation(format!("client {}: WebSocket: {why}", self.at)),
        }
        let buffer = std::mem::take(&mut link.buffer);
        let used = self.take_packets(sim, model, &buffer);
        let Some(link) = &mut self.link else { return };
        link.buffer = buffer[used..].to_vec();
        if received.closed {
            self.lost(model);
        }
    }

    /// The server ended a connection on which the client did nothing wrong.
    fn lost(&mut self, model: &mut Model) {
        let link = self.link.take().expect("it was polled");
        let at = self.at;
        model.violation(format!(
            "the server closed the connection of client {at}, connected: {}, reason: {:?}",
            link.connected, link.disconnect
        ));
        model.leave(at, crate::model::Leave::Close);
        self.left.push((link.socket, crate::model::Leave::Close));
    }

    fn take_packets(&mut self, sim: &mut Sim, model: &mut Model, buffer: &[u8]) -> usize {
        let mut used = 0;
        while self.link.is_some() {
            match frame(&buffer[used..], PACKET_BYTES_MAX) {
                Ok(Frame::Complete {
                    header,
                    body,
                    length,
                }) => {
                    match Packet::decode(header, body, self.profile.version) {
                        Ok(packet) => self.on_packet(sim, model, &packet),
                        Err(error) => {
                            model.violation(format!("client {}: bad packet: {error}", self.at));
                        }
                    }
                    used += length;
                }
                Ok(Frame::Incomplete { .. }) => break,
                Err(error) => {
                    model.violation(format!("client {}: bad framing: {error}", self.at));
                    return buffer.len();
                }
            }
        }
        used
    }

    fn on_packet(&mut self, sim: &mut Sim, model: &mut Model, packet: &Packet<'_>) {
        let at = self.at;
        model.event(|| format!("client {at} gets {packet:?}"));
        match packet {
            Packet::ConnAck(connack) => self.on_connack(sim, model, connack),
            _ if !self.is_online() => {
                model.violation(format!("client {at}: {packet:?} before CONNACK"));
            }
            Packet::Publish(publish) => self.on_publish(model, publish),
            Packet::PubAck(ack) => self.on_puback(model, ack),
            Packet::PubRec(ack) => self.on_pubrec(model, ack),
            Packet::PubRel(ack) => self.on_pubrel(model, ack),
            Packet::PubComp(ack) => self.on_pubcomp(model, ack),
            Packet::SubAck(suback) => self.on_suback(model, suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(model, unsuback),
            Packet::PingResp(_) => {
                let link = self.link.as_mut().expect("it is online");
                match link.pings.pop_front() {
                    Some(tick) => model.read_before(at, tick),
                    None => model.violation(format!("client {at}: PINGRESP for no PINGREQ")),
                }
            }
            Packet::Disconnect(disconnect) => {
                self.link.as_mut().expect("it is online").disconnect = Some(disconnect.reason);
            }
            other => model.violation(format!("client {at}: a server does not send {other:?}")),
        }
    }

    fn on_connack(&mut self, sim: &mut Sim, model: &mut Model, connack: &ConnAck<'_>) {
        let at = self.at;
        let version = self.profile.version;
        if connack.reason != ReasonCode::Success {
            model.violation(format!("client {at}: CONNACK {}", connack.reason));
            return;
        }
        let link = self.link.as_mut().expect("it was polled");
        if link.connected {
            model.violation(format!("client {at}: a second CONNACK"));
            return;
        }
        link.connected = true;
        if let Some(maximum) = connack.properties.receive_maximum() {
            link.server_receive_maximum = usize::from(maximum);
        }
        link.server_alias_maximum = connack.properties.topic_alias_maximum().unwrap_or(0);
        let told = version != ringbus_protocols::mqtt::Version::V3_1;
        self.pending.clear();
        if model.connected(at, told.then_some(connack.session_present)) {
            self.resend(sim, model);
        } else {
            for outgoing in std::mem::take(&mut self.outgoing) {
                model.publish_abandoned(outgoing.id);
            }
            self.received_exactly.clear();
            self.received_at_least.clear();
            self.filters.clear();
        }
    }

    fn on_publish(&mut self, model: &mut Model, publish: &Publish<'_>) {
        let at = self.at;
        let topic = match self.resolve_alias(publish) {
            Ok(topic) => topic,
            Err(wrong) => return model.violation(format!("client {at}: {wrong}: {publish:?}")),
        };
        let number = publish
            .payload
            .first_chunk::<4>()
            .map_or(0, |n| MessageId::from_be_bytes(*n));
        let again = match publish.packet_identifier {
            Some(identifier) => self.note_publish(model, publish, identifier, number),
            None => false,
        };
        if again {
            return;
        }
        let properties = self.profile.version.is_v5();
        let delivery = Delivery {
            topic: &topic,
            payload: publish.payload,
            qos: u8::from(publish.qos),
            retain: publish.retain,
            dup: publish.dup,
            identifiers: publish.properties.subscription_identifiers().collect(),
            expiry_seconds: publish.properties.message_expiry_interval(),
            properties,
        };
        model.received(at, &delivery);
    }

    fn resolve_alias(&mut self, publish: &Publish<'_>) -> Result<String, &'static str> {
        let maximum = self.profile.topic_alias_maximum;
        let link = self.link.as_mut().expect("it is online");
        let Some(alias) = publish.properties.topic_alias() else {
            return match publish.topic {
                "" => Err("neither topic nor alias"),
                topic => Ok(topic.to_owned()),
            };
        };
        if alias == 0 || alias > maximum {
            return Err("a topic alias out of range");
        }
        if !publish.topic.is_empty() {
            link.aliases_in.insert(alias, publish.topic.to_owned());
        }
        link.aliases_in
            .get(&alias)
            .cloned()
            .ok_or("an unknown topic alias")
    }

    /// Keeps the receiver's books of QoS 1 and 2. True when this QoS 2 message is known already.
    fn note_publish(
        &mut self,
        model: &mut Model,
        publish: &Publish<'_>,
        identifier: PacketIdentifier,
        number: MessageId,
    ) -> bool {
        let at = self.at;
        let value = identifier.get();
        let link = self.link.as_mut().expect("it is online");
        let fresh = link.in_flight.insert(value);
        let maximum = self
            .profile
            .receive_maximum
            .map_or(usize::from(u16::MAX), usize::from);
        if link.in_flight.len() > maximum {
            model.violation(format!(
                "client {at}: over its receive maximum of {maximum}"
            ));
        }
        let exactly = publish.qos == QoS::ExactlyOnce;
        let books = [&self.received_at_least, &self.received_exactly];
        let held = books.into_iter().find_map(|book| book.get(&value).copied());
        let known = self.received_exactly.contains_key(&value);
        let same = held.is_none_or(|held| held == number) && (!known || exactly);
        if !fresh || (held.is_some() && !publish.dup) || !same {
            model.violation(format!(
                "client {at}: packet identifier {value} is in use by message {held:?}: {publish:?}"
            ));
        }
        if exactly {
            self.received_exactly.insert(value, number);
            self.held.push_back((PacketType::PubRec, identifier));
        } else {
            self.received_at_least.insert(value, number);
            self.held.push_back((PacketType::PubAck, identifier));
        }
        exactly && known
    }

    /// Acknowledgements come in the order of what they acknowledge [MQTT5-4.6.0-2].
    fn first_outgoing(&self, qos: QoS, stage: Stage) -> Option<usize> {
        self.outgoing
            .iter()
            .position(|o| o.publication.qos == qos && o.stage == stage)
    }

    fn on_puback(&mut self, model: &mut Model, ack: &Ack<'_>) {
        let first = self.first_outgoing(QoS::AtLeastOnce, Stage::Sent);
        match first.filter(|&at| self.outgoing[at].identifier == ack.packet_identifier) {
            Some(at) if !ack.reason.is_error() => {
                let outgoing = self.outgoing.remove(at).expect("it was found there");
                model.publish_acknowledged(outgoing.id);
            }
            _ => model.violation(format!("client {}: {ack:?}, not the next one due", self.at)),
        }
    }

    fn on_pubrec(&mut self, model: &mut Model, ack: &Ack<'_>) {
        let first = self.first_outgoing(QoS::ExactlyOnce, Stage::Sent);
        match first.filter(|&at| self.outgoing[at].identifier == ack.packet_identifier) {
            Some(at) if !ack.reason.is_error() => {
                self.outgoing[at].stage = Stage::Received;
                self.held
                    .push_back((PacketType::PubRel, ack.packet_identifier));
            }
            _ => model.violation(format!("client {}: {ack:?}, not the next one due", self.at)),
        }
    }

    fn on_pubcomp(&mut self, model: &mut Model, ack: &Ack<'_>) {
        let first = self.first_outgoing(QoS::ExactlyOnce, Stage::Released);
        match first.filter(|&at| self.outgoing[at].identifier == ack.packet_identifier) {
            Some(at) => {
                let outgoing = self.outgoing.remove(at).expect("it was found there");
                model.publish_acknowledged(outgoing.id);
            }
            None => model.violation(format!("client {}: {ack:?}, not the next one due", self.at)),
        }
    }

    fn on_pubrel(&mut self, model: &mut Model, ack: &Ack<'_>) {
        let value = ack.packet_identifier.get();
        let link = self.link.as_mut().expect("it is online");
        link.in_flight.insert(value);
        self.received_exactly.remove(&value);
        if self.received_at_least.contains_key(&value) {
            model.violation(format!("client {}: {ack:?} for a QoS 1 message", self.at));
        }
        self.held
            .push_back((PacketType::PubComp, ack.packet_identifier));
    }

    fn on_suback(&mut self, model: &mut Model, suback: &SubAck<'_>) {
        match self.pending.remove(&suback.packet_identifier.get()) {
            Some(Pending::Subscribe {
                filters,
                granted,
                sent,
            }) => {
                if suback.reasons != granted {
                    model.violation(format!("client {}: {suback:?}, not {granted:?}", self.at));
                }
                model.read_before(self.at, sent);
                model.subscribed(self.at, &filters);
            }
            _ => model.violation(format!("client {}: unexpected {suback:?}", self.at)),
        }
    }

    fn on_unsuback(&mut self, model: &mut Model, unsuback: &UnsubAck<'_>) {
        match self.pending.remove(&unsuback.packet_identifier.get()) {
            Some(Pending::Unsubscribe { filters, sent }) => {
                model.read_before(self.at, sent);
                model.unsubscribed(self.at, &filters, sent);
            }
            _ => model.violation(format!("client {}: unexpected {unsuback:?}", self.at)),
        }
    }

    pub(super) fn send_acknowledgement(
        &mut self,
        sim: &mut Sim,
        model: &mut Model,
        kind: PacketType,
        identifier: PacketIdentifier,
    ) {
        let ack = Ack::new(identifier);
        let packet = match kind {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        self.send_packet(sim, model, &packet);
    }

    /// Lets chance decide how much of what has arrived is read now.
    pub fn poll_some(&mut self, sim: &mut Sim, model: &mut Model, chance: &mut Chance) {
        let max = match chance.below(4) {
            0 => chance.index(20) + 1,
            1 => chance.index(200) + 1,
            _ => 64 * 1024,
        };
        self.poll(sim, model, max);
    }
}
