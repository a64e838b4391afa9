//! MQTT-SN: what lies between datagrams and the protocol.
//!
//! A client of MQTT-SN is a connection without a socket. Its `Gateway` makes packets of MQTT 5 out
//! of its datagrams and datagrams out of the packets it is sent, so the MQTT code does not know.
//! A source address is no identity, it only says whose datagram this is: a client goes on from
//! another address by a CONNECT, which takes its session over.

mod datagrams;
mod open;

use std::net::SocketAddr;

use ringbus_protocols::mqttsn::{Packet, PublishQoS, decode, unwrap_forwarded};

use super::Shard;
pub use datagrams::Datagrams;
use open::OpenTopics;

/// What MQTT-SN needs of a shard.
#[derive(Debug, Default)]
pub(super) struct SnShared {
    open: OpenTopics,
    outgoing: Datagrams,
}

/// Who sent a datagram, as far as it says.
#[derive(Clone, Copy, Debug)]
struct Sender<'a> {
    listener: u16,
    address: SocketAddr,
    /// If it came through a forwarder: whose it is there.
    node: Option<&'a [u8]>,
}

/// The only gateway here [MQTTSN-5.4.3].
const GATEWAY_ID: u8 = 1;

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
        let sender = Sender {
            listener,
            address: from,
            node: forwarded.map(|forwarded| forwarded.node_id),
        };
        self.on_stranger(sender, &packet);
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
    fn on_stranger(&mut self, sender: Sender<'_>, packet: &Packet<'_>) {
        match packet {
            Packet::SearchGw { .. } => self.answer(
                sender,
                &Packet::GwInfo {
                    gateway_id: GATEWAY_ID,
                    address: &[],
                },
            ),
            // What gateways send: two of them would answer each other for ever.
            Packet::Advertise { .. }
            | Packet::GwInfo { .. }
            | Packet::ConnAck { .. }
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

    fn answer(&mut self, sender: Sender<'_>, packet: &Packet<'_>) {
        let Sender {
            listener,
            address,
            node,
        } = sender;
        self.counters.datagrams_sent += 1;
        self.sn.outgoing.push_packet(listener, address, node, packet);
    }
}
