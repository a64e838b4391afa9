//! The receiving side `[RFC7692 7.2.2]`.

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use super::{Agreed, TAIL};
use crate::websocket::close::Violation;
use crate::websocket::receiver::Role;

/// No distance in deflated data reaches further back.
const WINDOW_BYTES_MAX: usize = 1 << 15;
/// The most blocks of a message that may call themselves the last one. Each costs a new window,
/// and no compressor makes more than one in a message.
const FINAL_BLOCKS_MAX: usize = 16;
/// The first space for what a message inflates to.
const SPACE_BYTES_MIN: usize = 1 << 10;

/// The working memory of inflating, some 50 KiB: one for all connections of a shard, because
/// nothing is left in it between messages.
#[derive(Debug, Default)]
pub struct Inflater {
    decompress: Option<Decompress>,
}

impl Inflater {
    /// An inflater that allocates when the first message comes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `out` what a message inflates to. `compressed` has the tail; `window` is what
    /// was inflated before.
    ///
    /// On an error `out` is as before. It never has space for more than one byte above the limit,
    /// unless it had it before.
    fn inflate(
        &mut self,
        compressed: &[u8],
        window: &[u8],
        out: &mut Vec<u8>,
        message_bytes_max: usize,
    ) -> Result<(), Violation> {
        let start = out.len();
        let decompress = self.begin(window).map_err(|_| corrupt())?;
        let mut message = Message {
            rest: compressed,
            start,
            message_bytes_max,
        };
        let result = message.inflate(decompress, window, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn begin(&mut self, window: &[u8]) -> Result<&mut Decompress, DecompressError> {
        let decompress = self
            .decompress
            .get_or_insert_with(|| Decompress::new(false));
        restart(decompress, window)?;
        Ok(decompress)
    }
}

/// A message that is being inflated.
struct Message<'a> {
    rest: &'a [u8],
    /// Where in the output it begins.
    start: usize,
    message_bytes_max: usize,
}

impl Message<'_> {
    fn inflate(
        &mut self,
        decompress: &mut Decompress,
        window: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let mut final_blocks = 0;
        loop {
            let before = (self.rest.len(), out.len());
            match self.step(decompress, out)? {
                Status::StreamEnd if self.rest.len() <= TAIL.len() => return Ok(()),
                Status::StreamEnd => {
                    final_blocks += 1;
                    if final_blocks > FINAL_BLOCKS_MAX {
                        return Err(corrupt());
                    }
                    let history = history(window, &out[self.start..]);
                    restart(decompress, &history).map_err(|_| corrupt())?;
                }
                // There was more space than output.
                _ if self.rest.is_empty() && out.len() < out.capacity() => return Ok(()),
                _ if before == (self.rest.len(), out.len()) => return Err(corrupt()),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Inflates into the space that there is.
    fn step(
        &mut self,
        decompress: &mut Decompress,
        out: &mut Vec<u8>,
    ) -> Result<Status, Violation> {
        if out.len() == out.capacity() {
            let produced = out.len() - self.start;
            let space = produced.max(4 * self.rest.len()).max(SPACE_BYTES_MIN);
            let space_max = (self.message_bytes_max - produced).saturating_add(1);
            out.reserve_exact(space.min(space_max));
        }
        let total_in = decompress.total_in();
        let status = decompress
            .decompress_vec(self.rest, out, FlushDecompress::Sync)
            .map_err(|_| corrupt())?;
        let taken = usize::try_from(decompress.total_in() - total_in);
        self.rest = &self.rest[taken.expect("a part of a slice")..];
        if out.len() - self.start > self.message_bytes_max {
            return Err(Violation::too_big("a message inflates to too much"));
        }
        Ok(status)
    }
}

fn restart(decompress: &mut Decompress, window: &[u8]) -> Result<(), DecompressError> {
    decompress.reset(false);
    if !window.is_empty() {
        decompress.set_dictionary(window)?;
    }
    Ok(())
}

/// What a block may refer to that follows `inflated`.
fn history(window: &[u8], inflated: &[u8]) -> Vec<u8> {
    let mut history = Vec::new();
    keep_last(&mut history, window, WINDOW_BYTES_MAX);
    keep_last(&mut history, inflated, WINDOW_BYTES_MAX);
    history
}

/// Appends `bytes` to the window and forgets what is more than `bytes_max` back.
fn keep_last(window: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) {
    let bytes = &bytes[bytes.len().saturating_sub(bytes_max)..];
    let too_many = (window.len() + bytes.len()).saturating_sub(bytes_max);
    window.drain(..too_many);
    window.reserve_exact(bytes.len());
    window.extend_from_slice(bytes);
}

fn corrupt() -> Violation {
    Violation::protocol("a compressed message is corrupt")
}

/// What a connection keeps to inflate what its peer sends.
#[derive(Debug)]
pub(in crate::websocket) struct Incoming {
    /// What has arrived of a compressed message; allocated only while one arrives.
    compressed: Vec<u8>,
    /// The end of all that was inflated, if the peer may refer to it.
    window: Vec<u8>,
    /// Zero if the peer begins every message anew.
    window_bytes_max: usize,
}

impl Incoming {
    pub fn new(agreed: &Agreed, role: Role) -> Self {
        let (bits, no_context_takeover) = match role {
            Role::Server => (agreed.client_bits, agreed.client_no_context_takeover),
            Role::Client => (agreed.server_bits, agreed.server_no_context_takeover),
        };
        let window_bytes = (1 << bits).min(WINDOW_BYTES_MAX);
        Self {
            compressed: Vec::new(),
            window: Vec::new(),
            window_bytes_max: if no_context_takeover { 0 } else { window_bytes },
        }
    }

    /// Where the payload of a compressed message goes until it is whole.
    #[inline]
    pub fn compressed(&mut self) -> &mut Vec<u8> {
        &mut self.compressed
    }

    /// Appends the message that is whole now.
    pub fn inflate(
        &mut self,
        payload: &mut Vec<u8>,
        message_bytes_max: usize,
        inflater: &mut Inflater,
    ) -> Result<(), Violation> {
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.extend_from_slice(&TAIL);
        let start = payload.len();
        inflater.inflate(&compressed, &self.window, payload, message_bytes_max)?;
        if self.window_bytes_max > 0 {
            keep_last(&mut self.window, &payload[start..], self.window_bytes_max);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(sent: &[u8], window: &[u8]) -> Result<Vec<u8>, Violation> {
        let mut out = Vec::new();
        let compressed = [sent, &TAIL].concat();
        Inflater::new().inflate(&compressed, window, &mut out, 100)?;
        Ok(out)
    }

    #[test]
    fn rfc7692_7_2_3_examples() {
        let hello = Ok(b"Hello".to_vec());
        let one_block = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        assert_eq!(inflate(&one_block, b""), hello);
        let from_window = [0xF2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&from_window, b"Hello"), hello);
        assert!(inflate(&from_window, b"").is_err());
        let stored = b"\x00\x05\x00\xFA\xFFHello\x00";
        assert_eq!(inflate(stored, b""), hello);
        let last_block = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&last_block, b""), hello);
        let two_blocks = [
            0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
        ];
        assert_eq!(inflate(&two_blocks, b""), hello);
        assert_eq!(inflate(&[0x00], b""), Ok(Vec::new()));
    }

    #[test]
    fn blocks_after_a_last_one_refer_to_what_was_before() {
        let sent = [
            0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xF2, 0x00, 0x11, 0x00, 0x00,
        ];
        assert_eq!(inflate(&sent, b""), Ok(b"HelloHello".to_vec()));
        let sent = [0x03, 0x00].repeat(FINAL_BLOCKS_MAX + 3);
        assert_eq!(inflate(&sent, b""), Err(corrupt()));
    }

    #[test]
    fn a_window_keeps_the_last_bytes_and_no_more_space() {
        let mut window = Vec::new();
        for part in [&b"abc"[..], b"defgh", b"", b"0123456789", b"xy"] {
            keep_last(&mut window, part, 8);
            assert!(window.capacity() <= 8);
        }
        assert_eq!(window, b"456789xy");
    }
}
