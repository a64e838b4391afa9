//! From bytes to packets: framing, what waits for the rest of a packet, and back-pressure.

use ringbus_protocols::mqtt::connection::{Receiver, check_direction};
use ringbus_protocols::mqtt::{FixedHeader, Frame, Packet, PacketType, PingResp, Publish, frame};

use super::Shard;
use super::connection::{Blocker, Dialect, Flow};
use super::fault::Fault;
use super::publish::Arrival;
use crate::base::limits::CONNECT_BYTES_MAX;
use crate::base::{ConnId, SessionId, ShardId};

/// A backlog buffer grown beyond this is freed instead of kept.
const SPARE_BACKLOG_BYTES_MAX: usize = 64 << 10;
const SPARE_BACKLOGS_MAX: usize = 64;

/// How a packet ended the connection, or let it go on.
pub(super) type Handled = Result<Flow, Fault>;

/// Where reading stopped.
struct Stopped {
    taken: usize,
    flow: Flow,
}

impl Shard {
    /// Bytes came. Returns how many were taken: fewer than there are means back-pressure, and the
    /// driver keeps the rest and stops reading until the connection is in
    /// [`Effects::resumed`](super::Effects::resumed). A stale connection takes everything.
    pub fn on_bytes(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let taken = self.take_bytes(id, bytes);
        self.counters.bytes_received += taken as u64;
        taken
    }

    /// Bytes that are counted already, or will be.
    pub(super) fn take_bytes(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.connections.get(id) else {
            return bytes.len();
        };
        match conn.web {
            _ if conn.paused => 0,
            None => self.take_payload(id, bytes),
            Some(_) => self.take_web_bytes(id, bytes),
        }
    }

    /// Bytes of the protocol came, whatever carries it.
    pub(super) fn take_payload(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.connections.get_mut(id) else {
            return bytes.len();
        };
        match conn.dialect {
            Dialect::Stomp => return self.take_stomp_bytes(id, bytes),
            Dialect::Nats => return self.take_nats_bytes(id, bytes),
            Dialect::Mqtt | Dialect::Topic { .. } => {}
        }
        let mut taken = 0;
        if !conn.backlog.is_empty() {
            let backlog = std::mem::take(&mut conn.backlog);
            let stopped = self.read_backlog(id, backlog, bytes);
            match stopped.flow {
                Flow::Continue => taken = stopped.taken,
                Flow::Pause(_) => return stopped.taken,
                Flow::Gone | Flow::Handoff(_) => return bytes.len(),
            }
        }
        let stopped = self.read_packets(id, &bytes[taken..]);
        taken += stopped.taken;
        match stopped.flow {
            Flow::Continue => {
                self.keep(id, &bytes[taken..]);
                bytes.len()
            }
            Flow::Pause(blocker) => {
                self.pause(id, blocker);
                taken
            }
            Flow::Handoff(home) => {
                self.hand_off(id, home, bytes[taken..].to_vec());
                bytes.len()
            }
            Flow::Gone => bytes.len(),
        }
    }

    /// Completes the packet in the backlog with as few of the new bytes as it takes.
    fn read_backlog(&mut self, id: ConnId, mut backlog: Vec<u8>, bytes: &[u8]) -> Stopped {
        let mut taken = 0;
        let mut at = 0;
        let flow = loop {
            let stopped = self.read_packets(id, &backlog[at..]);
            at += stopped.taken;
            if stopped.flow != Flow::Continue || at == backlog.len() {
                break stopped.flow;
            }
            let missing = self.missing_bytes(id, &backlog[at..]);
            let fresh = missing.min(bytes.len() - taken);
            if fresh == 0 {
                break Flow::Continue;
            }
            backlog.extend_from_slice(&bytes[taken..taken + fresh]);
            taken += fresh;
        };
        if let Flow::Handoff(home) = flow {
            backlog.drain(..at);
            backlog.extend_from_slice(&bytes[taken..]);
            self.hand_off(id, home, backlog);
            return Stopped {
                taken: bytes.len(),
                flow,
            };
        }
        if let Flow::Pause(blocker) = flow {
            self.pause(id, blocker);
        }
        self.put_back(id, backlog, at);
        Stopped { taken, flow }
    }

    pub(super) fn put_back(&mut self, id: ConnId, mut backlog: Vec<u8>, at: usize) {
        match self.connections.get_mut(id) {
            Some(conn) if at < backlog.len() => {
                backlog.drain(..at);
                conn.backlog = backlog;
            }
            _ => self.spare_backlog(backlog),
        }
    }

    fn spare_backlog(&mut self, mut backlog: Vec<u8>) {
        let capacity = backlog.capacity();
        if self.backlogs.len() < SPARE_BACKLOGS_MAX && capacity <= SPARE_BACKLOG_BYTES_MAX {
            backlog.clear();
            self.backlogs.push(backlog);
        }
    }

    fn missing_bytes(&self, id: ConnId, partial: &[u8]) -> usize {
        match frame(partial, self.packet_bytes_max(id)) {
            Ok(Frame::Incomplete { needed }) => needed - partial.len(),
            _ => 0,
        }
    }

    pub(super) fn keep(&mut self, id: ConnId, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.backlog.capacity() == 0 {
            conn.backlog = self.backlogs.pop().unwrap_or_default();
        }
        conn.backlog.extend_from_slice(rest);
    }

    pub(super) fn pause(&mut self, id: ConnId, blocker: Blocker) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.paused = true;
        self.paused.push((id, blocker));
    }

    /// A stranger may send a CONNECT and nothing larger.
    fn packet_bytes_max(&self, id: ConnId) -> u32 {
        let bytes_max = self.config.max_packet_size;
        match self.connections.get(id) {
            Some(conn) if conn.session.is_some() => bytes_max,
            _ => bytes_max.min(CONNECT_BYTES_MAX),
        }
    }

    /// Handles every whole packet; stops before a partial one, or where a packet says so.
    fn read_packets(&mut self, id: ConnId, bytes: &[u8]) -> Stopped {
        let mut taken = 0;
        let mut bytes_max = self.packet_bytes_max(id);
        loop {
            let rest = &bytes[taken..];
            if let Some((length, flow)) = self.on_run(id, rest, bytes_max) {
                taken += length;
                if flow == Flow::Continue {
                    continue;
                }
                break Stopped { taken, flow };
            }
            let handled = match frame(rest, bytes_max) {
                Ok(Frame::Incomplete { .. }) => {
                    break Stopped {
                        taken,
                        flow: Flow::Continue,
                    };
                }
                Ok(Frame::Complete {
                    header,
                    body,
                    length,
                }) => {
                    let handled = self.on_packet(id, header, body, &rest[..length]);
                    if handled == Ok(Flow::Continue) {
                        taken += length;
                        if matches!(header.packet_type, PacketType::Connect | PacketType::Auth) {
                            bytes_max = self.packet_bytes_max(id);
                        }
                    }
                    handled
                }
                Err(error) => Err(error.into()),
            };
            match handled {
                Ok(Flow::Continue) => {}
                Ok(flow) => break Stopped { taken, flow },
                Err(fault) => {
                    self.fault(id, fault, rest);
                    break Stopped {
                        taken,
                        flow: Flow::Gone,
                    };
                }
            }
        }
    }

    #[inline]
    fn on_packet(
        &mut self,
        id: ConnId,
        header: FixedHeader,
        body: &[u8],
        packet: &[u8],
    ) -> Handled {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let version = conn.version;
        let Some(session) = conn.session else {
            let handled = self.on_first_packet(id, header, body);
            let is_taken = !matches!(handled, Ok(Flow::Handoff(_)));
            self.counters.control_received += u64::from(is_taken);
            return handled;
        };
        conn.last_received = now;
        if header.packet_type == PacketType::Publish {
            let filled_at = conn.publishes_filled_at;
            if let Some(rate) = self.config.publish_rate {
                let after = rate.take(filled_at, 1, now);
                conn.publishes_filled_at = after.ok_or(Fault::PUBLISH_RATE)?;
            }
            let memo = self.memos.take(id);
            let decoded = Publish::decode_expecting(header, body, version, memo.name());
            let handled = match decoded.map(|publish| Arrival {
                id,
                session,
                version,
                publish,
                packet,
                memo: &memo,
            }) {
                Ok(arrival) => self.on_publish(&arrival),
                Err(error) => Err(error.into()),
            };
            self.memos.put_back(id, memo);
            if handled == Ok(Flow::Continue) {
                self.counters.publish_bytes_received += packet.len() as u64;
            }
            if matches!(handled, Ok(Flow::Pause(_)))
                && let Some(conn) = self.connections.get_mut(id)
            {
                // It will be offered again, and is to count once.
                conn.publishes_filled_at = filled_at;
            }
            return handled;
        }
        let packet = Packet::decode(header, body, version)?;
        check_direction(&packet, Receiver::Server, version)?;
        let handled = self.on_other_packet(id, session, &packet);
        let is_taken = !matches!(handled, Ok(Flow::Pause(_)));
        self.counters.control_received += u64::from(is_taken);
        handled
    }

    fn on_other_packet(&mut self, id: ConnId, session: SessionId, packet: &Packet<'_>) -> Handled {
        match packet {
            Packet::PubAck(ack) => self.on_puback(session, ack),
            Packet::PubRec(ack) => self.on_pubrec(id, session, ack),
            Packet::PubRel(ack) => self.on_pubrel(id, session, ack),
            Packet::PubComp(ack) => self.on_pubcomp(session, ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(id, session, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(id, session, unsubscribe),
            Packet::PingReq(_) => self.on_pingreq(id),
            Packet::Disconnect(disconnect) => self.on_disconnect(id, session, disconnect),
            Packet::Auth(auth) => self.on_auth(id, auth),
            // A second CONNECT, and what only servers send.
            _ => Err(Fault::protocol("the packet is not allowed here")),
        }
    }

    fn on_pingreq(&mut self, id: ConnId) -> Handled {
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let version = conn.version;
        PingResp.encode(version, self.outgoing.open(conn));
        Ok(Flow::Continue)
    }

    /// The shard that owns the connection's client identifier takes it over, with all it sent.
    fn hand_off(&mut self, id: ConnId, home: ShardId, received: Vec<u8>) {
        let Some(mut conn) = self.connections.remove(id) else {
            return;
        };
        match &mut conn.sn {
            Some(sn) => self.hand_over_sn(id, sn, &conn.peer, home),
            None => self.effects.released.push((id, conn.socket)),
        }
        self.mail_handoff(home, conn, received);
    }
}
