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
        let line = &bytes[at..at + line_len];
        let (mut end, mut count) = (at + length, 1);
        while let Some(next) = bytes.get(end..end + length)
            && next.starts_with(line)
            && next.ends_with(b"\r\n")
            && end - at < RUN_BYTES_MAX
        {
            end += length;
            count += 1;
        }
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

    /// The payloads, each with the CR LF behind it.
    #[inline]
    fn ends(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let ops = bytes[self.at..self.at + self.len()].chunks_exact(self.op_len());
        ops.map(move |op| &op[self.line_len..])
    }
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
        let mut head = Vec::with_capacity(subject.len() + sid.len() + 32);
        out.reserve(self.bytes + self.count * (sid.len() + 2));
        for piece in &self.list {
            head.clear();
            writer::put_msg_head(&mut head, subject, sid, None, None, piece.payload_len);
            for end in piece.ends(bytes) {
                out.extend_from_slice(&head);
                out.extend_from_slice(end);
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
