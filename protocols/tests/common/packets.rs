//! Random packets that obey the specification. What they borrow from is leaked: tests are short.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use ringbus_protocols::mqtt::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketIdentifier, PacketType, PingReq,
    PingResp, Properties, PropertiesBuf, Property, PropertyId, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Version, Will,
};
use ringbus_protocols::topic::TopicName;

use super::encode;

pub fn leak_str(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

pub fn leak_bytes(bytes: Vec<u8>) -> &'static [u8] {
    Box::leak(bytes.into_boxed_slice())
}

pub fn version() -> impl Strategy<Value = Version> {
    select(Version::ALL.to_vec())
}

/// Text with every kind of UTF-8, mostly short, without U+0000.
pub fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => "[a-z/]{0,12}",
        3 => "[^\\x00]{0,40}",
        1 => "[^\\x00]{60,140}",
    ]
    .prop_map(leak_str)
}

pub fn topic() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => "[a-z0-9/$]{1,24}", 1 => "[^\\x00+#]{1,90}"].prop_map(leak_str)
}

pub fn payload() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..200).prop_map(leak_bytes)
}

fn identifier() -> impl Strategy<Value = PacketIdentifier> {
    (1..=u16::MAX).prop_map(|value| PacketIdentifier::new(value).expect("from 1"))
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// One property with a value that the specification allows.
pub fn property(id: PropertyId) -> BoxedStrategy<Property<'static>> {
    use PropertyId as Id;
    match id {
        Id::PayloadFormatIndicator => any::<bool>()
            .prop_map(Property::PayloadFormatIndicator)
            .boxed(),
        Id::MessageExpiryInterval => any::<u32>()
            .prop_map(Property::MessageExpiryInterval)
            .boxed(),
        Id::ContentType => text().prop_map(Property::ContentType).boxed(),
        Id::ResponseTopic => topic().prop_map(Property::ResponseTopic).boxed(),
        Id::CorrelationData => payload().prop_map(Property::CorrelationData).boxed(),
        Id::SubscriptionIdentifier => {
            let value = prop_oneof![1..200_u32, 1..=268_435_455_u32];
            value.prop_map(Property::SubscriptionIdentifier).boxed()
        }
        Id::SessionExpiryInterval => any::<u32>()
            .prop_map(Property::SessionExpiryInterval)
            .boxed(),
        Id::AssignedClientIdentifier => text().prop_map(Property::AssignedClientIdentifier).boxed(),
        Id::ServerKeepAlive => any::<u16>().prop_map(Property::ServerKeepAlive).boxed(),
        Id::AuthenticationMethod => text().prop_map(Property::AuthenticationMethod).boxed(),
        Id::AuthenticationData => payload().prop_map(Property::AuthenticationData).boxed(),
        Id::RequestProblemInformation => any::<bool>()
            .prop_map(Property::RequestProblemInformation)
            .boxed(),
        Id::WillDelayInterval => any::<u32>().prop_map(Property::WillDelayInterval).boxed(),
        Id::RequestResponseInformation => any::<bool>()
            .prop_map(Property::RequestResponseInformation)
            .boxed(),
        Id::ResponseInformation => text().prop_map(Property::ResponseInformation).boxed(),
        Id::ServerReference => text().prop_map(Property::ServerReference).boxed(),
        Id::ReasonString => text().prop_map(Property::ReasonString).boxed(),
        Id::ReceiveMaximum => (1..=u16::MAX).prop_map(Property::ReceiveMaximum).boxed(),
        Id::TopicAliasMaximum => any::<u16>().prop_map(Property::TopicAliasMaximum).boxed(),
        Id::TopicAlias => (1..=u16::MAX).prop_map(Property::TopicAlias).boxed(),
        Id::MaximumQoS => select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])
            .prop_map(Property::MaximumQoS)
            .boxed(),
        Id::RetainAvailable => any::<bool>().prop_map(Property::RetainAvailable).boxed(),
        Id::UserProperty => (text(), text()).prop_map(Property::UserProperty).boxed(),
        Id::MaximumPacketSize => (1..=u32::MAX).prop_map(Property::MaximumPacketSize).boxed(),
        Id::WildcardSubscriptionAvailable => any::<bool>()
            .prop_map(Property::WildcardSubscriptionAvailable)
            .boxed(),
        Id::SubscriptionIdentifierAvailable => any::<bool>()
            .prop_map(Property::SubscriptionIdentifierAvailable)
            .boxed(),
        Id::SharedSubscriptionAvailable => any::<bool>()
            .prop_map(Property::SharedSubscriptionAvailable)
            .boxed(),
    }
}

/// The properties that a place allows once, read from table 2-4 of the specification; User
/// Property is allowed everywhere and not listed.
pub mod allowed {
    pub const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27];
    pub const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18];
    pub const CONNACK: &[u8] = &[
        0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29,
        0x2A,
    ];
    pub const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23];
    pub const ACK: &[u8] = &[0x1F];
    pub const SUBSCRIBE: &[u8] = &[0x0B];
    pub const UNSUBSCRIBE: &[u8] = &[];
    pub const DISCONNECT: &[u8] = &[0x11, 0x1C, 0x1F];
    pub const AUTH: &[u8] = &[0x15, 0x16, 0x1F];
}

/// Some of the allowed properties, some User Properties, in any order.
fn properties(allowed: &'static [u8]) -> impl Strategy<Value = Properties<'static>> {
    let ids: Vec<PropertyId> = allowed
        .iter()
        .map(|&id| PropertyId::try_from(id).expect("assigned"))
        .collect();
    let count = ids.len();
    (subsequence(ids, 0..=count), 0..3_usize)
        .prop_flat_map(move |(mut ids, users)| {
            // A message that matched several subscriptions has an identifier of each.
            if allowed == self::allowed::PUBLISH
                && ids.contains(&PropertyId::SubscriptionIdentifier)
            {
                ids.extend(std::iter::repeat_n(
                    PropertyId::SubscriptionIdentifier,
                    users,
                ));
            }
            ids.extend(std::iter::repeat_n(PropertyId::UserProperty, users));
            ids.into_iter().map(property).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|properties| {
            let data = properties.contains_authentication_data_only();
            let kept = properties
                .into_iter()
                .filter(|property| !(data && property.id() == PropertyId::AuthenticationData));
            let buf: &'static PropertiesBuf = Box::leak(Box::new(kept.collect()));
            buf.as_properties()
        })
}

trait Authentication {
    /// Data without a method is not allowed.
    fn contains_authentication_data_only(&self) -> bool;
}

impl Authentication for Vec<Property<'_>> {
    fn contains_authentication_data_only(&self) -> bool {
        let has = |id| self.iter().any(|property| property.id() == id);
        has(PropertyId::AuthenticationData) && !has(PropertyId::AuthenticationMethod)
    }
}

/// Properties in MQTT 5.0, none before.
fn properties_in(version: Version, allowed: &'static [u8]) -> BoxedStrategy<Properties<'static>> {
    match version {
        Version::V5 => properties(allowed).boxed(),
        _ => Just(Properties::default()).boxed(),
    }
}

fn reason_in(version: Version, reasons: &'static [u8]) -> BoxedStrategy<ReasonCode> {
    let reasons = if version == Version::V5 {
        reasons
    } else {
        &[0]
    };
    select(reasons)
        .prop_map(|value| ReasonCode::try_from(value).expect("assigned"))
        .boxed()
}

pub fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let credentials =
        (option::of(text()), option::of(payload())).prop_map(move |pair| match pair {
            (None, Some(_)) if version != Version::V5 => (None, None),
            pair => pair,
        });
    (
        any::<(bool, u16)>(),
        text(),
        option::of(will(version)),
        credentials,
        properties_in(version, allowed::CONNECT),
    )
        .prop_map(
            move |((clean_start, keep_alive_seconds), client_id, will, credentials, properties)| {
                let (username, password) = credentials;
                Connect {
                    version,
                    clean_start,
                    keep_alive_seconds,
                    client_id,
                    will,
                    username,
                    password,
                    properties,
                }
            },
        )
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    (
        topic(),
        payload(),
        qos(),
        any::<bool>(),
        properties_in(version, allowed::WILL),
    )
        .prop_map(|(topic, payload, qos, retain, properties)| Will {
            topic: TopicName::parse(topic).expect("a topic name"),
            payload,
            qos,
            retain,
            properties,
        })
}

const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];
const CONNACK_V3: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::ServerUnavailable,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
];

fn connack(version: Version) -> impl Strategy<Value = ConnAck<'static>> {
    let reason = match version {
        Version::V5 => reason_in(version, CONNACK),
        _ => select(CONNACK_V3).boxed(),
    };
    (
        any::<bool>(),
        reason,
        properties_in(version, allowed::CONNACK),
    )
        .prop_map(move |(present, reason, properties)| ConnAck {
            session_present: present && reason == ReasonCode::Success && version != Version::V3_1,
            reason,
            properties,
        })
}

pub fn publish(version: Version) -> impl Strategy<Value = Publish<'static>> {
    (
        any::<(bool, bool, bool)>(),
        qos(),
        topic(),
        identifier(),
        properties_in(version, allowed::PUBLISH),
        payload(),
    )
        .prop_map(
            |((dup, retain, by_alias), qos, topic, identifier, properties, payload)| {
                let has_alias = properties.has(PropertyId::TopicAlias);
                Publish {
                    dup: dup && qos != QoS::AtMostOnce,
                    qos,
                    retain,
                    topic: if by_alias && has_alias { "" } else { topic },
                    packet_identifier: (qos != QoS::AtMostOnce).then_some(identifier),
                    properties,
                    payload,
                }
            },
        )
}

fn ack(version: Version, reasons: &'static [u8]) -> impl Strategy<Value = Ack<'static>> {
    (
        identifier(),
        reason_in(version, reasons),
        properties_in(version, allowed::ACK),
    )
        .prop_map(|(packet_identifier, reason, properties)| Ack {
            packet_identifier,
            reason,
            properties,
        })
}

const RECEIVED: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED: &[u8] = &[0x00, 0x92];

fn filter(version: Version) -> impl Strategy<Value = SubscribeFilter<'static>> {
    let handling = vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ];
    (text(), qos(), any::<(bool, bool)>(), select(handling)).prop_map(
        move |(filter, qos, (no_local, retain_as_published), retain_handling)| {
            let plain = SubscribeFilter::new(filter, qos);
            match version {
                Version::V5 => SubscribeFilter {
                    no_local,
                    retain_as_published,
                    retain_handling,
                    ..plain
                },
                _ => plain,
            }
        },
    )
}

/// A packet that can only be made by decoding.
fn from_encoded(version: Version, bytes: Vec<u8>) -> Packet<'static> {
    super::decode(leak_bytes(bytes), version).expect("what was encoded")
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (
        identifier(),
        properties_in(version, allowed::SUBSCRIBE),
        vec(filter(version), 1..6),
    )
        .prop_map(move |(identifier, properties, filters)| {
            let mut out = Vec::new();
            Subscribe::encode_from(identifier, &properties, &filters, version, &mut out);
            let packet = from_encoded(version, out);
            let Packet::Subscribe(subscribe) = packet else {
                panic!("{packet:?}")
            };
            assert!(subscribe.filters().eq(filters));
            packet
        })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (
        identifier(),
        properties_in(version, allowed::UNSUBSCRIBE),
        vec(text(), 1..6),
    )
        .prop_map(move |(identifier, properties, filters)| {
            let mut out = Vec::new();
            Unsubscribe::encode_from(identifier, &properties, &filters, version, &mut out);
            let packet = from_encoded(version, out);
            let Packet::Unsubscribe(unsubscribe) = packet else {
                panic!("{packet:?}")
            };
            assert!(unsubscribe.filters().eq(filters));
            packet
        })
}

const SUBACK: &[u8] = &[
    0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
];
const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];

fn suback(version: Version) -> impl Strategy<Value = SubAck<'static>> {
    let reasons = if version == Version::V5 {
        SUBACK
    } else {
        &SUBACK[..4]
    };
    (
        identifier(),
        properties_in(version, allowed::ACK),
        vec(select(reasons), 1..8),
    )
        .prop_map(|(packet_identifier, properties, reasons)| SubAck {
            packet_identifier,
            properties,
            reasons: leak_bytes(reasons),
        })
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck<'static>> {
    let count = if version == Version::V5 { 1..8 } else { 0..1 };
    (
        identifier(),
        properties_in(version, allowed::ACK),
        vec(select(UNSUBACK), count),
    )
        .prop_map(|(packet_identifier, properties, reasons)| UnsubAck {
            packet_identifier,
            properties,
            reasons: leak_bytes(reasons),
        })
}

const DISCONNECT: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
    0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect<'static>> {
    (
        reason_in(version, DISCONNECT),
        properties_in(version, allowed::DISCONNECT),
    )
        .prop_map(|(reason, properties)| Disconnect { reason, properties })
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    (
        reason_in(Version::V5, &[0x00, 0x18, 0x19]),
        properties(allowed::AUTH),
    )
        .prop_map(|(reason, properties)| {
            match properties.has(PropertyId::AuthenticationMethod) {
                true => Auth { reason, properties },
                false => Auth {
                    reason: ReasonCode::Success,
                    properties: Properties::default(),
                },
            }
        })
}

/// A packet of a type and version. CONNECT is the same in all.
pub fn packet_of(kind: PacketType, version: Version) -> BoxedStrategy<Packet<'static>> {
    match kind {
        PacketType::Connect => connect(version).prop_map(Packet::Connect).boxed(),
        PacketType::ConnAck => connack(version).prop_map(Packet::ConnAck).boxed(),
        PacketType::Publish => publish(version).prop_map(Packet::Publish).boxed(),
        PacketType::PubAck => ack(version, RECEIVED).prop_map(Packet::PubAck).boxed(),
        PacketType::PubRec => ack(version, RECEIVED).prop_map(Packet::PubRec).boxed(),
        PacketType::PubRel => ack(version, RELEASED).prop_map(Packet::PubRel).boxed(),
        PacketType::PubComp => ack(version, RELEASED).prop_map(Packet::PubComp).boxed(),
        PacketType::Subscribe => subscribe(version).boxed(),
        PacketType::SubAck => suback(version).prop_map(Packet::SubAck).boxed(),
        PacketType::Unsubscribe => unsubscribe(version).boxed(),
        PacketType::UnsubAck => unsuback(version).prop_map(Packet::UnsubAck).boxed(),
        PacketType::PingReq => Just(Packet::PingReq(PingReq)).boxed(),
        PacketType::PingResp => Just(Packet::PingResp(PingResp)).boxed(),
        PacketType::Disconnect => disconnect(version).prop_map(Packet::Disconnect).boxed(),
        PacketType::Auth => auth().prop_map(Packet::Auth).boxed(),
    }
}

/// Any packet of any version that has it.
pub fn packet() -> impl Strategy<Value = (Version, Packet<'static>)> {
    (version(), select(PacketType::ALL.to_vec())).prop_flat_map(|(version, kind)| {
        let version = if kind == PacketType::Auth {
            Version::V5
        } else {
            version
        };
        (Just(version), packet_of(kind, version))
    })
}

/// Any packet as bytes.
pub fn encoded() -> impl Strategy<Value = (Version, Vec<u8>)> {
    packet().prop_map(|(version, packet)| (version, encode(&packet, version)))
}
