//! The messages of MQTT-SN `[MQTTSN-5.4]`.

use crate::mqtt::QoS;

/// A message, borrowed from the datagram it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// ADVERTISE: a gateway says that it is there `[MQTTSN-5.4.1]`.
    Advertise {
        /// The gateway.
        gateway_id: u8,
        /// Until the next ADVERTISE.
        duration_seconds: u16,
    },
    /// SEARCHGW: a client looks for a gateway `[MQTTSN-5.4.2]`.
    SearchGw {
        /// How far the question goes, in hops.
        radius: u8,
    },
    /// GWINFO: the answer to SEARCHGW `[MQTTSN-5.4.3]`.
    GwInfo {
        /// The gateway.
        gateway_id: u8,
        /// Its address, there if another client answers for it; else empty.
        address: &'a [u8],
    },
    /// CONNECT `[MQTTSN-5.4.4]`.
    Connect {
        /// Forget the session and the will of before `[MQTTSN-6.3]`.
        clean_session: bool,
        /// The client wants to be asked for a will.
        will: bool,
        /// The keep alive.
        duration_seconds: u16,
        /// Not empty.
        client_id: &'a str,
    },
    /// CONNACK `[MQTTSN-5.4.5]`.
    ConnAck {
        /// The outcome.
        return_code: ReturnCode,
    },
    /// WILLTOPICREQ: the gateway asks for the topic of the will `[MQTTSN-5.4.6]`.
    WillTopicReq,
    /// WILLTOPIC: the answer; without a topic the will is deleted `[MQTTSN-5.4.7]`.
    WillTopic(Option<WillTopic<'a>>),
    /// WILLMSGREQ: the gateway asks for the content of the will `[MQTTSN-5.4.8]`.
    WillMsgReq,
    /// WILLMSG: the answer `[MQTTSN-5.4.9]`.
    WillMsg(&'a [u8]),
    /// REGISTER: names a topic, and its id if the gateway sends it `[MQTTSN-5.4.10]`.
    Register {
        /// 0 from a client.
        topic_id: u16,
        /// Repeated in REGACK.
        msg_id: u16,
        /// Text without U+0000, otherwise not checked.
        topic_name: &'a str,
    },
    /// REGACK `[MQTTSN-5.4.11]`.
    RegAck {
        /// The id of the topic.
        topic_id: u16,
        /// That of REGISTER.
        msg_id: u16,
        /// The outcome.
        return_code: ReturnCode,
    },
    /// PUBLISH `[MQTTSN-5.4.12]`.
    Publish {
        /// Sent before.
        dup: bool,
        /// Quality of Service.
        qos: PublishQoS,
        /// As in MQTT.
        retain: bool,
        /// Where to.
        topic: TopicRef,
        /// Never 0 at QoS 1 and 2; without meaning at the others.
        msg_id: u16,
        /// The content.
        payload: &'a [u8],
    },
    /// PUBACK: ends a PUBLISH at QoS 1, or refuses any `[MQTTSN-5.4.13]`.
    PubAck {
        /// That of PUBLISH.
        topic_id: u16,
        /// That of PUBLISH.
        msg_id: u16,
        /// The outcome.
        return_code: ReturnCode,
    },
    /// PUBREC `[MQTTSN-5.4.14]`.
    PubRec {
        /// That of PUBLISH.
        msg_id: u16,
    },
    /// PUBREL `[MQTTSN-5.4.14]`.
    PubRel {
        /// That of PUBLISH.
        msg_id: u16,
    },
    /// PUBCOMP `[MQTTSN-5.4.14]`.
    PubComp {
        /// That of PUBLISH.
        msg_id: u16,
    },
    /// SUBSCRIBE `[MQTTSN-5.4.15]`.
    Subscribe {
        /// Sent before.
        dup: bool,
        /// The highest QoS of the messages.
        qos: QoS,
        /// Never 0.
        msg_id: u16,
        /// To what.
        filter: FilterRef<'a>,
    },
    /// SUBACK `[MQTTSN-5.4.16]`.
    SubAck {
        /// Granted.
        qos: QoS,
        /// The id of the topic; 0 if the filter has wildcards.
        topic_id: u16,
        /// That of SUBSCRIBE.
        msg_id: u16,
        /// The outcome.
        return_code: ReturnCode,
    },
    /// UNSUBSCRIBE `[MQTTSN-5.4.17]`.
    Unsubscribe {
        /// Never 0.
        msg_id: u16,
        /// From what.
        filter: FilterRef<'a>,
    },
    /// UNSUBACK `[MQTTSN-5.4.18]`.
    UnsubAck {
        /// That of UNSUBSCRIBE.
        msg_id: u16,
    },
    /// PINGREQ `[MQTTSN-5.4.19]`.
    PingReq {
        /// There if a sleeping client asks for its messages.
        client_id: Option<&'a str>,
    },
    /// PINGRESP `[MQTTSN-5.4.20]`.
    PingResp,
    /// DISCONNECT `[MQTTSN-5.4.21]`.
    Disconnect {
        /// There if the client goes to sleep.
        duration_seconds: Option<u16>,
    },
    /// WILLTOPICUPD; without a topic the will is deleted `[MQTTSN-5.4.22]`.
    WillTopicUpd(Option<WillTopic<'a>>),
    /// WILLMSGUPD `[MQTTSN-5.4.23]`.
    WillMsgUpd(&'a [u8]),
    /// WILLTOPICRESP `[MQTTSN-5.4.24]`.
    WillTopicResp {
        /// The outcome.
        return_code: ReturnCode,
    },
    /// WILLMSGRESP `[MQTTSN-5.4.25]`.
    WillMsgResp {
        /// The outcome.
        return_code: ReturnCode,
    },
}

/// The topic of a will, and how it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WillTopic<'a> {
    /// Quality of Service.
    pub qos: QoS,
    /// As in MQTT.
    pub retain: bool,
    /// Not empty; text without U+0000, otherwise not checked.
    pub topic: &'a str,
}

/// The QoS of a PUBLISH `[MQTTSN-5.3.4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishQoS {
    /// QoS −1: without a connection, never answered `[MQTTSN-6.8]`.
    MinusOne,
    /// As in MQTT.
    Of(QoS),
}

/// The topic of a PUBLISH `[MQTTSN-5.3.11]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicRef {
    /// An id that REGISTER or SUBSCRIBE gave a name.
    Normal(u16),
    /// An id that both sides know beforehand `[MQTTSN-6.7]`.
    Predefined(u16),
    /// The name itself.
    Short(ShortTopic),
}

impl TopicRef {
    /// The two bytes of the TopicId field.
    #[inline]
    pub const fn field(self) -> u16 {
        match self {
            Self::Normal(id) | Self::Predefined(id) => id,
            Self::Short(name) => u16::from_be_bytes(name.0),
        }
    }
}

/// What a SUBSCRIBE or UNSUBSCRIBE is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterRef<'a> {
    /// A topic filter: not empty, text without U+0000, otherwise not checked.
    Name(&'a str),
    /// An id that both sides know beforehand.
    Predefined(u16),
    /// A name of two bytes.
    Short(ShortTopic),
}

/// A topic name of two bytes `[MQTTSN-6.7]`: UTF-8 without U+0000, otherwise not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortTopic([u8; 2]);

impl ShortTopic {
    /// `None` if `text` is not two bytes long or contains U+0000.
    #[inline]
    pub fn new(text: &str) -> Option<Self> {
        let bytes: [u8; 2] = text.as_bytes().try_into().ok()?;
        (!bytes.contains(&0)).then_some(Self(bytes))
    }

    /// The name.
    #[inline]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("it was made of text")
    }
}

/// The outcome of a request `[MQTTSN-5.3.10]`. All but [`ReturnCode::ACCEPTED`] refuse; values
/// over 3 are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReturnCode(pub u8);

impl ReturnCode {
    /// Accepted.
    pub const ACCEPTED: Self = Self(0);
    /// Rejected: congestion. To be tried again later.
    pub const CONGESTION: Self = Self(1);
    /// Rejected: invalid topic id. To be registered again.
    pub const INVALID_TOPIC_ID: Self = Self(2);
    /// Rejected: not supported.
    pub const NOT_SUPPORTED: Self = Self(3);
}

/// The MsgType field `[MQTTSN-5.2.2]`.
pub(super) mod msg_type {
    pub const ADVERTISE: u8 = 0x00;
    pub const SEARCHGW: u8 = 0x01;
    pub const GWINFO: u8 = 0x02;
    pub const CONNECT: u8 = 0x04;
    pub const CONNACK: u8 = 0x05;
    pub const WILLTOPICREQ: u8 = 0x06;
    pub const WILLTOPIC: u8 = 0x07;
    pub const WILLMSGREQ: u8 = 0x08;
    pub const WILLMSG: u8 = 0x09;
    pub const REGISTER: u8 = 0x0A;
    pub const REGACK: u8 = 0x0B;
    pub const PUBLISH: u8 = 0x0C;
    pub const PUBACK: u8 = 0x0D;
    pub const PUBCOMP: u8 = 0x0E;
    pub const PUBREC: u8 = 0x0F;
    pub const PUBREL: u8 = 0x10;
    pub const SUBSCRIBE: u8 = 0x12;
    pub const SUBACK: u8 = 0x13;
    pub const UNSUBSCRIBE: u8 = 0x14;
    pub const UNSUBACK: u8 = 0x15;
    pub const PINGREQ: u8 = 0x16;
    pub const PINGRESP: u8 = 0x17;
    pub const DISCONNECT: u8 = 0x18;
    pub const WILLTOPICUPD: u8 = 0x1A;
    pub const WILLTOPICRESP: u8 = 0x1B;
    pub const WILLMSGUPD: u8 = 0x1C;
    pub const WILLMSGRESP: u8 = 0x1D;
    pub const FORWARDED: u8 = 0xFE;
}

/// The bits of the Flags field `[MQTTSN-5.3.4]`.
pub(super) mod flag {
    pub const DUP: u8 = 0x80;
    pub const QOS: u8 = 0x60;
    pub const QOS_SHIFT: u8 = 5;
    pub const RETAIN: u8 = 0x10;
    pub const WILL: u8 = 0x08;
    pub const CLEAN_SESSION: u8 = 0x04;
    pub const TOPIC_ID_TYPE: u8 = 0x03;
    pub const PREDEFINED: u8 = 0x01;
    pub const SHORT: u8 = 0x02;
}

/// The only ProtocolId `[MQTTSN-5.3.8]`.
pub(super) const PROTOCOL_ID: u8 = 0x01;

/// The first byte of a Length field of three bytes `[MQTTSN-5.2.1]`.
pub(super) const LONG_LENGTH: u8 = 0x01;
