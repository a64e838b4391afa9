//! MQTT 3.1.1 and 5.0.
//!
//! Greeting and templates come from the codec; what is received under load is scanned here.

use super::super::link::Link;
use super::{Incoming, Next, Shape, Stamp, Template, Wire, malformed, payload};
use ringbus_protocols::mqtt::{
    Connect, DecodeError, Frame, PACKET_SIZE_MAX, Packet, PacketIdentifier, Properties, Publish,
    QoS, ReasonCode, Subscribe, SubscribeFilter, Version, frame,
};
use std::io;

/// MQTT: version 5.0 if `V5`, else 3.1.1.
pub struct Mqtt<const V5: bool>;

impl<const V5: bool> Wire for Mqtt<V5> {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        let Some((header_bytes, length)) = fixed_header(bytes)? else {
            return Ok(Next::NeedMore);
        };
        let first = bytes[0];
        if first >> 4 == 3 {
            let Some(incoming) = publish::<V5>(&bytes[header_bytes..], first, length) else {
                return Ok(Next::NeedMore);
            };
            return Ok(Next::Frame {
                length: header_bytes + length,
                incoming,
            });
        }
        let Some(body) = bytes.get(header_bytes..header_bytes + length) else {
            return Ok(Next::NeedMore);
        };
        Ok(Next::Frame {
            length: header_bytes + length,
            incoming: other(first, body),
        })
    }

    fn template(shape: Shape<'_>) -> Template {
        let qos = QoS::try_from(shape.qos).expect("the flags allow 0 to 2");
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            _ => PacketIdentifier::new(1),
        };
        let payload = payload(shape.payload_bytes);
        let publish = Publish {
            qos,
            topic: shape.topic,
            packet_identifier,
            payload: &payload,
            ..Publish::default()
        };
        let mut message = Vec::new();
        publish.encode(version::<V5>(), &mut message);
        let stamp_offset = message.len() - payload.len();
        let id_offset = publish.packet_identifier_offset(version::<V5>());
        Template::new(&message, shape.batch, stamp_offset, id_offset)
    }

    fn connect(link: &mut Link, client_id: &str) -> io::Result<u16> {
        link.send(&connect_packet(version::<V5>(), client_id, true))?;
        accepted(version::<V5>(), &link.receive(whole_packet)?)
    }

    fn subscribe(link: &mut Link, filters: &[String], qos: u8) -> io::Result<()> {
        let qos = QoS::try_from(qos).expect("the flags allow 0 to 2");
        let id = PacketIdentifier::new(1).expect("1 is not 0");
        // A few filters a packet: the broker's maximum packet size is not known.
        for filters in filters.chunks(64) {
            let filters: Vec<_> = filters
                .iter()
                .map(|filter| SubscribeFilter::new(filter, qos))
                .collect();
            let (properties, mut packet) = (Properties::default(), Vec::new());
            Subscribe::encode_from(id, &properties, &filters, version::<V5>(), &mut packet);
            link.send(&packet)?;
            granted(version::<V5>(), &link.receive(whole_packet)?)?;
        }
        Ok(())
    }

    fn acknowledge(qos: u8, id: u16, out: &mut Vec<u8>) {
        put_ack(if qos == 1 { 0x40 } else { 0x50 }, id, out);
    }

    fn release(id: u16, out: &mut Vec<u8>) {
        put_ack(0x62, id, out);
    }

    fn complete(id: u16, out: &mut Vec<u8>) {
        put_ack(0x70, id, out);
    }
}

/// Length of the fixed header and the remaining length.
#[inline]
fn fixed_header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    match *bytes {
        [] | [_] => Ok(None),
        [_, length, ..] if length < 0x80 => Ok(Some((2, usize::from(length)))),
        _ => long_header(bytes),
    }
}

fn long_header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (index, &byte) in bytes[1..].iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + index, length)));
        }
    }
    if bytes.len() < 5 {
        Ok(None)
    } else {
        Err(malformed("a remaining length of five bytes"))
    }
}

/// Meaning of a PUBLISH of `length` bytes after the fixed header; `body` may end early.
#[inline]
fn publish<const V5: bool>(body: &[u8], first: u8, length: usize) -> Option<Incoming> {
    let [high, low, ..] = *body else { return None };
    let qos = first >> 1 & 3;
    let mut at = 2 + usize::from(u16::from_be_bytes([high, low]));
    let mut id = 0;
    if qos > 0 {
        id = u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]);
        at += 2;
    }
    if V5 {
        at += properties_bytes(body.get(at..)?)?;
    }
    if length < at + super::STAMP_BYTES {
        return Some(Incoming::Unstamped);
    }
    Stamp::read(body.get(at..)?).map(|stamp| Incoming::Message { stamp, qos, id })
}

/// Bytes of a property section with its length prefix.
fn properties_bytes(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(index + 1 + length);
        }
    }
    None
}

fn other(first: u8, body: &[u8]) -> Incoming {
    let id = match *body {
        [high, low, ..] => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    // A v5 acknowledgement may carry a Reason Code; from 0x80 on it refuses.
    let refused = body.get(2).is_some_and(|&reason| reason >= 0x80);
    match first >> 4 {
        4 | 5 if refused => Incoming::Refused("a message"),
        4 | 7 => Incoming::Completed,
        5 => Incoming::Received(id),
        6 => Incoming::Released(id),
        14 => Incoming::Refused("the connection (DISCONNECT)"),
        _ => Incoming::Other,
    }
}

/// CONNECT with the longest keep alive: rumqttd refuses none at all.
pub fn connect_packet(version: Version, client_id: &str, clean_start: bool) -> Vec<u8> {
    let connect = Connect {
        version,
        clean_start,
        keep_alive_seconds: u16::MAX,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut packet = Vec::new();
    connect.encode(&mut packet);
    packet
}

/// Checks a CONNACK and returns the broker's Receive Maximum.
pub fn accepted(version: Version, packet: &[u8]) -> io::Result<u16> {
    let Packet::ConnAck(answer) = decode(version, packet)? else {
        return Err(malformed("something else than CONNACK"));
    };
    if answer.reason.is_error() {
        return Err(io::Error::other(format!(
            "the broker refused CONNECT: {}",
            answer.reason
        )));
    }
    Ok(answer.properties.receive_maximum().unwrap_or(u16::MAX))
}

/// Length of the first packet once it is whole.
pub fn whole_packet(bytes: &[u8]) -> io::Result<Option<usize>> {
    match frame(bytes, PACKET_SIZE_MAX).map_err(invalid)? {
        Frame::Complete { length, .. } => Ok(Some(length)),
        Frame::Incomplete { .. } => Ok(None),
    }
}

/// Checks that a SUBACK grants everything.
fn granted(version: Version, packet: &[u8]) -> io::Result<()> {
    let Packet::SubAck(answer) = decode(version, packet)? else {
        return Err(malformed("something else than SUBACK"));
    };
    match answer.reasons.iter().find(|&&reason| reason >= 0x80) {
        None => Ok(()),
        Some(&reason) => {
            let reason = ReasonCode::try_from(reason).unwrap_or(ReasonCode::UnspecifiedError);
            Err(io::Error::other(format!(
                "the broker refused a subscription: {reason}"
            )))
        }
    }
}

fn decode(version: Version, packet: &[u8]) -> io::Result<Packet<'_>> {
    match frame(packet, PACKET_SIZE_MAX).map_err(invalid)? {
        Frame::Complete { header, body, .. } => {
            Packet::decode(header, body, version).map_err(invalid)
        }
        Frame::Incomplete { .. } => Err(malformed("half a packet")),
    }
}

fn invalid(error: DecodeError) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the broker sent bad MQTT: {error}"),
    )
}

fn put_ack(first: u8, id: u16, out: &mut Vec<u8>) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

const fn version<const V5: bool>() -> Version {
    if V5 { Version::V5 } else { Version::V3_1_1 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_prefix;
    use super::*;

    fn message<const V5: bool>(qos: u8, payload_bytes: usize) -> (Vec<u8>, Incoming) {
        let shape = Shape {
            topic: "bench/7",
            qos,
            payload_bytes,
            batch: 1,
        };
        let stamp = Stamp {
            run: 9,
            stream: 3,
            sequence: 1 << 40,
        };
        let bytes = Mqtt::<V5>::template(shape).stamp(stamp, 1, || 513).to_vec();
        (
            bytes,
            Incoming::Message {
                stamp,
                qos,
                id: if qos > 0 { 513 } else { 0 },
            },
        )
    }

    #[test]
    fn own_messages_are_understood_from_every_prefix() {
        for qos in 0..=2 {
            for payload_bytes in [16, 64, 200, 20_000] {
                let (bytes, expected) = message::<false>(qos, payload_bytes);
                every_prefix::<Mqtt<false>>(&bytes, expected);
                let (bytes, expected) = message::<true>(qos, payload_bytes);
                every_prefix::<Mqtt<true>>(&bytes, expected);
            }
        }
    }

    #[test]
    fn properties_before_the_payload_are_skipped() {
        let (mut longer, expected) = message::<true>(1, 64);
        let properties_at = 2 + 2 + 7 + 2;
        longer.splice(properties_at..=properties_at, [3, 0x23, 0, 1]);
        longer[1] += 3;
        every_prefix::<Mqtt<true>>(&longer, expected);
    }

    #[test]
    fn acknowledgements_are_told_apart() {
        let next = |bytes: &[u8]| match Mqtt::<true>::next(bytes).unwrap() {
            Next::Frame { incoming, .. } => incoming,
            Next::NeedMore => panic!("a whole frame"),
        };
        assert_eq!(next(&[0x40, 2, 0, 5]), Incoming::Completed);
        assert_eq!(next(&[0x40, 3, 0, 5, 0x10]), Incoming::Completed);
        assert!(matches!(next(&[0x40, 3, 0, 5, 0x97]), Incoming::Refused(_)));
        assert_eq!(next(&[0x50, 2, 1, 5]), Incoming::Received(261));
        assert_eq!(next(&[0x62, 2, 1, 5]), Incoming::Released(261));
        assert_eq!(next(&[0x70, 2, 1, 5]), Incoming::Completed);
        assert!(matches!(next(&[0xe0, 0]), Incoming::Refused(_)));
    }

    #[test]
    fn a_message_without_room_for_a_stamp_is_foreign() {
        every_prefix::<Mqtt<false>>(b"\x30\x05\x00\x01thi", Incoming::Unstamped);
    }

    #[test]
    fn a_length_without_end_is_an_error() {
        assert!(Mqtt::<false>::next(&[0x30, 0x80, 0x80, 0x80, 0x80, 1]).is_err());
    }

    #[test]
    fn the_receive_maximum_of_a_connack_is_found() {
        assert_eq!(
            accepted(Version::V5, &[0x20, 6, 0, 0, 3, 0x21, 0, 20]).unwrap(),
            20
        );
        assert_eq!(
            accepted(Version::V3_1_1, &[0x20, 2, 0, 0]).unwrap(),
            u16::MAX
        );
        assert!(accepted(Version::V3_1_1, &[0x20, 2, 0, 5]).is_err());
    }
}
