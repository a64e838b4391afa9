//! From a datagram to a message.

use std::error::Error;
use std::fmt;

use super::packet::{LONG_LENGTH, PROTOCOL_ID, flag, msg_type};
use super::{FilterRef, Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, WillTopic};
use crate::mqtt::QoS;
use crate::wire::{self, Reader, WireError};

/// Why a datagram is no message. MQTT-SN has no answer to such a datagram: it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Length is not the length of the datagram, or too small for itself `[MQTTSN-5.2.1]`.
    Length,
    /// A MsgType that is reserved `[MQTTSN-5.2.2]`, or an encapsulation in an encapsulation.
    MsgType(u8),
    /// The message ends inside a field.
    Truncated,
    /// Bytes are left after the last field.
    TrailingBytes,
    /// Text is not UTF-8, or contains U+0000.
    Text,
    /// A ProtocolId other than 1 `[MQTTSN-5.3.8]`.
    ProtocolId(u8),
    /// TopicIdType 3 `[MQTTSN-5.3.4]`.
    TopicIdType,
    /// QoS −1 where it has no meaning `[MQTTSN-5.3.4]`.
    QoS,
    /// MsgId 0 where an answer has to name it `[MQTTSN-5.3.7]`.
    MsgIdZero,
    /// A client id or topic name without a character.
    Empty,
}

impl Malformed {
    /// What is wrong, in a few words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Length => "the length is not that of the datagram",
            Self::MsgType(_) => "a reserved message type",
            Self::Truncated => "the message ends inside a field",
            Self::TrailingBytes => "bytes are left after the last field",
            Self::Text => "text is not UTF-8 without U+0000",
            Self::ProtocolId(_) => "an unknown protocol id",
            Self::TopicIdType => "a reserved topic id type",
            Self::QoS => "a quality of service that this message cannot have",
            Self::MsgIdZero => "message id zero",
            Self::Empty => "a name is empty",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

impl Error for Malformed {}

impl From<WireError> for Malformed {
    fn from(error: WireError) -> Self {
        match error {
            WireError::StringNotUtf8 | WireError::StringNul => Self::Text,
            _ => Self::Truncated,
        }
    }
}

/// Decodes the one message that a datagram holds. Bits of Flags that the message does not use are
/// not looked at; a Length of three bytes is taken also where one would do `[MQTTSN-5.2.1]`.
///
/// # Errors
/// The first rule that the datagram breaks.
#[inline]
pub fn decode(datagram: &[u8]) -> Result<Packet<'_>, Malformed> {
    let body = body(datagram)?;
    let mut reader = Reader::new(body);
    let kind = reader.u8()?;
    let packet = match kind {
        msg_type::PUBLISH => return publish(reader),
        msg_type::ADVERTISE..=msg_type::WILLMSG | msg_type::PINGREQ..=msg_type::WILLMSGRESP => {
            connection_packet(kind, &mut reader)?
        }
        _ => topic_packet(kind, &mut reader)?,
    };
    if reader.is_empty() {
        Ok(packet)
    } else {
        Err(Malformed::TrailingBytes)
    }
}

/// The message behind its Length `[MQTTSN-5.2.1]`, at least one byte.
#[inline]
fn body(datagram: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(datagram);
    let length = match reader.u8()? {
        LONG_LENGTH => usize::from(reader.u16()?),
        short => usize::from(short),
    };
    if length != datagram.len() {
        return Err(Malformed::Length);
    }
    Ok(reader.rest())
}

#[inline]
fn publish(mut reader: Reader<'_>) -> Result<Packet<'_>, Malformed> {
    let flags = reader.u8()?;
    let topic = topic_ref(flags, &mut reader)?;
    let msg_id = reader.u16()?;
    let qos = match qos(flags) {
        Ok(qos) => PublishQoS::Of(qos),
        Err(_) => PublishQoS::MinusOne,
    };
    let is_answered = matches!(qos, PublishQoS::Of(QoS::AtLeastOnce | QoS::ExactlyOnce));
    if is_answered && msg_id == 0 {
        return Err(Malformed::MsgIdZero);
    }
    Ok(Packet::Publish {
        dup: flags & flag::DUP != 0,
        qos,
        retain: flags & flag::RETAIN != 0,
        topic,
        msg_id,
        payload: reader.rest(),
    })
}

/// Discovery, connection, will, keep alive.
fn connection_packet<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Packet<'a>, Malformed> {
    Ok(match kind {
        msg_type::ADVERTISE => Packet::Advertise {
            gateway_id: reader.u8()?,
            duration_seconds: reader.u16()?,
        },
        msg_type::SEARCHGW => Packet::SearchGw {
            radius: reader.u8()?,
        },
        msg_type::GWINFO => Packet::GwInfo {
            gateway_id: reader.u8()?,
            address: rest(reader),
        },
        msg_type::CONNECT => connect(reader)?,
        msg_type::CONNACK => Packet::ConnAck {
            return_code: ReturnCode(reader.u8()?),
        },
        msg_type::WILLTOPICREQ => Packet::WillTopicReq,
        msg_type::WILLTOPIC => Packet::WillTopic(will_topic(reader)?),
        msg_type::WILLMSGREQ => Packet::WillMsgReq,
        msg_type::WILLMSG => Packet::WillMsg(rest(reader)),
        msg_type::PINGREQ => Packet::PingReq {
            client_id: match reader.is_empty() {
                true => None,
                false => Some(name(reader)?),
            },
        },
        msg_type::PINGRESP => Packet::PingResp,
        msg_type::DISCONNECT => Packet::Disconnect {
            duration_seconds: match reader.is_empty() {
                true => None,
                false => Some(reader.u16()?),
            },
        },
        msg_type::WILLTOPICUPD => Packet::WillTopicUpd(will_topic(reader)?),
        msg_type::WILLTOPICRESP => Packet::WillTopicResp {
            return_code: ReturnCode(reader.u8()?),
        },
        msg_type::WILLMSGUPD => Packet::WillMsgUpd(rest(reader)),
        msg_type::WILLMSGRESP => Packet::WillMsgResp {
            return_code: ReturnCode(reader.u8()?),
        },
        unknown => return Err(Malformed::MsgType(unknown)),
    })
}

/// Registration, acknowledgements, subscriptions.
fn topic_packet<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Packet<'a>, Malformed> {
    Ok(match kind {
        msg_type::REGISTER => Packet::Register {
            topic_id: reader.u16()?,
            msg_id: reader.u16()?,
            topic_name: name(reader)?,
        },
        msg_type::REGACK => Packet::RegAck {
            topic_id: reader.u16()?,
            msg_id: reader.u16()?,
            return_code: ReturnCode(reader.u8()?),
        },
        msg_type::PUBACK => Packet::PubAck {
            topic_id: reader.u16()?,
            msg_id: reader.u16()?,
            return_code: ReturnCode(reader.u8()?),
        },
        msg_type::PUBCOMP => Packet::PubComp {
            msg_id: msg_id(reader)?,
        },
        msg_type::PUBREC => Packet::PubRec {
            msg_id: msg_id(reader)?,
        },
        msg_type::PUBREL => Packet::PubRel {
            msg_id: msg_id(reader)?,
        },
        msg_type::SUBSCRIBE => subscribe(reader)?,
        msg_type::SUBACK => Packet::SubAck {
            qos: qos(reader.u8()?)?,
            topic_id: reader.u16()?,
            msg_id: reader.u16()?,
            return_code: ReturnCode(reader.u8()?),
        },
        msg_type::UNSUBSCRIBE => {
            let flags = reader.u8()?;
            Packet::Unsubscribe {
                msg_id: msg_id(reader)?,
                filter: filter_ref(flags, reader)?,
            }
        }
        msg_type::UNSUBACK => Packet::UnsubAck {
            msg_id: msg_id(reader)?,
        },
        unknown => return Err(Malformed::MsgType(unknown)),
    })
}

fn connect<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, Malformed> {
    let flags = reader.u8()?;
    match reader.u8()? {
        PROTOCOL_ID => {}
        unknown => return Err(Malformed::ProtocolId(unknown)),
    }
    Ok(Packet::Connect {
        clean_session: flags & flag::CLEAN_SESSION != 0,
        will: flags & flag::WILL != 0,
        duration_seconds: reader.u16()?,
        client_id: name(reader)?,
    })
}

fn subscribe<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, Malformed> {
    let flags = reader.u8()?;
    Ok(Packet::Subscribe {
        dup: flags & flag::DUP != 0,
        qos: qos(flags)?,
        msg_id: msg_id(reader)?,
        filter: filter_ref(flags, reader)?,
    })
}

/// Flags and topic, or nothing at all `[MQTTSN-5.4.7]`.
fn will_topic<'a>(reader: &mut Reader<'a>) -> Result<Option<WillTopic<'a>>, Malformed> {
    if reader.is_empty() {
        return Ok(None);
    }
    let flags = reader.u8()?;
    Ok(Some(WillTopic {
        qos: qos(flags)?,
        retain: flags & flag::RETAIN != 0,
        topic: name(reader)?,
    }))
}

#[inline]
fn topic_ref(flags: u8, reader: &mut Reader<'_>) -> Result<TopicRef, Malformed> {
    match flags & flag::TOPIC_ID_TYPE {
        0 => Ok(TopicRef::Normal(reader.u16()?)),
        flag::PREDEFINED => Ok(TopicRef::Predefined(reader.u16()?)),
        flag::SHORT => Ok(TopicRef::Short(short(reader)?)),
        _ => Err(Malformed::TopicIdType),
    }
}

fn filter_ref<'a>(flags: u8, reader: &mut Reader<'a>) -> Result<FilterRef<'a>, Malformed> {
    match flags & flag::TOPIC_ID_TYPE {
        0 => Ok(FilterRef::Name(name(reader)?)),
        flag::PREDEFINED => Ok(FilterRef::Predefined(reader.u16()?)),
        flag::SHORT => Ok(FilterRef::Short(short(reader)?)),
        _ => Err(Malformed::TopicIdType),
    }
}

#[inline]
fn short(reader: &mut Reader<'_>) -> Result<ShortTopic, Malformed> {
    let text = wire::utf8(reader.bytes(2)?)?;
    ShortTopic::new(text).ok_or(Malformed::Text)
}

#[inline]
fn qos(flags: u8) -> Result<QoS, Malformed> {
    QoS::try_from((flags & flag::QOS) >> flag::QOS_SHIFT).map_err(|_| Malformed::QoS)
}

fn msg_id(reader: &mut Reader<'_>) -> Result<u16, Malformed> {
    match reader.u16()? {
        0 => Err(Malformed::MsgIdZero),
        msg_id => Ok(msg_id),
    }
}

/// Text to the end of the message, which has no length of its own.
fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let text = wire::utf8_string(rest(reader))?;
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    Ok(text)
}

/// Takes all that is left.
fn rest<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    let rest = reader.rest();
    *reader = Reader::new(&[]);
    rest
}
