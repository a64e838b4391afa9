//! A second decoder, written from the tables of the specification and nothing else: fields are cut
//! out by position into one line of text.

use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{FilterRef, Packet, PublishQoS, TopicRef, WillTopic};

/// The message in words; `None` if it is none.
pub fn decode(bytes: &[u8]) -> Option<String> {
    let (said, rest) = match bytes {
        [1, high, low, rest @ ..] => (usize::from(*high) * 256 + usize::from(*low), rest),
        [1, ..] | [] => return None,
        [said, rest @ ..] => (usize::from(*said), rest),
    };
    if said != bytes.len() {
        return None;
    }
    let (kind, b) = rest.split_first()?;
    let number = |at: usize| Some(u32::from(*b.get(at)?) * 256 + u32::from(*b.get(at + 1)?));
    let identifier = |at: usize| number(at).filter(|&id| id != 0);
    let byte = |at: usize| b.get(at).copied();
    let of_length = |length: usize| (b.len() == length).then_some(());
    Some(match kind {
        0x00 => {
            of_length(3)?;
            format!("ADVERTISE {} {}", byte(0)?, number(1)?)
        }
        0x01 => {
            of_length(1)?;
            format!("SEARCHGW {}", byte(0)?)
        }
        0x02 => format!("GWINFO {} {:?}", byte(0)?, &b[1..]),
        0x04 => {
            let flags = byte(0)?;
            if byte(1)? != 1 {
                return None;
            }
            let (clean, will) = (flags & 4 != 0, flags & 8 != 0);
            format!(
                "CONNECT {clean} {will} {} {}",
                number(2)?,
                text(b.get(4..)?)?
            )
        }
        0x05 | 0x1B | 0x1D => {
            of_length(1)?;
            format!("{kind:02X} {}", byte(0)?)
        }
        0x06 | 0x08 | 0x17 => {
            of_length(0)?;
            format!("{kind:02X}")
        }
        0x07 | 0x1A if b.is_empty() => format!("{kind:02X} nothing"),
        0x07 | 0x1A => {
            let flags = byte(0)?;
            let retain = flags & 0x10 != 0;
            format!("{kind:02X} {} {retain} {}", qos(flags)?, text(&b[1..])?)
        }
        0x09 | 0x1C => format!("{kind:02X} {b:?}"),
        0x0A => format!(
            "REGISTER {} {} {}",
            number(0)?,
            number(2)?,
            text(b.get(4..)?)?
        ),
        0x0B | 0x0D => {
            of_length(5)?;
            format!("{kind:02X} {} {} {}", number(0)?, number(2)?, byte(4)?)
        }
        0x0C => {
            let flags = byte(0)?;
            let qos = match (flags / 0x20) % 4 {
                3 => -1,
                other => i32::from(other),
            };
            let topic = topic(flags, b.get(1..3)?)?;
            let id = number(3)?;
            if qos > 0 && id == 0 {
                return None;
            }
            let (dup, retain) = (flags & 0x80 != 0, flags & 0x10 != 0);
            format!(
                "PUBLISH {dup} {qos} {retain} {topic} {id} {:?}",
                b.get(5..)?
            )
        }
        0x0E | 0x0F | 0x10 | 0x15 => {
            of_length(2)?;
            format!("{kind:02X} {}", identifier(0)?)
        }
        0x12 => {
            let flags = byte(0)?;
            let dup = flags & 0x80 != 0;
            let filter = filter(flags, b.get(3..)?)?;
            format!(
                "SUBSCRIBE {dup} {} {} {filter}",
                qos(flags)?,
                identifier(1)?
            )
        }
        0x13 => {
            of_length(6)?;
            let granted = qos(byte(0)?)?;
            format!(
                "SUBACK {granted} {} {} {}",
                number(1)?,
                number(3)?,
                byte(5)?
            )
        }
        0x14 => {
            let filter = filter(byte(0)?, b.get(3..)?)?;
            format!("UNSUBSCRIBE {} {filter}", identifier(1)?)
        }
        0x16 if b.is_empty() => "PINGREQ".to_owned(),
        0x16 => format!("PINGREQ {}", text(b)?),
        0x18 if b.is_empty() => "DISCONNECT".to_owned(),
        0x18 => {
            of_length(2)?;
            format!("DISCONNECT {}", number(0)?)
        }
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    (!text.is_empty() && !text.contains('\0')).then(|| format!("{text:?}"))
}

fn qos(flags: u8) -> Option<u8> {
    Some((flags / 0x20) % 4).filter(|&qos| qos < 3)
}

fn topic(flags: u8, bytes: &[u8]) -> Option<String> {
    let number = u16::from_be_bytes(bytes.try_into().ok()?);
    match flags % 4 {
        0 => Some(format!("id {number}")),
        1 => Some(format!("predefined {number}")),
        2 => text(bytes).map(|name| format!("short {name}")),
        _ => None,
    }
}

fn filter(flags: u8, bytes: &[u8]) -> Option<String> {
    match flags % 4 {
        0 => text(bytes).map(|name| format!("name {name}")),
        _ => topic(flags, bytes),
    }
}

/// What [`decode`] says about a message.
pub fn describe(packet: &Packet<'_>) -> String {
    match *packet {
        Packet::Advertise {
            gateway_id,
            duration_seconds,
        } => format!("ADVERTISE {gateway_id} {duration_seconds}"),
        Packet::SearchGw { radius } => format!("SEARCHGW {radius}"),
        Packet::GwInfo {
            gateway_id,
            address,
        } => format!("GWINFO {gateway_id} {address:?}"),
        Packet::Connect {
            clean_session,
            will,
            duration_seconds,
            client_id,
        } => format!("CONNECT {clean_session} {will} {duration_seconds} {client_id:?}"),
        Packet::ConnAck { return_code } => format!("05 {}", return_code.0),
        Packet::WillTopicResp { return_code } => format!("1B {}", return_code.0),
        Packet::WillMsgResp { return_code } => format!("1D {}", return_code.0),
        Packet::WillTopicReq => "06".to_owned(),
        Packet::WillMsgReq => "08".to_owned(),
        Packet::PingResp => "17".to_owned(),
        Packet::WillTopic(will) => describe_will("07", will),
        Packet::WillTopicUpd(will) => describe_will("1A", will),
        Packet::WillMsg(payload) => format!("09 {payload:?}"),
        Packet::WillMsgUpd(payload) => format!("1C {payload:?}"),
        Packet::PingReq { client_id: None } => "PINGREQ".to_owned(),
        Packet::PingReq {
            client_id: Some(client_id),
        } => format!("PINGREQ {client_id:?}"),
        Packet::Disconnect {
            duration_seconds: None,
        } => "DISCONNECT".to_owned(),
        Packet::Disconnect {
            duration_seconds: Some(seconds),
        } => format!("DISCONNECT {seconds}"),
        _ => describe_topic_packet(packet),
    }
}

fn describe_topic_packet(packet: &Packet<'_>) -> String {
    match *packet {
        Packet::Register {
            topic_id,
            msg_id,
            topic_name,
        } => format!("REGISTER {topic_id} {msg_id} {topic_name:?}"),
        Packet::RegAck {
            topic_id,
            msg_id,
            return_code,
        } => format!("0B {topic_id} {msg_id} {}", return_code.0),
        Packet::PubAck {
            topic_id,
            msg_id,
            return_code,
        } => format!("0D {topic_id} {msg_id} {}", return_code.0),
        Packet::Publish {
            dup,
            qos,
            retain,
            topic,
            msg_id,
            payload,
        } => {
            let qos = match qos {
                PublishQoS::MinusOne => -1,
                PublishQoS::Of(qos) => i32::from(u8::from(qos)),
            };
            let topic = match topic {
                TopicRef::Normal(id) => format!("id {id}"),
                TopicRef::Predefined(id) => format!("predefined {id}"),
                TopicRef::Short(name) => format!("short {:?}", name.as_str()),
            };
            format!("PUBLISH {dup} {qos} {retain} {topic} {msg_id} {payload:?}")
        }
        Packet::PubComp { msg_id } => format!("0E {msg_id}"),
        Packet::PubRec { msg_id } => format!("0F {msg_id}"),
        Packet::PubRel { msg_id } => format!("10 {msg_id}"),
        Packet::UnsubAck { msg_id } => format!("15 {msg_id}"),
        Packet::Subscribe {
            dup,
            qos,
            msg_id,
            filter,
        } => {
            let qos = u8::from(qos);
            format!("SUBSCRIBE {dup} {qos} {msg_id} {}", describe_filter(filter))
        }
        Packet::SubAck {
            qos,
            topic_id,
            msg_id,
            return_code,
        } => format!(
            "SUBACK {} {topic_id} {msg_id} {}",
            u8::from(qos),
            return_code.0
        ),
        Packet::Unsubscribe { msg_id, filter } => {
            format!("UNSUBSCRIBE {msg_id} {}", describe_filter(filter))
        }
        _ => unreachable!("all others have been described"),
    }
}

fn describe_will(kind: &str, will: Option<WillTopic<'_>>) -> String {
    match will {
        None => format!("{kind} nothing"),
        Some(WillTopic { qos, retain, topic }) => {
            format!("{kind} {} {retain} {topic:?}", number(qos))
        }
    }
}

fn describe_filter(filter: FilterRef<'_>) -> String {
    match filter {
        FilterRef::Name(name) => format!("name {name:?}"),
        FilterRef::Predefined(id) => format!("predefined {id}"),
        FilterRef::Short(name) => format!("short {:?}", name.as_str()),
    }
}

fn number(qos: QoS) -> u8 {
    qos.into()
}
