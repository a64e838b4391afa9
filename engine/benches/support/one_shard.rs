//! One shard driven by hand, as a driver does: what leaves it is counted and its buffers come back.
#![allow(
    dead_code,
    reason = "each bench and test that includes this uses a part"
)]

use ringbus::base::{ConnId, Nanos, Peer, Scheme, ShardId};
use ringbus::config::PartitionLevels;
use ringbus::mailbox::{Mailbox, Wake, mesh};
use ringbus::pubsub::{Partitioner, RetainedQuota};
use ringbus::shard::{Admission, Batch, Shard, ShardConfig, SnConfig};
use ringbus_protocols::mqtt::{Connect, Packet, Properties, Publish, QoS, Version};
use ringbus_protocols::websocket::frame::{Opcode, put_masked};
use ringbus_protocols::websocket::handshake::put_request;
use std::net::SocketAddr;
use std::sync::Arc;

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// A shard without a network.
pub struct OneShard {
    shard: Shard,
    mailbox: Mailbox<Batch>,
    now: Nanos,
    sockets: i32,
}

impl OneShard {
    /// A shard that is alone, with fixed seeds: every run does the same.
    pub fn new() -> OneShard {
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let partitioner = Partitioner::new(1, PartitionLevels::default(), hasher.clone());
        let config = ShardConfig {
            shards: 1,
            max_packet_size: 1 << 20,
            queue_bytes: 1 << 20,
            connect_timeout: Nanos::from_secs(10),
            versions: ringbus::config::Versions::ALL,
            check_payload_format: false,
            queue_messages: usize::MAX,
            queue_policy: ringbus::config::QueuePolicy::DropNewest,
            shared_strategy: ringbus::config::SharedStrategy::RoundRobin,
            session_expiry_max: u32::MAX,
            receive_maximum: 1_000,
            topic_alias_maximum: 8,
            publish_rate: None,
            response_information: None,
            server_reference: None,
            web: ringbus::shard::WebConfig::default(),
            nats: ringbus::shard::NatsConfig::default(),
            sn: SnConfig {
                local_listeners: vec![true],
                ..SnConfig::default()
            },
            mechanisms: Vec::new(),
            pace_us_max: 0,
            sys_interval: Nanos::ZERO,
            partitioner: Arc::new(partitioner),
            hasher,
            admission: Arc::new(Admission::new(200_000)),
            retained_quota: Arc::new(RetainedQuota::new(usize::MAX, usize::MAX)),
        };
        let mut boxes = mesh(1, 64, vec![Arc::new(NoWake) as Arc<dyn Wake>]);
        OneShard {
            shard: Shard::new(ShardId(0), Arc::new(config), Nanos::ZERO, 7),
            mailbox: boxes.pop().expect("one shard"),
            now: Nanos::from_secs(1),
            sockets: 0,
        }
    }

    /// A client past its CONNACK.
    pub fn connect(&mut self, version: Version) -> ConnId {
        let conn = self.accept(Scheme::Mqtt);
        let bytes = self.connect_packet(version);
        assert!(self.turn(conn, &bytes) > 0, "a CONNACK");
        conn
    }

    /// The same over WebSocket.
    pub fn connect_over_websocket(&mut self, version: Version) -> ConnId {
        let conn = self.open_websocket("/mqtt", Some("mqtt"));
        let bytes = in_frame(&self.connect_packet(version));
        assert!(self.turn(conn, &bytes) > 0, "a CONNACK");
        conn
    }

    /// A WebSocket past its handshake; without a subprotocol, that of a topic.
    pub fn open_websocket(&mut self, target: &str, subprotocol: Option<&str>) -> ConnId {
        let conn = self.accept(Scheme::Ws);
        let mut bytes = Vec::new();
        put_request(&mut bytes, "h", target, &[7; 16], subprotocol, None);
        assert!(self.turn(conn, &bytes) > 0, "an answer");
        conn
    }

    /// A NATS client past its CONNECT.
    pub fn connect_by_nats(&mut self) -> ConnId {
        let conn = self.accept(Scheme::Nats);
        let connect = b"CONNECT {\"verbose\":false}\r\nPING\r\n";
        assert!(self.turn(conn, connect) > 0, "a PONG");
        conn
    }

    fn accept(&mut self, scheme: Scheme) -> ConnId {
        self.sockets += 1;
        self.shard.begin_turn(self.now);
        self.shard
            .on_accept(self.sockets, Peer::default(), scheme)
            .expect("there is room")
    }

    fn connect_packet(&self, version: Version) -> Vec<u8> {
        let client_id = format!("client{}", self.sockets);
        let connect = Packet::Connect(Connect {
            version,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id: &client_id,
            will: None,
            username: None,
            password: None,
            properties: Properties::default(),
        });
        let mut bytes = Vec::new();
        connect.encode(version, &mut bytes);
        bytes
    }

    /// Subscribes a 3.1.1 client to a filter.
    pub fn subscribe(&mut self, conn: ConnId, filter: &str, qos: QoS) {
        let bytes = subscribe_packet(filter, qos);
        assert_eq!(self.turn(conn, &bytes), 5, "a SUBACK");
    }

    /// The same over WebSocket.
    pub fn subscribe_over_websocket(&mut self, conn: ConnId, filter: &str, qos: QoS) {
        let bytes = in_frame(&subscribe_packet(filter, qos));
        assert_eq!(self.turn(conn, &bytes), 2 + 5, "a SUBACK in a frame");
    }

    /// The client's network goes away.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.shard.begin_turn(self.now);
        self.shard.on_closed(conn);
        self.shard.end_turn(&mut self.mailbox);
    }

    /// One turn of the shard that receives `bytes`; the bytes that left it.
    pub fn turn(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.begin();
        assert_eq!(
            self.shard.on_bytes(conn, bytes),
            bytes.len(),
            "no back-pressure"
        );
        self.end()
    }

    /// One turn of the shard that receives datagrams; the bytes that left it by streams.
    pub fn turn_of_datagrams<'a>(
        &mut self,
        datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
    ) -> usize {
        self.begin();
        for (from, datagram) in datagrams {
            self.shard.on_datagram(0, from, datagram);
        }
        self.end()
    }

    /// How many datagrams have left since the last call.
    pub fn datagrams_sent(&mut self) -> usize {
        let count = self.shard.datagrams().len();
        self.shard.datagrams().clear();
        count
    }

    /// Connections of the shard.
    pub fn connections(&self) -> usize {
        self.shard.connections()
    }

    fn begin(&mut self) {
        self.now = self.now + Nanos::from_micros(10);
        self.shard.begin_turn(self.now);
    }

    fn end(&mut self) -> usize {
        self.shard.on_mail(&mut self.mailbox);
        self.shard.end_turn(&mut self.mailbox);
        let effects = self.shard.effects();
        effects.established.clear();
        assert!(effects.closed.is_empty(), "the shard refused something");
        let mut sent = 0;
        while let Some(conn) = self.shard.take_dirty() {
            if let Some(output) = self.shard.take_output(conn) {
                sent += output.len();
                self.shard.on_sent(conn, output);
            }
        }
        sent
    }
}

fn subscribe_packet(filter: &str, qos: QoS) -> Vec<u8> {
    let filter_length = u8::try_from(filter.len()).expect("short filters");
    let mut bytes = vec![0x82, filter_length + 5, 0, 1, 0, filter_length];
    bytes.extend_from_slice(filter.as_bytes());
    bytes.push(qos as u8);
    bytes
}

/// One masked binary frame.
pub fn in_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let key = [0x37, 0xFA, 0x21, 0x3D];
    put_masked(&mut frame, Opcode::Binary, true, false, key, payload);
    frame
}

/// `count` times the same PUBLISH at QoS 0, as bytes.
pub fn publishes(version: Version, topic: &str, payload: &[u8], count: usize) -> Vec<u8> {
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_identifier: None,
        properties: Properties::default(),
        payload,
    });
    let mut bytes = Vec::new();
    for _ in 0..count {
        publish.encode(version, &mut bytes);
    }
    bytes
}
