//! PUBs that came together and differ in their payloads alone: found without reading each line again,
//! and written as MSGs.

use ringbus_protocols::nats::writer;

use crate::shard::run::RUN_BYTES_MAX;

/// Consecutive PUBs with one and the same line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Where the first one starts.
    at: usize,
    pub(super) count: usize,
    line_len: usize,
    pub(super) payload_len: usize,
}

impl Piece {
    /// The op of that length at `at`, and those behind it that are like it.
    #[inline]
    pub(super) fn find(bytes: &[u8], at: usize, length: usize, payload_len: usize) -> Self {
        let line_len = length - payload_len - 2;
        let end = bytes.len().min(at + RUN_BYTES_MAX);
        let others = bytes.get(at + length..end).unwrap_or_default();
        let others = others.chunks_exact(length);
        let line = &bytes[at..at + line_len];
        let count = 1 + match line_len {
            8..=16 => count_alike(others, |op| starts_alike::<8>(op, line)),
            17..=32 => count_alike(others, |op| starts_alike::<16>(op, line)),
            33..=64 => count_alike(others, |op| starts_alike::<32>(op, line)),
            _ => count_alike(others, |op| op.starts_with(line)),
        };
        Self {
            at,
            count,
            line_len,
            payload_len,
        }
    }

    fn op_len(self) -> usize {
        self.line_len + self.payload_len + 2
    }

    /// Bytes of all of them.
    pub(super) fn len(self) -> usize {
        self.count * self.op_len()
    }

    /// The line of each.
    pub(super) fn line(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at..self.at + self.line_len]
    }

    /// The payloads, each with the CR LF behind it.
    #[inline]
    pub(super) fn ends(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let ops = bytes[self.at..self.at + self.len()].chunks_exact(self.op_len());
        ops.map(move |op| &op[self.line_len..])
    }

    /// Appends the MSG of each.
    #[inline]
    pub(super) fn put_lines(self, bytes: &[u8], subject: &[u8], sid: &[u8], out: &mut Vec<u8>) {
        let head = out.len();
        writer::put_msg_head(out, subject, sid, None, None, self.payload_len);
        if out.len() - head > HEAD_BLOCK {
            return self.put(bytes, head, out);
        }
        match self.payload_len + 2 {
            0..=32 => self.put_blocks::<32>(bytes, head, out),
            33..=64 => self.put_blocks::<64>(bytes, head, out),
            65..=96 => self.put_blocks::<96>(bytes, head, out),
            _ => self.put(bytes, head, out),
        }
    }

    /// Appends the payloads, each behind the head that `out` has from `head` on.
    fn put(self, bytes: &[u8], head: usize, out: &mut Vec<u8>) {
        let head = head..out.len();
        for (number, end) in self.ends(bytes).enumerate() {
            if number > 0 {
                out.extend_from_within(head.clone());
            }
            out.extend_from_slice(end);
        }
    }

    /// The same for short ones: whole blocks are copied, which takes no call, and what is too much of
    /// one is where the next begins.
    fn put_blocks<const BLOCK: usize>(self, bytes: &[u8], head: usize, out: &mut Vec<u8>) {
        let (head_len, end_len) = (out.len() - head, self.payload_len + 2);
        let mut block = [0; HEAD_BLOCK];
        block[..head_len].copy_from_slice(&out[head..]);
        out.truncate(head);
        out.reserve(self.count * (head_len + end_len) + HEAD_BLOCK + BLOCK);
        let mut from = self.at + self.line_len;
        for _ in 0..self.count {
            put_some(out, &block, head_len);
            match bytes[from..].first_chunk::<BLOCK>() {
                Some(end) => put_some(out, end, end_len),
                None => out.extend_from_slice(&bytes[from..from + end_len]),
            }
            from += self.op_len();
        }
    }
}

/// The line of a MSG that is copied as a block.
const HEAD_BLOCK: usize = 32;

#[inline]
fn count_alike(ops: std::slice::ChunksExact<'_, u8>, is_alike: impl Fn(&[u8]) -> bool) -> usize {
    let is_alike = |op: &&[u8]| op.ends_with(b"\r\n") && is_alike(op);
    ops.take_while(is_alike).count()
}

/// Whether an op starts with a line of `N` to 2 × `N` bytes: its first and its last ones are
/// compared as numbers, which takes no call.
#[inline]
fn starts_alike<const N: usize>(op: &[u8], line: &[u8]) -> bool {
    let start = op.get(..line.len()).unwrap_or_default();
    start.first_chunk::<N>() == line.first_chunk() && start.last_chunk::<N>() == line.last_chunk()
}

/// Appends the first `length` bytes of a block.
#[inline]
fn put_some<const N: usize>(out: &mut Vec<u8>, block: &[u8; N], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(block);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::Piece;

    /// Ops of all small sizes, in one piece as in many, become the same lines.
    #[test]
    fn lines_are_made_alike_of_all_sizes() {
        for subject in ["s".to_owned(), "s".repeat(20), "s".repeat(70)] {
            for payload_len in (0..80).chain([500]) {
                for count in [1, 2, 5] {
                    let payload = |number: usize| number.to_string().repeat(payload_len);
                    let op =
                        |number| format!("PUB {subject} {payload_len}\r\n{}\r\n", payload(number));
                    let ops: String = (0..count).map(op).collect();
                    // Another one, that differs in its last digit, and one that is not whole.
                    let bytes = format!("{ops}PUB {subject} {}\r\n", payload_len + 1);
                    let (bytes, length) = (bytes.as_bytes(), ops.len() / count);
                    let piece = Piece::find(bytes, 0, length, payload_len);
                    assert_eq!((piece.count, piece.len()), (count, ops.len()));
                    let mut lines = b"before".to_vec();
                    piece.put_lines(bytes, subject.as_bytes(), b"7", &mut lines);
                    let line = |number| {
                        format!("MSG {subject} 7 {payload_len}\r\n{}\r\n", payload(number))
                    };
                    let expected: String = (0..count).map(line).collect();
                    assert_eq!(lines, format!("before{expected}").as_bytes());
                }
            }
        }
    }

    #[test]
    fn a_line_that_differs_anywhere_ends_a_piece() {
        let op = b"PUB some.subject.x 3\r\nabc\r\n";
        for at in 0..op.len() {
            let mut other = op.to_vec();
            other[at] ^= 1;
            let bytes = [&op[..], &other, &op[..]].concat();
            let piece = Piece::find(&bytes, 0, op.len(), 3);
            let is_payload = (22..25).contains(&at);
            assert_eq!(piece.count, if is_payload { 3 } else { 1 }, "{at}");
        }
    }
}
