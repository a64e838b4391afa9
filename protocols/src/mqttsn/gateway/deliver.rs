//! What the broker publishes `[MQTTSN-6.10]`, and what the client says to it.

use crate::mqtt::{PacketType, Publish, QoS, ReasonCode};

use super::super::{Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, encoded_len};
use super::outgoing::{Exchange, Head, Message, Registering, Retry, Step, Waiting};
use super::publish::put_ack;
use super::{Gateway, Io, Settings, Verdict};

impl Gateway {
    /// Sends a PUBLISH of the broker, or lets it wait until the client can have it.
    pub(super) fn deliver(
        &mut self,
        publish: &Publish<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        let msg_id = publish.packet_identifier.map_or(0, |id| id.get());
        let qos = publish.qos;
        let Some(topic) = self.topic_of(publish.topic, settings) else {
            self.drop_message(qos, msg_id, io);
            return Verdict::Open;
        };
        let packet = Packet::Publish {
            dup: publish.dup,
            qos: PublishQoS::Of(qos),
            retain: publish.retain,
            topic,
            msg_id,
            payload: publish.payload,
        };
        if encoded_len(&packet) > settings.datagram_bytes_max {
            self.drop_message(qos, msg_id, io);
            return Verdict::Open;
        }
        let head = Head { qos, msg_id, topic };
        if self.can_send(&head) {
            io.to_client.push(&packet);
            if qos != QoS::AtMostOnce {
                let outgoing = self.outgoing.get_or_insert_default();
                let message = outgoing.message(&packet, head);
                outgoing.begin(message, Retry::first(io.now, settings.retry_ns));
            }
            return Verdict::Open;
        }
        self.let_wait(&packet, head, settings, io)
    }

    /// Passes a PUBREL of the broker on.
    pub(super) fn deliver_release(
        &mut self,
        msg_id: u16,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        let outgoing = self.outgoing.get_or_insert_default();
        match &mut outgoing.exchange {
            Some(exchange) if exchange.message.head.msg_id == msg_id => {
                exchange.step = Step::Released;
                exchange.retry = Retry::first(io.now, settings.retry_ns);
                io.to_client.push(&Packet::PubRel { msg_id });
            }
            // A broker that heeds the Receive Maximum has few exchanges to resume.
            _ if outgoing.waiting.len() >= 2 * settings.waiting_messages_max => {
                return self.lose();
            }
            _ => {
                outgoing.wait(Waiting::Release(msg_id));
                self.send_waiting(settings, io);
            }
        }
        Verdict::Open
    }

    /// PUBACK of the client: it has the message, or refuses it `[MQTTSN-5.4.13]`.
    pub(super) fn on_acknowledged(
        &mut self,
        topic_id: u16,
        msg_id: u16,
        return_code: ReturnCode,
        settings: &Settings,
        io: &mut Io<'_>,
    ) {
        if return_code == ReturnCode::INVALID_TOPIC_ID {
            self.forget_topic(topic_id, msg_id, settings);
        }
        let Some(exchange) = self.exchange(msg_id) else {
            return;
        };
        if exchange.step != Step::Published {
            return;
        }
        let qos = exchange.message.head.qos;
        match return_code {
            ReturnCode::ACCEPTED if qos == QoS::AtLeastOnce => {
                put_ack(io, PacketType::PubAck, msg_id, ReasonCode::Success);
            }
            ReturnCode::ACCEPTED => return,
            // It is sent again as if it had been lost, however often it takes: the client is there.
            ReturnCode::CONGESTION => {
                exchange.retry = Retry::first(io.now, settings.retry_ns);
                return;
            }
            ReturnCode::INVALID_TOPIC_ID
                if exchange.message.registered_anew < settings.retries.max(1) =>
            {
                return self.register_anew(settings, io);
            }
            _ => self.drop_message(qos, msg_id, io),
        }
        self.end_exchange(settings, io);
    }

    /// PUBREC of the client; a second one means that PUBREL was lost.
    pub(super) fn on_received(&mut self, msg_id: u16, settings: &Settings, io: &mut Io<'_>) {
        let Some(exchange) = self.exchange(msg_id) else {
            return;
        };
        if exchange.message.head.qos != QoS::ExactlyOnce {
            return;
        }
        match exchange.step {
            Step::Published => {
                exchange.step = Step::Received;
                exchange.retry = Retry::NEVER;
                put_ack(io, PacketType::PubRec, msg_id, ReasonCode::Success);
            }
            Step::Received => {}
            Step::Released => {
                exchange.retry = Retry::first(io.now, settings.retry_ns);
                io.to_client.push(&Packet::PubRel { msg_id });
            }
        }
    }

    /// PUBCOMP of the client.
    pub(super) fn on_completed(&mut self, msg_id: u16, settings: &Settings, io: &mut Io<'_>) {
        let is_released = |exchange: &mut Exchange| exchange.step == Step::Released;
        if self.exchange(msg_id).is_some_and(is_released) {
            put_ack(io, PacketType::PubComp, msg_id, ReasonCode::Success);
            self.end_exchange(settings, io);
        }
    }

    /// REGACK of the client.
    pub(super) fn on_registered(
        &mut self,
        topic_id: u16,
        return_code: ReturnCode,
        settings: &Settings,
        io: &mut Io<'_>,
    ) {
        if return_code == ReturnCode::ACCEPTED {
            self.now_known(topic_id, settings, io);
            return;
        }
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        let Some(registering) = &mut outgoing.registering else {
            return;
        };
        if registering.topic_id != topic_id {
            return;
        }
        if return_code == ReturnCode::CONGESTION {
            registering.retry = Retry::first(io.now, settings.retry_ns);
            return;
        }
        outgoing.registering = None;
        self.drop_waiting(topic_id, io);
        self.send_waiting(settings, io);
    }

    /// The client has the topic id: what waited for that can go.
    pub(super) fn now_known(&mut self, topic_id: u16, settings: &Settings, io: &mut Io<'_>) {
        self.registrations.set_known(topic_id, true);
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        let registering = outgoing.registering.as_ref();
        if registering.is_some_and(|registering| registering.topic_id == topic_id) {
            outgoing.registering = None;
            self.send_waiting(settings, io);
        }
    }

    /// Sends what waits, up to the first that cannot be sent yet.
    pub(super) fn send_waiting(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let retry = Retry::first(io.now, settings.retry_ns);
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        while let Some(first) = outgoing.waiting.front() {
            let is_exchange = match first {
                Waiting::Release(_) => true,
                Waiting::Message(message) => {
                    if let TopicRef::Normal(id) = message.head.topic
                        && !self.registrations.is_known(id)
                    {
                        return self.register(id, settings, io);
                    }
                    message.head.qos != QoS::AtMostOnce
                }
            };
            if is_exchange && outgoing.exchange.is_some() {
                return;
            }
            match outgoing.take_first() {
                Some(Waiting::Message(message)) => {
                    io.to_client.push_encoded(&message.datagram);
                    if is_exchange {
                        outgoing.begin(message, retry);
                    }
                }
                Some(Waiting::Release(msg_id)) => {
                    io.to_client.push(&Packet::PubRel { msg_id });
                    outgoing.begin(Message::released(msg_id), retry);
                    if let Some(exchange) = &mut outgoing.exchange {
                        exchange.step = Step::Released;
                    }
                }
                None => return,
            }
        }
    }

    /// How the topic of a message is said to the client: by the id that it has asked for, by
    /// itself, by the id that everybody knows, or by a new one. `None` if it has too many, or there
    /// is no topic.
    fn topic_of(&mut self, name: &str, settings: &Settings) -> Option<TopicRef> {
        // A topic alias, which the broker was not allowed.
        if name.is_empty() {
            return None;
        }
        if let Some(id) = self.registrations.id(name) {
            return Some(TopicRef::Normal(id));
        }
        if let Some(short) = ShortTopic::new(name) {
            return Some(TopicRef::Short(short));
        }
        if !self.refuses_predefined
            && let Some(id) = settings.predefined.id(name)
        {
            return Some(TopicRef::Predefined(id));
        }
        let id = self
            .registrations
            .id_or_new(name, settings.registrations_max)?;
        Some(TopicRef::Normal(id))
    }

    fn can_send(&self, head: &Head) -> bool {
        if let TopicRef::Normal(id) = head.topic
            && !self.registrations.is_known(id)
        {
            return false;
        }
        match &self.outgoing {
            None => true,
            Some(outgoing) => {
                let is_free = head.qos == QoS::AtMostOnce || outgoing.exchange.is_none();
                outgoing.waiting.is_empty() && is_free
            }
        }
    }

    fn let_wait(
        &mut self,
        packet: &Packet<'_>,
        head: Head,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        let outgoing = self.outgoing.get_or_insert_default();
        let is_full = outgoing.waiting.len() >= settings.waiting_messages_max
            || outgoing.waiting_bytes + encoded_len(packet) > settings.waiting_bytes_max;
        if head.qos == QoS::AtMostOnce && is_full {
            self.dropped = self.dropped.saturating_add(1);
            return Verdict::Open;
        }
        // A broker that heeds the Receive Maximum never comes here.
        if outgoing.waiting.len() >= 2 * settings.waiting_messages_max {
            return self.lose();
        }
        let mut datagram = Vec::with_capacity(encoded_len(packet));
        super::super::encode(packet, &mut datagram);
        outgoing.wait(Waiting::Message(Message {
            head,
            registered_anew: 0,
            datagram,
        }));
        self.send_waiting(settings, io);
        Verdict::Open
    }

    /// Tells the client a topic id, unless it is being told one.
    fn register(&mut self, topic_id: u16, settings: &Settings, io: &mut Io<'_>) {
        let outgoing = self.outgoing.get_or_insert_default();
        if outgoing.registering.is_some() {
            return;
        }
        let msg_id = self.next_msg_id;
        self.next_msg_id = self.next_msg_id.checked_add(1).unwrap_or(1);
        outgoing.registering = Some(Registering {
            topic_id,
            msg_id,
            retry: Retry::first(io.now, settings.retry_ns),
        });
        self.send_register(io);
    }

    pub(super) fn send_register(&self, io: &mut Io<'_>) {
        let outgoing = self.outgoing.as_ref();
        let Some(registering) = outgoing.and_then(|outgoing| outgoing.registering.as_ref()) else {
            return;
        };
        if let Some(topic_name) = self.registrations.name(registering.topic_id) {
            io.to_client.push(&Packet::Register {
                topic_id: registering.topic_id,
                msg_id: registering.msg_id,
                topic_name,
            });
        }
    }

    /// The client has no name for a topic id. Of a message at QoS 0 only the id is known, not
    /// whether it is a predefined one: then both may be meant, and a REGISTER too many does no
    /// harm.
    fn forget_topic(&mut self, topic_id: u16, msg_id: u16, settings: &Settings) {
        let topic = self.exchange(msg_id).map(|e| e.message.head.topic);
        match topic {
            Some(TopicRef::Normal(id)) => self.registrations.set_known(id, false),
            Some(TopicRef::Predefined(_)) => self.refuses_predefined = true,
            Some(TopicRef::Short(_)) => {}
            None => {
                self.registrations.set_known(topic_id, false);
                self.refuses_predefined |= settings.predefined.name(topic_id).is_some();
            }
        }
    }

    /// Takes back the message that the client had no topic for, to register it and send it again.
    fn register_anew(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let max = settings.registrations_max;
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        let Some(mut exchange) = outgoing.exchange.take() else {
            return;
        };
        let Head { qos, msg_id, topic } = exchange.message.head;
        let id = match topic {
            TopicRef::Normal(id) => Some(id),
            TopicRef::Predefined(id) => settings
                .predefined
                .name(id)
                .and_then(|name| self.registrations.id_or_new(name, max)),
            TopicRef::Short(_) => None,
        };
        if let Some(id) = id {
            exchange.message.set_topic_id(id);
            exchange.message.registered_anew += 1;
            outgoing.waiting_bytes += exchange.message.datagram.len();
            outgoing
                .waiting
                .push_front(Waiting::Message(exchange.message));
        } else {
            self.drop_message(qos, msg_id, io);
        }
        self.send_waiting(settings, io);
    }

    /// Drops the messages that wait for a topic id that the client refuses.
    fn drop_waiting(&mut self, topic_id: u16, io: &mut Io<'_>) {
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        let waiting = std::mem::take(&mut outgoing.waiting);
        outgoing.waiting_bytes = 0;
        let mut refused = Vec::new();
        for waiting in waiting {
            match waiting {
                Waiting::Message(message) if message.head.topic == TopicRef::Normal(topic_id) => {
                    refused.push(message.head);
                }
                other => outgoing.wait(other),
            }
        }
        for head in refused {
            self.drop_message(head.qos, head.msg_id, io);
        }
    }

    /// The client cannot have a message. The broker is told, so that it can go on
    /// `[MQTT5-4.3.2]` `[MQTT5-4.3.3]`.
    fn drop_message(&mut self, qos: QoS, msg_id: u16, io: &mut Io<'_>) {
        self.dropped = self.dropped.saturating_add(1);
        let reason = ReasonCode::ImplementationSpecificError;
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => put_ack(io, PacketType::PubAck, msg_id, reason),
            QoS::ExactlyOnce => put_ack(io, PacketType::PubRec, msg_id, reason),
        }
    }

    fn end_exchange(&mut self, settings: &Settings, io: &mut Io<'_>) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.end();
        }
        self.send_waiting(settings, io);
    }

    fn exchange(&mut self, msg_id: u16) -> Option<&mut Exchange> {
        let exchange = self.outgoing.as_mut()?.exchange.as_mut()?;
        (exchange.message.head.msg_id == msg_id).then_some(exchange)
    }
}
