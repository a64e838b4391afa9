//! Messages of a topic's socket that came together: they become a run.

use ringbus_protocols::mqtt::QoS;

use super::WebRole;
use super::topic_socket::TopicSocket;
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::gathered::can_gather;
use crate::shard::sys::is_brokers_own;

impl TopicSocket {
    /// Whether its messages can be part of a run.
    pub(super) fn can_gather(&self) -> bool {
        self.qos == QoS::AtMostOnce && !self.retain && !is_brokers_own(&self.topic)
    }
}

impl Shard {
    /// Keeps a message without properties for a run. False if it has to be published by itself.
    pub(super) fn gather(&mut self, id: ConnId, payload: &[u8]) -> bool {
        if !can_gather(payload, self.config.publish_rate) {
            return false;
        }
        let Some(socket) = self.connections.get(id).and_then(|c| c.topic_socket()) else {
            return false;
        };
        if !socket.gathers || self.publish_blocker(socket.known.owner).is_some() {
            return false;
        }
        self.web.gathered.push(&socket.topic, payload);
        if self.web.gathered.is_full() {
            self.publish_gathered(id);
        }
        true
    }

    /// Publishes what was gathered of that connection.
    pub(super) fn publish_gathered(&mut self, id: ConnId) {
        if self.web.gathered.is_empty() {
            return;
        }
        let mut gathered = std::mem::take(&mut self.web.gathered);
        let epoch = self.partition.epoch;
        let socket = self.connections.get(id).and_then(|c| c.topic_socket());
        if let Some((name, known)) = socket.map(|socket| (socket.topic.clone(), socket.known)) {
            let topic = known.topic(&name, epoch);
            if let Some(only) = self.publish_run_of(id, &gathered, &topic)
                && let Some(web) = self.web_mut(id)
                && let WebRole::Topic(socket) = &mut web.role
            {
                socket.known.learn(only, epoch);
            }
        }
        gathered.clear();
        self.web.gathered = gathered;
    }
}
