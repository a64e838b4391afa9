//! CONNECT, the will, CONNACK `[MQTTSN-6.2]` `[MQTTSN-6.3]` `[MQTTSN-6.4]`.

use crate::mqtt::{ConnAck, Connect, PropertiesBuf, Property, ReasonCode, Version};
use crate::topic::TopicName;

use super::super::{Packet, ReturnCode, WillTopic};
use super::publish::PUBLISHES_MAX;
use super::registrations::Registrations;
use super::{Gateway, Io, Phase, Settings, Verdict, Will};

/// An MQTT PUBLISH is longer than the one of MQTT-SN by its topic, less one byte in the least case:
/// a topic of one byte at QoS 0.
const MQTT_SHORTER_BYTES: usize = 1;

impl Gateway {
    pub(super) fn on_connect(
        &mut self,
        packet: &Packet<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        let &Packet::Connect {
            clean_session,
            will,
            duration_seconds,
            client_id,
        } = packet
        else {
            return Verdict::Open;
        };
        let is_same_client = *self.client_id == *client_id;
        let is_same = is_same_client
            && (self.clean_session, self.has_will) == (clean_session, will)
            && self.duration_seconds == duration_seconds;
        match self.phase {
            Phase::WillTopic | Phase::WillMessage if is_same => {
                self.heard_at = io.now;
                io.to_client.push(&Packet::WillTopicReq);
                Verdict::Open
            }
            Phase::Connecting if is_same => Verdict::Open,
            Phase::Active if is_same && self.is_repeated(settings, io) => {
                self.heard_at = io.now;
                self.accept(io);
                Verdict::Open
            }
            // Nothing of the session is to change; only what the client remembers is in doubt.
            Phase::Active if is_same_client && !(clean_session || self.clean_session || will) => {
                self.duration_seconds = duration_seconds;
                self.renew(settings, io);
                Verdict::Open
            }
            Phase::Asleep | Phase::Awake
                if is_same_client && (self.clean_session || !clean_session) =>
            {
                self.duration_seconds = duration_seconds;
                self.wake(Phase::Active, settings, io);
                self.accept(io);
                Verdict::Open
            }
            Phase::New | Phase::WillTopic | Phase::WillMessage => {
                self.client_id = client_id.into();
                self.clean_session = clean_session;
                self.has_will = will;
                self.duration_seconds = duration_seconds;
                self.begin(settings, io);
                Verdict::Open
            }
            _ => Verdict::Restart,
        }
    }

    /// WILLTOPIC; an empty one means that there is no will after all `[MQTTSN-5.4.7]`.
    pub(super) fn on_will_topic(
        &mut self,
        topic: Option<WillTopic<'_>>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        self.heard_at = io.now;
        let Some(topic) = topic else {
            self.will = None;
            self.connect(settings, io);
            return Verdict::Open;
        };
        if TopicName::parse(topic.topic).is_err() {
            return self.refuse(ReturnCode::NOT_SUPPORTED, io);
        }
        self.will = Some(new_will(topic));
        self.phase = Phase::WillMessage;
        io.to_client.push(&Packet::WillMsgReq);
        Verdict::Open
    }

    /// WILLMSG: now everything is there.
    pub(super) fn on_will_message(
        &mut self,
        payload: &[u8],
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        self.heard_at = io.now;
        if let Some(will) = &mut self.will {
            will.payload = payload.into();
        }
        self.connect(settings, io);
        Verdict::Open
    }

    /// WILLTOPICUPD: without a topic the will is deleted `[MQTTSN-6.4]`.
    pub(super) fn on_will_topic_update(&mut self, topic: Option<WillTopic<'_>>, io: &mut Io<'_>) {
        let return_code = match topic {
            None => {
                self.will = None;
                ReturnCode::ACCEPTED
            }
            Some(topic) if TopicName::parse(topic.topic).is_err() => ReturnCode::NOT_SUPPORTED,
            Some(topic) => {
                let mut will = new_will(topic);
                if let Some(old) = self.will.take() {
                    will.payload = old.payload;
                }
                self.will = Some(will);
                ReturnCode::ACCEPTED
            }
        };
        io.to_client.push(&Packet::WillTopicResp { return_code });
    }

    /// WILLMSGUPD, refused if there is no will.
    pub(super) fn on_will_message_update(&mut self, payload: &[u8], io: &mut Io<'_>) {
        let return_code = match &mut self.will {
            Some(will) => {
                will.payload = payload.into();
                ReturnCode::ACCEPTED
            }
            None => ReturnCode::NOT_SUPPORTED,
        };
        io.to_client.push(&Packet::WillMsgResp { return_code });
    }

    pub(super) fn on_connack(&mut self, connack: &ConnAck<'_>, io: &mut Io<'_>) -> Verdict {
        if self.phase != Phase::Connecting {
            return Verdict::Open;
        }
        if connack.reason.is_error() {
            return self.refuse(return_code(connack.reason), io);
        }
        let maximum = connack.properties.receive_maximum().unwrap_or(u16::MAX);
        self.publishes_max = u8::try_from(maximum).map_or(PUBLISHES_MAX, |m| m.min(PUBLISHES_MAX));
        self.phase = Phase::Active;
        self.leaves_will = true;
        self.heard_at = io.now;
        self.accept(io);
        Verdict::Open
    }

    pub(super) fn accept(&mut self, io: &mut Io<'_>) {
        self.accepted_at = io.now;
        io.to_client.push(&Packet::ConnAck {
            return_code: ReturnCode::ACCEPTED,
        });
    }

    /// Whether a CONNECT with the parameters of the connection is the one of before.
    fn is_repeated(&self, settings: &Settings, io: &Io<'_>) -> bool {
        !self.has_spoken || io.now.saturating_sub(self.accepted_at) < settings.retry_ns
    }

    /// The client may have started anew: it is told every topic id again before its next use.
    fn renew(&mut self, settings: &Settings, io: &mut Io<'_>) {
        self.heard_at = io.now;
        self.has_spoken = false;
        self.refuses_predefined = false;
        // The will stays, as all of the session does `[MQTTSN-6.3]`.
        self.has_will = false;
        self.registrations.forget_known();
        self.accept(io);
        self.send_again(settings, io);
    }

    fn begin(&mut self, settings: &Settings, io: &mut Io<'_>) {
        self.heard_at = io.now;
        self.registrations = Registrations::new(io.now);
        self.will = None;
        if self.has_will {
            self.phase = Phase::WillTopic;
            io.to_client.push(&Packet::WillTopicReq);
        } else {
            self.connect(settings, io);
        }
    }

    fn refuse(&mut self, return_code: ReturnCode, io: &mut Io<'_>) -> Verdict {
        self.will = None;
        self.phase = Phase::Ended;
        io.to_client.push(&Packet::ConnAck { return_code });
        Verdict::Closed
    }

    fn connect(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let mut properties = PropertiesBuf::new();
        if !self.clean_session {
            properties.push(Property::SessionExpiryInterval(u32::MAX));
        }
        properties.push(Property::ReceiveMaximum(1));
        let maximum = settings.datagram_bytes_max - MQTT_SHORTER_BYTES;
        properties.push(Property::MaximumPacketSize(
            u32::try_from(maximum).unwrap_or(u32::MAX),
        ));
        Connect {
            version: Version::V5,
            clean_start: self.clean_session,
            keep_alive_seconds: 0,
            client_id: &self.client_id,
            will: None,
            username: None,
            password: None,
            properties: properties.as_properties(),
        }
        .encode(io.to_broker);
        self.phase = Phase::Connecting;
    }
}

/// What a failure of the broker is to a client: something to be tried again later, or not.
pub(super) const fn return_code(reason: ReasonCode) -> ReturnCode {
    match reason {
        ReasonCode::QuotaExceeded
        | ReasonCode::ServerBusy
        | ReasonCode::ServerUnavailable
        | ReasonCode::ConnectionRateExceeded
        | ReasonCode::ReceiveMaximumExceeded
        | ReasonCode::MessageRateTooHigh => ReturnCode::CONGESTION,
        reason if reason.is_error() => ReturnCode::NOT_SUPPORTED,
        _ => ReturnCode::ACCEPTED,
    }
}

fn new_will(topic: WillTopic<'_>) -> Box<Will> {
    Box::new(Will {
        topic: topic.topic.into(),
        payload: Box::default(),
        qos: topic.qos,
        retain: topic.retain,
    })
}
