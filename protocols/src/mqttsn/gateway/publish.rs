//! What the client publishes `[MQTTSN-6.6]`, and what the broker says to it.

use crate::mqtt::{
    Ack, PacketIdentifier, PacketType, Properties, Publish, QoS, ReasonCode, Version,
};
use crate::topic::TopicName;

use super::super::{Packet, PublishQoS, ReturnCode, TopicRef};
use super::connect::return_code;
use super::subscribe::Request;
use super::{Gateway, Io, Settings};

/// How many messages at QoS 1 and 2 a client may have outstanding. The protocol allows it one.
pub(super) const PUBLISHES_MAX: u8 = 8;

/// How many completed messages at QoS 2 are remembered.
const COMPLETED_MAX: usize = 8;

/// What the client waits for.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    publishes: Vec<Publishing>,
    pub(super) requests: Vec<Request>,
    completed: [Completed; COMPLETED_MAX],
    next_completed: usize,
}

/// A PUBLISH of the client at QoS 1 or 2.
#[derive(Debug, Clone, Copy)]
struct Publishing {
    msg_id: u16,
    topic_id: u16,
    step: Step,
    digest: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The broker has to say PUBACK or PUBREC.
    Sent,
    /// PUBREC was said: the client has to say PUBREL.
    Received,
    /// The broker has to say PUBCOMP.
    Released,
}

#[derive(Debug, Clone, Copy, Default)]
struct Completed {
    msg_id: u16,
    digest: u64,
    at: u64,
}

impl Incoming {
    /// Nothing is awaited, and no copy of what was completed before `since`.
    pub(super) fn is_idle(&self, since: u64) -> bool {
        let is_recent = |completed: &Completed| completed.msg_id != 0 && completed.at >= since;
        self.publishes.is_empty()
            && self.requests.is_empty()
            && !self.completed.iter().any(is_recent)
    }

    fn find(&mut self, msg_id: u16) -> Option<&mut Publishing> {
        self.publishes.iter_mut().find(|p| p.msg_id == msg_id)
    }

    fn take(&mut self, msg_id: u16) -> Option<Publishing> {
        let index = self.publishes.iter().position(|p| p.msg_id == msg_id)?;
        Some(self.publishes.swap_remove(index))
    }

    fn complete(&mut self, publishing: Publishing, now: u64) {
        self.completed[self.next_completed] = Completed {
            msg_id: publishing.msg_id,
            digest: publishing.digest,
            at: now,
        };
        self.next_completed = (self.next_completed + 1) % COMPLETED_MAX;
    }

    fn was_completed(&self, msg_id: u16, digest: u64, since: u64) -> bool {
        self.completed
            .iter()
            .any(|c| (c.msg_id, c.digest) == (msg_id, digest) && c.at >= since)
    }
}

impl Gateway {
    pub(super) fn on_publish(&mut self, packet: &Packet<'_>, settings: &Settings, io: &mut Io<'_>) {
        let &Packet::Publish {
            qos: PublishQoS::Of(qos),
            topic,
            msg_id,
            ..
        } = packet
        else {
            // QoS −1 is for those without a connection.
            self.ignored = self.ignored.saturating_add(1);
            return;
        };
        let refused = if self.topic_name(&topic, settings).is_none() {
            Some(ReturnCode::INVALID_TOPIC_ID)
        } else if qos == QoS::AtMostOnce {
            None
        } else {
            match self.begin_publishing(packet, qos, settings, io) {
                Begin::New => None,
                Begin::Repeated => return,
                Begin::NoRoom => Some(ReturnCode::CONGESTION),
            }
        };
        match refused {
            None => self.forward(packet, qos, settings, io),
            Some(return_code) => io.to_client.push(&Packet::PubAck {
                topic_id: topic.field(),
                msg_id,
                return_code,
            }),
        }
    }

    /// PUBREL goes to the broker also if its PUBLISH is not known: it may be of an earlier
    /// connection, and it is answered in any case.
    pub(super) fn on_release(&mut self, msg_id: u16, io: &mut Io<'_>) {
        if let Some(publishing) = self.incoming.as_mut().and_then(|i| i.find(msg_id)) {
            if publishing.step != Step::Received {
                return;
            }
            publishing.step = Step::Released;
        }
        put_ack(io, PacketType::PubRel, msg_id, ReasonCode::Success);
    }

    pub(super) fn on_broker_puback(&mut self, ack: &Ack<'_>, io: &mut Io<'_>) {
        self.end_publishing(ack, io);
    }

    pub(super) fn on_broker_pubrec(&mut self, ack: &Ack<'_>, io: &mut Io<'_>) {
        if ack.reason.is_error() {
            // PUBREC of MQTT-SN cannot refuse; PUBACK can, at every QoS [MQTTSN-5.4.13].
            self.end_publishing(ack, io);
            return;
        }
        let msg_id = ack.packet_identifier.get();
        if let Some(publishing) = self.incoming.as_mut().and_then(|i| i.find(msg_id)) {
            publishing.step = Step::Received;
        }
        io.to_client.push(&Packet::PubRec { msg_id });
    }

    /// A PUBREL that the broker does not know is complete too.
    pub(super) fn on_broker_pubcomp(&mut self, ack: &Ack<'_>, io: &mut Io<'_>) {
        let msg_id = ack.packet_identifier.get();
        if let Some(incoming) = &mut self.incoming
            && let Some(publishing) = incoming.take(msg_id)
        {
            incoming.complete(publishing, io.now);
        }
        io.to_client.push(&Packet::PubComp { msg_id });
    }

    pub(super) fn topic_name<'a>(
        &'a self,
        topic: &'a TopicRef,
        settings: &'a Settings,
    ) -> Option<&'a str> {
        match topic {
            TopicRef::Normal(id) => self.registrations.name(*id),
            TopicRef::Predefined(id) => settings.predefined.name(*id),
            TopicRef::Short(name) => {
                let name = name.as_str();
                TopicName::parse(name).is_ok().then_some(name)
            }
        }
    }

    fn begin_publishing(
        &mut self,
        packet: &Packet<'_>,
        qos: QoS,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Begin {
        let &Packet::Publish {
            topic,
            msg_id,
            payload,
            ..
        } = packet
        else {
            return Begin::Repeated;
        };
        let publishes_max = usize::from(self.publishes_max);
        let incoming = self.incoming.get_or_insert_default();
        if let Some(publishing) = incoming.find(msg_id) {
            if publishing.step == Step::Received {
                io.to_client.push(&Packet::PubRec { msg_id });
            }
            return Begin::Repeated;
        }
        let mut digest = 0;
        if qos == QoS::ExactlyOnce {
            digest = digest_of(topic, payload);
            // Later than this the client has given up what it repeats.
            let since = io.now.saturating_sub(settings.retry_ns);
            if incoming.was_completed(msg_id, digest, since) {
                io.to_client.push(&Packet::PubRec { msg_id });
                return Begin::Repeated;
            }
        }
        if incoming.publishes.len() >= publishes_max {
            return Begin::NoRoom;
        }
        incoming.publishes.push(Publishing {
            msg_id,
            topic_id: topic.field(),
            step: Step::Sent,
            digest,
        });
        Begin::New
    }

    fn forward(&self, packet: &Packet<'_>, qos: QoS, settings: &Settings, io: &mut Io<'_>) {
        let Packet::Publish {
            dup,
            retain,
            topic,
            msg_id,
            payload,
            ..
        } = packet
        else {
            return;
        };
        let Some(topic) = self.topic_name(topic, settings) else {
            return;
        };
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            // The decoder refuses zero.
            _ => Some(PacketIdentifier::new(*msg_id).unwrap_or(PacketIdentifier::MIN)),
        };
        Publish {
            dup: *dup && qos != QoS::AtMostOnce,
            qos,
            retain: *retain,
            topic,
            packet_identifier,
            properties: Properties::default(),
            payload,
        }
        .encode(Version::V5, io.to_broker);
    }

    /// PUBACK ends the exchange, at QoS 2 because it failed.
    fn end_publishing(&mut self, ack: &Ack<'_>, io: &mut Io<'_>) {
        let msg_id = ack.packet_identifier.get();
        let publishing = self.incoming.as_mut().and_then(|i| i.take(msg_id));
        if let Some(publishing) = publishing {
            io.to_client.push(&Packet::PubAck {
                topic_id: publishing.topic_id,
                msg_id,
                return_code: return_code(ack.reason),
            });
        }
    }
}

enum Begin {
    New,
    Repeated,
    NoRoom,
}

/// Appends an acknowledgement for the broker.
pub(super) fn put_ack(io: &mut Io<'_>, packet_type: PacketType, msg_id: u16, reason: ReasonCode) {
    if let Some(identifier) = PacketIdentifier::new(msg_id) {
        Ack::with_reason(identifier, reason).encode(packet_type, Version::V5, io.to_broker);
    }
}

/// FNV-1a: whom it has to keep apart is one client's own messages.
fn digest_of(topic: TopicRef, payload: &[u8]) -> u64 {
    let kind = match topic {
        TopicRef::Normal(_) => 0,
        TopicRef::Predefined(_) => 1,
        TopicRef::Short(_) => 2,
    };
    let [high, low] = topic.field().to_be_bytes();
    let step = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let head = [kind, high, low].into_iter();
    head.chain(payload.iter().copied())
        .fold(0xCBF2_9CE4_8422_2325, step)
}
