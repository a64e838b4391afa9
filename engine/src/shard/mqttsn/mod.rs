//! MQTT-SN: what lies between datagrams and the protocol.
//!
//! A client of MQTT-SN is a connection without a socket. Its `Gateway` makes packets of MQTT 5 out
//! of its datagrams and datagrams out of the packets it is sent, so the MQTT code does not know.
//!
//! A source address is no identity, it only says whose datagram this is: a client goes on from
//! another address by a CONNECT, which takes its session over. Datagrams of one address come to
//! one shard; if the client's home is another, they are mailed there, and the answers leave by
//! the home's own socket.

mod address;
mod advertise;
mod clients;
mod datagrams;
mod half_open;
mod home;
mod open;

use std::collections::HashMap;

use ringbus_protocols::mqttsn::{self, Packet, PublishQoS, ReturnCode, decode, unwrap_forwarded};

use super::{Shard, ShardConfig};
use crate::base::{ConnId, Nanos, ShardId, SocketAddr};
use address::{Node, Place, Places, Remote, SnAddress};
pub use advertise::Advertise;
pub(super) use clients::Sn;
pub use datagrams::Datagrams;
use half_open::HalfOpen;
pub(super) use home::SnEnded;
use open::OpenTopics;

/// What MQTT-SN needs of a shard.
#[derive(Debug)]
pub(super) struct SnShared {
    open: OpenTopics,
    places: Places,
    /// Clients at home here whose datagrams another shard receives, by its tag for them.
    remote: HashMap<(ShardId, u32), ConnId, ahash::RandomState>,
    /// The next tag for a client that is at home elsewhere; it may wrap.
    next_tag: u32,
    half_open: HalfOpen,
    /// When ADVERTISE is next due, if this shard sends any.
    advertise_at: Nanos,
    outgoing: Datagrams,
    /// Empty, kept for their capacity.
    to_broker: Vec<u8>,
    to_client: mqttsn::Datagrams,
}

/// The only gateway here [MQTTSN-5.4.3].
const GATEWAY_ID: u8 = 1;

impl SnShared {
    pub(super) fn new(shard: ShardId, config: &ShardConfig, now: Nanos) -> Self {
        let hasher = &config.hasher;
        Self {
            open: OpenTopics::default(),
            places: Places::new(hasher),
            remote: HashMap::with_hasher(hasher.clone()),
            next_tag: 0,
            half_open: HalfOpen::new(hasher),
            advertise_at: advertise::first(shard, config, now),
            outgoing: Datagrams::default(),
            to_broker: Vec::new(),
            to_client: mqttsn::Datagrams::default(),
        }
    }

    /// Addresses that are known here, and clients of other shards' addresses.
    pub(super) fn len(&self) -> usize {
        self.places.len() + self.remote.len() + self.half_open.len()
    }
}

impl Shard {
    /// A datagram came to the UDP listener of that number.
    pub fn on_datagram(&mut self, listener: u16, from: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes.len() as u64;
        let Ok((forwarded, message)) = unwrap_forwarded(bytes) else {
            self.counters.datagrams_malformed += 1;
            return;
        };
        let Ok(packet) = decode(message) else {
            self.counters.datagrams_malformed += 1;
            return;
        };
        if let Packet::Publish {
            qos: PublishQoS::MinusOne,
            topic,
            retain,
            payload,
            ..
        } = packet
        {
            return self.publish_open(listener, topic, retain, payload);
        }
        let node = Node::new(forwarded.map(|forwarded| forwarded.node_id));
        let sender = SnAddress::new(listener, from, node);
        match self.sn.places.find(&sender, &self.connections) {
            // Whoever searches is answered, known or not.
            _ if matches!(packet, Packet::SearchGw { .. }) => self.on_stranger(&sender, &packet),
            Some(Place::Here(id)) => self.on_client_packet(id, &packet, message),
            Some(Place::There(Remote { home, tag })) => self.mail_datagram(home, tag, message),
            None => self.on_stranger(&sender, &packet),
        }
    }

    /// The datagrams that are to be sent; the driver empties it.
    pub fn datagrams(&mut self) -> &mut Datagrams {
        &mut self.sn.outgoing
    }

    /// So many datagrams could not be sent.
    pub fn count_unsent(&mut self, count: usize) {
        self.counters.datagrams_dropped += count as u64;
    }

    /// So many datagrams were lost in the kernel before they came here.
    pub fn count_lost(&mut self, count: u32) {
        self.counters.datagrams_lost += u64::from(count);
    }

    /// A message of nobody who is connected. No answer is longer than its question: an address
    /// may be a lie.
    fn on_stranger(&mut self, sender: &SnAddress, packet: &Packet<'_>) {
        match packet {
            Packet::Connect { .. } => self.on_connect_datagram(sender, packet),
            Packet::SearchGw { .. } => {
                let (gateway_id, address) = (GATEWAY_ID, &[][..]);
                self.answer(
                    sender,
                    &Packet::GwInfo {
                        gateway_id,
                        address,
                    },
                );
            }
            // What other gateways send to everybody, and what comes back of one's own.
            Packet::Advertise { .. } | Packet::GwInfo { .. } => {}
            // What gateways send to clients: two of them would answer each other for ever.
            Packet::ConnAck { .. }
            | Packet::WillTopicReq
            | Packet::WillMsgReq
            | Packet::SubAck { .. }
            | Packet::UnsubAck { .. }
            | Packet::PingResp
            | Packet::WillTopicResp { .. }
            | Packet::WillMsgResp { .. }
            | Packet::Disconnect { .. } => self.counters.datagrams_dropped += 1,
            // So a client learns that its connection is gone.
            _ => {
                let duration_seconds = None;
                self.answer(sender, &Packet::Disconnect { duration_seconds });
            }
        }
    }

    fn on_connect_datagram(&mut self, sender: &SnAddress, packet: &Packet<'_>) {
        if !self.sn.half_open.has_room(sender.address().ip()) {
            self.counters.datagrams_dropped += 1;
        } else if let Some(id) = self.open_client(sender) {
            self.on_client_packet(id, packet, &[]);
        } else {
            let return_code = ReturnCode::CONGESTION;
            self.answer(sender, &Packet::ConnAck { return_code });
        }
    }

    fn answer(&mut self, to: &SnAddress, packet: &Packet<'_>) {
        self.counters.datagrams_sent += 1;
        let node = to.node.name();
        let outgoing = &mut self.sn.outgoing;
        outgoing.push_packet(to.listener, to.address(), node, packet);
    }
}
