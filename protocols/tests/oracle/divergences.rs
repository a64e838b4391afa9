//! Where the other codecs differ, and the clause that decides.

use ringbus_protocols::mqtt::{DecodeError, Packet, Version};
use ringbus_protocols::wire::WireError;

use super::others::Other;

/// Packets of `cases/` that another codec takes (or dies of), by the clause that forbids them.
/// mqtt-protocol-core leaves the framing, and with it the flags of all packets but PUBLISH, to its
/// connection; ours frames for it here.
#[rustfmt::skip]
pub const ACCEPTS_MALFORMED: &[(Other, &str, &[&str])] = &[
    (Other::MqttBytes, "[MQTT5-2.2.2.2] and each property: a Protocol Error to include it more than once", &[
        "CONNECT session expiry twice",
        "CONNECT receive maximum twice",
        "CONNECT maximum packet size twice",
        "CONNECT topic alias maximum twice",
        "CONNECT request response information twice",
        "CONNECT request problem information twice",
        "CONNECT authentication method twice",
        "CONNECT authentication data twice",
        "will delay twice",
        "will content type twice",
        "CONNACK server keep alive twice",
        "CONNACK assigned client identifier twice",
        "CONNACK server reference twice",
        "DISCONNECT session expiry twice",
        "DISCONNECT reason string twice",
        "DISCONNECT server reference twice",
        "PUBLISH payload format twice",
        "PUBLISH message expiry twice",
        "PUBLISH topic alias twice",
        "PUBLISH response topic twice",
        "PUBLISH correlation data twice",
        "PUBLISH content type twice",
        "PUBACK reason string twice",
        "PUBREC reason string twice",
        "PUBREL reason string twice",
        "PUBCOMP reason string twice",
        "SUBSCRIBE subscription identifier twice",
        "SUBACK reason string twice",
        "UNSUBACK reason string twice",
    ]),
    (Other::MqttBytes, "[MQTT311-3.1.2-22]", &[
        "CONNECT 3.1.1 password without user name",
    ]),
    (Other::MqttBytes, "[MQTT311-3.8.3-4]", &[
        "SUBSCRIBE no local before 5.0",
        "SUBSCRIBE retain as published before 5.0",
        "SUBSCRIBE retain handling before 5.0",
        "SUBSCRIBE options 0x80",
    ]),
    (Other::MqttBytes, "[MQTT5-3.8.3-4]", &["SUBSCRIBE no local on a shared subscription"]),
    (Other::ProtocolCore, "[MQTT5-3.8.3-4]", &["SUBSCRIBE no local on a shared subscription"]),
    (Other::MqttBytes, "[MQTT5-1.5.4-2] [MQTT311-1.5.3-2]", &[
        "CONNECT 3.1.1 client identifier with NUL",
        "CONNECT 5.0 client identifier with NUL",
        "CONNECT 5.0 will topic with NUL",
        "CONNECT 3.1.1 user name with NUL",
        "CONNECT user property with NUL",
        "CONNECT authentication method with NUL",
        "CONNACK reason string with NUL",
        "PUBLISH topic with NUL",
        "PUBLISH topic with NUL, 5.0",
        "PUBLISH topic with NUL, long",
        "PUBLISH response topic with NUL",
        "PUBLISH content type with NUL",
        "PUBLISH user property value with NUL",
        "SUBSCRIBE filter with NUL",
        "SUBSCRIBE filter with NUL, 5.0",
        "SUBSCRIBE second filter with NUL",
        "UNSUBSCRIBE filter with NUL",
        "UNSUBSCRIBE filter with NUL, 5.0",
    ]),
    (Other::MqttBytes, "[MQTT5-1.5.5-1]", &[
        "CONNECT property length not minimal",
        "DISCONNECT property length not minimal",
        "PUBLISH property length not minimal",
        "PUBLISH subscription identifier not minimal",
        "PUBREL property length not minimal",
        "SUBSCRIBE subscription identifier not minimal",
    ]),
    (Other::MqttBytes, "[MQTT5-2.1.3-1]", &[
        "CONNACK flags 2",
        "PUBACK flags 1",
        "PUBACK flags 2",
        "PUBREC flags 2",
        "PUBREL flags 0",
        "PUBREL flags 1",
        "PUBREL flags 3",
        "PUBREL flags 4",
        "PUBREL repeated",
        "PUBCOMP flags 2",
        "SUBSCRIBE flags 0",
        "SUBSCRIBE flags 1",
        "SUBSCRIBE flags 6",
        "SUBSCRIBE repeated",
        "SUBACK flags 2",
        "UNSUBSCRIBE flags 0",
        "UNSUBSCRIBE flags 3",
        "UNSUBSCRIBE repeated",
        "UNSUBACK flags 1",
        "PINGREQ flags 1",
        "PINGRESP flags 2",
        "DISCONNECT flags 2",
    ]),
    (Other::MqttBytes, "[MQTT5-2.1.4]: Remaining Length counts the fields of the packet", &[
        "CONNECT 3.1.1 trailing bytes",
        "CONNECT 3.1.1 user name without flag",
        "CONNECT 5.0 trailing bytes",
        "CONNACK trailing byte",
        "CONNACK trailing byte, 5.0",
        "PINGREQ with a body",
        "PINGRESP with a body",
        "DISCONNECT with a body before 5.0",
        "DISCONNECT trailing byte",
        "PUBACK trailing byte before 5.0",
        "PUBACK trailing byte",
        "PUBREC trailing byte before 5.0",
        "PUBREC trailing byte",
        "PUBREL trailing byte before 5.0",
        "PUBREL trailing byte",
        "PUBCOMP trailing byte before 5.0",
        "PUBCOMP trailing byte",
    ]),
    (Other::MqttBytes, "[MQTT5-2.2.1-3] [MQTT311-2.3.1-1]", &[
        "PUBACK identifier 0",
        "PUBREC identifier 0",
        "PUBREL identifier 0",
        "PUBCOMP identifier 0",
        "SUBSCRIBE identifier 0",
        "SUBSCRIBE identifier 0, 5.0",
        "SUBACK identifier 0",
        "SUBACK identifier 0, 5.0",
        "UNSUBSCRIBE identifier 0",
        "UNSUBSCRIBE identifier 0, 5.0",
        "UNSUBACK identifier 0",
        "UNSUBACK identifier 0, 5.0",
    ]),
    (Other::MqttBytes, "[MQTT5-2.2.2.1]: Property Length bounds the properties", &[
        "CONNECT property length cuts a value",
        "PUBLISH correlation data overruns",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2-3]", &[
        "CONNECT 3.1.1 reserved flag",
        "CONNECT 5.0 reserved flag",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2.11.10]", &[
        "CONNECT authentication data without method",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2.11.3]", &[
        "CONNECT receive maximum 0",
        "CONNACK receive maximum 0",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2.11.4]", &[
        "CONNECT maximum packet size 0",
        "CONNACK maximum packet size 0",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2.11.6]", &[
        "CONNECT request response information 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.1.2.11.7]", &[
        "CONNECT request problem information 255",
    ]),
    (Other::MqttBytes, "[MQTT5-3.10.3-2]", &[
        "UNSUBSCRIBE without filter",
        "UNSUBSCRIBE without filter, 5.0",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2-1]", &[
        "CONNACK flags 2 inside",
        "CONNACK flags 2 inside, 5.0",
        "CONNACK flags 255",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2-6]", &[
        "CONNACK session present with refusal, 3.1.1",
        "CONNACK session present with refusal, 5.0",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2.3.11]", &[
        "CONNACK wildcard available 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2.3.12]", &[
        "CONNACK subscription identifier available 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2.3.13]", &[
        "CONNACK shared available 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2.3.4]", &[
        "CONNACK maximum QoS 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.2.2.3.5]", &[
        "CONNACK retain available 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.1-2]", &[
        "PUBLISH QoS 0 repeated",
        "PUBLISH QoS 0 repeated, retained",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.2-14]", &[
        "will response topic with wildcard",
        "PUBLISH response topic with +",
        "PUBLISH response topic with #",
        "PUBLISH response topic empty",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.2-2]", &[
        "CONNECT 3.1.1 will topic with +",
        "CONNECT 3.1.1 will topic with #",
        "CONNECT 5.0 will topic with +",
        "PUBLISH topic with +",
        "PUBLISH topic with #",
        "PUBLISH topic with + in a word",
        "PUBLISH topic with +, 5.0",
        "PUBLISH topic with #, 5.0",
        "PUBLISH topic with #, long",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.2-8]", &[
        "PUBLISH topic alias 0",
        "PUBLISH topic alias 0, topic empty",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.2.1]", &[
        "PUBLISH topic empty without alias",
        "PUBLISH topic empty with another property",
    ]),
    (Other::MqttBytes, "[MQTT5-3.3.2.3.2]", &[
        "will payload format 2",
        "PUBLISH payload format 2",
    ]),
    (Other::MqttBytes, "[MQTT5-3.8.2.1.2]", &[
        "PUBLISH subscription identifier 0",
        "PUBLISH second subscription identifier 0",
        "SUBSCRIBE subscription identifier 0",
    ]),
    (Other::MqttBytes, "[MQTT5-3.8.3-2]", &[
        "SUBSCRIBE without filter",
        "SUBSCRIBE without filter, 5.0",
        "SUBSCRIBE without filter, with property",
    ]),
    (Other::MqttBytes, "[MQTT5-3.8.3-5]", &[
        "SUBSCRIBE options 0x40, 5.0",
        "SUBSCRIBE options 0x80, 5.0",
        "SUBSCRIBE options 0xC0 of the second filter",
    ]),
    (Other::MqttBytes, "[MQTT5-4.7.3-1]", &[
        "CONNECT 3.1.1 will topic empty",
        "CONNECT 5.0 will topic empty",
        "PUBLISH topic empty before 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-2.2.2.2] and each property: a Protocol Error to include it more than once", &[
        "SUBSCRIBE subscription identifier twice",
    ]),
    (Other::ProtocolCore, "[MQTT311-2.2.1]", &[
        "AUTH before 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT311-3.8.3-4]", &[
        "SUBSCRIBE no local before 5.0",
        "SUBSCRIBE retain as published before 5.0",
        "SUBSCRIBE retain handling before 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-1.5.4-2] [MQTT311-1.5.3-2]", &[
        "CONNECT 3.1.1 client identifier with NUL",
        "CONNECT 5.0 client identifier with NUL",
        "CONNECT 5.0 will topic with NUL",
        "CONNECT 3.1.1 user name with NUL",
        "CONNECT user property with NUL",
        "CONNECT authentication method with NUL",
        "CONNACK reason string with NUL",
        "PUBLISH topic with NUL",
        "PUBLISH topic with NUL, 5.0",
        "PUBLISH topic with NUL, long",
        "PUBLISH response topic with NUL",
        "PUBLISH content type with NUL",
        "PUBLISH user property value with NUL",
        "SUBSCRIBE filter with NUL",
        "SUBSCRIBE filter with NUL, 5.0",
        "SUBSCRIBE second filter with NUL",
        "UNSUBSCRIBE filter with NUL",
        "UNSUBSCRIBE filter with NUL, 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-1.5.5-1]", &[
        "CONNECT property length not minimal",
        "DISCONNECT property length not minimal",
        "PUBLISH property length not minimal",
        "PUBLISH subscription identifier not minimal",
        "PUBREL property length not minimal",
        "SUBSCRIBE subscription identifier not minimal",
    ]),
    (Other::ProtocolCore, "[MQTT5-2.1.3-1]", &[
        "PUBREL repeated",
        "SUBSCRIBE repeated",
        "UNSUBSCRIBE repeated",
    ]),
    (Other::ProtocolCore, "[MQTT5-2.1.4]: Remaining Length counts the fields of the packet", &[
        "PUBACK trailing byte before 5.0",
        "PUBREC trailing byte before 5.0",
        "PUBREL trailing byte before 5.0",
        "PUBCOMP trailing byte before 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-2.2.1-3] [MQTT311-2.3.1-1]", &[
        "PUBLISH QoS 1 identifier 0",
        "PUBLISH QoS 2 identifier 0",
        "PUBLISH QoS 1 identifier 0, 5.0",
        "PUBLISH QoS 2 identifier 0, repeated",
        "SUBSCRIBE identifier 0",
        "SUBSCRIBE identifier 0, 5.0",
        "SUBACK identifier 0",
        "SUBACK identifier 0, 5.0",
        "UNSUBSCRIBE identifier 0",
        "UNSUBSCRIBE identifier 0, 5.0",
        "UNSUBACK identifier 0",
        "UNSUBACK identifier 0, 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-2.2.2-1]", &[
        "PUBLISH no property length",
        "PUBLISH QoS 1 no property length",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.1.2-11]", &[
        "CONNECT 3.1.1 will QoS 1 without will",
        "CONNECT 3.1.1 will QoS 2 without will",
        "CONNECT 3.1.1 will QoS 3 without will",
        "CONNECT 5.0 will QoS 1 without will",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.1.2-12]", &[
        "CONNECT 3.1.1 will QoS 3",
        "CONNECT 5.0 will QoS 3",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.1.2-13]", &[
        "CONNECT 3.1.1 will retain without will",
        "CONNECT 5.0 will retain without will",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.1.2-3]", &[
        "CONNECT 3.1.1 reserved flag",
        "CONNECT 5.0 reserved flag",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.1.2.11.10]", &[
        "CONNECT authentication data without method",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.2.2-1]", &[
        "CONNACK flags 2 inside",
        "CONNACK flags 2 inside, 5.0",
        "CONNACK flags 255",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.2.2-6]", &[
        "CONNACK session present with refusal, 3.1.1",
        "CONNACK session present with refusal, 5.0",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.3.2-14]", &[
        "will response topic with wildcard",
        "PUBLISH response topic with +",
        "PUBLISH response topic with #",
        "PUBLISH response topic empty",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.3.2-2]", &[
        "CONNECT 3.1.1 will topic with +",
        "CONNECT 3.1.1 will topic with #",
        "CONNECT 5.0 will topic with +",
        "PUBLISH topic with +",
        "PUBLISH topic with #",
        "PUBLISH topic with + in a word",
        "PUBLISH topic with +, 5.0",
        "PUBLISH topic with #, 5.0",
        "PUBLISH topic with #, long",
    ]),
    (Other::ProtocolCore, "[MQTT5-3.3.2.1]", &[
        "PUBLISH topic empty without alias",
        "PUBLISH topic empty with another property",
    ]),
    (Other::ProtocolCore, "[MQTT5-4.7.3-1]", &[
        "CONNECT 3.1.1 will topic empty",
        "CONNECT 5.0 will topic empty",
        "PUBLISH topic empty before 5.0",
    ]),
];

/// A kind of valid packet that another codec refuses or changes.
pub struct Divergence {
    pub other: Other,
    /// The clause that makes the packet valid.
    pub clause: &'static str,
    pub what: &'static str,
    /// Whether a packet is of this kind.
    pub applies: fn(&Packet<'_>, Version) -> bool,
}

pub const REFUSES_OR_CHANGES_VALID: &[Divergence] = &[
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-3.15]",
        what: "has no AUTH",
        applies: |packet, _| matches!(packet, Packet::Auth(_)),
    },
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-3.1.3.6] [MQTT311-3.1.3.5]",
        what: "refuses a password that is not UTF-8, though it is Binary Data",
        applies: |packet, _| {
            let Packet::Connect(connect) = packet else {
                return false;
            };
            connect
                .password
                .is_some_and(|password| str::from_utf8(password).is_err())
        },
    },
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-3.1.2.8] [MQTT5-3.1.2.9]",
        what: "does not tell an empty user name or password from none",
        applies: |packet, _| {
            let Packet::Connect(connect) = packet else {
                return false;
            };
            connect.username == Some("") || connect.password == Some(&[])
        },
    },
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-2.2.2-1]",
        what: "writes a CONNACK without Property Length",
        applies: |packet, version| {
            let Packet::ConnAck(ack) = packet else {
                return false;
            };
            version.is_v5() && ack.properties.is_empty()
        },
    },
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-3.14.2.1] [MQTT5-3.14.2.2.1]",
        what: "refuses a DISCONNECT without Reason Code or without Property Length",
        applies: |packet, version| {
            let Packet::Disconnect(disconnect) = packet else {
                return false;
            };
            version.is_v5() && disconnect.properties.is_empty()
        },
    },
    Divergence {
        other: Other::MqttBytes,
        clause: "[MQTT5-3.3.4-3]",
        what: "miscounts a second subscription identifier, and loses what follows",
        applies: |packet, _| {
            let Packet::Publish(publish) = packet else {
                return false;
            };
            publish.properties.subscription_identifiers().count() > 1
        },
    },
    Divergence {
        other: Other::ProtocolCore,
        clause: "[MQTT5-3.1.2.9]",
        what: "refuses a password without a user name",
        applies: |packet, version| {
            let Packet::Connect(connect) = packet else {
                return false;
            };
            version.is_v5() && connect.password.is_some() && connect.username.is_none()
        },
    },
];

/// A rule that a codec does not have, or not wholly: damaged packets that break it may be taken.
pub struct Laxness {
    pub clause: &'static str,
    pub what: &'static str,
    pub applies: fn(DecodeError) -> bool,
}

/// What mqtt-protocol-core lets through in damaged packets. mqttbytes lets through too much for
/// damaged packets to say anything.
pub const PROTOCOL_CORE_LAXNESS: &[Laxness] = &[
    Laxness {
        clause: "[MQTT5-1.5.4-2]",
        what: "takes U+0000 in strings",
        applies: |error| matches!(error, DecodeError::Wire(WireError::StringNul)),
    },
    Laxness {
        clause: "[MQTT5-1.5.5-1]",
        what: "takes long forms of a Variable Byte Integer",
        applies: |error| matches!(error, DecodeError::Wire(WireError::VarintNotMinimal)),
    },
    Laxness {
        clause: "[MQTT5-3.2.2-1]",
        what: "takes reserved Connect Acknowledge Flags",
        applies: |error| matches!(error, DecodeError::ConnAckFlagsInvalid),
    },
    Laxness {
        clause: "[MQTT5-3.2.2-6]",
        what: "takes Session Present with a refusal",
        applies: |error| matches!(error, DecodeError::SessionPresentWithRefusal),
    },
    Laxness {
        clause: "[MQTT5-2.2.1-3]",
        what: "takes packet identifier 0",
        applies: |error| matches!(error, DecodeError::PacketIdentifierZero),
    },
    Laxness {
        clause: "[MQTT5-3.3.2-2] [MQTT5-4.7.3-1]",
        what: "takes what is not a topic name",
        applies: |error| matches!(error, DecodeError::TopicNameInvalid(_)),
    },
    Laxness {
        clause: "[MQTT5-3.3.2.1]",
        what: "takes an empty topic without alias",
        applies: |error| matches!(error, DecodeError::TopicMissing),
    },
    Laxness {
        clause: "[MQTT311-3.8.3-4]",
        what: "takes reserved subscription options in 3.1.1",
        applies: |error| matches!(error, DecodeError::SubscriptionOptionsReserved),
    },
];
