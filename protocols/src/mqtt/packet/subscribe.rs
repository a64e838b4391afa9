//! SUBSCRIBE: the client asks for messages `[MQTT5-3.8]`.

use super::super::property::Place;
use super::super::{
    DecodeError, FixedHeader, PacketIdentifier, PacketType, Properties, QoS, Version,
};
use super::list::List;
use crate::topic::SHARE_PREFIX;
use crate::wire::{self, Reader};

const QOS: u8 = 0b0000_0011;
const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;

/// Whether a new subscription is sent the retained messages `[MQTT5-3.8.3.1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// Send them at every SUBSCRIBE; what MQTT 3 does.
    #[default]
    Send = 0,
    /// Send them only if the subscription did not exist.
    SendIfNew = 1,
    /// Do not send them.
    DoNotSend = 2,
}

/// A topic filter and what is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubscribeFilter<'a> {
    /// Well-formed UTF-8 without U+0000; whether it is a topic filter is not checked, so that a
    /// server can refuse it alone.
    pub filter: &'a str,
    /// The highest QoS of the messages.
    pub qos: QoS,
    /// Do not send what this client publishes; false in MQTT 3.
    pub no_local: bool,
    /// Keep the RETAIN flag of forwarded messages; false in MQTT 3.
    pub retain_as_published: bool,
    /// About retained messages that are there already.
    pub retain_handling: RetainHandling,
}

impl<'a> SubscribeFilter<'a> {
    /// A subscription with the options of MQTT 3.
    pub fn new(filter: &'a str, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            ..Self::default()
        }
    }

    fn read(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let filter = reader.string()?;
        let options = reader.u8()?;
        let reserved = if version.is_v5() { RESERVED } else { !QOS };
        if options & reserved != 0 {
            return Err(DecodeError::SubscriptionOptionsReserved);
        }
        if options & NO_LOCAL != 0 && filter.starts_with(SHARE_PREFIX) {
            return Err(DecodeError::NoLocalShared);
        }
        let qos = QoS::try_from(options & QOS).map_err(|_| DecodeError::SubscriptionQoSInvalid)?;
        let retain_handling = match (options >> RETAIN_HANDLING_SHIFT) & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandlingInvalid),
        };
        Ok(Self {
            filter,
            qos,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) {
        wire::put_str(out, self.filter);
        out.push(self.options() & if version.is_v5() { !RESERVED } else { QOS });
    }

    fn options(&self) -> u8 {
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published {
            RETAIN_AS_PUBLISHED
        } else {
            0
        };
        u8::from(self.qos)
            | no_local
            | retain_as_published
            | ((self.retain_handling as u8) << RETAIN_HANDLING_SHIFT)
    }
}

/// SUBSCRIBE, decoded. To send one, see [`Subscribe::encode_from`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What the SUBACK will refer to.
    pub packet_identifier: PacketIdentifier,
    /// Empty in MQTT 3.
    pub properties: Properties<'a>,
    /// The payload, every filter checked.
    payload: &'a [u8],
}

impl<'a> Subscribe<'a> {
    /// Decodes the body of a SUBSCRIBE.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    pub fn decode(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
    ) -> Result<Self, DecodeError> {
        let list = List::decode(header, body, version, Place::SUBSCRIBE)?;
        let mut reader = Reader::new(list.payload);
        while !reader.is_empty() {
            SubscribeFilter::read(&mut reader, version)?;
        }
        Ok(Self {
            packet_identifier: list.packet_identifier,
            properties: list.properties,
            payload: list.payload,
        })
    }

    /// What is asked for, in the order of the packet.
    pub fn filters(&self) -> impl Iterator<Item = SubscribeFilter<'a>> + use<'a> {
        let mut reader = Reader::new(self.payload);
        // Every filter was read once, in its own version; what that allows, V5 allows too.
        std::iter::from_fn(move || SubscribeFilter::read(&mut reader, Version::V5).ok())
    }

    /// Appends the packet. It must have been decoded in `version` or an earlier one.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.list().encode(PacketType::Subscribe, version, out);
    }

    /// How many bytes [`Subscribe::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        self.list().encoded_len(version)
    }

    /// Appends a SUBSCRIBE for `filters`. Options that `version` does not have are left out.
    ///
    /// # Panics
    /// If `filters` is empty or a filter is longer than 65,535 bytes.
    pub fn encode_from(
        packet_identifier: PacketIdentifier,
        properties: &Properties<'_>,
        filters: &[SubscribeFilter<'_>],
        version: Version,
        out: &mut Vec<u8>,
    ) {
        assert!(
            !filters.is_empty(),
            "a SUBSCRIBE has at least one topic filter"
        );
        let mut payload = Vec::new();
        for filter in filters {
            filter.encode(version, &mut payload);
        }
        Subscribe {
            packet_identifier,
            properties: *properties,
            payload: &payload,
        }
        .encode(version, out);
    }

    fn list(&self) -> List<'a> {
        List {
            packet_identifier: self.packet_identifier,
            properties: self.properties,
            payload: self.payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::prefixed_len;

    #[test]
    fn options_of_mqtt5_are_left_out_in_mqtt3() {
        let filter = SubscribeFilter {
            filter: "a",
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        let encoded = |version| {
            let mut out = Vec::new();
            filter.encode(version, &mut out);
            assert_eq!(out.len(), prefixed_len(filter.filter.len()) + 1);
            out[3]
        };
        assert_eq!(encoded(Version::V5), 0b0010_1110);
        assert_eq!(encoded(Version::V3_1_1), 0b0000_0010);
    }
}
