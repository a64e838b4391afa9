//! Ops that came together and differ in their payloads alone: found without reading each line again,
//! and given to NATS clients without becoming anything else.

use ringbus_protocols::nats::subject::put_subject;
use ringbus_protocols::nats::writer;

use super::piece::Piece;
use crate::shard::connection::{Connection, Outgoing};
use crate::shard::gathered::Gathered;
use crate::shard::run::{Packets, RUN_BYTES_MAX};

/// Consecutive PUBs of one subject, none with a reply.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    bytes: usize,
    pub(super) count: usize,
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

    /// At most so many bytes are the MSGs of all, as a line is that of the PUB and the `sid`.
    fn lines_len_max(&self, sid: &[u8]) -> usize {
        self.bytes + self.count * (sid.len() + 1)
    }
}

/// Pieces of what came together.
#[derive(Clone, Copy)]
pub(super) struct Ops<'a> {
    pub(super) pieces: &'a Pieces,
    pub(super) bytes: &'a [u8],
    pub(super) subject: &'a [u8],
}

impl Ops<'_> {
    #[inline]
    fn put_lines(&self, sid: &[u8], out: &mut Vec<u8>) {
        for piece in &self.pieces.list {
            piece.put_lines(self.bytes, self.subject, sid, out);
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
    Ops(&'a Ops<'a>),
}

impl Source<'_> {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Packets(packets) => u64::from(packets.count),
            Self::Ops(ops) => ops.pieces.count as u64,
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
            Source::Ops(ops) => ops.put_lines(sid, &mut self.bytes),
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

/// Makes lines of ops where the only subscription with that identifier gets them. False if there are
/// several, or one that ends, or perhaps no room.
#[inline]
pub(super) fn append_made(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    ops: &Ops<'_>,
    identifier: u32,
    queue_bytes: usize,
) -> bool {
    let queued = conn.queued_bytes();
    // Out of the connection while its output is written to.
    let Some(mut nats) = conn.nats.take() else {
        return false;
    };
    let sid = nats.subscriptions.only(identifier);
    let sid = sid.filter(|sid| queued + ops.pieces.lines_len_max(sid) <= queue_bytes);
    if let Some(sid) = sid {
        let out = outgoing.open_for_lines(conn);
        let before = out.len();
        ops.put_lines(sid, out);
        outgoing.publish_bytes += (conn.output.bytes.len() - before) as u64;
    }
    let fits = sid.is_some();
    if fits {
        nats.subscriptions
            .count_only(identifier, ops.pieces.count as u64);
    }
    conn.nats = Some(nats);
    fits
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
