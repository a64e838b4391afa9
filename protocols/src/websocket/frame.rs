//! Frames as they are sent `[RFC6455 5.2]`.

use super::mask::unmask;

/// The longest header of an unmasked frame.
pub const HEADER_BYTES_MAX: usize = 10;
/// The longest header of a masked frame.
pub const MASKED_HEADER_BYTES_MAX: usize = 14;
/// The largest payload of a control frame `[RFC6455 5.5]`.
pub const CONTROL_BYTES_MAX: usize = 125;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const RSV2_AND_3: u8 = 0x30;
pub(super) const OPCODE: u8 = 0x0F;
pub(super) const MASK: u8 = 0x80;
/// In place of a length: it follows in two bytes.
pub(super) const LENGTH_IN_2: u8 = 126;
/// In place of a length: it follows in eight bytes.
pub(super) const LENGTH_IN_8: u8 = 127;

/// What a frame is `[RFC6455 11.8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation = 0x0,
    /// The first frame of a text.
    Text = 0x1,
    /// The first frame of a message of bytes.
    Binary = 0x2,
    /// The last frame of its sender.
    Close = 0x8,
    /// A question to be answered with a pong.
    Ping = 0x9,
    /// An answer to a ping, or unasked.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode with this number, unless it is reserved.
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether frames of this kind may come between those of a message `[RFC6455 5.5]`.
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8, and checked.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    /// The opcode of a message's first frame.
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// The header of a frame that is a whole message or a control frame, unmasked: what servers send.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl Header {
    /// The header of a frame with `payload_len` bytes.
    #[inline]
    pub fn new(opcode: Opcode, payload_len: usize) -> Self {
        Self::from_first_byte(FIN | opcode as u8, payload_len)
    }

    /// The same of a frame that is compressed `[RFC7692 6]`.
    #[inline]
    pub fn with_rsv1(opcode: Opcode, payload_len: usize) -> Self {
        Self::from_first_byte(FIN | RSV1 | opcode as u8, payload_len)
    }

    /// The bytes to send.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The length is in its shortest form `[RFC6455 5.2]`.
    #[inline]
    fn from_first_byte(first: u8, payload_len: usize) -> Self {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[0] = first;
        let length = if let Ok(short @ 0..LENGTH_IN_2) = u8::try_from(payload_len) {
            bytes[1] = short;
            2
        } else if let Ok(middle) = u16::try_from(payload_len) {
            bytes[1] = LENGTH_IN_2;
            bytes[2..4].copy_from_slice(&middle.to_be_bytes());
            4
        } else {
            bytes[1] = LENGTH_IN_8;
            bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            10
        };
        Self { bytes, length }
    }
}

/// Appends the header of an unmasked, whole frame.
#[inline]
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize) {
    out.extend_from_slice(Header::new(opcode, payload_len).as_bytes());
}

/// Appends an unmasked, whole frame.
#[inline]
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    put_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a frame as clients send it. `key` should be unpredictable `[RFC6455 10.3]`.
pub fn put_masked(
    out: &mut Vec<u8>,
    opcode: Opcode,
    fin: bool,
    rsv1: bool,
    key: [u8; 4],
    payload: &[u8],
) {
    let first = opcode as u8 | if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 };
    let mut header = Header::from_first_byte(first, payload.len());
    header.bytes[1] |= MASK;
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[start..], key, 0);
}

/// Where the parts of an unmasked frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnFrame {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether it is compressed.
    pub rsv1: bool,
    /// How long the header is.
    pub header_len: usize,
    /// How long the payload is.
    pub payload_len: usize,
}

impl OwnFrame {
    /// How long header and payload are.
    pub fn total_len(&self) -> usize {
        self.header_len + self.payload_len
    }
}

/// The first of the frames that we wrote ourselves. `None` at their end.
pub fn next_frame(bytes: &[u8]) -> Option<OwnFrame> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (header_len, payload_len) = match second {
        LENGTH_IN_2 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        LENGTH_IN_8 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        short => (2, u64::from(short & !MASK)),
    };
    let payload_len = usize::try_from(payload_len).ok()?;
    let is_whole = bytes.len() - header_len >= payload_len;
    is_whole.then_some(OwnFrame {
        opcode: Opcode::new(first & OPCODE)?,
        fin: first & FIN != 0,
        rsv1: first & RSV1 != 0,
        header_len,
        payload_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_5_2_lengths_are_in_their_shortest_form() {
        for (payload_len, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let found = Header::new(Opcode::Binary, payload_len);
            assert_eq!(found.as_bytes(), header);
        }
        let compressed = Header::with_rsv1(Opcode::Text, 5);
        assert_eq!(compressed.as_bytes(), [0xC1, 5]);
    }

    #[test]
    fn rfc6455_5_7_examples() {
        let mut out = Vec::new();
        put_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        let key = [0x37, 0xFA, 0x21, 0x3D];
        put_masked(&mut out, Opcode::Text, true, false, key, b"Hello");
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58
            ]
        );
        out.clear();
        put_masked(&mut out, Opcode::Text, false, true, key, b"");
        assert_eq!(out, [0x41, 0x80, 0x37, 0xFA, 0x21, 0x3D]);
    }

    #[test]
    fn own_frames_are_found_again() {
        let mut out = Vec::new();
        for length in [0, 125, 126, 65_535, 65_536] {
            put_frame(&mut out, Opcode::Binary, &vec![b'x'; length]);
        }
        let mut rest = out.as_slice();
        for length in [0, 125, 126, 65_535, 65_536] {
            let frame = next_frame(rest).expect("a whole frame");
            assert_eq!((frame.opcode, frame.payload_len), (Opcode::Binary, length));
            assert!(frame.fin && !frame.rsv1);
            assert_eq!(next_frame(&rest[..frame.total_len() - 1]), None);
            rest = &rest[frame.total_len()..];
        }
        assert_eq!(next_frame(rest), None);
    }
}
