//! Clients that have connected, or are about to.

use ringbus_protocols::mqttsn::{Gateway, Io, Packet, Settings, Verdict, Will};

use super::{Node, SnAddress, SnShared};
use crate::base::{ConnId, Nanos, Peer, Scheme, SessionId, ShardId, Socket, SocketAddr};
use crate::pubsub::{Message, PublisherId, Stored};
use crate::shard::connection::Connection;
use crate::shard::sys::is_brokers_own;
use crate::shard::{Output, Shard};

/// What a connection has whose client speaks MQTT-SN.
#[derive(Debug)]
pub(in crate::shard) struct Sn {
    pub(super) gateway: Gateway,
    pub(super) listener: u16,
    pub(super) node: Node,
    /// The shard that receives its datagrams, and its tag, if that is another.
    pub(super) origin: Option<(ShardId, u32)>,
    /// Counted as not connected.
    pub(super) is_half_open: bool,
    /// When the gateway has something to do; [`Nanos::MAX`] for never.
    deadline: Nanos,
}

const _: () = assert!(size_of::<Sn>() <= 160, "a hundred thousand of them sleep");

/// No driver knows such a connection.
const NO_SOCKET: Socket = -1;

impl Sn {
    /// When it needs attention if nothing comes; [`Nanos::MAX`] for never.
    pub(in crate::shard) fn deadline(&self) -> Nanos {
        self.deadline
    }

    /// The client's session had kept its will.
    pub(in crate::shard) fn resume_will(&mut self, kept: Box<Will>) {
        self.gateway.resume_will(kept);
    }

    /// Where it is, if that is its peer.
    pub(super) fn from(&self, peer: &Peer) -> SnAddress {
        let address = peer.0.expect("its address is what it was opened for");
        SnAddress::new(self.listener, address, self.node.clone())
    }
}

impl SnShared {
    /// Puts the datagrams that a gateway made on their way; returns how many.
    fn send_to(&mut self, sn: &Sn, address: SocketAddr) -> u64 {
        let node = sn.node.name();
        let mut count = 0;
        for datagram in self.to_client.iter() {
            self.outgoing
                .push_to_node(sn.listener, address, node, datagram);
            count += 1;
        }
        self.to_client.clear();
        count
    }
}

impl Shard {
    /// A connection for a client that nothing is known of. `None` if there is no place.
    pub(super) fn open_client(&mut self, from: &SnAddress) -> Option<ConnId> {
        let peer = Peer(Some(from.address()));
        let id = self.on_accept(NO_SOCKET, peer, Scheme::MqttSn)?;
        self.sn.half_open.enter(from.address().ip());
        self.sn.places.enter(from, id);
        let conn = self.connections.get_mut(id)?;
        conn.sn = Some(Box::new(Sn {
            gateway: Gateway::new(),
            listener: from.listener,
            node: from.node.clone(),
            origin: None,
            is_half_open: true,
            deadline: Nanos::MAX,
        }));
        Some(id)
    }

    /// A client's message; `message` is the same before it was decoded.
    pub(super) fn on_client_packet(&mut self, id: ConnId, packet: &Packet<'_>, message: &[u8]) {
        if self.connections.get(id).is_none_or(|conn| conn.paused) {
            // It will come again.
            self.counters.datagrams_dropped += 1;
            return;
        }
        let verdict = self.drive(id, |gateway, settings, io| {
            gateway.on_packet(packet, settings, io)
        });
        match verdict {
            Verdict::Restart => self.restart(id, packet, message),
            verdict => self.obey(id, verdict),
        }
        self.visit(id);
    }

    /// It is time for something, or for the end of a silence.
    pub(in crate::shard) fn on_sn_timer(&mut self, id: ConnId) {
        let verdict = self.drive(id, Gateway::on_timer);
        self.obey(id, verdict);
        self.visit(id);
    }

    /// A client that is not listened to is not silent.
    pub(in crate::shard) fn excuse_sn(&mut self, id: ConnId) {
        let later = self.now + Nanos(self.config.sn.gateway.retry_ns);
        if let Some(sn) = self.connections.get_mut(id).and_then(|c| c.sn.as_mut()) {
            sn.deadline = later;
        }
    }

    /// There is room again for what a client's last message causes.
    pub(in crate::shard) fn resume_sn(&mut self, id: ConnId) {
        self.take_payload(id, &[]);
        self.visit(id);
    }

    /// Makes datagrams of what a client is to be sent, unless it sleeps.
    pub(in crate::shard) fn send_as_datagrams(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let is_awake = conn.sn.as_ref().is_some_and(|sn| sn.gateway.takes_output());
        if !is_awake {
            return self.outgoing.leave(conn);
        }
        if let Some(mut output) = self.outgoing.take(conn) {
            let packets = output.flatten();
            let verdict = self.drive(id, |gateway, settings, io| {
                gateway.on_mqtt(packets, settings, io)
            });
            self.on_sent(id, output);
            self.obey(id, verdict);
        }
        self.tell_if_done(id);
        self.arm_connection(id);
    }

    /// A client that came for its messages has them when nothing more is there.
    fn tell_if_done(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if !conn.output.is_empty() || conn.step.is_due {
            return;
        }
        let verdict = self.drive(id, |gateway, settings, io| {
            gateway.output_done(settings, io);
            Verdict::Open
        });
        self.obey(id, verdict);
    }

    /// Lets the gateway act, and takes what that gives to both sides.
    fn drive(
        &mut self,
        id: ConnId,
        act: impl FnOnce(&mut Gateway, &Settings, &mut Io<'_>) -> Verdict,
    ) -> Verdict {
        let Some(conn) = self.connections.get_mut(id) else {
            return Verdict::Open;
        };
        let (Some(sn), Some(address)) = (&mut conn.sn, conn.peer.0) else {
            return Verdict::Open;
        };
        let settings = &self.config.sn.gateway;
        let mut io = Io {
            now: self.now.0,
            to_broker: &mut self.sn.to_broker,
            to_client: &mut self.sn.to_client,
        };
        let verdict = act(&mut sn.gateway, settings, &mut io);
        sn.deadline = sn.gateway.deadline(settings).map_or(Nanos::MAX, Nanos);
        let ignored = u64::from(sn.gateway.take_ignored());
        self.counters.dropped += u64::from(sn.gateway.take_dropped());
        self.counters.datagrams_dropped += ignored;
        self.counters.datagrams_sent += self.sn.send_to(sn, address);
        self.give_packets(id);
        verdict
    }

    /// Gives the broker what the gateway made for it.
    fn give_packets(&mut self, id: ConnId) {
        if self.sn.to_broker.is_empty() {
            return;
        }
        let mut packets = std::mem::take(&mut self.sn.to_broker);
        let is_paused = self.connections.get(id).is_some_and(|conn| conn.paused);
        let taken = match is_paused {
            true => 0,
            false => self.take_payload(id, &packets),
        };
        if let Some(conn) = self.connections.get_mut(id) {
            conn.backlog.extend_from_slice(&packets[taken..]);
            if conn.session.is_some()
                && let Some(sn) = &mut conn.sn
                && std::mem::take(&mut sn.is_half_open)
            {
                self.sn.half_open.leave(conn.peer.0);
            }
        }
        packets.clear();
        self.sn.to_broker = packets;
    }

    fn obey(&mut self, id: ConnId, verdict: Verdict) {
        match verdict {
            Verdict::Open => {}
            // A DISCONNECT that has to wait for room is read first.
            Verdict::Closed => self.on_closed(id),
            Verdict::Lost | Verdict::Restart => self.close(id, None, true),
        }
    }

    /// The client has forgotten its connection, and begins another from the same address.
    fn restart(&mut self, id: ConnId, packet: &Packet<'_>, message: &[u8]) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let Some(sn) = conn.sn.as_deref() else { return };
        let (from, origin) = (sn.from(&conn.peer), sn.origin);
        // What the old connection still had to say would puzzle the new one.
        let unsent = std::mem::take(&mut conn.output);
        self.outgoing.recycle(unsent);
        self.close(id, None, true);
        match origin {
            None => self.on_stranger(&from, packet),
            // The address is another shard's to know, and the new client's home may be a third.
            Some(origin) => self.mail_end(origin, from, message),
        }
    }

    /// Its output is looked at once more, even if there is none.
    fn visit(&mut self, id: ConnId) {
        if let Some(conn) = self.connections.get_mut(id) {
            self.outgoing.visit(conn);
        }
        self.arm_connection(id);
    }

    /// A client's connection is over. `had_will` unless it went in order.
    pub(in crate::shard) fn end_sn(
        &mut self,
        id: ConnId,
        mut sn: Sn,
        peer: &Peer,
        mut output: Output,
        had_will: bool,
    ) {
        if sn.is_half_open {
            self.sn.half_open.leave(peer.0);
        }
        if !output.is_empty() && sn.gateway.takes_output() {
            self.send_last(&mut sn, peer, output.flatten());
        }
        self.outgoing.recycle(output);
        if had_will && let Some(will) = sn.gateway.take_will() {
            self.publish_sn_will(sn.gateway.client_id(), &will);
        }
        match sn.origin {
            None => self.sn.places.leave(&sn.from(peer), id),
            Some(origin) => {
                self.sn.remote.remove(&origin);
                self.mail_end(origin, sn.from(peer), &[]);
            }
        }
    }

    /// What the broker says last, and nothing else is taken from it.
    fn send_last(&mut self, sn: &mut Sn, peer: &Peer, packets: &[u8]) {
        let mut io = Io {
            now: self.now.0,
            to_broker: &mut self.sn.to_broker,
            to_client: &mut self.sn.to_client,
        };
        let (Verdict::Open | Verdict::Closed | Verdict::Lost | Verdict::Restart) = sn
            .gateway
            .on_mqtt(packets, &self.config.sn.gateway, &mut io);
        if let Some(address) = peer.0 {
            self.counters.datagrams_sent += self.sn.send_to(sn, address);
        }
        self.sn.to_broker.clear();
    }

    /// The connection of a session is over: if that stays, so does the client's will, whether it
    /// is published now or not [MQTTSN-6.3].
    pub(in crate::shard) fn keep_sn_will(&mut self, session: SessionId, conn: &Connection) {
        if let Some(sn) = &conn.sn
            && let Some(will) = sn.gateway.kept_will()
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.rare().kept_will = Some(will);
        }
    }

    /// MQTT cannot change a will, so it does not know of this one [MQTTSN-6.4].
    fn publish_sn_will(&mut self, client_id: &str, will: &Will) {
        if is_brokers_own(&will.topic) {
            self.counters.dropped += 1;
            return;
        }
        self.publish_stored(&Stored::new(&Message {
            topic: &will.topic,
            payload: &will.payload,
            properties: &[],
            qos: will.qos,
            retain: will.retain,
            expires_at: Nanos::MAX,
            publisher: PublisherId::of(client_id, &self.config.hasher),
        }));
    }
}
