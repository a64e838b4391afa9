//! The 27 properties of MQTT 5.0 `[MQTT5-2.2.2]`.

use std::fmt;

use super::{DecodeError, QoS};
use crate::wire::{self, Reader};

mod place;
mod value;

pub(crate) use place::Place;

/// One row per property: name, identifier, type in Rust, kind on the wire, name of the getter.
macro_rules! properties {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $kind:ident, $type:ty, $getter:ident;)*) => {
        /// Names a property on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $($(#[$doc])* $variant = $id,)*
        }

        impl PropertyId {
            /// Every identifier, by value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the specification.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl TryFrom<u8> for PropertyId {
            type Error = u8;

            /// # Errors
            /// Gives back a value that no specification assigns.
            #[inline]
            fn try_from(value: u8) -> Result<Self, u8> {
                match value {
                    $($id => Ok(Self::$variant),)*
                    other => Err(other),
                }
            }
        }

        /// A property and its value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Property<'a> {
            $($(#[$doc])* $variant($type),)*
        }

        impl<'a> Property<'a> {
            /// Which property it is.
            pub const fn id(&self) -> PropertyId {
                match self { $(Self::$variant(_) => PropertyId::$variant,)* }
            }

            fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                match id {
                    $(PropertyId::$variant => value::$kind::read(reader, id).map(Self::$variant),)*
                }
            }

            /// Appends identifier and value.
            ///
            /// # Panics
            /// If a string or binary value is longer than 65,535 bytes, or a Subscription
            /// Identifier is over 268,435,455.
            pub fn encode(&self, out: &mut Vec<u8>) {
                out.push(self.id() as u8);
                match *self { $(Self::$variant(value) => value::$kind::put(value, out),)* }
            }

            /// How many bytes [`Property::encode`] appends.
            pub fn encoded_len(&self) -> usize {
                1 + match *self { $(Self::$variant(value) => value::$kind::len(value),)* }
            }
        }

        /// The value of one property, if it is there. Of a property that can be there more than
        /// once: the first.
        impl<'a> Properties<'a> {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $getter(&self) -> Option<$type> {
                    match self.find(PropertyId::$variant)? {
                        Property::$variant(value) => Some(value),
                        _ => None,
                    }
                }
            )*
        }
    };
}

properties! {
    /// Whether the payload is UTF-8 text; else it is unspecified bytes.
    PayloadFormatIndicator = 0x01, "Payload Format Indicator", boolean, bool, payload_format_indicator;
    /// Lifetime of the message in seconds.
    MessageExpiryInterval = 0x02, "Message Expiry Interval", four_bytes, u32, message_expiry_interval;
    /// Describes the content, by agreement of the clients.
    ContentType = 0x03, "Content Type", string, &'a str, content_type;
    /// Where a response is to be published; a topic name.
    ResponseTopic = 0x08, "Response Topic", topic, &'a str, response_topic;
    /// Tells the requester which request a response is for.
    CorrelationData = 0x09, "Correlation Data", binary, &'a [u8], correlation_data;
    /// Identifies the subscription, 1 to 268,435,455.
    SubscriptionIdentifier = 0x0B, "Subscription Identifier", nonzero_varint, u32, subscription_identifier;
    /// How long the session outlives the connection in seconds; `u32::MAX`: it does not expire.
    SessionExpiryInterval = 0x11, "Session Expiry Interval", four_bytes, u32, session_expiry_interval;
    /// The client identifier that the server chose.
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier", string, &'a str, assigned_client_identifier;
    /// The Keep Alive in seconds that the server chose.
    ServerKeepAlive = 0x13, "Server Keep Alive", two_bytes, u16, server_keep_alive;
    /// Name of the method of extended authentication.
    AuthenticationMethod = 0x15, "Authentication Method", string, &'a str, authentication_method;
    /// What the authentication method exchanges.
    AuthenticationData = 0x16, "Authentication Data", binary, &'a [u8], authentication_data;
    /// Whether failures may come with Reason String and User Properties.
    RequestProblemInformation = 0x17, "Request Problem Information", boolean, bool, request_problem_information;
    /// How long the will waits after the connection is gone, in seconds.
    WillDelayInterval = 0x18, "Will Delay Interval", four_bytes, u32, will_delay_interval;
    /// Whether CONNACK may have Response Information.
    RequestResponseInformation = 0x19, "Request Response Information", boolean, bool, request_response_information;
    /// What response topics can be made from.
    ResponseInformation = 0x1A, "Response Information", string, &'a str, response_information;
    /// Another server to use.
    ServerReference = 0x1C, "Server Reference", string, &'a str, server_reference;
    /// The reason in words, for people.
    ReasonString = 0x1F, "Reason String", string, &'a str, reason_string;
    /// How many QoS 1 and 2 messages may wait for their acknowledgement, 1 to 65,535.
    ReceiveMaximum = 0x21, "Receive Maximum", nonzero_two_bytes, u16, receive_maximum;
    /// The highest topic alias that is accepted; 0: none.
    TopicAliasMaximum = 0x22, "Topic Alias Maximum", two_bytes, u16, topic_alias_maximum;
    /// Stands for a topic name on this connection, 1 to 65,535.
    TopicAlias = 0x23, "Topic Alias", nonzero_two_bytes, u16, topic_alias;
    /// The highest QoS that the server supports: 0 or 1.
    MaximumQoS = 0x24, "Maximum QoS", maximum_qos, QoS, maximum_qos;
    /// Whether the server supports retained messages.
    RetainAvailable = 0x25, "Retain Available", boolean, bool, retain_available;
    /// A name and a value, by agreement of the clients.
    UserProperty = 0x26, "User Property", pair, (&'a str, &'a str), user_property;
    /// The longest packet that is accepted, in bytes, 1 or more.
    MaximumPacketSize = 0x27, "Maximum Packet Size", nonzero_four_bytes, u32, maximum_packet_size;
    /// Whether the server supports wildcards in subscriptions.
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available", boolean, bool, wildcard_subscription_available;
    /// Whether the server supports Subscription Identifiers.
    SubscriptionIdentifierAvailable = 0x29, "Subscription Identifier Available", boolean, bool, subscription_identifier_available;
    /// Whether the server supports shared subscriptions.
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available", boolean, bool, shared_subscription_available;
}

impl PropertyId {
    /// The bit of this property in a set of properties.
    #[inline]
    const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The properties of a packet, borrowed: valid for the packet they were decoded from.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
    seen: u64,
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Self = Self { raw: &[], seen: 0 };

    /// Takes Property Length and properties off `reader` and checks them for `place`.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let length = reader.varint()?;
        if length == 0 {
            return Ok(Self::default());
        }
        Self::check(reader.bytes(length as usize)?, place)
    }

    fn check(raw: &'a [u8], place: Place) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        let mut seen = 0;
        while !reader.is_empty() {
            // Identifiers are Variable Byte Integers, all below 128: a longer one is unknown.
            let id = PropertyId::try_from(reader.u8()?).map_err(DecodeError::PropertyUnknown)?;
            if !place.allows(id) {
                return Err(DecodeError::PropertyNotAllowed(id));
            }
            if seen & id.bit() != 0 && !place.repeats(id) {
                return Err(DecodeError::PropertyDuplicate(id));
            }
            seen |= id.bit();
            Property::read(id, &mut reader)?;
        }
        Ok(Self { raw, seen })
    }

    /// The encoded properties, without their length.
    #[inline]
    pub fn as_raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Whether `id` is there.
    #[inline]
    pub fn has(&self, id: PropertyId) -> bool {
        self.seen & id.bit() != 0
    }

    /// The properties in the order of the packet.
    pub fn iter(&self) -> PropertiesIter<'a> {
        PropertiesIter {
            reader: Reader::new(self.raw),
        }
    }

    /// Every Subscription Identifier, in the order of the packet.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.iter_if(PropertyId::SubscriptionIdentifier)
            .filter_map(|property| match property {
                Property::SubscriptionIdentifier(value) => Some(value),
                _ => None,
            })
    }

    /// Every User Property, in the order of the packet `[MQTT5-3.3.2-18]`.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter_if(PropertyId::UserProperty)
            .filter_map(|property| match property {
                Property::UserProperty(pair) => Some(pair),
                _ => None,
            })
    }

    /// How many bytes [`Properties::encode`] appends.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        wire::varint_len(self.raw_len()) + self.raw.len()
    }

    /// Appends Property Length and properties.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        wire::put_varint(out, self.raw_len());
        out.extend_from_slice(self.raw);
    }

    fn raw_len(&self) -> u32 {
        super::header::remaining_length(self.raw.len())
    }

    #[inline]
    fn find(&self, id: PropertyId) -> Option<Property<'a>> {
        self.iter_if(id).find(|property| property.id() == id)
    }

    /// All properties if `id` is among them, else nothing: spares the walk.
    #[inline]
    fn iter_if(&self, id: PropertyId) -> PropertiesIter<'a> {
        PropertiesIter {
            reader: Reader::new(if self.has(id) { self.raw } else { &[] }),
        }
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertiesIter<'a>;

    fn into_iter(self) -> PropertiesIter<'a> {
        self.iter()
    }
}

/// Walks [`Properties`].
#[derive(Debug, Clone)]
pub struct PropertiesIter<'a> {
    reader: Reader<'a>,
}

impl<'a> PropertiesIter<'a> {
    /// Walks encoded properties without their length: what [`Properties::as_raw`] gave. It ends
    /// where anything else is not one.
    pub fn new(raw: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(raw),
        }
    }
}

impl<'a> Iterator for PropertiesIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        // `Properties` exist only after every one of them was read once, so no error ends this.
        let id = PropertyId::try_from(self.reader.u8().ok()?).ok()?;
        Property::read(id, &mut self.reader).ok()
    }
}

/// Properties under construction.
///
/// ```
/// use ringbus_protocols::mqtt::{PropertiesBuf, Property};
///
/// let mut buf = PropertiesBuf::new();
/// buf.push(Property::ReceiveMaximum(20));
/// buf.push(Property::UserProperty(("a", "b")));
/// assert_eq!(buf.as_properties().receive_maximum(), Some(20));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertiesBuf {
    raw: Vec<u8>,
    seen: u64,
}

impl PropertiesBuf {
    /// No properties.
    pub const fn new() -> Self {
        Self {
            raw: Vec::new(),
            seen: 0,
        }
    }

    /// Adds a property. Whether it may be in the packet, and how often, is up to the caller.
    ///
    /// # Panics
    /// As [`Property::encode`].
    pub fn push(&mut self, property: Property<'_>) {
        self.seen |= property.id().bit();
        property.encode(&mut self.raw);
    }

    /// Removes all properties and keeps the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.seen = 0;
    }

    /// What was built.
    #[inline]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties {
            raw: &self.raw,
            seen: self.seen,
        }
    }
}

impl<'a> Extend<Property<'a>> for PropertiesBuf {
    fn extend<I: IntoIterator<Item = Property<'a>>>(&mut self, properties: I) {
        for property in properties {
            self.push(property);
        }
    }
}

impl<'a> FromIterator<Property<'a>> for PropertiesBuf {
    fn from_iter<I: IntoIterator<Item = Property<'a>>>(properties: I) -> Self {
        let mut buf = Self::new();
        buf.extend(properties);
        buf
    }
}
