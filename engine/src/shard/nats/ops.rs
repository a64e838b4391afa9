//! What clients send, op by op.

use ringbus_protocols::mqtt::{PacketIdentifier, ReasonCode};
use ringbus_protocols::nats::parse_connect;
use ringbus_protocols::nats::{Limits, Op, Parsed, Violation, parse};

use super::Options;
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Flow, PendingAck};
use crate::shard::fault::Fault;
use crate::shard::receive::Handled;

impl Shard {
    /// Bytes of a NATS stream came: all of them are taken, or kept.
    pub(in crate::shard) fn take_nats_bytes(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(id) else {
            return bytes.len();
        };
        if let Some(nats) = &mut conn.nats {
            nats.alive.heard(now);
        }
        if conn.backlog.is_empty() {
            let at = self.read_ops(id, bytes);
            self.keep(id, &bytes[at..]);
            return bytes.len();
        }
        let mut backlog = std::mem::take(&mut conn.backlog);
        backlog.extend_from_slice(bytes);
        let at = self.read_ops(id, &backlog);
        self.put_back(id, backlog, at);
        bytes.len()
    }

    /// Returns how many bytes were read.
    fn read_ops(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let limits = Limits {
            control_line_max: self.config.nats.control_line_max,
            payload_max: self.config.nats.payload_max(self.config.max_packet_size),
        };
        let mut at = 0;
        while at < bytes.len() {
            let (handled, length) = if let Some(piece) = self.find_alike(id, bytes, at) {
                (self.gather_ops(id, bytes, piece), piece.len())
            } else {
                match parse(&bytes[at..], &limits) {
                    Ok(Parsed::Incomplete { .. }) => break,
                    Ok(Parsed::Op { op, length }) => self.on_op(id, &op, (bytes, at, length)),
                    Err(violation) => (Err(violation.into()), 0),
                }
            };
            match handled {
                Ok(Flow::Continue) => at += length,
                Ok(Flow::Pause(blocker)) => {
                    self.pause(id, blocker);
                    break;
                }
                Ok(Flow::Gone | Flow::Handoff(_)) => return bytes.len(),
                Err(fault) => {
                    self.flush_pieces(id, bytes);
                    self.fault(id, fault, &[]);
                    return bytes.len();
                }
            }
        }
        self.flush_pieces(id, bytes);
        at
    }

    /// Returns how many bytes were taken, too.
    #[inline]
    fn on_op(
        &mut self,
        id: ConnId,
        op: &Op<'_>,
        (bytes, at, length): (&[u8], usize, usize),
    ) -> (Handled, usize) {
        if let Op::Pub(publish) = op {
            return self.on_pub(id, publish, (bytes, at, length));
        }
        self.flush_pieces(id, bytes);
        (self.on_other_op(id, op), length)
    }

    fn on_other_op(&mut self, id: ConnId, op: &Op<'_>) -> Handled {
        self.check_output(id)?;
        let handled = match op {
            Op::Connect(json) => self.on_nats_connect(id, json),
            Op::Ping => {
                self.answer_op(id, AckKind::Pong, ReasonCode::Success);
                Ok(Flow::Continue)
            }
            Op::Sub {
                subject,
                queue,
                sid,
            } => self.on_sub(id, subject, *queue, sid),
            Op::Unsub { sid, max } => self.on_unsub(id, sid, *max),
            Op::Pong | Op::Ignored | Op::Pub(_) => Ok(Flow::Continue),
        };
        let is_taken = !matches!(handled, Ok(Flow::Pause(_)));
        self.counters.control_received += u64::from(is_taken);
        handled
    }

    fn on_nats_connect(&mut self, id: ConnId, json: &[u8]) -> Handled {
        let asked = parse_connect(json)?;
        let Some(nats) = self.nats_mut(id) else {
            return Ok(Flow::Gone);
        };
        nats.options = Options {
            verbose: asked.verbose,
            echo: asked.echo,
            headers: asked.headers,
            no_responders: asked.no_responders && asked.headers,
        };
        nats.last = None;
        self.confirm(id);
        Ok(Flow::Continue)
    }

    /// A verbose client is told that an op was taken, behind what was before.
    pub(super) fn confirm(&mut self, id: ConnId) {
        if self
            .connections
            .get(id)
            .is_some_and(|conn| conn.is_verbose())
        {
            self.answer_op(id, AckKind::Ok, ReasonCode::Success);
        }
    }

    /// Appends an answer, behind those before it.
    pub(super) fn answer_op(&mut self, id: ConnId, kind: AckKind, reason: ReasonCode) {
        self.acknowledge(
            id,
            PendingAck {
                kind,
                identifier: PacketIdentifier::MIN,
                reason: Some(reason),
            },
        );
    }

    /// Who asks and asks and reads no answers is closed: messages stay well below.
    fn check_output(&self, id: ConnId) -> Result<(), Fault> {
        let Some(conn) = self.connections.get(id) else {
            return Ok(());
        };
        let is_flooded = conn.queued_bytes() > self.config.queue_bytes.saturating_mul(2)
            || conn.acks.len() > ANSWERS_MAX;
        match is_flooded {
            true => Err(Fault::SLOW_CLIENT),
            false => Ok(()),
        }
    }
}

/// Answers that may wait for what is before them.
const ANSWERS_MAX: usize = 1 << 17;

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        let reason = match violation {
            Violation::MaximumPayload | Violation::MaximumControlLine => ReasonCode::PacketTooLarge,
            _ => ReasonCode::ProtocolError,
        };
        Self {
            reason,
            words: violation.words(),
        }
    }
}
