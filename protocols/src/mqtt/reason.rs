//! Reason Codes of MQTT 5.0 `[MQTT5-2.4]` and CONNACK return codes of MQTT 3 `[MQTT311-3.2.2.3]`.

use std::fmt;

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal;)*) => {
        /// The outcome of an operation, as MQTT 5.0 names it. Values from 0x80 are failures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(
                #[doc = concat!("`", stringify!($value), "` ", $name, ".")]
                $(#[$doc])*
                $variant = $value,
            )*
        }

        impl ReasonCode {
            /// Every code, by value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the specification.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl TryFrom<u8> for ReasonCode {
            type Error = u8;

            /// # Errors
            /// Gives back a value that no specification assigns.
            fn try_from(value: u8) -> Result<Self, u8> {
                match value {
                    $($value => Ok(Self::$variant),)*
                    other => Err(other),
                }
            }
        }
    };
}

reason_codes! {
    /// Also Normal disconnection and Granted QoS 0.
    Success = 0x00, "Success";
    GrantedQoS1 = 0x01, "Granted QoS 1";
    GrantedQoS2 = 0x02, "Granted QoS 2";
    DisconnectWithWill = 0x04, "Disconnect with Will Message";
    NoMatchingSubscribers = 0x10, "No matching subscribers";
    NoSubscriptionExisted = 0x11, "No subscription existed";
    ContinueAuthentication = 0x18, "Continue authentication";
    ReAuthenticate = 0x19, "Re-authenticate";
    UnspecifiedError = 0x80, "Unspecified error";
    MalformedPacket = 0x81, "Malformed Packet";
    ProtocolError = 0x82, "Protocol Error";
    ImplementationSpecificError = 0x83, "Implementation specific error";
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version";
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid";
    BadUserNameOrPassword = 0x86, "Bad User Name or Password";
    NotAuthorized = 0x87, "Not authorized";
    ServerUnavailable = 0x88, "Server unavailable";
    ServerBusy = 0x89, "Server busy";
    Banned = 0x8A, "Banned";
    ServerShuttingDown = 0x8B, "Server shutting down";
    BadAuthenticationMethod = 0x8C, "Bad authentication method";
    KeepAliveTimeout = 0x8D, "Keep Alive timeout";
    SessionTakenOver = 0x8E, "Session taken over";
    TopicFilterInvalid = 0x8F, "Topic Filter invalid";
    TopicNameInvalid = 0x90, "Topic Name invalid";
    PacketIdentifierInUse = 0x91, "Packet identifier in use";
    PacketIdentifierNotFound = 0x92, "Packet identifier not found";
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded";
    TopicAliasInvalid = 0x94, "Topic Alias invalid";
    PacketTooLarge = 0x95, "Packet too large";
    MessageRateTooHigh = 0x96, "Message rate too high";
    QuotaExceeded = 0x97, "Quota exceeded";
    AdministrativeAction = 0x98, "Administrative action";
    PayloadFormatInvalid = 0x99, "Payload format invalid";
    RetainNotSupported = 0x9A, "Retain not supported";
    QoSNotSupported = 0x9B, "QoS not supported";
    UseAnotherServer = 0x9C, "Use another server";
    ServerMoved = 0x9D, "Server moved";
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported";
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded";
    MaximumConnectTime = 0xA0, "Maximum connect time";
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported";
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported";
}

impl ReasonCode {
    /// `0x00` in DISCONNECT.
    #[allow(
        non_upper_case_globals,
        reason = "named like the variants it stands beside"
    )]
    pub const NormalDisconnection: Self = Self::Success;
    /// `0x00` in SUBACK.
    #[allow(
        non_upper_case_globals,
        reason = "named like the variants it stands beside"
    )]
    pub const GrantedQoS0: Self = Self::Success;

    /// Whether the code says that the operation failed.
    #[inline]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }
}

impl From<ReasonCode> for u8 {
    #[inline]
    fn from(code: ReasonCode) -> Self {
        code as u8
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), *self as u8)
    }
}

/// What a CONNACK of MQTT 3.1 and 3.1.1 can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ConnectReturnCode {
    /// Connection accepted.
    Accepted = 0,
    /// The server does not support the level of the protocol.
    UnacceptableProtocolVersion = 1,
    /// The client identifier is correct UTF-8 but not allowed.
    IdentifierRejected = 2,
    /// The connection was made but the MQTT service is unavailable.
    ServerUnavailable = 3,
    /// The user name or password is malformed.
    BadUserNameOrPassword = 4,
    /// The client is not authorized to connect.
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    /// The code that says what `reason` says; `None` where MQTT 3 has no word for it and the
    /// server closes without a CONNACK `[MQTT311-3.2.2-6]`.
    pub const fn from_reason(reason: ReasonCode) -> Option<Self> {
        Some(match reason {
            ReasonCode::Success => Self::Accepted,
            ReasonCode::UnsupportedProtocolVersion => Self::UnacceptableProtocolVersion,
            ReasonCode::ClientIdentifierNotValid => Self::IdentifierRejected,
            ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::QuotaExceeded
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
            | ReasonCode::ConnectionRateExceeded => Self::ServerUnavailable,
            ReasonCode::BadUserNameOrPassword => Self::BadUserNameOrPassword,
            ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// The Reason Code with the same meaning.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Accepted => ReasonCode::Success,
            Self::UnacceptableProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::IdentifierRejected => ReasonCode::ClientIdentifierNotValid,
            Self::ServerUnavailable => ReasonCode::ServerUnavailable,
            Self::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
        }
    }
}

impl From<ConnectReturnCode> for u8 {
    #[inline]
    fn from(code: ConnectReturnCode) -> Self {
        code as u8
    }
}

impl TryFrom<u8> for ConnectReturnCode {
    type Error = u8;

    /// # Errors
    /// Gives back a value over 5: reserved.
    fn try_from(value: u8) -> Result<Self, u8> {
        Ok(match value {
            0 => Self::Accepted,
            1 => Self::UnacceptableProtocolVersion,
            2 => Self::IdentifierRejected,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            other => return Err(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_code_or_comes_back() {
        let known = (0..=u8::MAX).filter_map(|byte| ReasonCode::try_from(byte).ok());
        assert!(known.eq(ReasonCode::ALL.iter().copied()));
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert_eq!(ReasonCode::try_from(0x03), Err(0x03));
        assert_eq!(
            u8::from(ReasonCode::WildcardSubscriptionsNotSupported),
            0xA2
        );
        assert_eq!(
            ReasonCode::NotAuthorized.to_string(),
            "Not authorized (0x87)"
        );
    }

    #[test]
    fn return_codes_survive_the_mapping() {
        for byte in 0..6 {
            let code = ConnectReturnCode::try_from(byte).expect("0 to 5 are assigned");
            assert_eq!(ConnectReturnCode::from_reason(code.reason()), Some(code));
        }
        assert_eq!(ConnectReturnCode::try_from(6), Err(6));
        assert_eq!(
            ConnectReturnCode::from_reason(ReasonCode::MalformedPacket),
            None
        );
    }
}
