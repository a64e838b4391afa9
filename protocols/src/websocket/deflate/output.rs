//! What a server is about to send, compressed.

use super::{Agreed, Deflaters};
use crate::websocket::frame::{Header, Opcode, OwnFrame, next_frame};

/// Smaller messages are sent as they are: they hardly get smaller, and each costs time.
pub const DEFLATE_BYTES_MIN: usize = 64;
/// A larger scratch buffer is not kept.
const SCRATCH_BYTES_MAX: usize = 1 << 16;

/// Appends `frames`, which are whole and ours, with every message of [`DEFLATE_BYTES_MIN`] or
/// more compressed. Control frames, parts of fragmented messages and what is already compressed
/// are copied.
///
/// All of it must be sent, and in this order: the next message may refer to it.
pub fn deflate_frames(
    frames: &[u8],
    owner: u64,
    agreed: &Agreed,
    deflaters: &mut Deflaters,
    out: &mut Vec<u8>,
) {
    let mut scratch = std::mem::take(&mut deflaters.scratch);
    let mut rest = frames;
    while let Some(frame) = next_frame(rest) {
        let (bytes, after) = rest.split_at(frame.total_len());
        if is_worth_it(&frame) {
            scratch.clear();
            deflaters.deflate(owner, agreed, &bytes[frame.header_len..], &mut scratch);
            let header = Header::with_rsv1(frame.opcode, scratch.len());
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(&scratch);
        } else {
            out.extend_from_slice(bytes);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    if scratch.capacity() <= SCRATCH_BYTES_MAX {
        deflaters.scratch = scratch;
    }
}

fn is_worth_it(frame: &OwnFrame) -> bool {
    let is_message = matches!(frame.opcode, Opcode::Text | Opcode::Binary) && frame.fin;
    is_message && !frame.rsv1 && frame.payload_len >= DEFLATE_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::{put_frame, put_header};

    #[test]
    fn whole_messages_of_some_size_are_compressed() {
        let agreed = Agreed {
            server_bits: 13,
            client_bits: 13,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
        };
        let mut frames = Vec::new();
        put_frame(&mut frames, Opcode::Text, &[b'a'; DEFLATE_BYTES_MIN]);
        put_frame(&mut frames, Opcode::Binary, &[b'a'; DEFLATE_BYTES_MIN - 1]);
        put_frame(&mut frames, Opcode::Ping, &[b'a'; 125]);
        frames.extend_from_slice(&[0x02, 100]);
        frames.extend_from_slice(&[b'a'; 100]);
        frames.extend_from_slice(Header::with_rsv1(Opcode::Binary, 100).as_bytes());
        frames.extend_from_slice(&[b'a'; 100]);
        put_header(&mut frames, Opcode::Binary, 10);
        let mut out = vec![b'!'];
        deflate_frames(&frames, 1, &agreed, &mut Deflaters::new(1), &mut out);
        let first = next_frame(&out[1..]).expect("a frame");
        assert!(first.rsv1 && first.fin && first.payload_len < 20);
        assert_eq!(first.opcode, Opcode::Text);
        let copied = &frames[2 + DEFLATE_BYTES_MIN..];
        assert_eq!(&out[1 + first.total_len()..], copied);
    }
}
