//! Clients whose home is another shard than the one that receives their datagrams.
//!
//! The receiving shard keeps a tag for the address and mails the datagrams, behind the hand-over
//! and in order; the home tells when the connection is over. Mail that finds no room is dropped
//! like a datagram that gets lost on its way: the client sends it again.

use ringbus_protocols::mqttsn::decode;

use super::{Remote, Sn, SnAddress};
use crate::base::{ConnId, Peer, ShardId};
use crate::mailbox::Class;
use crate::shard::Shard;
use crate::shard::connection::Connection;
use crate::shard::message::{Batch, Mail, Slice};

/// A connection is over whose datagrams came to another shard.
#[derive(Debug)]
pub struct SnEnded {
    from: SnAddress,
    tag: u32,
    /// A message that is not for that connection, but for another from the same address.
    again: Box<[u8]>,
}

impl Shard {
    /// A client's connection leaves for its home; its datagrams go on to come here.
    pub(in crate::shard) fn hand_over_sn(
        &mut self,
        id: ConnId,
        sn: &mut Sn,
        peer: &Peer,
        home: ShardId,
    ) {
        if std::mem::take(&mut sn.is_half_open) {
            self.sn.half_open.leave(peer.0);
        }
        let tag = self.sn.next_tag;
        self.sn.next_tag = tag.wrapping_add(1);
        sn.origin = Some((self.id, tag));
        let remote = Remote { home, tag };
        self.sn.places.hand_over(sn.from(peer), id, remote);
    }

    /// It came home.
    pub(in crate::shard) fn adopt_sn(&mut self, id: ConnId, sn: Option<Box<Sn>>) {
        let Some(sn) = sn else { return };
        if let Some(origin) = sn.origin {
            self.sn.remote.insert(origin, id);
        }
        if let Some(conn) = self.connections.get_mut(id) {
            conn.sn = Some(sn);
        }
    }

    /// A datagram for a client that is at home there.
    pub(super) fn mail_datagram(&mut self, home: ShardId, tag: u32, message: &[u8]) {
        if self.outboxes.publish_full(home) {
            self.counters.datagrams_dropped += 1;
            return;
        }
        self.outboxes.datagram(home, tag, message);
    }

    /// A datagram that another shard received.
    pub(in crate::shard) fn on_datagram_mail(
        &mut self,
        from: ShardId,
        tag: u32,
        body: Slice,
        batch: &Batch,
    ) {
        let message = batch.record(body);
        let Some(&id) = self.sn.remote.get(&(from, tag)) else {
            // Its connection is over, and the other shard about to hear of it.
            self.counters.datagrams_dropped += 1;
            return;
        };
        let packet = decode(message).expect("the other shard decoded it");
        self.on_client_packet(id, &packet, message);
    }

    /// Tells the shard that receives a client's datagrams to forget it.
    pub(super) fn mail_end(&mut self, origin: (ShardId, u32), from: SnAddress, again: &[u8]) {
        let (to, tag) = origin;
        let ended = SnEnded {
            from,
            tag,
            again: again.into(),
        };
        let mail = Mail::SnEnded(Box::new(ended));
        self.outboxes.control(to, Class::Ack, mail);
    }

    /// A client is gone that was at home there.
    pub(in crate::shard) fn on_sn_ended(&mut self, from: ShardId, ended: SnEnded) {
        let SnEnded {
            from: address,
            tag,
            again,
        } = ended;
        let remote = Remote { home: from, tag };
        self.sn.places.forget(&address, remote);
        if !again.is_empty() && self.sn.places.find(&address, &self.connections).is_none() {
            let packet = decode(&again).expect("it was decoded before");
            self.on_stranger(&address, &packet);
        }
    }
}

impl Connection {
    /// Whether it lives on datagrams, without a socket.
    #[inline]
    pub(in crate::shard) fn is_sn(&self) -> bool {
        self.sn.is_some()
    }
}
