//! The fifteen packet types, one module each (the four acknowledgements of PUBLISH share one).

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod list;
mod ping;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Refusal, Will};
pub use disconnect::Disconnect;
pub use ping::{PingReq, PingResp};
pub use publish::Publish;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscribeFilter};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;

use super::{DecodeError, FixedHeader, PacketIdentifier, PacketType, ReasonCode, Version};
use crate::wire::{Reader, varint_len};

/// A packet, borrowed from the bytes it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNECT
    Connect(Connect<'a>),
    /// CONNACK
    ConnAck(ConnAck<'a>),
    /// PUBLISH
    Publish(Publish<'a>),
    /// PUBACK
    PubAck(Ack<'a>),
    /// PUBREC
    PubRec(Ack<'a>),
    /// PUBREL
    PubRel(Ack<'a>),
    /// PUBCOMP
    PubComp(Ack<'a>),
    /// SUBSCRIBE
    Subscribe(Subscribe<'a>),
    /// SUBACK
    SubAck(SubAck<'a>),
    /// UNSUBSCRIBE
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK
    UnsubAck(UnsubAck<'a>),
    /// PINGREQ
    PingReq(PingReq),
    /// PINGRESP
    PingResp(PingResp),
    /// DISCONNECT
    Disconnect(Disconnect<'a>),
    /// AUTH
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes the body of a packet that [`frame`](super::frame) found. CONNECT says its version
    /// itself and `version` is not looked at.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    #[inline]
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        // The packets of every message, in the form that they nearly always have.
        match header.packet_type {
            PacketType::Publish => {
                if let Some(publish) = Publish::decode_plain(header, body, version, "") {
                    return Ok(Self::Publish(publish));
                }
            }
            PacketType::PubAck => {
                if let Some(ack) = Ack::decode_plain(header, body) {
                    return Ok(Self::PubAck(ack));
                }
            }
            _ => {}
        }
        Self::decode_other(header, body, version)
    }

    #[inline(never)]
    fn decode_other(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        Ok(match header.packet_type {
            PacketType::Connect => Self::Connect(Connect::decode(header, body)?),
            PacketType::ConnAck => Self::ConnAck(ConnAck::decode(header, body, version)?),
            PacketType::Publish => Self::Publish(Publish::decode(header, body, version)?),
            PacketType::PubAck => Self::PubAck(Ack::decode(header, body, version)?),
            PacketType::PubRec => Self::PubRec(Ack::decode(header, body, version)?),
            PacketType::PubRel => Self::PubRel(Ack::decode(header, body, version)?),
            PacketType::PubComp => Self::PubComp(Ack::decode(header, body, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(header, body, version)?),
            PacketType::SubAck => Self::SubAck(SubAck::decode(header, body, version)?),
            PacketType::Unsubscribe => {
                Self::Unsubscribe(Unsubscribe::decode(header, body, version)?)
            }
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::decode(header, body, version)?),
            PacketType::PingReq => Self::PingReq(PingReq::decode(header, body, version)?),
            PacketType::PingResp => Self::PingResp(PingResp::decode(header, body, version)?),
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(header, body, version)?),
            PacketType::Auth => Self::Auth(Auth::decode(header, body, version)?),
        })
    }

    /// Which packet it is.
    #[inline]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq(_) => PacketType::PingReq,
            Self::PingResp(_) => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet, fixed header included. CONNECT is encoded in its own version.
    ///
    /// # Panics
    /// If a string or binary field is longer than 65,535 bytes or the packet longer than MQTT can
    /// say.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encode(self.packet_type(), version, out);
            }
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq(packet) => packet.encode(version, out),
            Self::PingResp(packet) => packet.encode(version, out),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }

    /// How many bytes [`Packet::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        match self {
            Self::Connect(packet) => packet.encoded_len(),
            Self::ConnAck(packet) => packet.encoded_len(version),
            Self::Publish(packet) => packet.encoded_len(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encoded_len(version)
            }
            Self::Subscribe(packet) => packet.encoded_len(version),
            Self::SubAck(packet) => packet.encoded_len(version),
            Self::Unsubscribe(packet) => packet.encoded_len(version),
            Self::UnsubAck(packet) => packet.encoded_len(version),
            Self::PingReq(packet) => packet.encoded_len(version),
            Self::PingResp(packet) => packet.encoded_len(version),
            Self::Disconnect(packet) => packet.encoded_len(version),
            Self::Auth(packet) => packet.encoded_len(version),
        }
    }
}

/// The length of a packet whose body has `remaining` bytes.
#[inline]
fn packet_len(remaining: usize) -> usize {
    1 + varint_len(super::header::remaining_length(remaining)) + remaining
}

/// Takes a packet identifier off `reader`.
#[inline]
fn read_identifier(reader: &mut Reader<'_>) -> Result<PacketIdentifier, DecodeError> {
    PacketIdentifier::new(reader.u16()?).ok_or(DecodeError::PacketIdentifierZero)
}

/// A Reason Code if it is among those that `packet_type` can have.
fn reason_in(
    allowed: &[ReasonCode],
    value: u8,
    packet_type: PacketType,
) -> Result<ReasonCode, DecodeError> {
    match ReasonCode::try_from(value) {
        Ok(code) if allowed.contains(&code) => Ok(code),
        _ => Err(DecodeError::ReasonCodeInvalid { packet_type, value }),
    }
}

/// Fails unless every byte was taken.
#[inline]
fn expect_end(reader: Reader<'_>) -> Result<(), DecodeError> {
    if reader.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::TrailingBytes)
    }
}
