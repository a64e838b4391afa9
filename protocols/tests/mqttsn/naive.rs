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
    match kind {
        0x00..=0x05 => of_gateway(*kind, b),
        0x06..=0x09 | 0x1A..=0x1D => of_will(*kind, b),
        0x0A..=0x10 | 0x15 => of_message(*kind, b),
        0x12..=0x14 => of_subscription(*kind, b),
        0x16..=0x18 => of_life(*kind, b),
        _ => None,
    }
}

fn byte(b: &[u8], at: usize) -> Option<u8> {
    b.get(at).copied()
}

fn number(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(*b.get(at)?) * 256 + u32::from(*b.get(at + 1)?))
}

fn identifier(b: &[u8], at: usize) -> Option<u32> {
    number(b, at).filter(|&id| id != 0)
}

fn of_length(b: &[u8], length: usize) -> Option<()> {
    (b.len() == length).then_some(())
}

/// ADVERTISE to CONNACK.
fn of_gateway(kind: u8, b: &[u8]) -> Option<String> {
    Some(match kind {
        0x00 => {
            of_length(b, 3)?;
            format!("ADVERTISE {} {}", byte(b, 0)?, number(b, 1)?)
        }
        0x01 => {
            of_length(b, 1)?;
            format!("SEARCHGW {}", byte(b, 0)?)
        }
        0x02 => format!("GWINFO {} {:?}", byte(b, 0)?, &b[1..]),
        0x04 => {
            let flags = byte(b, 0)?;
            if byte(b, 1)? != 1 {
                return None;
            }
            let (clean, will) = (flags & 4 != 0, flags & 8 != 0);
            let (duration, id) = (number(b, 2)?, text(b.get(4..)?)?);
            format!("CONNECT {clean} {will} {duration} {id}")
        }
        0x05 => return_code(kind, b)?,
        _ => return None,
    })
}

fn return_code(kind: u8, b: &[u8]) -> Option<String> {
    of_length(b, 1)?;
    Some(format!("{kind:02X} {}", byte(b, 0)?))
}

/// WILLTOPICREQ to WILLMSG, and those that change them.
fn of_will(kind: u8, b: &[u8]) -> Option<String> {
    Some(match kind {
        0x06 | 0x08 => {
            of_length(b, 0)?;
            format!("{kind:02X}")
        }
        0x07 | 0x1A if b.is_empty() => format!("{kind:02X} nothing"),
        0x07 | 0x1A => {
            let flags = byte(b, 0)?;
            let retain = flags & 0x10 != 0;
            format!("{kind:02X} {} {retain} {}", qos(flags)?, text(&b[1..])?)
        }
        0x1B | 0x1D => return_code(kind, b)?,
        0x09 | 0x1C => format!("{kind:02X} {b:?}"),
        _ => return None,
    })
}

/// REGISTER to PUBREL.
fn of_message(kind: u8, b: &[u8]) -> Option<String> {
    Some(match kind {
        0x0A => {
            let (topic, id, name) = (number(b, 0)?, number(b, 2)?, text(b.get(4..)?)?);
            format!("REGISTER {topic} {id} {name}")
        }
        0x0B | 0x0D => {
            of_length(b, 5)?;
            let (topic, id, code) = (number(b, 0)?, number(b, 2)?, byte(b, 4)?);
            format!("{kind:02X} {topic} {id} {code}")
        }
        0x0C => {
            let flags = byte(b, 0)?;
            let qos = match (flags / 0x20) % 4 {
                3 => -1,
                other => i32::from(other),
            };
            let topic = topic(flags, b.get(1..3)?)?;
            let id = number(b, 3)?;
            if qos > 0 && id == 0 {
                return None;
            }
            let (dup, retain) = (flags & 0x80 != 0, flags & 0x10 != 0);
            let payload = b.get(5..)?;
            format!("PUBLISH {dup} {qos} {retain} {topic} {id} {payload:?}")
        }
        0x0E | 0x0F | 0x10 | 0x15 => {
            of_length(b, 2)?;
            format!("{kind:02X} {}", identifier(b, 0)?)
        }
        _ => return None,
    })
}

/// SUBSCRIBE to UNSUBSCRIBE.
fn of_subscription(kind: u8, b: &[u8]) -> Option<String> {
    Some(match kind {
        0x12 => {
            let flags = byte(b, 0)?;
            let dup = flags & 0x80 != 0;
            let filter = filter(flags, b.get(3..)?)?;
            let (qos, id) = (qos(flags)?, identifier(b, 1)?);
            format!("SUBSCRIBE {dup} {qos} {id} {filter}")
        }
        0x13 => {
            of_length(b, 6)?;
            let granted = qos(byte(b, 0)?)?;
            let (topic, id, code) = (number(b, 1)?, number(b, 3)?, byte(b, 5)?);
            format!("SUBACK {granted} {topic} {id} {code}")
        }
        0x14 => {
            let filter = filter(byte(b, 0)?, b.get(3..)?)?;
            format!("UNSUBSCRIBE {} {filter}", identifier(b, 1)?)
        }
        _ => return None,
    })
}

/// PINGREQ to DISCONNECT.
fn of_life(kind: u8, b: &[u8]) -> Option<String> {
    Some(match kind {
        0x16 if b.is_empty() => "PINGREQ".to_owned(),
        0x16 => format!("PINGREQ {}", text(b)?),
        0x17 => {
            of_length(b, 0)?;
            format!("{kind:02X}")
        }
        0x18 if b.is_empty() => "DISCONNECT".to_owned(),
        0x18 => {
            of_length(b, 2)?;
            format!("DISCONNECT {}", number(b, 0)?)
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
            format!("{kind} {} {retain} {topic:?}", level(qos))
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

fn level(qos: QoS) -> u8 {
    qos.into()
}
