//! Random messages. What they borrow from is leaked: tests are short.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{
    FilterRef, Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, WillTopic,
};

/// A message of every type, with every kind of field.
pub fn packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        connection(),
        will(),
        publishing(),
        acknowledgement(),
        subscribing()
    ]
}

fn connection() -> BoxedStrategy<Packet<'static>> {
    prop_oneof![
        any::<(u8, u16)>().prop_map(|(gateway_id, duration_seconds)| Packet::Advertise {
            gateway_id,
            duration_seconds
        }),
        any::<u8>().prop_map(|radius| Packet::SearchGw { radius }),
        (any::<u8>(), bytes()).prop_map(|(gateway_id, address)| Packet::GwInfo {
            gateway_id,
            address
        }),
        (any::<bool>(), any::<bool>(), any::<u16>(), text()).prop_map(
            |(clean_session, will, duration_seconds, client_id)| Packet::Connect {
                clean_session,
                will,
                duration_seconds,
                client_id,
            }
        ),
        return_code().prop_map(|return_code| Packet::ConnAck { return_code }),
        option::of(text()).prop_map(|client_id| Packet::PingReq { client_id }),
        Just(Packet::PingResp),
        any::<Option<u16>>().prop_map(|duration_seconds| Packet::Disconnect { duration_seconds }),
    ]
    .boxed()
}

fn will() -> BoxedStrategy<Packet<'static>> {
    let topic = || option::of((qos(), any::<bool>(), text()).prop_map(will_topic));
    prop_oneof![
        Just(Packet::WillTopicReq),
        topic().prop_map(Packet::WillTopic),
        Just(Packet::WillMsgReq),
        bytes().prop_map(Packet::WillMsg),
        topic().prop_map(Packet::WillTopicUpd),
        bytes().prop_map(Packet::WillMsgUpd),
        return_code().prop_map(|return_code| Packet::WillTopicResp { return_code }),
        return_code().prop_map(|return_code| Packet::WillMsgResp { return_code }),
    ]
    .boxed()
}

fn will_topic((qos, retain, topic): (QoS, bool, &'static str)) -> WillTopic<'static> {
    WillTopic { qos, retain, topic }
}

fn publishing() -> BoxedStrategy<Packet<'static>> {
    let qos = prop_oneof![Just(PublishQoS::MinusOne), qos().prop_map(PublishQoS::Of)];
    let topic = prop_oneof![
        any::<u16>().prop_map(TopicRef::Normal),
        any::<u16>().prop_map(TopicRef::Predefined),
        short().prop_map(TopicRef::Short),
    ];
    (any::<bool>(), qos, any::<bool>(), topic, msg_id(), bytes())
        .prop_map(
            |(dup, qos, retain, topic, msg_id, payload)| Packet::Publish {
                dup,
                qos,
                retain,
                topic,
                msg_id,
                payload,
            },
        )
        .boxed()
}

fn acknowledgement() -> BoxedStrategy<Packet<'static>> {
    prop_oneof![
        (any::<u16>(), any::<u16>(), text()).prop_map(|(topic_id, msg_id, topic_name)| {
            Packet::Register {
                topic_id,
                msg_id,
                topic_name,
            }
        }),
        (any::<u16>(), any::<u16>(), return_code()).prop_map(|(topic_id, msg_id, return_code)| {
            Packet::RegAck {
                topic_id,
                msg_id,
                return_code,
            }
        }),
        (any::<u16>(), any::<u16>(), return_code()).prop_map(|(topic_id, msg_id, return_code)| {
            Packet::PubAck {
                topic_id,
                msg_id,
                return_code,
            }
        }),
        msg_id().prop_map(|msg_id| Packet::PubRec { msg_id }),
        msg_id().prop_map(|msg_id| Packet::PubRel { msg_id }),
        msg_id().prop_map(|msg_id| Packet::PubComp { msg_id }),
    ]
    .boxed()
}

fn subscribing() -> BoxedStrategy<Packet<'static>> {
    let filter = || {
        prop_oneof![
            text().prop_map(FilterRef::Name),
            any::<u16>().prop_map(FilterRef::Predefined),
            short().prop_map(FilterRef::Short),
        ]
    };
    prop_oneof![
        (any::<bool>(), qos(), msg_id(), filter()).prop_map(|(dup, qos, msg_id, filter)| {
            Packet::Subscribe {
                dup,
                qos,
                msg_id,
                filter,
            }
        }),
        (qos(), any::<u16>(), any::<u16>(), return_code()).prop_map(
            |(qos, topic_id, msg_id, return_code)| Packet::SubAck {
                qos,
                topic_id,
                msg_id,
                return_code,
            }
        ),
        (msg_id(), filter()).prop_map(|(msg_id, filter)| Packet::Unsubscribe { msg_id, filter }),
        msg_id().prop_map(|msg_id| Packet::UnsubAck { msg_id }),
    ]
    .boxed()
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn msg_id() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn return_code() -> impl Strategy<Value = ReturnCode> {
    any::<u8>().prop_map(ReturnCode)
}

fn short() -> impl Strategy<Value = ShortTopic> {
    prop_oneof!["[ -~]{2}", "[é-ü]"].prop_map(|name| ShortTopic::new(&name).expect("two bytes"))
}

/// On both sides of the longest message with a Length of one byte.
fn bytes() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 240..270)]
        .prop_map(|bytes| &*bytes.leak())
}

fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => "[a-z/+#]{1,23}", 2 => "[^\\x00]{1,40}", 1 => "[a-z]{245,260}"]
        .prop_map(|text| &*text.leak())
}
