//! Headers of frames that arrive `[RFC6455 5.2]`.

use super::{Limits, Mode, Receiver, Role};
use crate::websocket::close::{CloseCode, Violation};
use crate::websocket::frame::{
    CONTROL_BYTES_MAX, FIN, Kind, LENGTH_IN_2, LENGTH_IN_8, MASK, MASKED_HEADER_BYTES_MAX, OPCODE,
    Opcode, RSV1, RSV2_AND_3,
};

/// A header that is whole and that breaks no rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub opcode: Opcode,
    pub fin: bool,
    pub rsv1: bool,
    /// All zeros if nothing is masked.
    pub key: [u8; 4],
    pub payload_len: u64,
    /// How many bytes the header has.
    length: usize,
}

impl Head {
    /// The message that this frame begins.
    #[inline]
    pub fn begins(&self) -> Option<Kind> {
        match self.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        }
    }
}

impl Receiver {
    /// Takes a header, or what `input` has of one, and says how many bytes that is.
    #[inline]
    pub(super) fn take_head(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Head, usize)>, Violation> {
        if self.header_len > 0 {
            return self.take_rest_of_head(input, limits);
        }
        let head = self.parse_head(input, limits)?;
        if head.is_none() {
            self.keep_head(input, 0);
        }
        Ok(head.map(|head| (head, head.length)))
    }

    fn take_rest_of_head(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Head, usize)>, Violation> {
        let held = usize::from(self.header_len);
        let added = input.len().min(MASKED_HEADER_BYTES_MAX - held);
        self.keep_head(&input[..added], held);
        let head = self.parse_head(&self.header[..held + added], limits)?;
        Ok(head.map(|head| {
            self.header_len = 0;
            (head, head.length - held)
        }))
    }

    fn keep_head(&mut self, part: &[u8], held: usize) {
        let end = held + part.len();
        self.header[held..end].copy_from_slice(part);
        self.header_len = u8::try_from(end).expect("a header is at most 14 bytes");
    }

    /// Judges what there is of a header in the order of its bytes, so that what is wrong does not
    /// depend on how much there is. `None`: it is not whole.
    #[inline]
    fn parse_head(&self, bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let opcode = self.check_first(first, limits)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let is_masked = self.check_second(second, opcode)?;
        let Some((payload_len, rest)) = self.payload_len(first, second & !MASK, rest, limits)?
        else {
            return Ok(None);
        };
        let (key, rest) = match rest.split_first_chunk() {
            _ if !is_masked => ([0; 4], rest),
            Some((&key, rest)) => (key, rest),
            None => return Ok(None),
        };
        Ok(Some(Head {
            opcode,
            fin: first & FIN != 0,
            rsv1: first & RSV1 != 0,
            key,
            payload_len,
            length: bytes.len() - rest.len(),
        }))
    }

    #[inline]
    fn check_first(&self, first: u8, limits: &Limits) -> Result<Opcode, Violation> {
        let opcode = Opcode::new(first & OPCODE)
            .ok_or(Violation::protocol("a frame has a reserved opcode"))?;
        if first & RSV2_AND_3 != 0 {
            return Err(Violation::protocol("a frame has a reserved bit"));
        }
        if first & RSV1 != 0 {
            self.check_rsv1(opcode)?;
        }
        match (opcode, self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if first & FIN == 0 => {
                Err(Violation::protocol("a control frame is fragmented"))
            }
            (Opcode::Continuation, None) => {
                Err(Violation::protocol("a continuation continues nothing"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                Err(Violation::protocol("a message begins inside another one"))
            }
            (Opcode::Text, None) if !limits.takes_text => {
                let code = CloseCode::UNSUPPORTED_DATA;
                let words = "a text came where only binary messages are taken";
                Err(Violation { code, words })
            }
            (Opcode::Continuation, Some(_)) if self.fragments >= limits.fragments_max => {
                Err(Violation::too_big("a message has too many fragments"))
            }
            _ => Ok(opcode),
        }
    }

    /// The bit is set on the first frame of a compressed message only `[RFC7692 6.1]`.
    #[cold]
    fn check_rsv1(&self, opcode: Opcode) -> Result<(), Violation> {
        let words = match opcode {
            _ if self.deflate.is_none() => "a frame is compressed without an agreement",
            Opcode::Text | Opcode::Binary => return Ok(()),
            _ => "a frame that begins no message is marked as compressed",
        };
        Err(Violation::protocol(words))
    }

    /// Says whether the payload is masked.
    #[inline]
    fn check_second(&self, second: u8, opcode: Opcode) -> Result<bool, Violation> {
        let is_masked = second & MASK != 0;
        match self.role {
            Role::Server if !is_masked => {
                return Err(Violation::protocol("a client sent a frame without a mask"));
            }
            Role::Client if is_masked => {
                return Err(Violation::protocol("a server sent a frame with a mask"));
            }
            _ => {}
        }
        if opcode.is_control() && usize::from(second & !MASK) > CONTROL_BYTES_MAX {
            return Err(Violation::protocol("a control frame is too long"));
        }
        Ok(is_masked)
    }

    /// The payload's length and the bytes after it, if they are there.
    #[inline]
    fn payload_len<'a>(
        &self,
        first: u8,
        short: u8,
        rest: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<(u64, &'a [u8])>, Violation> {
        let (at_least, rest) = match short {
            LENGTH_IN_2 => extended::<2>(rest, 2, u64::from(LENGTH_IN_2))?,
            LENGTH_IN_8 => extended::<8>(rest, 6, 1 << 16)?,
            short => (u64::from(short), Some(rest)),
        };
        let opcode = Opcode::new(first & OPCODE);
        if !opcode.is_some_and(Opcode::is_control) {
            self.check_size(first & RSV1 != 0, at_least, limits)?;
        }
        Ok(rest.map(|rest| (at_least, rest)))
    }

    /// Whether a data frame with this many bytes may come now.
    #[inline]
    fn check_size(&self, rsv1: bool, at_least: u64, limits: &Limits) -> Result<(), Violation> {
        let (before, is_compressed) = match self.message {
            Some(_) => (self.announced, self.is_compressed),
            None => (0, rsv1),
        };
        let message_bytes_max = limits.message_bytes_max as u64;
        let allowed = match self.mode {
            _ if is_compressed => compressed_bytes_max(message_bytes_max),
            Mode::Messages => message_bytes_max,
            Mode::Stream => return Ok(()),
        };
        if before.saturating_add(at_least) > allowed {
            return Err(Violation::too_big("a message is too large"));
        }
        Ok(())
    }
}

/// A length in `N` bytes, of which only some may be there: the smallest that it can be, and what
/// follows if all are. It must be at least `least`, which shows after `known` bytes.
fn extended<const N: usize>(
    rest: &[u8],
    known: usize,
    least: u64,
) -> Result<(u64, Option<&[u8]>), Violation> {
    let there = rest.len().min(N);
    let mut bytes = [0; 8];
    bytes[8 - N..][..there].copy_from_slice(&rest[..there]);
    let at_least = u64::from_be_bytes(bytes);
    if at_least >> 63 != 0 {
        return Err(Violation::protocol("a length has its highest bit set"));
    }
    if there >= known && at_least < least {
        return Err(Violation::protocol("a length is not in its shortest form"));
    }
    Ok((at_least, rest.get(N..)))
}

/// How long a message of this many bytes may be when its sender compressed it badly.
fn compressed_bytes_max(message_bytes_max: u64) -> u64 {
    message_bytes_max.saturating_add(message_bytes_max / 8 + 64)
}
