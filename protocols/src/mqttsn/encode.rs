//! From a message to a datagram.

use super::packet::{LONG_LENGTH, PROTOCOL_ID, flag, msg_type};
use super::{FilterRef, Packet, PublishQoS, TopicRef, WillTopic};
use crate::mqtt::QoS;
use crate::wire::put_u16;

/// The longest message with a Length of one byte.
const SHORT_LENGTH_MAX: usize = 255;

/// Appends the message, its Length in the shortest form.
///
/// # Panics
/// If the message is longer than 65,535 bytes.
#[inline]
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) {
    put_length(out, encoded_len(packet));
    match *packet {
        Packet::Publish {
            dup,
            qos,
            retain,
            topic,
            msg_id,
            payload,
        } => {
            let qos = match qos {
                PublishQoS::MinusOne => flag::QOS,
                PublishQoS::Of(qos) => qos_bits(qos),
            };
            let flags = bit(dup, flag::DUP) | qos | bit(retain, flag::RETAIN);
            let (id_type, topic) = match topic {
                TopicRef::Normal(id) => (0, id),
                TopicRef::Predefined(id) => (flag::PREDEFINED, id),
                TopicRef::Short(_) => (flag::SHORT, topic.field()),
            };
            out.extend_from_slice(&[msg_type::PUBLISH, flags | id_type]);
            put_u16(out, topic);
            put_u16(out, msg_id);
            out.extend_from_slice(payload);
        }
        Packet::Connect { .. } | Packet::Subscribe { .. } | Packet::Unsubscribe { .. } => {
            put_request(packet, out);
        }
        _ => put_other(packet, out),
    }
}

/// How many bytes [`encode`] appends.
#[inline]
pub fn encoded_len(packet: &Packet<'_>) -> usize {
    with_length(1 + body_len(packet))
}

/// How many bytes of a PUBLISH come before a payload of `payload_bytes`.
#[inline]
pub fn publish_head_len(payload_bytes: usize) -> usize {
    with_length(6 + payload_bytes) - payload_bytes
}

/// Appends a Length.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) => out.push(short),
        Err(_) => {
            out.push(LONG_LENGTH);
            let length = u16::try_from(length).expect("a message has at most 65,535 bytes");
            put_u16(out, length);
        }
    }
}

#[inline]
const fn with_length(rest: usize) -> usize {
    if rest < SHORT_LENGTH_MAX {
        1 + rest
    } else {
        3 + rest
    }
}

/// The bytes behind MsgType.
#[inline]
fn body_len(packet: &Packet<'_>) -> usize {
    match packet {
        Packet::Publish { payload, .. } => 5 + payload.len(),
        Packet::WillTopicReq | Packet::WillMsgReq | Packet::PingResp => 0,
        Packet::WillTopic(None) | Packet::WillTopicUpd(None) => 0,
        Packet::PingReq { client_id: None } => 0,
        Packet::Disconnect {
            duration_seconds: None,
        } => 0,
        Packet::SearchGw { .. } | Packet::ConnAck { .. } => 1,
        Packet::WillTopicResp { .. } | Packet::WillMsgResp { .. } => 1,
        Packet::PubRec { .. } | Packet::PubRel { .. } | Packet::PubComp { .. } => 2,
        Packet::UnsubAck { .. } | Packet::Disconnect { .. } => 2,
        Packet::Advertise { .. } => 3,
        Packet::RegAck { .. } | Packet::PubAck { .. } => 5,
        Packet::SubAck { .. } => 6,
        Packet::GwInfo { address, .. } => 1 + address.len(),
        Packet::Connect { client_id, .. } => 4 + client_id.len(),
        Packet::Register { topic_name, .. } => 4 + topic_name.len(),
        Packet::WillTopic(Some(will)) | Packet::WillTopicUpd(Some(will)) => 1 + will.topic.len(),
        Packet::WillMsg(payload) | Packet::WillMsgUpd(payload) => payload.len(),
        Packet::PingReq {
            client_id: Some(id),
        } => id.len(),
        Packet::Subscribe { filter, .. } | Packet::Unsubscribe { filter, .. } => match filter {
            FilterRef::Name(name) => 3 + name.len(),
            FilterRef::Predefined(_) | FilterRef::Short(_) => 5,
        },
    }
}

fn put_request(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match *packet {
        Packet::Connect {
            clean_session,
            will,
            duration_seconds,
            client_id,
        } => {
            let flags = bit(will, flag::WILL) | bit(clean_session, flag::CLEAN_SESSION);
            out.extend_from_slice(&[msg_type::CONNECT, flags, PROTOCOL_ID]);
            put_u16(out, duration_seconds);
            out.extend_from_slice(client_id.as_bytes());
        }
        Packet::Subscribe {
            dup,
            qos,
            msg_id,
            filter,
        } => {
            let flags = bit(dup, flag::DUP) | qos_bits(qos) | id_type(filter);
            out.extend_from_slice(&[msg_type::SUBSCRIBE, flags]);
            put_u16(out, msg_id);
            put_filter(out, filter);
        }
        Packet::Unsubscribe { msg_id, filter } => {
            out.extend_from_slice(&[msg_type::UNSUBSCRIBE, id_type(filter)]);
            put_u16(out, msg_id);
            put_filter(out, filter);
        }
        _ => unreachable!("the caller chose the three"),
    }
}

fn put_other(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match *packet {
        Packet::Advertise {
            gateway_id,
            duration_seconds,
        } => {
            out.extend_from_slice(&[msg_type::ADVERTISE, gateway_id]);
            put_u16(out, duration_seconds);
        }
        Packet::SearchGw { radius } => out.extend_from_slice(&[msg_type::SEARCHGW, radius]),
        Packet::GwInfo {
            gateway_id,
            address,
        } => {
            out.extend_from_slice(&[msg_type::GWINFO, gateway_id]);
            out.extend_from_slice(address);
        }
        Packet::ConnAck { return_code } => {
            out.extend_from_slice(&[msg_type::CONNACK, return_code.0]);
        }
        Packet::WillTopicReq => out.push(msg_type::WILLTOPICREQ),
        Packet::WillTopic(will) => put_will_topic(out, msg_type::WILLTOPIC, will),
        Packet::WillMsgReq => out.push(msg_type::WILLMSGREQ),
        Packet::WillMsg(payload) => put_bytes(out, msg_type::WILLMSG, payload),
        Packet::PingReq { client_id } => {
            put_bytes(out, msg_type::PINGREQ, client_id.unwrap_or("").as_bytes());
        }
        Packet::PingResp => out.push(msg_type::PINGRESP),
        Packet::Disconnect { duration_seconds } => {
            out.push(msg_type::DISCONNECT);
            if let Some(seconds) = duration_seconds {
                put_u16(out, seconds);
            }
        }
        Packet::WillTopicUpd(will) => put_will_topic(out, msg_type::WILLTOPICUPD, will),
        Packet::WillMsgUpd(payload) => put_bytes(out, msg_type::WILLMSGUPD, payload),
        Packet::WillTopicResp { return_code } => {
            out.extend_from_slice(&[msg_type::WILLTOPICRESP, return_code.0]);
        }
        Packet::WillMsgResp { return_code } => {
            out.extend_from_slice(&[msg_type::WILLMSGRESP, return_code.0]);
        }
        _ => put_topic_packet(packet, out),
    }
}

fn put_topic_packet(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match *packet {
        Packet::Register {
            topic_id,
            msg_id,
            topic_name,
        } => {
            put_ids(out, msg_type::REGISTER, topic_id, msg_id);
            out.extend_from_slice(topic_name.as_bytes());
        }
        Packet::RegAck {
            topic_id,
            msg_id,
            return_code,
        } => {
            put_ids(out, msg_type::REGACK, topic_id, msg_id);
            out.push(return_code.0);
        }
        Packet::PubAck {
            topic_id,
            msg_id,
            return_code,
        } => {
            put_ids(out, msg_type::PUBACK, topic_id, msg_id);
            out.push(return_code.0);
        }
        Packet::SubAck {
            qos,
            topic_id,
            msg_id,
            return_code,
        } => {
            out.extend_from_slice(&[msg_type::SUBACK, qos_bits(qos)]);
            put_u16(out, topic_id);
            put_u16(out, msg_id);
            out.push(return_code.0);
        }
        Packet::PubRec { msg_id } => put_id(out, msg_type::PUBREC, msg_id),
        Packet::PubRel { msg_id } => put_id(out, msg_type::PUBREL, msg_id),
        Packet::PubComp { msg_id } => put_id(out, msg_type::PUBCOMP, msg_id),
        Packet::UnsubAck { msg_id } => put_id(out, msg_type::UNSUBACK, msg_id),
        _ => unreachable!("all others have been encoded"),
    }
}

fn put_id(out: &mut Vec<u8>, kind: u8, msg_id: u16) {
    out.push(kind);
    put_u16(out, msg_id);
}

fn put_ids(out: &mut Vec<u8>, kind: u8, topic_id: u16, msg_id: u16) {
    put_id(out, kind, topic_id);
    put_u16(out, msg_id);
}

fn put_bytes(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn put_will_topic(out: &mut Vec<u8>, kind: u8, will: Option<WillTopic<'_>>) {
    out.push(kind);
    if let Some(will) = will {
        out.push(qos_bits(will.qos) | bit(will.retain, flag::RETAIN));
        out.extend_from_slice(will.topic.as_bytes());
    }
}

fn put_filter(out: &mut Vec<u8>, filter: FilterRef<'_>) {
    match filter {
        FilterRef::Name(name) => out.extend_from_slice(name.as_bytes()),
        FilterRef::Predefined(id) => put_u16(out, id),
        FilterRef::Short(name) => out.extend_from_slice(name.as_str().as_bytes()),
    }
}

const fn id_type(filter: FilterRef<'_>) -> u8 {
    match filter {
        FilterRef::Name(_) => 0,
        FilterRef::Predefined(_) => flag::PREDEFINED,
        FilterRef::Short(_) => flag::SHORT,
    }
}

const fn qos_bits(qos: QoS) -> u8 {
    (qos as u8) << flag::QOS_SHIFT
}

const fn bit(set: bool, mask: u8) -> u8 {
    if set { mask } else { 0 }
}
