//! REGISTER, SUBSCRIBE and UNSUBSCRIBE of the client `[MQTTSN-6.5]` `[MQTTSN-6.9]`.

use crate::mqtt::{
    PacketIdentifier, Properties, QoS, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscribeFilter, UnsubAck, Unsubscribe, Version,
};
use crate::topic::{SharedFilter, TopicFilter, TopicName};

use super::super::{FilterRef, Packet, ReturnCode};
use super::connect::return_code;
use super::{Gateway, Io, Settings};

/// How many requests a client may have outstanding.
const REQUESTS_MAX: usize = 8;

/// A SUBSCRIBE or UNSUBSCRIBE that the broker has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    msg_id: u16,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What SUBACK says, if the broker agrees.
    Subscribe {
        topic_id: u16,
        is_registered: bool,
    },
    Unsubscribe,
}

impl Gateway {
    /// A topic that has an id keeps it: the client may not have heard the answer.
    pub(super) fn on_register(
        &mut self,
        msg_id: u16,
        topic_name: &str,
        settings: &Settings,
        io: &mut Io<'_>,
    ) {
        let registered = match TopicName::parse(topic_name) {
            Err(_) => Err(ReturnCode::NOT_SUPPORTED),
            Ok(_) => self
                .registrations
                .id_or_new(topic_name, settings.registrations_max)
                .ok_or(ReturnCode::CONGESTION),
        };
        let (topic_id, return_code) = match registered {
            Ok(topic_id) => (topic_id, ReturnCode::ACCEPTED),
            Err(return_code) => (0, return_code),
        };
        io.to_client.push(&Packet::RegAck {
            topic_id,
            msg_id,
            return_code,
        });
        self.now_known(topic_id, settings, io);
    }

    pub(super) fn on_subscribe(
        &mut self,
        packet: &Packet<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) {
        let &Packet::Subscribe {
            dup,
            qos,
            msg_id,
            ref filter,
        } = packet
        else {
            return;
        };
        let asked = match self.begin_subscribing(msg_id, filter, settings) {
            Ok(None) => return,
            Ok(Some(name)) => Ok(name),
            Err(return_code) => Err(return_code),
        };
        match asked {
            Err(return_code) => io.to_client.push(&Packet::SubAck {
                qos: QoS::AtMostOnce,
                topic_id: 0,
                msg_id,
                return_code,
            }),
            Ok(name) => {
                let mut filter = SubscribeFilter::new(name, qos);
                // Sent again, it asks for the acknowledgement, not for the retained messages.
                if dup {
                    filter.retain_handling = RetainHandling::SendIfNew;
                }
                Subscribe::encode_from(
                    identifier(msg_id),
                    &Properties::default(),
                    &[filter],
                    Version::V5,
                    io.to_broker,
                );
            }
        }
    }

    /// A topic id that nobody knows is not subscribed: UNSUBACK has no return code.
    pub(super) fn on_unsubscribe(
        &mut self,
        msg_id: u16,
        filter: FilterRef<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) {
        let Some(name) = filter_name(&filter, settings) else {
            io.to_client.push(&Packet::UnsubAck { msg_id });
            return;
        };
        let requests = &mut self.incoming.get_or_insert_default().requests;
        if requests.iter().any(|r| r.msg_id == msg_id) || requests.len() >= REQUESTS_MAX {
            return;
        }
        requests.push(Request {
            msg_id,
            kind: Kind::Unsubscribe,
        });
        let properties = Properties::default();
        let identifier = identifier(msg_id);
        Unsubscribe::encode_from(identifier, &properties, &[name], Version::V5, io.to_broker);
    }

    pub(super) fn on_suback(&mut self, suback: &SubAck<'_>, settings: &Settings, io: &mut Io<'_>) {
        let msg_id = suback.packet_identifier.get();
        let Some(Kind::Subscribe {
            topic_id,
            is_registered,
        }) = self.take_request(msg_id)
        else {
            return;
        };
        let value = suback.reasons.first().copied().unwrap_or(0x80);
        let reason = ReasonCode::try_from(value).unwrap_or(ReasonCode::UnspecifiedError);
        let granted = QoS::try_from(value);
        io.to_client.push(&Packet::SubAck {
            qos: granted.unwrap_or_default(),
            topic_id: if granted.is_ok() { topic_id } else { 0 },
            msg_id,
            return_code: return_code(reason),
        });
        if granted.is_ok() && is_registered {
            self.now_known(topic_id, settings, io);
        }
    }

    pub(super) fn on_unsuback(&mut self, unsuback: &UnsubAck<'_>, io: &mut Io<'_>) {
        let msg_id = unsuback.packet_identifier.get();
        if self.take_request(msg_id) == Some(Kind::Unsubscribe) {
            io.to_client.push(&Packet::UnsubAck { msg_id });
        }
    }

    /// The filter to ask the broker for; `None` if the broker was asked already.
    fn begin_subscribing<'a>(
        &mut self,
        msg_id: u16,
        filter: &'a FilterRef<'_>,
        settings: &'a Settings,
    ) -> Result<Option<&'a str>, ReturnCode> {
        let name = filter_name(filter, settings).ok_or(ReturnCode::INVALID_TOPIC_ID)?;
        let requests = &self.incoming.get_or_insert_default().requests;
        if requests.iter().any(|r| r.msg_id == msg_id) {
            return Ok(None);
        }
        if requests.len() >= REQUESTS_MAX {
            return Err(ReturnCode::CONGESTION);
        }
        let (topic_id, is_registered) = match filter {
            FilterRef::Predefined(id) => (*id, false),
            FilterRef::Name(name) if is_topic_name(name) => {
                let max = settings.registrations_max;
                let id = self.registrations.id_or_new(name, max);
                (id.ok_or(ReturnCode::CONGESTION)?, true)
            }
            // Not relevant: the name is in every PUBLISH, or a REGISTER comes first
            // [MQTTSN-5.4.16].
            FilterRef::Name(_) | FilterRef::Short(_) => (0, false),
        };
        let kind = Kind::Subscribe {
            topic_id,
            is_registered,
        };
        let requests = &mut self.incoming.get_or_insert_default().requests;
        requests.push(Request { msg_id, kind });
        Ok(Some(name))
    }

    fn take_request(&mut self, msg_id: u16) -> Option<Kind> {
        let incoming = self.incoming.as_mut()?;
        let index = incoming.requests.iter().position(|r| r.msg_id == msg_id)?;
        let request = incoming.requests.swap_remove(index);
        // Many clients subscribe once and never publish so that it is acknowledged.
        if incoming.is_idle(0) {
            self.incoming = None;
        }
        Some(request.kind)
    }
}

/// Whether the messages for a filter all have the filter as their topic.
fn is_topic_name(filter: &str) -> bool {
    matches!(SharedFilter::parse(filter), Ok(None))
        && TopicFilter::parse(filter).is_ok_and(|filter| filter.is_exact())
}

fn filter_name<'a>(filter: &'a FilterRef<'_>, settings: &'a Settings) -> Option<&'a str> {
    match filter {
        FilterRef::Name(name) => Some(name),
        FilterRef::Predefined(id) => settings.predefined.name(*id),
        FilterRef::Short(name) => Some(name.as_str()),
    }
}

fn identifier(msg_id: u16) -> PacketIdentifier {
    // The decoder refuses zero.
    PacketIdentifier::new(msg_id).unwrap_or(PacketIdentifier::MIN)
}
