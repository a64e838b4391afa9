//! What can be wrong with a packet.

use std::error::Error;
use std::fmt;

use super::{PacketType, PropertyId, ReasonCode};
use crate::topic::TopicError;
use crate::wire::WireError;

/// A rule that a packet breaks. [`DecodeError::reason`] is what the specification answers.
///
/// A *Malformed Packet* cannot be parsed; a *Protocol Error* can, but holds what the protocol does
/// not allow `[MQTT5-1.2]`. Where a section of MQTT 5.0 names one of them, that decides; else the
/// definition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// A field overruns the packet, or an integer or string is ill-formed.
    Wire(WireError),
    /// Packet type 0, or a type that the version does not have `[MQTT5-2.1.2]`.
    PacketTypeReserved(u8),
    /// Flags of the fixed header that the packet type does not allow `[MQTT5-2.1.3-1]`: reserved
    /// bits, QoS 3 `[MQTT5-3.3.1-4]`, DUP with QoS 0 `[MQTT5-3.3.1-2]`.
    FlagsInvalid(PacketType),
    /// The packet is longer than the receiver said it takes `[MQTT5-3.1.2-24]`.
    PacketTooLarge {
        /// Length of the whole packet in bytes.
        length: u32,
        /// What the receiver takes, in bytes.
        maximum: u32,
    },
    /// Bytes are left after the last field.
    TrailingBytes,
    /// CONNECT names a protocol or version that is not known `[MQTT5-3.1.2-1]`, `[MQTT5-3.1.2-2]`.
    ProtocolUnsupported,
    /// The reserved Connect Flag is set `[MQTT5-3.1.2-3]`, the Will QoS is 3 `[MQTT5-3.1.2-12]`,
    /// Will QoS or Will Retain is set without Will Flag `[MQTT5-3.1.2-11]` `[MQTT5-3.1.2-13]`, or
    /// in MQTT 3 a password comes without a user name `[MQTT311-3.1.2-22]`.
    ConnectFlagsInvalid,
    /// A bit of the Connect Acknowledge Flags other than Session Present is set
    /// `[MQTT5-3.2.2-1]`.
    ConnAckFlagsInvalid,
    /// Session Present comes with a refusal `[MQTT5-3.2.2-6]`.
    SessionPresentWithRefusal,
    /// The topic of a PUBLISH or will is not a topic name `[MQTT5-3.3.2-2]`.
    TopicNameInvalid(TopicError),
    /// A PUBLISH has neither a topic nor a topic alias `[MQTT5-3.3.2.1]`.
    TopicMissing,
    /// Packet identifier zero `[MQTT5-2.2.1-3]`.
    PacketIdentifierZero,
    /// A property identifier that no specification assigns `[MQTT5-2.2.2.2]`.
    PropertyUnknown(u8),
    /// A property that this packet cannot have `[MQTT5-2.2.2.2]`.
    PropertyNotAllowed(PropertyId),
    /// A property twice that can be there once.
    PropertyDuplicate(PropertyId),
    /// A property value that the specification forbids.
    PropertyValueInvalid(PropertyId),
    /// Authentication Data without Authentication Method `[MQTT5-3.1.2.11.10]`.
    AuthenticationDataWithoutMethod,
    /// AUTH without Authentication Method `[MQTT5-3.15.2.2.2]`.
    AuthenticationMethodMissing,
    /// A Reason Code or return code that this packet cannot have.
    ReasonCodeInvalid {
        /// The packet.
        packet_type: PacketType,
        /// The byte in it.
        value: u8,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a topic filter `[MQTT5-3.8.3-2]` `[MQTT5-3.10.3-2]`, or
    /// their acknowledgement without a Reason Code.
    PayloadEmpty(PacketType),
    /// Reserved bits in Subscription Options are set `[MQTT5-3.8.3-5]`.
    SubscriptionOptionsReserved,
    /// A subscription asks for QoS 3 `[MQTT5-3.8.3.1]`.
    SubscriptionQoSInvalid,
    /// Retain Handling 3 `[MQTT5-3.8.3.1]`.
    RetainHandlingInvalid,
    /// A shared subscription with No Local `[MQTT5-3.8.3-4]`.
    NoLocalShared,
    /// A packet that this side cannot receive, or cannot receive now.
    PacketUnexpected(PacketType),
    /// A property that only the other side may send in this packet.
    PropertyUnexpected(PropertyId),
    /// A Reason Code that only the other side may send in this packet.
    ReasonCodeUnexpected(ReasonCode),
}

impl DecodeError {
    /// The Reason Code that MQTT 5.0 names for it in DISCONNECT or CONNACK `[MQTT5-4.13.1]`.
    /// MQTT 3 closes the connection without one.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::ProtocolUnsupported => ReasonCode::UnsupportedProtocolVersion,
            // DISCONNECT has a code of its own for it, and public conformance tests expect that.
            Self::PropertyValueInvalid(PropertyId::TopicAlias) => ReasonCode::TopicAliasInvalid,
            // A Response Topic with a wildcard is no more a topic name than the topic itself.
            Self::PropertyValueInvalid(PropertyId::ResponseTopic)
            | Self::Wire(_)
            | Self::PacketTypeReserved(_)
            | Self::FlagsInvalid(_)
            | Self::TrailingBytes
            | Self::ConnectFlagsInvalid
            | Self::ConnAckFlagsInvalid
            | Self::TopicNameInvalid(_)
            | Self::PropertyUnknown(_)
            | Self::PropertyNotAllowed(_)
            | Self::SubscriptionOptionsReserved => ReasonCode::MalformedPacket,
            Self::SessionPresentWithRefusal
            | Self::TopicMissing
            | Self::PacketIdentifierZero
            | Self::PropertyDuplicate(_)
            | Self::PropertyValueInvalid(_)
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::ReasonCodeInvalid { .. }
            | Self::PayloadEmpty(_)
            | Self::SubscriptionQoSInvalid
            | Self::RetainHandlingInvalid
            | Self::NoLocalShared
            | Self::PacketUnexpected(_)
            | Self::PropertyUnexpected(_)
            | Self::ReasonCodeUnexpected(_) => ReasonCode::ProtocolError,
        }
    }
}

impl DecodeError {
    /// What is wrong, in words that do not name the value: they fit a Reason String and need no
    /// formatting. `Display` says more.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Wire(error) => error.in_words(),
            Self::TopicNameInvalid(error) => error.in_words(),
            Self::PacketTypeReserved(_) => "the packet type is reserved",
            Self::FlagsInvalid(_) => "the flags of the fixed header are invalid",
            Self::PacketTooLarge { .. } => "the packet is over the Maximum Packet Size",
            Self::TrailingBytes => "bytes are left after the last field",
            Self::ProtocolUnsupported => "the protocol name or version is unknown",
            Self::ConnectFlagsInvalid => "CONNECT has invalid flags",
            Self::ConnAckFlagsInvalid => "CONNACK has invalid flags",
            Self::SessionPresentWithRefusal => {
                "CONNACK refuses the connection and has Session Present"
            }
            Self::TopicMissing => "PUBLISH has neither a topic nor a topic alias",
            Self::PacketIdentifierZero => "the packet identifier is zero",
            Self::PropertyUnknown(_) => "a property is unknown",
            Self::PropertyNotAllowed(_) => "a property is not allowed in this packet",
            Self::PropertyDuplicate(_) => "a property is there more than once",
            Self::PropertyValueInvalid(_) => "a property has an invalid value",
            Self::AuthenticationDataWithoutMethod => {
                "Authentication Data comes without Authentication Method"
            }
            Self::AuthenticationMethodMissing => "AUTH has no Authentication Method",
            Self::ReasonCodeInvalid { .. } => "this packet cannot have that reason code",
            Self::PayloadEmpty(_) => "the list of the packet is empty",
            Self::SubscriptionOptionsReserved => {
                "reserved bits of the subscription options are set"
            }
            Self::SubscriptionQoSInvalid => "a subscription asks for QoS 3",
            Self::RetainHandlingInvalid => "Retain Handling 3 is not defined",
            Self::NoLocalShared => "a shared subscription cannot have No Local",
            Self::PacketUnexpected(_) => "the packet is not allowed here",
            Self::PropertyUnexpected(_) => "a property is not allowed from this side",
            Self::ReasonCodeUnexpected(_) => "the reason code is not allowed from this side",
        }
    }
}

impl From<WireError> for DecodeError {
    #[inline]
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PacketTypeReserved(value) => write!(f, "packet type {value} is reserved"),
            Self::FlagsInvalid(packet) => write!(f, "{packet} has invalid fixed header flags"),
            Self::PacketTooLarge { length, maximum } => {
                write!(
                    f,
                    "a packet of {length} bytes is over the maximum of {maximum}"
                )
            }
            Self::PropertyUnknown(value) => write!(f, "property 0x{value:02X} is unknown"),
            Self::PropertyNotAllowed(id) => write!(f, "{id} is not allowed in this packet"),
            Self::PropertyDuplicate(id) => write!(f, "{id} is there more than once"),
            Self::PropertyValueInvalid(id) => write!(f, "{id} has an invalid value"),
            Self::ReasonCodeInvalid { packet_type, value } => {
                write!(f, "{packet_type} cannot have reason code 0x{value:02X}")
            }
            Self::PayloadEmpty(packet) => write!(f, "{packet} has an empty payload"),
            Self::PacketUnexpected(packet) => write!(f, "{packet} is not allowed here"),
            Self::PropertyUnexpected(id) => write!(f, "{id} is not allowed from this side"),
            Self::ReasonCodeUnexpected(code) => write!(f, "{code} is not allowed from this side"),
            _ => f.write_str(self.in_words()),
        }
    }
}

impl Error for DecodeError {}
