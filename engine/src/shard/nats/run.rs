//! Runs to NATS clients: MSG lines made once for each `sid`, and mostly all subscribers of a filter
//! have the same.

use ringbus_protocols::nats::subject::put_subject;
use ringbus_protocols::nats::writer;

use crate::shard::connection::{Connection, Outgoing};
use crate::shard::run::Packets;

/// A run as MSG lines, for the `sid` that got it last.
#[derive(Debug, Default)]
pub(in crate::shard) struct RunCopies {
    sid: Vec<u8>,
    subject: Vec<u8>,
    lines: Vec<u8>,
}

impl RunCopies {
    pub(in crate::shard) fn reset(&mut self) {
        self.subject.clear();
        self.lines.clear();
    }

    /// The lines for one `sid`.
    #[inline]
    fn of(&mut self, packets: Packets<'_>, sid: &[u8]) -> &[u8] {
        if self.lines.is_empty() || self.sid != sid {
            self.make(packets, sid);
        }
        &self.lines
    }

    fn make(&mut self, packets: Packets<'_>, sid: &[u8]) {
        if self.subject.is_empty() {
            put_subject(packets.topic(), &mut self.subject);
        }
        self.sid.clear();
        self.sid.extend_from_slice(sid);
        self.lines.clear();
        for payload in packets.payloads() {
            writer::put_msg_head(
                &mut self.lines,
                &self.subject,
                sid,
                None,
                None,
                payload.len(),
            );
            self.lines.extend_from_slice(payload);
            self.lines.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a run to the only subscription with that identifier. False if there are several, or one
/// that ends, or no room.
#[inline]
pub(in crate::shard) fn append_run(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    copies: &mut RunCopies,
    packets: Packets<'_>,
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
    let lines = copies.of(packets, sid);
    if queued + lines.len() > queue_bytes {
        return false;
    }
    nats.subscriptions
        .count_only(identifier, u64::from(packets.count));
    outgoing.append_packets(conn, lines);
    true
}
