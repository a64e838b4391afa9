//! Messages of a topic's socket that came together and can be handled as one: a run, as MQTT clients
//! send them. Routed once, and for other sockets encoded once, however many they are.

use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::wire;

use super::WebRole;
use super::topic_socket::TopicSocket;
use crate::base::ConnId;
use crate::base::limits::SHARED_PAYLOAD_BYTES_MIN;
use crate::shard::Shard;
use crate::shard::connection::AckKind;
use crate::shard::run::{PUBLISH, Packets, Run};
use crate::shard::sys::is_brokers_own;

/// A run grows no further than this.
const RUN_BYTES_MAX: usize = 64 << 10;

/// Messages of the connection that is being read, as packets of MQTT 3.1.1.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    packets: Vec<u8>,
    count: u32,
    longest: usize,
}

impl Gathered {
    fn push(&mut self, topic: &str, payload: &[u8]) {
        let start = self.packets.len();
        let body_len = 2 + topic.len() + payload.len();
        self.packets.push(PUBLISH);
        let body_len = u32::try_from(body_len).expect("small payloads only");
        wire::put_varint(&mut self.packets, body_len);
        wire::put_str(&mut self.packets, topic);
        self.packets.extend_from_slice(payload);
        self.count += 1;
        self.longest = self.longest.max(self.packets.len() - start);
    }
}

impl TopicSocket {
    /// Whether its messages can be part of a run.
    pub(super) fn can_gather(&self) -> bool {
        self.qos == QoS::AtMostOnce && !self.retain && !is_brokers_own(&self.topic)
    }
}

impl Shard {
    /// Keeps a message without properties for a run. False if it has to be published by itself.
    pub(super) fn gather(&mut self, id: ConnId, payload: &[u8]) -> bool {
        if payload.len() >= SHARED_PAYLOAD_BYTES_MIN || self.config.publish_rate.is_some() {
            return false;
        }
        let Some(socket) = self.connections.get(id).and_then(|c| c.topic_socket()) else {
            return false;
        };
        if !socket.gathers || self.publish_blocker(socket.owner).is_some() {
            return false;
        }
        self.web.gathered.push(&socket.topic, payload);
        if self.web.gathered.packets.len() >= RUN_BYTES_MAX {
            self.publish_gathered(id);
        }
        true
    }

    /// Publishes what was gathered of that connection.
    pub(super) fn publish_gathered(&mut self, id: ConnId) {
        if self.web.gathered.count == 0 {
            return;
        }
        let gathered = std::mem::take(&mut self.web.gathered);
        self.publish_socket_run(id, &gathered);
        let mut packets = gathered.packets;
        packets.clear();
        self.web.gathered.packets = packets;
    }

    fn publish_socket_run(&mut self, id: ConnId, gathered: &Gathered) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let session = conn.session.and_then(|session| self.sessions.get(session));
        let (Some(session), Some(socket)) = (session, conn.topic_socket()) else {
            return;
        };
        let run = Run {
            packets: Packets {
                bytes: &gathered.packets,
                count: gathered.count,
                longest: u32::try_from(gathered.longest).expect("small payloads only"),
                is_v5: false,
            },
            publisher: session.publisher,
        };
        let (hash, owner) = (socket.hash, socket.owner);
        let epoch = self.partition.epoch;
        let known = socket.only_filter.filter(|&(_, then)| then == epoch);
        self.counters.received += u64::from(gathered.count);
        self.counters.in_runs += u64::from(gathered.count);
        self.counters.publish_bytes_received += gathered.packets.len() as u64;
        if owner != self.id {
            let ack = conn.await_owner(AckKind::Silent);
            self.outboxes.publish_run(owner, &run, hash, Some(ack));
        } else if let Some((only, _)) = known {
            self.deliver_run(&run, &[only]);
        } else if let Some(only) = self.route_run(&run, hash, None)
            && let Some(web) = self.web_mut(id)
            && let WebRole::Topic(socket) = &mut web.role
        {
            socket.only_filter = Some((only, epoch));
        }
    }
}
