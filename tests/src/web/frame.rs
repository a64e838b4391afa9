//! Frames of `[RFC6455 5.2]`, written and read a second time: nothing here knows the broker's
//! codec.

/// The opcode of a frame that goes on with a message.
pub const CONTINUATION: u8 = 0x0;
/// The opcode of a text message.
pub const TEXT: u8 = 0x1;
/// The opcode of a binary message.
pub const BINARY: u8 = 0x2;
/// The opcode of a Close frame.
pub const CLOSE: u8 = 0x8;
/// The opcode of a Ping frame.
pub const PING: u8 = 0x9;
/// The opcode of a Pong frame.
pub const PONG: u8 = 0xA;
/// The first of the three reserved bits, which says that a message is compressed.
pub const RSV1: u8 = 0b100;

/// A frame as it is on the wire, right or wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether the message ends with it.
    pub fin: bool,
    /// The three reserved bits, RSV1 first.
    pub rsv: u8,
    /// The opcode.
    pub opcode: u8,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A final frame without reserved bits.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame {
            fin: true,
            rsv: 0,
            opcode,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// A Close frame with a code and a reason.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same, but the message goes on.
    pub fn unfinished(mut self) -> Frame {
        self.fin = false;
        self
    }

    /// The same with these reserved bits.
    pub fn reserved(mut self, rsv: u8) -> Frame {
        self.rsv = rsv;
        self
    }

    /// A message in frames of at most `size` bytes of payload.
    pub fn fragments(opcode: u8, message: &[u8], size: usize) -> Vec<Frame> {
        let count = message.len().div_ceil(size).max(1);
        (0..count)
            .map(|at| {
                let part = &message[at * size..message.len().min((at + 1) * size)];
                let opcode = if at == 0 { opcode } else { CONTINUATION };
                let frame = Frame::new(opcode, part);
                if at + 1 == count {
                    frame
                } else {
                    frame.unfinished()
                }
            })
            .collect()
    }

    /// Appends it, masked if there is a key.
    pub fn encode(&self, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
        put_head(self, self.payload.len(), mask, out);
        let start = out.len();
        out.extend_from_slice(&self.payload);
        if let Some(key) = mask {
            for (at, byte) in out[start..].iter_mut().enumerate() {
                *byte ^= key[at % 4];
            }
        }
    }

    /// The first frame of what a server sent, and its length there; `None` if it is not complete.
    ///
    /// # Panics
    /// If a server must not send that.
    pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
        let (&[first, second], mut rest) = bytes.split_first_chunk()?;
        assert_eq!(second & 0x80, 0, "a server must not mask: {bytes:02x?}");
        let length = match second {
            126 => {
                let (length, behind) = rest.split_first_chunk()?;
                rest = behind;
                let length = u64::from(u16::from_be_bytes(*length));
                assert!(length > 125, "{length} is not minimal");
                length
            }
            127 => {
                let (length, behind) = rest.split_first_chunk()?;
                rest = behind;
                let length = u64::from_be_bytes(*length);
                assert!(length > 0xFFFF, "{length} is not minimal");
                length
            }
            short => u64::from(short),
        };
        let length = usize::try_from(length).expect("a length");
        let payload = rest.get(..length)?.to_vec();
        let frame = Frame {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 0b111,
            opcode: first & 0xF,
            payload,
        };
        frame.assert_allowed();
        Some((frame, bytes.len() - rest.len() + length))
    }

    /// The code of a Close frame, if it has one.
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "not a Close: {self:?}");
        self.payload.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// The reason of a Close frame.
    pub fn close_reason(&self) -> String {
        let reason = self.payload.get(2..).unwrap_or_default();
        String::from_utf8(reason.to_vec()).expect("a reason is UTF-8")
    }

    fn assert_allowed(&self) {
        let known = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG];
        assert!(known.contains(&self.opcode), "no such opcode: {self:?}");
        if self.opcode >= CLOSE {
            assert!(self.fin, "control frames are not fragmented: {self:?}");
            assert_eq!(self.rsv, 0, "reserved bits of a control frame: {self:?}");
            assert!(self.payload.len() <= 125, "too long: {self:?}");
        }
    }
}

/// Long payloads would hide everything else in a failure.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(64)];
        write!(f, "Frame {{ opcode: {:#x}, fin: {}", self.opcode, self.fin)?;
        write!(
            f,
            ", rsv: {:#05b}, {} bytes: ",
            self.rsv,
            self.payload.len()
        )?;
        write!(f, "{:?} }}", shown.escape_ascii().to_string())
    }
}

/// Appends the head of a frame that says it has that much payload.
pub fn put_head(frame: &Frame, payload_len: usize, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    out.push(u8::from(frame.fin) << 7 | frame.rsv << 4 | frame.opcode);
    let masked = u8::from(mask.is_some()) << 7;
    if let Ok(short @ 0..=125) = u8::try_from(payload_len) {
        out.push(masked | short);
    } else if let Ok(length) = u16::try_from(payload_len) {
        out.push(masked | 126);
        out.extend(length.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend(u64::try_from(payload_len).expect("a length").to_be_bytes());
    }
    out.extend(mask.into_iter().flatten());
}
