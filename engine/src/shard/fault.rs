//! What ends a connection or fails a request: the Reason Code, and words for people.
//!
//! The words are chosen with the code and never formatted. They go out as Reason String where the
//! client may be told and where the packet stays within its Maximum Packet Size.

use ringbus_protocols::mqtt::{DecodeError, ReasonCode};

/// Why the server refuses or ends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: ReasonCode,
    pub(super) words: &'static str,
}

impl Fault {
    const fn new(reason: ReasonCode, words: &'static str) -> Self {
        Self { reason, words }
    }

    /// A packet that the protocol does not allow at this point.
    pub(super) const fn protocol(words: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, words)
    }

    pub(super) const FIRST_IS_NOT_CONNECT: Self = Self::protocol("the first packet is no CONNECT");
    pub(super) const VERSION: Self = Self::new(
        ReasonCode::UnsupportedProtocolVersion,
        "this version is not spoken here",
    );
    pub(super) const NO_CLIENT_ID: Self = Self::new(
        ReasonCode::ClientIdentifierNotValid,
        "a session that lasts needs a client identifier",
    );
    pub(super) const AUTHENTICATION_METHOD: Self = Self::new(
        ReasonCode::BadAuthenticationMethod,
        "the authentication method is not known",
    );
    pub(super) const NOT_AUTHENTICATED: Self =
        Self::new(ReasonCode::NotAuthorized, "authentication failed");
    pub(super) const CONNECT_TIME: Self =
        Self::new(ReasonCode::NotAuthorized, "authentication took too long");
    pub(super) const WILL_NOT_TEXT: Self = Self::new(
        ReasonCode::PayloadFormatInvalid,
        "the will is marked as text and is not UTF-8",
    );
    pub(super) const BROKERS_WILL: Self = Self::new(
        ReasonCode::NotAuthorized,
        "the topic of the will is the broker's own",
    );
    pub(super) const CONNACK_TOO_LARGE: Self = Self::new(
        ReasonCode::PacketTooLarge,
        "CONNACK is over the client's maximum",
    );
    pub(super) const ANSWER_TOO_LARGE: Self = Self::new(
        ReasonCode::PacketTooLarge,
        "the answer is over the client's maximum",
    );
    pub(super) const NOT_TEXT: Self = Self::new(
        ReasonCode::PayloadFormatInvalid,
        "the payload is marked as text and is not UTF-8",
    );
    pub(super) const NO_IDENTIFIER: Self = Self::new(
        ReasonCode::MalformedPacket,
        "a PUBLISH above QoS 0 has a packet identifier",
    );
    pub(super) const RECEIVE_MAXIMUM: Self = Self::new(
        ReasonCode::ReceiveMaximumExceeded,
        "more QoS 1 and 2 messages under way than CONNACK allowed",
    );
    pub(super) const TOPIC_ALIAS: Self = Self::new(
        ReasonCode::TopicAliasInvalid,
        "the topic alias is above the maximum in CONNACK",
    );
    pub(super) const INBOUND_FULL: Self = Self::new(
        ReasonCode::QuotaExceeded,
        "too many QoS 2 messages wait for their PUBREL",
    );
    pub(super) const SLOW_CLIENT: Self = Self::new(
        ReasonCode::QuotaExceeded,
        "the client does not keep up with its messages",
    );
    pub(super) const KEEP_ALIVE: Self = Self::new(
        ReasonCode::KeepAliveTimeout,
        "nothing came for 1.5 times the Keep Alive",
    );
    pub(super) const NO_HEART_BEAT: Self = Self::new(
        ReasonCode::KeepAliveTimeout,
        "no heart-beat came for twice the time agreed",
    );
    pub(super) const NO_PONG: Self = Self::new(
        ReasonCode::KeepAliveTimeout,
        "two pings were left without an answer",
    );
    pub(super) const TAKEN_OVER: Self = Self::new(
        ReasonCode::SessionTakenOver,
        "another connection has this client identifier",
    );
    pub(super) const SHUTTING_DOWN: Self = Self::new(
        ReasonCode::ServerShuttingDown,
        "the server is shutting down",
    );
    pub(super) const UNAVAILABLE: Self =
        Self::new(ReasonCode::ServerUnavailable, "the server is shutting down");
    pub(super) const USE_ANOTHER: Self = Self::new(
        ReasonCode::UseAnotherServer,
        "this server cannot serve you now",
    );
    pub(super) const NO_PLACE: Self = Self::new(
        ReasonCode::QuotaExceeded,
        "the server has as many connections as it takes",
    );
    pub(super) const CONNECT_RATE: Self = Self::new(
        ReasonCode::ConnectionRateExceeded,
        "too many clients connect at once: try again later",
    );
    pub(super) const PUBLISH_RATE: Self = Self::new(
        ReasonCode::MessageRateTooHigh,
        "more PUBLISH packets a second than allowed",
    );
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::new(error.reason(), error.in_words())
    }
}

/// What to say beside a failing Reason Code of an acknowledgement.
pub(super) fn words_for(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::PacketIdentifierNotFound => "nothing is under way with this packet identifier",
        ReasonCode::PayloadFormatInvalid => Fault::NOT_TEXT.words,
        ReasonCode::NotAuthorized => "topics below $SYS are the broker's own",
        ReasonCode::QuotaExceeded => "no more can be retained: the message was not kept",
        ReasonCode::TopicFilterInvalid => {
            "a topic filter is empty, has a wildcard out of place, or is no $share/NAME/FILTER"
        }
        other => other.name(),
    }
}
