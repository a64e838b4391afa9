//! Shards fed by hand, and packets to feed them with.

use std::sync::Arc;

use ringbus_protocols::mqtt::{
    Connect, Frame, Packet, PacketIdentifier, PropertiesBuf, Property, Publish, QoS, Subscribe,
    SubscribeFilter, Version, frame,
};

use super::super::{Batch, Shard, ShardConfig};
use crate::base::{ConnId, Nanos, Peer, Scheme, ShardId, SocketAddr};
use crate::mailbox::{Mailbox, Wake, mesh};

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// Shards, their mailboxes, and where each socket is.
pub(super) struct Net {
    pub(super) shards: Vec<Shard>,
    pub(super) mailboxes: Vec<Mailbox<Batch>>,
    pub(super) now: Nanos,
    pub(super) sockets: Vec<Line>,
    /// Datagrams that left, with their destinations.
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
}

/// Something done with a client's connection.
pub(super) type Act = fn(&mut Net, usize);

/// The client's end of a connection.
#[derive(Default)]
pub(super) struct Line {
    pub(super) at: Option<(usize, ConnId)>,
    pub(super) received: Vec<u8>,
    pub(super) is_closed: bool,
}

impl Net {
    pub(super) fn new(shards: u16) -> Self {
        Self::with(shards, |_| ())
    }

    pub(super) fn with(shards: u16, set: impl FnOnce(&mut ShardConfig)) -> Self {
        let mut config = ShardConfig::of_tests(shards);
        set(&mut config);
        let config = Arc::new(config);
        let wakers: Vec<Arc<dyn Wake>> = (0..shards).map(|_| Arc::new(NoWake) as _).collect();
        let make = |id| Shard::new(ShardId(id), config.clone(), Nanos::ZERO, 7);
        Self {
            shards: (0..shards).map(make).collect(),
            mailboxes: mesh(shards, 64, wakers),
            now: Nanos::from_secs(1),
            sockets: Vec::new(),
            datagrams: Vec::new(),
        }
    }

    pub(super) fn open(&mut self, shard: usize) -> usize {
        self.open_scheme(shard, Scheme::Mqtt)
    }

    pub(super) fn open_scheme(&mut self, shard: usize, scheme: Scheme) -> usize {
        let socket = self.sockets.len();
        self.shards[shard].begin_turn(self.now);
        let id = i32::try_from(socket).unwrap();
        let conn = self.shards[shard]
            .on_accept(id, Peer::default(), scheme)
            .expect("there is room");
        self.sockets.push(Line {
            at: Some((shard, conn)),
            ..Line::default()
        });
        socket
    }

    pub(super) fn send(&mut self, socket: usize, version: Version, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes);
        self.send_bytes(socket, &bytes);
    }

    pub(super) fn send_bytes(&mut self, socket: usize, bytes: &[u8]) {
        self.feed(socket, bytes);
        self.settle();
    }

    /// Bytes come, and nothing else happens yet.
    pub(super) fn feed(&mut self, socket: usize, bytes: &[u8]) {
        let Some((shard, conn)) = self.sockets[socket].at else {
            return;
        };
        self.shards[shard].begin_turn(self.now);
        assert_eq!(self.shards[shard].on_bytes(conn, bytes), bytes.len());
    }

    pub(super) fn connect(&mut self, shard: usize, connect: Connect<'_>) -> usize {
        let socket = self.open(shard);
        let version = connect.version;
        self.send(socket, version, &Packet::Connect(connect));
        socket
    }

    /// Turns of every shard until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..8 {
            for shard in 0..self.shards.len() {
                let mailbox = &mut self.mailboxes[shard];
                self.shards[shard].begin_turn(self.now);
                self.shards[shard].on_mail(mailbox);
                self.shards[shard].end_turn(mailbox);
                self.carry_out(shard);
            }
        }
    }

    pub(super) fn carry_out(&mut self, shard: usize) {
        let effects = std::mem::take(self.shards[shard].effects());
        for (conn, socket) in effects.adopted {
            self.sockets[usize::try_from(socket).unwrap()].at = Some((shard, conn));
        }
        for conn in effects.resumed {
            // What it kept is all that is offered again.
            self.shards[shard].begin_turn(self.now);
            assert_eq!(self.shards[shard].on_bytes(conn, &[]), 0);
        }
        for closing in effects.closed {
            let line = self.line(shard, closing.conn);
            line.received.extend_from_slice(&closing.last.bytes);
            line.is_closed = true;
            line.at = None;
        }
        while let Some(conn) = self.shards[shard].take_dirty() {
            let Some(output) = self.shards[shard].take_output(conn) else {
                continue;
            };
            self.line(shard, conn)
                .received
                .extend_from_slice(&output.bytes);
            self.shards[shard].on_sent(conn, output);
        }
        let datagrams = self.shards[shard].datagrams();
        for at in 0..datagrams.len() {
            let (to, bytes) = datagrams.get(at);
            self.datagrams.push((to, bytes.to_vec()));
        }
        datagrams.clear();
    }

    pub(super) fn line(&mut self, shard: usize, conn: ConnId) -> &mut Line {
        let line = self
            .sockets
            .iter_mut()
            .find(|line| line.at == Some((shard, conn)));
        line.expect("the connection is known")
    }

    /// The client ends its side, and hears on.
    pub(super) fn end_side(&mut self, socket: usize) -> bool {
        let (shard, conn) = self.sockets[socket].at.expect("it is connected");
        self.shards[shard].begin_turn(self.now);
        self.shards[shard].on_end(conn)
    }

    pub(super) fn hang_up(&mut self, socket: usize) {
        let (shard, conn) = self.sockets[socket].at.take().expect("it is connected");
        self.shards[shard].begin_turn(self.now);
        self.shards[shard].on_closed(conn);
        self.settle();
    }

    pub(super) fn pass(&mut self, span: Nanos) {
        self.now = self.now + span;
        self.settle();
    }

    /// What came since the last call, a word for each packet.
    pub(super) fn read(&mut self, socket: usize, version: Version) -> Vec<String> {
        self.read_with(socket, version, word)
    }

    /// What came since the last call, as `see` sees each packet.
    pub(super) fn read_with<T>(
        &mut self,
        socket: usize,
        version: Version,
        see: impl Fn(&Packet<'_>) -> T,
    ) -> Vec<T> {
        let bytes = std::mem::take(&mut self.sockets[socket].received);
        let mut rest = &bytes[..];
        let mut words = Vec::new();
        while !rest.is_empty() {
            let Ok(Frame::Complete {
                header,
                body,
                length,
            }) = frame(rest, u32::MAX)
            else {
                panic!("the shard sends whole packets");
            };
            words.push(see(
                &Packet::decode(header, body, version).expect("valid packets")
            ));
            rest = &rest[length..];
        }
        words
    }

    pub(super) fn leaks(&self) -> usize {
        self.shards
            .iter()
            .filter(|shard| !shard.leaks().is_none())
            .count()
    }
}

pub(super) fn word(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(ack) => format!("connack {:?} {}", ack.reason, ack.session_present),
        Packet::Publish(publish) => {
            let payload = String::from_utf8_lossy(publish.payload);
            let identifier = publish.packet_identifier.map_or(0, PacketIdentifier::get);
            let (qos, retain, dup) = (publish.qos as u8, publish.retain, publish.dup);
            let mut text = format!("publish {}={payload} q{qos} #{identifier}", publish.topic);
            text.push_str(if retain { " retain" } else { "" });
            text.push_str(if dup { " dup" } else { "" });
            for identifier in publish.properties.subscription_identifiers() {
                text.push_str(&format!(" s{identifier}"));
            }
            text
        }
        Packet::PubAck(ack) => format!("puback #{} {:?}", ack.packet_identifier.get(), ack.reason),
        Packet::PubRec(ack) => format!("pubrec #{} {:?}", ack.packet_identifier.get(), ack.reason),
        Packet::PubComp(ack) => {
            format!("pubcomp #{} {:?}", ack.packet_identifier.get(), ack.reason)
        }
        Packet::PubRel(ack) => format!("pubrel #{}", ack.packet_identifier.get()),
        Packet::SubAck(ack) => format!("suback {:?}", ack.reasons),
        Packet::UnsubAck(ack) => format!("unsuback {:?}", ack.reasons),
        Packet::Disconnect(disconnect) => format!("disconnect {:?}", disconnect.reason),
        other => format!("{other:?}"),
    }
}

pub(super) fn id(value: u16) -> PacketIdentifier {
    PacketIdentifier::new(value).unwrap()
}

pub(super) fn client<'a>(version: Version, client_id: &'a str) -> Connect<'a> {
    Connect {
        version,
        clean_start: true,
        client_id,
        keep_alive_seconds: 0,
        will: None,
        username: None,
        password: None,
        properties: Default::default(),
    }
}

pub(super) fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    let packet_identifier = (qos != QoS::AtMostOnce).then(|| id(1));
    Publish {
        topic,
        payload,
        qos,
        packet_identifier,
        ..Publish::default()
    }
}

pub(super) fn subscribe(filters: &[(&str, QoS)], version: Version, identifier: u32) -> Vec<u8> {
    let wanted = |&(filter, qos)| SubscribeFilter {
        filter,
        qos,
        ..SubscribeFilter::default()
    };
    let filters: Vec<SubscribeFilter<'_>> = filters.iter().map(wanted).collect();
    subscribe_to(&filters, version, identifier)
}

pub(super) fn subscribe_to(
    filters: &[SubscribeFilter<'_>],
    version: Version,
    identifier: u32,
) -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    if identifier > 0 {
        properties.push(Property::SubscriptionIdentifier(identifier));
    }
    let mut out = Vec::new();
    Subscribe::encode_from(
        id(9),
        &properties.as_properties(),
        filters,
        version,
        &mut out,
    );
    out
}

/// A subscription that does not want its client's own messages.
pub(super) fn no_local(filter: &str) -> Vec<u8> {
    let filter = SubscribeFilter {
        filter,
        no_local: true,
        ..SubscribeFilter::default()
    };
    subscribe_to(&[filter], Version::V5, 0)
}
