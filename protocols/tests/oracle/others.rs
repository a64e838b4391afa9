//! The two other codecs behind one function.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use ringbus_protocols::mqtt::{Frame, PACKET_SIZE_MAX, PacketType, Version, frame};

/// Another codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Other {
    /// mqttbytes 0.6
    MqttBytes,
    /// mqtt-protocol-core 0.7
    ProtocolCore,
}

/// What a codec makes of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A packet; this is how the codec encodes it again.
    Taken(Vec<u8>),
    /// Not a packet.
    Refused(String),
    /// It brought the thread down.
    Panicked,
}

impl Other {
    pub const ALL: [Self; 2] = [Self::MqttBytes, Self::ProtocolCore];

    pub fn verdict(self, bytes: &[u8], version: Version) -> Verdict {
        let decode = || match (self, version) {
            (Self::MqttBytes, Version::V5) => mqttbytes_v5(bytes),
            (Self::MqttBytes, _) => mqttbytes_v4(bytes),
            (Self::ProtocolCore, _) => protocol_core(bytes, version),
        };
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(Ok(again)) => Verdict::Taken(again),
            Ok(Err(why)) => Verdict::Refused(why),
            Err(_) => Verdict::Panicked,
        }
    }
}

/// The arms of a match over packets that can all be written, and over those that are only a type.
macro_rules! write_mqttbytes {
    ($module:ident, $packet:expr, $($unit:ident => $bytes:expr),*; $($variant:ident),*) => {{
        let mut out = BytesMut::new();
        match $packet {
            $($module::Packet::$unit => { out.extend_from_slice(&$bytes); Ok(0) })*
            $($module::Packet::$variant(packet) => packet.write(&mut out),)*
        }
        .map_err(|error| format!("{error:?} when writing"))?;
        Ok(out.to_vec())
    }};
}

fn mqttbytes_v4(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use mqttbytes::v4;
    let mut stream = BytesMut::from(bytes);
    let packet = v4::read(&mut stream, bytes.len()).map_err(|error| format!("{error:?}"))?;
    write_mqttbytes!(
        v4, packet, PingReq => [0xC0, 0], PingResp => [0xD0, 0], Disconnect => [0xE0, 0];
        Connect, ConnAck, Publish, PubAck, PubRec, PubRel, PubComp, Subscribe, SubAck,
        Unsubscribe, UnsubAck
    )
}

fn mqttbytes_v5(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use mqttbytes::v5;
    let mut stream = BytesMut::from(bytes);
    let packet = v5::read(&mut stream, bytes.len()).map_err(|error| format!("{error:?}"))?;
    write_mqttbytes!(
        v5, packet, PingReq => [0xC0, 0], PingResp => [0xD0, 0];
        Connect, ConnAck, Publish, PubAck, PubRec, PubRel, PubComp, Subscribe, SubAck,
        Unsubscribe, UnsubAck, Disconnect
    )
}

/// Framing is left to ours: this codec parses bodies, and of the flags only those of PUBLISH.
fn protocol_core(bytes: &[u8], version: Version) -> Result<Vec<u8>, String> {
    let (packet_type, flags, body) = match frame(bytes, PACKET_SIZE_MAX) {
        Ok(Frame::Complete { header, body, .. }) => (header.packet_type, header.flags, body),
        other => return Err(format!("not framed: {other:?}")),
    };
    /// Parses a body to its last byte, as the connection of that crate does.
    macro_rules! parse {
        ($packet:ty) => {
            match <$packet>::parse(body) {
                Ok((packet, length)) if length == body.len() => Ok(packet.to_continuous_buffer()),
                Ok(_) => Err("trailing bytes".to_owned()),
                Err(error) => Err(format!("{error:?}")),
            }
        };
    }
    macro_rules! publish {
        ($packet:ty) => {
            <$packet>::parse(flags, Arc::from(body))
                .map(|(packet, _)| packet.to_continuous_buffer())
                .map_err(|error| format!("{error:?}"))
        };
    }
    macro_rules! any {
        ($module:ident) => {
            match packet_type {
                PacketType::Connect => parse!($module::Connect),
                PacketType::ConnAck => parse!($module::Connack),
                PacketType::Publish => publish!($module::Publish),
                PacketType::PubAck => parse!($module::Puback),
                PacketType::PubRec => parse!($module::Pubrec),
                PacketType::PubRel => parse!($module::Pubrel),
                PacketType::PubComp => parse!($module::Pubcomp),
                PacketType::Subscribe => parse!($module::Subscribe),
                PacketType::SubAck => parse!($module::Suback),
                PacketType::Unsubscribe => parse!($module::Unsubscribe),
                PacketType::UnsubAck => parse!($module::Unsuback),
                PacketType::PingReq => parse!($module::Pingreq),
                PacketType::PingResp => parse!($module::Pingresp),
                PacketType::Disconnect => parse!($module::Disconnect),
                PacketType::Auth => parse!(v5_0::Auth),
            }
        };
    }
    match version {
        Version::V5 => any!(v5_0),
        _ => any!(v3_1_1),
    }
}
