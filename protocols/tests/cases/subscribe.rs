//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use ringbus_protocols::mqtt::DecodeError::*;
use ringbus_protocols::mqtt::PacketType as Type;
use ringbus_protocols::mqtt::PropertyId as Id;

use super::{Case, NOT_MINIMAL, NOT_UTF8, NUL, TOO_LONG, TRUNCATED};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // SUBSCRIBE [MQTT5-3.8]
    ("SUBSCRIBE empty", "345", "82 00", TRUNCATED, 0x81),
    ("SUBSCRIBE half an identifier", "345", "82 [ 00 ]", TRUNCATED, 0x81),
    ("SUBSCRIBE identifier 0", "34", "82 [ 0000 s'a' 00 ]", PacketIdentifierZero, 0x82),
    ("SUBSCRIBE identifier 0, 5.0", "5", "82 [ 0000 00 s'a' 00 ]", PacketIdentifierZero, 0x82),
    ("SUBSCRIBE without filter", "34", "82 [ 0001 ]", PayloadEmpty(Type::Subscribe), 0x82),
    ("SUBSCRIBE without filter, 5.0", "5", "82 [ 0001 00 ]", PayloadEmpty(Type::Subscribe), 0x82),
    ("SUBSCRIBE without filter, with property", "5", "82 [ 0001 [ 0B01 ] ]", PayloadEmpty(Type::Subscribe), 0x82),
    ("SUBSCRIBE no property length", "5", "82 [ 0001 ]", TRUNCATED, 0x81),
    ("SUBSCRIBE without options", "34", "82 [ 0001 s'a' ]", TRUNCATED, 0x81),
    ("SUBSCRIBE without options, 5.0", "5", "82 [ 0001 00 s'a' ]", TRUNCATED, 0x81),
    ("SUBSCRIBE filter overruns", "34", "82 [ 0001 0005 'a/b' 00 ]", TRUNCATED, 0x81),
    ("SUBSCRIBE filter half a length", "34", "82 [ 0001 00 ]", TRUNCATED, 0x81),
    ("SUBSCRIBE filter not UTF-8", "34", "82 [ 0001 0001 FF 00 ]", NOT_UTF8, 0x81),
    ("SUBSCRIBE filter not UTF-8, 5.0", "5", "82 [ 0001 00 0001 FF 00 ]", NOT_UTF8, 0x81),
    ("SUBSCRIBE filter with a surrogate", "5", "82 [ 0001 00 0003 EDA080 00 ]", NOT_UTF8, 0x81),
    ("SUBSCRIBE filter with NUL", "34", "82 [ 0001 0002 'a' 00 00 ]", NUL, 0x81),
    ("SUBSCRIBE filter with NUL, 5.0", "5", "82 [ 0001 00 0001 00 00 ]", NUL, 0x81),
    ("SUBSCRIBE second filter cut", "34", "82 [ 0001 s'a' 00 s'b' ]", TRUNCATED, 0x81),
    ("SUBSCRIBE second filter with NUL", "5", "82 [ 0001 00 s'a' 00 0001 00 00 ]", NUL, 0x81),
    ("SUBSCRIBE QoS 3", "34", "82 [ 0001 s'' 03 ]", SubscriptionQoSInvalid, 0x82),
    ("SUBSCRIBE QoS 3 of the second filter", "34", "82 [ 0001 s'a' 02 s'b' 03 ]", SubscriptionQoSInvalid, 0x82),
    ("SUBSCRIBE QoS 3, 5.0", "5", "82 [ 0001 00 s'a' 03 ]", SubscriptionQoSInvalid, 0x82),
    ("SUBSCRIBE no local before 5.0", "34", "82 [ 0001 s'a' 04 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE retain as published before 5.0", "34", "82 [ 0001 s'a' 08 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE retain handling before 5.0", "34", "82 [ 0001 s'a' 10 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE options 0x80", "34", "82 [ 0001 s'' 80 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE options 0x40, 5.0", "5", "82 [ 0001 00 s'a' 40 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE options 0x80, 5.0", "5", "82 [ 0001 00 s'a' 80 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE options 0xC0 of the second filter", "5", "82 [ 0001 00 s'a' 01 s'b' C0 ]", SubscriptionOptionsReserved, 0x81),
    ("SUBSCRIBE retain handling 3", "5", "82 [ 0001 00 s'a' 30 ]", RetainHandlingInvalid, 0x82),
    ("SUBSCRIBE no local on a shared subscription", "5", "82 [ 0001 00 s'$share/g/a' 05 ]", NoLocalShared, 0x82),
    ("SUBSCRIBE retain handling 3 of the second filter", "5", "82 [ 0001 00 s'a' 01 s'b' 31 ]", RetainHandlingInvalid, 0x82),
    ("SUBSCRIBE subscription identifier 0", "5", "82 [ 0001 [ 0B00 ] s'a' 00 ]", PropertyValueInvalid(Id::SubscriptionIdentifier), 0x82),
    ("SUBSCRIBE subscription identifier twice", "5", "82 [ 0001 [ 0B01 0B02 ] s'a' 00 ]", PropertyDuplicate(Id::SubscriptionIdentifier), 0x82),
    ("SUBSCRIBE subscription identifier not minimal", "5", "82 [ 0001 [ 0B 818000 ] s'a' 00 ]", NOT_MINIMAL, 0x81),
    ("SUBSCRIBE subscription identifier of five bytes", "5", "82 [ 0001 [ 0B FFFFFFFF7F ] s'a' 00 ]", TOO_LONG, 0x81),
    ("SUBSCRIBE reason string", "5", "82 [ 0001 [ 1F s'x' ] s'a' 00 ]", PropertyNotAllowed(Id::ReasonString), 0x81),
    ("SUBSCRIBE topic alias", "5", "82 [ 0001 [ 23 0001 ] s'a' 00 ]", PropertyNotAllowed(Id::TopicAlias), 0x81),
    ("SUBSCRIBE property unknown", "5", "82 [ 0001 [ 05 ] s'a' 00 ]", PropertyUnknown(5), 0x81),
    ("SUBSCRIBE property length past the packet", "5", "82 [ 0001 7F s'a' 00 ]", TRUNCATED, 0x81),

    // SUBACK [MQTT5-3.9]
    ("SUBACK empty", "345", "90 00", TRUNCATED, 0x81),
    ("SUBACK identifier 0", "34", "90 [ 0000 00 ]", PacketIdentifierZero, 0x82),
    ("SUBACK identifier 0, 5.0", "5", "90 [ 0000 00 00 ]", PacketIdentifierZero, 0x82),
    ("SUBACK without reasons", "34", "90 [ 0001 ]", PayloadEmpty(Type::SubAck), 0x82),
    ("SUBACK without reasons, 5.0", "5", "90 [ 0001 00 ]", PayloadEmpty(Type::SubAck), 0x82),
    ("SUBACK no property length", "5", "90 [ 0001 ]", TRUNCATED, 0x81),
    ("SUBACK reason 3", "34", "90 [ 0001 03 ]", ReasonCodeInvalid { packet_type: Type::SubAck, value: 3 }, 0x82),
    ("SUBACK reason 0x87 before 5.0", "34", "90 [ 0001 87 ]", ReasonCodeInvalid { packet_type: Type::SubAck, value: 0x87 }, 0x82),
    ("SUBACK reason 0x81", "5", "90 [ 0001 00 81 ]", ReasonCodeInvalid { packet_type: Type::SubAck, value: 0x81 }, 0x82),
    ("SUBACK second reason 0x11", "5", "90 [ 0001 00 00 11 ]", ReasonCodeInvalid { packet_type: Type::SubAck, value: 0x11 }, 0x82),
    ("SUBACK reason string twice", "5", "90 [ 0001 [ 1F s'a' 1F s'a' ] 00 ]", PropertyDuplicate(Id::ReasonString), 0x82),
    ("SUBACK subscription identifier", "5", "90 [ 0001 [ 0B01 ] 00 ]", PropertyNotAllowed(Id::SubscriptionIdentifier), 0x81),

    // UNSUBSCRIBE [MQTT5-3.10]
    ("UNSUBSCRIBE empty", "345", "A2 00", TRUNCATED, 0x81),
    ("UNSUBSCRIBE identifier 0", "34", "A2 [ 0000 s'a' ]", PacketIdentifierZero, 0x82),
    ("UNSUBSCRIBE identifier 0, 5.0", "5", "A2 [ 0000 00 s'a' ]", PacketIdentifierZero, 0x82),
    ("UNSUBSCRIBE without filter", "34", "A2 [ 0001 ]", PayloadEmpty(Type::Unsubscribe), 0x82),
    ("UNSUBSCRIBE without filter, 5.0", "5", "A2 [ 0001 00 ]", PayloadEmpty(Type::Unsubscribe), 0x82),
    ("UNSUBSCRIBE no property length", "5", "A2 [ 0001 ]", TRUNCATED, 0x81),
    ("UNSUBSCRIBE filter overruns", "34", "A2 [ 0001 0002 'a' ]", TRUNCATED, 0x81),
    ("UNSUBSCRIBE second filter half a length", "34", "A2 [ 0001 s'a' 00 ]", TRUNCATED, 0x81),
    ("UNSUBSCRIBE filter not UTF-8", "34", "A2 [ 0001 0001 C0 ]", NOT_UTF8, 0x81),
    ("UNSUBSCRIBE filter with NUL", "34", "A2 [ 0001 0001 00 ]", NUL, 0x81),
    ("UNSUBSCRIBE filter with NUL, 5.0", "5", "A2 [ 0001 00 s'a' 0001 00 ]", NUL, 0x81),
    ("UNSUBSCRIBE subscription identifier", "5", "A2 [ 0001 [ 0B01 ] s'a' ]", PropertyNotAllowed(Id::SubscriptionIdentifier), 0x81),
    ("UNSUBSCRIBE reason string", "5", "A2 [ 0001 [ 1F s'x' ] s'a' ]", PropertyNotAllowed(Id::ReasonString), 0x81),
    ("UNSUBSCRIBE property length past the packet", "5", "A2 [ 0001 7F s'a' ]", TRUNCATED, 0x81),

    // UNSUBACK [MQTT5-3.11]
    ("UNSUBACK empty", "345", "B0 00", TRUNCATED, 0x81),
    ("UNSUBACK identifier 0", "34", "B0 [ 0000 ]", PacketIdentifierZero, 0x82),
    ("UNSUBACK identifier 0, 5.0", "5", "B0 [ 0000 00 00 ]", PacketIdentifierZero, 0x82),
    ("UNSUBACK trailing byte before 5.0", "34", "B0 [ 0001 00 ]", TrailingBytes, 0x81),
    ("UNSUBACK no property length", "5", "B0 [ 0001 ]", TRUNCATED, 0x81),
    ("UNSUBACK without reasons", "5", "B0 [ 0001 00 ]", PayloadEmpty(Type::UnsubAck), 0x82),
    ("UNSUBACK reason 1", "5", "B0 [ 0001 00 01 ]", ReasonCodeInvalid { packet_type: Type::UnsubAck, value: 1 }, 0x82),
    ("UNSUBACK second reason 0x97", "5", "B0 [ 0001 00 00 97 ]", ReasonCodeInvalid { packet_type: Type::UnsubAck, value: 0x97 }, 0x82),
    ("UNSUBACK reason string twice", "5", "B0 [ 0001 [ 1F s'a' 1F s'a' ] 00 ]", PropertyDuplicate(Id::ReasonString), 0x82),
    ("UNSUBACK topic alias", "5", "B0 [ 0001 [ 23 0001 ] 00 ]", PropertyNotAllowed(Id::TopicAlias), 0x81),
];
