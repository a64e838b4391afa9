//! A gateway with a client on one side and a broker on the other, both played by the test.

use ringbus_protocols::mqtt::{
    self, Ack, ConnAck, Frame, PACKET_SIZE_MAX, PacketIdentifier, Properties, Publish, QoS,
    ReasonCode, SubAck, UnsubAck, Version, frame,
};
use ringbus_protocols::mqttsn::{
    Datagrams, FilterRef, Gateway, Io, Packet, PredefinedTopics, PublishQoS, ReturnCode, Settings,
    ShortTopic, TopicRef, Verdict, decode,
};

pub const SECOND: u64 = 1_000_000_000;

/// The gateway and the time.
pub struct Line {
    pub gateway: Gateway,
    pub settings: Settings,
    pub now: u64,
}

/// What came out of the gateway.
#[derive(Debug)]
pub struct Out {
    pub verdict: Verdict,
    datagrams: Datagrams,
    mqtt: Vec<u8>,
}

impl Out {
    /// The messages for the client.
    pub fn client(&self) -> Vec<Packet<'_>> {
        let decoded = |datagram| decode(datagram).expect("a good datagram");
        self.datagrams.iter().map(decoded).collect()
    }

    /// The packets for the broker.
    pub fn broker(&self) -> Vec<mqtt::Packet<'_>> {
        mqtt_packets(&self.mqtt)
    }

    pub fn is_silent(&self) -> bool {
        self.datagrams.is_empty() && self.mqtt.is_empty() && self.verdict == Verdict::Open
    }
}

impl Line {
    /// With predefined topic 7, `pre/defined`.
    pub fn new() -> Self {
        let predefined = PredefinedTopics::parse("7 pre/defined").expect("a good list");
        Self {
            gateway: Gateway::new(),
            settings: Settings {
                predefined,
                ..Settings::default()
            },
            // Topic ids begin at 1.
            now: 0,
        }
    }

    /// With the client `c` connected: keep alive 60 seconds, no will.
    pub fn connected() -> Self {
        let mut line = Self::new();
        let out = line.hear(&connect(true, false));
        assert_eq!(out.broker().len(), 1);
        let out = line.tell(&connack(ReasonCode::Success));
        assert_eq!(out.client(), [CONNACK]);
        line
    }

    /// With a topic that the client has registered: its id is 1.
    pub fn registered(topic_name: &str) -> Self {
        let mut line = Self::connected();
        let out = line.hear(&register(topic_name));
        assert_eq!(out.client(), [regack(1)]);
        line
    }

    /// With a client that sleeps for 100 seconds.
    pub fn asleep() -> Self {
        let mut line = Self::connected();
        assert_eq!(line.hear(&sleep(100)).client(), [DISCONNECT]);
        assert!(!line.gateway.takes_output());
        line
    }

    /// The client sends.
    pub fn hear(&mut self, packet: &Packet<'_>) -> Out {
        self.with(|gateway, settings, io| gateway.on_packet(packet, settings, io))
    }

    /// The broker sends.
    pub fn tell(&mut self, packet: &mqtt::Packet<'_>) -> Out {
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes);
        self.with(|gateway, settings, io| gateway.on_mqtt(&bytes, settings, io))
    }

    /// The broker has nothing more.
    pub fn done(&mut self) -> Out {
        self.with(|gateway, settings, io| {
            gateway.output_done(settings, io);
            Verdict::Open
        })
    }

    pub fn seconds_later(&mut self, seconds: u64) -> Out {
        self.now += seconds * SECOND;
        self.with(|gateway, settings, io| gateway.on_timer(settings, io))
    }

    /// The seconds until the gateway wants to be called.
    pub fn seconds_left(&self) -> Option<u64> {
        let deadline = self.gateway.deadline(&self.settings)?;
        Some((deadline - self.now) / SECOND)
    }

    fn with(&mut self, work: impl FnOnce(&mut Gateway, &Settings, &mut Io<'_>) -> Verdict) -> Out {
        let (mut mqtt, mut datagrams) = (Vec::new(), Datagrams::default());
        let mut io = Io {
            now: self.now,
            to_broker: &mut mqtt,
            to_client: &mut datagrams,
        };
        let verdict = work(&mut self.gateway, &self.settings, &mut io);
        Out {
            verdict,
            datagrams,
            mqtt,
        }
    }
}

/// Every packet in `bytes`.
pub fn mqtt_packets(bytes: &[u8]) -> Vec<mqtt::Packet<'_>> {
    let (mut rest, mut packets) = (bytes, Vec::new());
    while let Ok(Frame::Complete {
        header,
        body,
        length,
    }) = frame(rest, PACKET_SIZE_MAX)
    {
        packets.push(mqtt::Packet::decode(header, body, Version::V5).expect("a good packet"));
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "the packets are whole");
    packets
}

pub const CONNACK: Packet<'_> = Packet::ConnAck {
    return_code: ReturnCode::ACCEPTED,
};
pub const DISCONNECT: Packet<'_> = Packet::Disconnect {
    duration_seconds: None,
};
pub const PING: Packet<'_> = Packet::PingReq {
    client_id: Some("c"),
};

pub fn connect(clean_session: bool, will: bool) -> Packet<'static> {
    Packet::Connect {
        clean_session,
        will,
        duration_seconds: 60,
        client_id: "c",
    }
}

pub fn sleep(seconds: u16) -> Packet<'static> {
    Packet::Disconnect {
        duration_seconds: Some(seconds),
    }
}

pub fn register(topic_name: &str) -> Packet<'_> {
    Packet::Register {
        topic_id: 0,
        msg_id: 9,
        topic_name,
    }
}

pub fn regack(topic_id: u16) -> Packet<'static> {
    Packet::RegAck {
        topic_id,
        msg_id: 9,
        return_code: ReturnCode::ACCEPTED,
    }
}

pub fn puback(topic_id: u16, msg_id: u16, return_code: ReturnCode) -> Packet<'static> {
    Packet::PubAck {
        topic_id,
        msg_id,
        return_code,
    }
}

pub fn publish(qos: QoS, topic: TopicRef, msg_id: u16) -> Packet<'static> {
    Packet::Publish {
        dup: false,
        qos: PublishQoS::Of(qos),
        retain: false,
        topic,
        msg_id,
        payload: b"payload",
    }
}

/// The same, sent again.
pub fn again(mut packet: Packet<'_>) -> Packet<'_> {
    if let Packet::Publish { dup, .. } | Packet::Subscribe { dup, .. } = &mut packet {
        *dup = true;
    }
    packet
}

pub fn subscribe(qos: QoS, msg_id: u16, filter: FilterRef<'_>) -> Packet<'_> {
    Packet::Subscribe {
        dup: false,
        qos,
        msg_id,
        filter,
    }
}

pub fn short(name: &str) -> ShortTopic {
    ShortTopic::new(name).expect("two bytes")
}

pub fn connack(reason: ReasonCode) -> mqtt::Packet<'static> {
    mqtt::Packet::ConnAck(ConnAck {
        session_present: false,
        reason,
        properties: Properties::default(),
    })
}

pub fn mqtt_publish(qos: QoS, topic: &str, msg_id: u16) -> mqtt::Packet<'_> {
    mqtt::Packet::Publish(Publish {
        qos,
        topic,
        packet_identifier: PacketIdentifier::new(msg_id),
        payload: b"payload",
        ..Publish::default()
    })
}

pub fn mqtt_ack(msg_id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack::with_reason(identifier(msg_id), reason)
}

pub fn suback(msg_id: u16, reasons: &[u8]) -> mqtt::Packet<'_> {
    mqtt::Packet::SubAck(SubAck {
        packet_identifier: identifier(msg_id),
        properties: Properties::default(),
        reasons,
    })
}

pub fn unsuback(msg_id: u16) -> mqtt::Packet<'static> {
    mqtt::Packet::UnsubAck(UnsubAck {
        packet_identifier: identifier(msg_id),
        properties: Properties::default(),
        reasons: &[0],
    })
}

fn identifier(msg_id: u16) -> PacketIdentifier {
    PacketIdentifier::new(msg_id).expect("not zero")
}
