//! Frames from a client.

use ringbus_protocols::mqtt::ReasonCode;
use ringbus_protocols::stomp::{Command, Decoded, Frame, Limits, StompError, Version, heart_beat};

use super::beats::OFFERED;
use super::message::{put_control, put_error};
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Connection, Flow, PendingAck};
use crate::shard::fault::Fault;
use crate::shard::filters::Waiter;
use crate::shard::receive::Handled;
use crate::shard::web::{Farewell, close_code};
use ringbus_protocols::mqtt::PacketIdentifier;
use ringbus_protocols::websocket::close::CloseCode;

pub(super) const NO_TRANSACTIONS: Fault = Fault::protocol("transactions are not offered here");

impl Shard {
    /// Bytes of a STOMP stream came: all of them are taken, or kept.
    pub(in crate::shard) fn take_stomp_bytes(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.connections.get_mut(id) else {
            return bytes.len();
        };
        let mut kept = std::mem::take(&mut conn.backlog);
        let all = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let at = self.read_stomp(id, all);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.backlog = match kept.is_empty() {
                true => all[at..].to_vec(),
                false => {
                    kept.drain(..at);
                    kept
                }
            };
        }
        bytes.len()
    }

    /// Returns how many bytes were read.
    fn read_stomp(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let now = self.now;
        let limits = Limits::new(self.config.max_packet_size as usize);
        let mut at = 0;
        while at < bytes.len() {
            let Some(stomp) = self.connections.get_mut(id).and_then(Connection::stomp_mut) else {
                return bytes.len();
            };
            stomp.heard(now);
            let version = stomp.version;
            let flow = match stomp.decoder.decode(&bytes[at..], version, &limits) {
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::HeartBeat { length }) => {
                    at += length;
                    continue;
                }
                Ok(Decoded::Frame { frame, length }) => {
                    let flow = self.on_stomp_frame(id, &frame);
                    if flow == Flow::Continue {
                        at += length;
                    }
                    flow
                }
                Err(error) => self.refuse_frame(id, &error.into(), None),
            };
            match flow {
                Flow::Continue => {}
                Flow::Pause(blocker) => {
                    self.pause(id, blocker);
                    break;
                }
                Flow::Gone | Flow::Handoff(_) => return bytes.len(),
            }
        }
        at
    }

    fn on_stomp_frame(&mut self, id: ConnId, frame: &Frame<'_>) -> Flow {
        let Some(conn) = self.connections.get(id) else {
            return Flow::Gone;
        };
        let is_connected = conn.session.is_some();
        let handled = match (frame.command, is_connected) {
            (Command::Connect | Command::Stomp, false) => self.on_stomp_connect(id, frame),
            (Command::Connect | Command::Stomp, true) => {
                Err(Fault::protocol("the client is connected already"))
            }
            (_, false) => Err(Fault::protocol("the first frame is no CONNECT")),
            (Command::Send, _) => self.on_send(id, frame),
            (Command::Subscribe, _) => self.on_stomp_subscribe(id, frame),
            (Command::Unsubscribe, _) => self.on_stomp_unsubscribe(id, frame),
            (Command::Ack, _) => self.on_stomp_ack(id, frame, true),
            (Command::Nack, _) => self.on_stomp_ack(id, frame, false),
            (Command::Disconnect, _) => self.on_stomp_disconnect(id, frame),
            (Command::Begin | Command::Commit | Command::Abort, _) => Err(NO_TRANSACTIONS),
            (Command::Connected | Command::Message | Command::Receipt | Command::Error, _) => {
                Err(Fault::protocol("this frame is for servers to send"))
            }
        };
        if frame.command != Command::Send && !matches!(handled, Ok(Flow::Pause(_))) {
            self.counters.control_received += 1;
        }
        match handled {
            Ok(flow) => flow,
            Err(fault) => {
                let receipt = frame.header("receipt");
                self.refuse_frame(id, &fault, receipt.as_deref())
            }
        }
    }

    /// ERROR, and the end of the connection.
    fn refuse_frame(&mut self, id: ConnId, fault: &Fault, receipt: Option<&str>) -> Flow {
        if let Some(conn) = self.connections.get_mut(id) {
            put_error(&mut self.outgoing, conn, fault.words, receipt);
            let farewell = Farewell {
                code: Some(close_code(fault.reason)),
                words: fault.words,
            };
            conn.backlog = Vec::new();
            self.leave(id, farewell);
        }
        Flow::Gone
    }

    fn on_stomp_connect(&mut self, id: ConnId, frame: &Frame<'_>) -> Handled {
        self.check_room(id)?;
        let accepted = frame.header("accept-version");
        let version = Version::negotiate(accepted.as_deref())
            .ok_or(Fault::protocol("STOMP 1.2, 1.1 and 1.0 are spoken here"))?;
        let beats = heart_beat::negotiate(frame.header("heart-beat").as_deref(), OFFERED)?;
        let now = self.now;
        let session = self.random.u64(..);
        self.open_unnamed(id);
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let Some(stomp) = conn.stomp_mut() else {
            return Ok(Flow::Gone);
        };
        stomp.version = Some(version);
        stomp.beats.agree(beats, now);
        let beats = format!("{},{}", OFFERED.0, OFFERED.1);
        let session = format!("{session:016x}");
        let headers = [
            ("version", version.number()),
            ("heart-beat", &beats),
            ("server", concat!("ringbus/", env!("CARGO_PKG_VERSION"))),
            ("session", &session),
        ];
        let (outgoing, command) = (&mut self.outgoing, Command::Connected);
        put_control(outgoing, conn, version, command, headers.map(Some), "");
        self.arm_connection(id);
        Ok(Flow::Continue)
    }

    /// Says that a frame was handled, if it asked for that.
    pub(super) fn give_receipt(&mut self, id: ConnId, frame: &Frame<'_>) {
        if self.keep_receipt(id, frame) {
            self.acknowledge(id, receipt(Some(ReasonCode::Success)));
        }
    }

    /// Says so when the owners of the filter have answered.
    pub(super) fn give_receipt_later(
        &mut self,
        id: ConnId,
        frame: &Frame<'_>,
        pending: crate::base::Key,
    ) {
        if !self.keep_receipt(id, frame) {
            return;
        }
        if let Some(conn) = self.connections.get_mut(id) {
            let sequence = conn.acks.push(receipt(None));
            self.await_owners(id, Waiter::Ack(sequence), &[pending]);
        }
    }

    /// Notes the receipt that a frame asks for.
    pub(super) fn keep_receipt(&mut self, id: ConnId, frame: &Frame<'_>) -> bool {
        let Some(receipt) = frame.header("receipt") else {
            return false;
        };
        let stomp = self.connections.get_mut(id).and_then(Connection::stomp_mut);
        stomp.is_some_and(|stomp| {
            stomp.receipts.push_back(receipt.as_ref().into());
            true
        })
    }

    fn on_stomp_disconnect(&mut self, id: ConnId, frame: &Frame<'_>) -> Handled {
        self.give_receipt(id, frame);
        let farewell = Farewell {
            code: Some(CloseCode::NORMAL),
            words: "",
        };
        self.leave(id, farewell);
        Ok(Flow::Gone)
    }
}

fn receipt(reason: Option<ReasonCode>) -> PendingAck {
    PendingAck {
        kind: AckKind::Receipt,
        identifier: PacketIdentifier::MIN,
        reason,
    }
}

impl From<StompError> for Fault {
    fn from(error: StompError) -> Self {
        let reason = match error.is_too_large {
            true => ReasonCode::PacketTooLarge,
            false => ReasonCode::MalformedPacket,
        };
        Self {
            reason,
            words: error.words,
        }
    }
}
