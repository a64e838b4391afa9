//! Ops that came together and differ in their payloads alone: found without reading each line again,
//! and given to NATS clients without becoming anything else.

use ringbus_protocols::nats::subject::put_subject;
use ringbus_protocols::nats::writer;

use crate::shard::connection::{Connection, Outgoing};
use crate::shard::gathered::Gathered;
use crate::shard::run::Packets;

/// A run grows no further than this.
const RUN_BYTES_MAX: usize = 64 << 10;

/// Consecutive PUBs with one and the same line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Where the first one starts.
    at: usize,
    count: usize,
    line_len: usize,
    payload_len: usize,
}

/// Consecutive PUBs of one subject, none with a reply.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    bytes: usize,
    pub(super) count: usize,
}

impl Piece {
    /// The op of that length at `at`, and those behind it that are like it.
    #[inline]
    pub(super) fn find(bytes: &[u8], at: usize, length: usize, payload_len: usize) -> Self {
        let line_len = length - payload_len - 2;
        let line = Line::of(&bytes[at..], line_len);
        let end = bytes.len().min(at + RUN_BYTES_MAX);
        let others = bytes.get(at + length..end).unwrap_or_default();
        let is_like_it = |op: &&[u8]| op.ends_with(b"\r\n") && line.starts(op);
        let count = 1 + others.chunks_exact(length).take_while(is_like_it).count();
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
        let mut block = [0; BLOCK];
        block[..head_len].copy_from_slice(&out[head..]);
        let whole = head + self.count * (head_len + end_len);
        out.resize(whole + BLOCK, 0);
        let (mut at, mut from) = (head, self.at + self.line_len);
        for _ in 0..self.count {
            out[at..at + BLOCK].copy_from_slice(&block);
            at += head_len;
            match bytes.get(from..from + BLOCK) {
                Some(end) => out[at..at + BLOCK].copy_from_slice(end),
                None => out[at..at + end_len].copy_from_slice(&bytes[from..from + end_len]),
            }
            at += end_len;
            from += self.op_len();
        }
        out.truncate(whole);
    }

    /// The payloads, each with the CR LF behind it.
    #[inline]
    fn ends(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let ops = bytes[self.at..self.at + self.len()].chunks_exact(self.op_len());
        ops.map(move |op| &op[self.line_len..])
    }
}

/// What ops are to start with. Most lines are short and are compared as two numbers, not by a call.
#[derive(Clone, Copy)]
struct Line<'a> {
    bytes: &'a [u8],
    /// If it is short, and as much follows: the numbers, and which bits of them count.
    words: Option<([u128; 2], [u128; 2])>,
}

/// Bytes of two numbers.
const SHORT: usize = 32;

impl<'a> Line<'a> {
    /// The line of that length that `bytes` start with.
    fn of(bytes: &'a [u8], length: usize) -> Self {
        let short = bytes.first_chunk().filter(|_| length <= SHORT);
        let words = short.map(|start| {
            let mut mask = [0; SHORT];
            mask[..length].fill(0xFF);
            let (start, mask) = (halves(start), halves(&mask));
            ([start[0] & mask[0], start[1] & mask[1]], mask)
        });
        let bytes = &bytes[..length];
        Self { bytes, words }
    }

    #[inline]
    fn starts(self, bytes: &[u8]) -> bool {
        match (self.words, bytes.first_chunk()) {
            (Some((words, mask)), Some(start)) => {
                let start = halves(start);
                [start[0] & mask[0], start[1] & mask[1]] == words
            }
            _ => bytes.starts_with(self.bytes),
        }
    }
}

#[inline]
fn halves(bytes: &[u8; SHORT]) -> [u128; 2] {
    let [low, high] = *bytes.as_chunks::<16>().0 else {
        unreachable!("32 bytes are two halves")
    };
    [u128::from_le_bytes(low), u128::from_le_bytes(high)]
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Piece) {
        self.list.push(piece);
        self.bytes += piece.len();
        self.count += piece.count;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether it is to be published before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= RUN_BYTES_MAX
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.bytes = 0;
        self.count = 0;
    }

    /// Makes packets of MQTT of them.
    pub(super) fn gather(&self, bytes: &[u8], topic: &str, gathered: &mut Gathered) {
        for piece in &self.list {
            for end in piece.ends(bytes) {
                gathered.push(topic, &end[..piece.payload_len]);
            }
        }
    }

    /// What is published, in packets of MQTT near enough.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    fn put_lines(&self, bytes: &[u8], subject: &[u8], sid: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.bytes + self.count * (sid.len() + 2));
        for piece in &self.list {
            let head = out.len();
            writer::put_msg_head(out, subject, sid, None, None, piece.payload_len);
            match (out.len() - head).max(piece.payload_len + 2) {
                0..=32 => piece.put_blocks::<32>(bytes, head, out),
                33..=64 => piece.put_blocks::<64>(bytes, head, out),
                _ => piece.put(bytes, head, out),
            }
        }
    }
}

/// A run as MSG lines, for the `sid` that got it last: mostly all subscribers of a filter have the
/// same.
#[derive(Debug, Default)]
pub(in crate::shard) struct Lines {
    sid: Vec<u8>,
    subject: Vec<u8>,
    bytes: Vec<u8>,
}

/// Where MSG lines are made from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Packets(Packets<'a>),
    Ops(&'a Pieces, &'a [u8], &'a [u8]),
}

impl Source<'_> {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Packets(packets) => u64::from(packets.count),
            Self::Ops(pieces, ..) => pieces.count as u64,
        }
    }
}

impl Lines {
    pub(in crate::shard) fn reset(&mut self) {
        self.subject.clear();
        self.bytes.clear();
    }

    #[inline]
    fn of(&mut self, source: Source<'_>, sid: &[u8]) -> &[u8] {
        if self.bytes.is_empty() || self.sid != sid {
            self.make(source, sid);
        }
        &self.bytes
    }

    fn make(&mut self, source: Source<'_>, sid: &[u8]) {
        self.sid.clear();
        self.sid.extend_from_slice(sid);
        self.bytes.clear();
        match source {
            Source::Ops(pieces, bytes, subject) => {
                pieces.put_lines(bytes, subject, sid, &mut self.bytes);
            }
            Source::Packets(packets) => self.make_from_packets(packets, sid),
        }
    }

    fn make_from_packets(&mut self, packets: Packets<'_>, sid: &[u8]) {
        if self.subject.is_empty() {
            put_subject(packets.topic(), &mut self.subject);
        }
        for payload in packets.payloads() {
            let out = &mut self.bytes;
            writer::put_msg_head(out, &self.subject, sid, None, None, payload.len());
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a run to the only subscription with that identifier. False if there are several, or one
/// that ends, or no room.
#[inline]
pub(super) fn append_lines(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    lines: &mut Lines,
    source: Source<'_>,
    identifier: u32,
    queue_bytes: usize,
) -> bool {
    let queued = conn.queued_bytes();
    let Some(nats) = conn.nats.as_deref_mut() else {
        return true;
    };
    let Some(sid) = nats.subscriptions.only(identifier) else {
        return false;
    };
    let bytes = lines.of(source, sid);
    if queued + bytes.len() > queue_bytes {
        return false;
    }
    nats.subscriptions.count_only(identifier, source.count());
    outgoing.append_lines(conn, bytes);
    true
}

#[cfg(test)]
mod tests {
    use super::{Piece, Pieces};

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
                    let mut pieces = Pieces::default();
                    pieces.push(Piece::find(bytes, 0, length, payload_len));
                    assert_eq!((pieces.count, pieces.len()), (count, ops.len()));
                    let mut lines = b"before".to_vec();
                    pieces.put_lines(bytes, subject.as_bytes(), b"7", &mut lines);
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
