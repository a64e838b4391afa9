//! The fixed header and the cutting of a byte stream into packets `[MQTT5-2.1]`.

use std::fmt;

use super::{DecodeError, Version};
use crate::wire::{VARINT_MAX, put_varint, read_varint};

/// The length of the longest packet that can be framed, in bytes.
pub const PACKET_SIZE_MAX: u32 = VARINT_MAX + 5;

/// The MQTT Control Packet types `[MQTT5-2.1.2]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Connection request.
    Connect = 1,
    /// Connect acknowledgment.
    ConnAck = 2,
    /// Publish message.
    Publish = 3,
    /// Publish acknowledgment (QoS 1).
    PubAck = 4,
    /// Publish received (QoS 2 delivery part 1).
    PubRec = 5,
    /// Publish release (QoS 2 delivery part 2).
    PubRel = 6,
    /// Publish complete (QoS 2 delivery part 3).
    PubComp = 7,
    /// Subscribe request.
    Subscribe = 8,
    /// Subscribe acknowledgment.
    SubAck = 9,
    /// Unsubscribe request.
    Unsubscribe = 10,
    /// Unsubscribe acknowledgment.
    UnsubAck = 11,
    /// PING request.
    PingReq = 12,
    /// PING response.
    PingResp = 13,
    /// Disconnect notification.
    Disconnect = 14,
    /// Authentication exchange, MQTT 5.0 only.
    Auth = 15,
}

impl PacketType {
    /// Every type, by value.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The name in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The flags of the fixed header of every type but PUBLISH `[MQTT5-2.1.3-1]`.
    pub(crate) const fn fixed_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = u8;

    /// # Errors
    /// Gives back 0 and values over 15.
    #[inline]
    fn try_from(value: u8) -> Result<Self, u8> {
        let index = usize::from(value).wrapping_sub(1);
        Self::ALL.get(index).copied().ok_or(value)
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The part that every packet starts with `[MQTT5-2.1.1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    /// What the packet is.
    pub packet_type: PacketType,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Length of the body in bytes.
    pub remaining_length: u32,
}

impl FixedHeader {
    /// Checks the flags against the rules of `version`. [`frame`] has checked them already except
    /// for one thing: it cannot know that only MQTT 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE
    /// have DUP.
    ///
    /// # Errors
    /// [`DecodeError::FlagsInvalid`]
    #[inline]
    pub(crate) fn check_flags(self, version: Version) -> Result<(), DecodeError> {
        check_flags(self.packet_type, self.flags)?;
        let repeated = self.packet_type != PacketType::Publish && self.flags & DUP != 0;
        if repeated && version != Version::V3_1 {
            return Err(DecodeError::FlagsInvalid(self.packet_type));
        }
        Ok(())
    }
}

/// DUP among the flags of the fixed header.
pub(crate) const DUP: u8 = 0b1000;

#[inline]
fn check_flags(packet_type: PacketType, flags: u8) -> Result<(), DecodeError> {
    let good = match packet_type {
        // RETAIN is free; DUP needs a QoS above 0, and QoS 3 does not exist.
        PacketType::Publish => !matches!(flags & 0b1110, 0b1000 | 0b0110 | 0b1110),
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => {
            flags & !DUP == 0b0010
        }
        _ => flags == 0,
    };
    if good {
        Ok(())
    } else {
        Err(DecodeError::FlagsInvalid(packet_type))
    }
}

/// What the front of a byte stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Not a whole packet yet.
    Incomplete {
        /// The least total length, in bytes from the start of the packet, that can complete it.
        needed: usize,
    },
    /// A whole packet.
    Complete {
        /// Its fixed header.
        header: FixedHeader,
        /// The bytes after the fixed header.
        body: &'a [u8],
        /// The length of the whole packet in bytes.
        length: usize,
    },
}

/// Finds the packet at the front of `bytes`. Packets of more than `maximum_packet_size` bytes,
/// fixed header included, are refused as soon as their length is there.
///
/// # Errors
/// A reserved packet type, invalid flags, a Remaining Length of more than four bytes and a packet
/// that is too large are reported from the first bytes that show them.
#[inline]
pub fn frame(bytes: &[u8], maximum_packet_size: u32) -> Result<Frame<'_>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(Frame::Incomplete { needed: 2 });
    };
    let packet_type = PacketType::try_from(first >> 4).map_err(DecodeError::PacketTypeReserved)?;
    let flags = first & 0x0F;
    check_flags(packet_type, flags)?;
    let Some((remaining_length, prefix)) = read_varint(rest)? else {
        return Ok(Frame::Incomplete {
            needed: bytes.len() + 1,
        });
    };
    let header_length = 1 + prefix;
    let length = header_length + remaining_length as usize;
    if length > maximum_packet_size as usize {
        return Err(too_large(length, maximum_packet_size));
    }
    let header = FixedHeader {
        packet_type,
        flags,
        remaining_length,
    };
    match bytes.get(header_length..length) {
        Some(body) => Ok(Frame::Complete {
            header,
            body,
            length,
        }),
        None => Ok(Frame::Incomplete { needed: length }),
    }
}

#[cold]
fn too_large(length: usize, maximum: u32) -> DecodeError {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    DecodeError::PacketTooLarge { length, maximum }
}

/// Appends a fixed header.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, packet_type: PacketType, flags: u8, remaining: usize) {
    let first = ((packet_type as u8) << 4) | flags;
    match u8::try_from(remaining) {
        // Both bytes at once: most packets are short.
        Ok(short) if short < 0x80 => out.extend_from_slice(&[first, short]),
        _ => {
            out.push(first);
            put_varint(out, remaining_length(remaining));
        }
    }
}

/// A body length as it goes into the fixed header.
///
/// # Panics
/// If a packet cannot be that long: whoever built it has let through what no peer can be sent.
#[inline]
pub(crate) fn remaining_length(length: usize) -> u32 {
    u32::try_from(length).expect("a packet is shorter than 256 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_asks_for_what_can_complete_the_packet() {
        let incomplete = |bytes: &[u8]| match frame(bytes, 1 << 20) {
            Ok(Frame::Incomplete { needed }) => needed,
            other => panic!("{other:?}"),
        };
        assert_eq!(incomplete(&[]), 2);
        assert_eq!(incomplete(&[0x30]), 2);
        assert_eq!(incomplete(&[0x30, 0x80]), 3);
        assert_eq!(incomplete(&[0x30, 0x80, 0x01]), 131);
        assert_eq!(incomplete(&[0x30, 3, 0]), 5);
    }

    #[test]
    fn frame_takes_one_packet_and_leaves_the_rest() {
        let Ok(Frame::Complete {
            header,
            body,
            length,
        }) = frame(&[0xC0, 0, 0xE0, 0], 2)
        else {
            panic!("PINGREQ is complete");
        };
        assert_eq!(header.packet_type, PacketType::PingReq);
        assert_eq!((body, length), ([].as_slice(), 2));
    }

    #[test]
    fn mqtt311_2_2_3_long_forms_of_the_remaining_length_are_taken() {
        let framed = frame(&[0xC0, 0x80, 0x80, 0x00], 100).expect("PINGREQ");
        assert!(matches!(framed, Frame::Complete { length: 4, .. }));
    }

    #[test]
    fn frame_refuses_from_the_first_bytes_that_show_it() {
        assert_eq!(frame(&[0x00], 100), Err(DecodeError::PacketTypeReserved(0)));
        assert_eq!(
            frame(&[0xC1], 100),
            Err(DecodeError::FlagsInvalid(PacketType::PingReq))
        );
        assert_eq!(
            frame(&[0x30, 0x63], 100),
            Err(DecodeError::PacketTooLarge {
                length: 101,
                maximum: 100
            })
        );
        assert_eq!(
            frame(&[0x30, 0x62], 100),
            Ok(Frame::Incomplete { needed: 100 })
        );
        assert!(matches!(
            frame(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], 100),
            Err(DecodeError::Wire(_))
        ));
    }

    /// `[MQTT5-2.1.3-1]` `[MQTT5-3.6.1-1]` `[MQTT5-3.8.1-1]` `[MQTT5-3.10.1-1]` `[MQTT5-3.14.1-1]`
    /// `[MQTT5-3.15.1-1]` `[MQTT311-2.2.2-1]` `[MQTT311-3.6.1-1]` `[MQTT311-3.8.1-1]`
    /// `[MQTT311-3.10.1-1]` `[MQTT311-3.14.1-1]`
    #[test]
    fn mqtt5_2_1_3_1_flags_of_every_type() {
        for packet_type in PacketType::ALL {
            for flags in 0..16 {
                let good = match packet_type {
                    PacketType::Publish => [0, 1, 2, 3, 4, 5, 10, 11, 12, 13].contains(&flags),
                    _ => flags == packet_type.fixed_flags(),
                };
                let header = FixedHeader {
                    packet_type,
                    flags,
                    remaining_length: 0,
                };
                assert_eq!(header.check_flags(Version::V5).is_ok(), good, "{header:?}");
                assert_eq!(
                    header.check_flags(Version::V3_1_1).is_ok(),
                    good,
                    "{header:?}"
                );
            }
        }
        let again = FixedHeader {
            packet_type: PacketType::PubRel,
            flags: 10,
            remaining_length: 2,
        };
        assert_eq!(again.check_flags(Version::V3_1), Ok(()));
    }
}
