//! Quality of Service levels and packet identifiers.

use std::num::NonZeroU16;

/// How hard the sender tries `[MQTT5-4.3]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// Delivered once or not at all.
    #[default]
    AtMostOnce = 0,
    /// Delivered once or more: PUBLISH, PUBACK.
    AtLeastOnce = 1,
    /// Delivered once: PUBLISH, PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl TryFrom<u8> for QoS {
    type Error = u8;

    /// # Errors
    /// Gives back a value over 2.
    #[inline]
    fn try_from(value: u8) -> Result<Self, u8> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(other),
        }
    }
}

impl From<QoS> for u8 {
    #[inline]
    fn from(qos: QoS) -> Self {
        qos as u8
    }
}

/// Names a PUBLISH, SUBSCRIBE or UNSUBSCRIBE until it is acknowledged; never zero
/// `[MQTT5-2.2.1-3]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketIdentifier(NonZeroU16);

impl PacketIdentifier {
    /// The smallest.
    pub const MIN: Self = Self(NonZeroU16::MIN);

    /// `None` for zero.
    #[inline]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The value on the wire.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}
