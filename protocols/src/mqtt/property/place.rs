//! Which properties may be where `[MQTT5-2.2.2.2]`, table 2-4.

use super::PropertyId;
use PropertyId as Id;

/// Where properties stand: a packet type, or the will in a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    allowed: u64,
    repeats: u64,
}

impl Place {
    pub(crate) const CONNECT: Self = Self::of(&[
        Id::SessionExpiryInterval,
        Id::AuthenticationMethod,
        Id::AuthenticationData,
        Id::RequestProblemInformation,
        Id::RequestResponseInformation,
        Id::ReceiveMaximum,
        Id::TopicAliasMaximum,
        Id::MaximumPacketSize,
    ]);
    pub(crate) const WILL: Self = Self::of(&[
        Id::PayloadFormatIndicator,
        Id::MessageExpiryInterval,
        Id::ContentType,
        Id::ResponseTopic,
        Id::CorrelationData,
        Id::WillDelayInterval,
    ]);
    pub(crate) const CONNACK: Self = Self::of(&[
        Id::SessionExpiryInterval,
        Id::AssignedClientIdentifier,
        Id::ServerKeepAlive,
        Id::AuthenticationMethod,
        Id::AuthenticationData,
        Id::ResponseInformation,
        Id::ServerReference,
        Id::ReasonString,
        Id::ReceiveMaximum,
        Id::TopicAliasMaximum,
        Id::MaximumQoS,
        Id::RetainAvailable,
        Id::MaximumPacketSize,
        Id::WildcardSubscriptionAvailable,
        Id::SubscriptionIdentifierAvailable,
        Id::SharedSubscriptionAvailable,
    ]);
    /// A message that matched several subscriptions carries an identifier of each.
    pub(crate) const PUBLISH: Self = Self::of(&[
        Id::PayloadFormatIndicator,
        Id::MessageExpiryInterval,
        Id::ContentType,
        Id::ResponseTopic,
        Id::CorrelationData,
        Id::SubscriptionIdentifier,
        Id::TopicAlias,
    ])
    .repeating(Id::SubscriptionIdentifier);
    pub(crate) const ACK: Self = Self::of(&[Id::ReasonString]);
    pub(crate) const SUBSCRIBE: Self = Self::of(&[Id::SubscriptionIdentifier]);
    pub(crate) const UNSUBSCRIBE: Self = Self::of(&[]);
    pub(crate) const DISCONNECT: Self = Self::of(&[
        Id::SessionExpiryInterval,
        Id::ServerReference,
        Id::ReasonString,
    ]);
    pub(crate) const AUTH: Self = Self::of(&[
        Id::AuthenticationMethod,
        Id::AuthenticationData,
        Id::ReasonString,
    ]);

    /// These, and User Property any number of times, which may be everywhere.
    const fn of(ids: &[PropertyId]) -> Self {
        let mut allowed = Id::UserProperty.bit();
        let mut index = 0;
        while index < ids.len() {
            allowed |= ids[index].bit();
            index += 1;
        }
        Self {
            allowed,
            repeats: Id::UserProperty.bit(),
        }
    }

    const fn repeating(self, id: PropertyId) -> Self {
        Self {
            repeats: self.repeats | id.bit(),
            ..self
        }
    }

    #[inline]
    pub(super) const fn allows(self, id: PropertyId) -> bool {
        self.allowed & id.bit() != 0
    }

    #[inline]
    pub(super) const fn repeats(self, id: PropertyId) -> bool {
        self.repeats & id.bit() != 0
    }
}
