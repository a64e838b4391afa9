//! PINGREQ and PINGRESP: a sign of life and its echo `[MQTT5-3.12]` `[MQTT5-3.13]`.

use super::super::header::put_header;
use super::super::{DecodeError, FixedHeader, PacketType, Version};
use super::expect_end;
use crate::wire::Reader;

/// PINGREQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PingReq;

/// PINGRESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PingResp;

macro_rules! ping {
    ($packet:ident) => {
        impl $packet {
            /// Decodes the body: there is none.
            ///
            /// # Errors
            /// Invalid flags, or a body.
            pub fn decode(
                header: FixedHeader,
                body: &[u8],
                version: Version,
            ) -> Result<Self, DecodeError> {
                header.check_flags(version)?;
                expect_end(Reader::new(body))?;
                Ok(Self)
            }

            /// Appends the packet, the same in every version.
            #[inline]
            pub fn encode(&self, _: Version, out: &mut Vec<u8>) {
                put_header(out, PacketType::$packet, 0, 0);
            }

            #[doc = concat!("How many bytes [`", stringify!($packet), "::encode`] appends.")]
            #[inline]
            pub fn encoded_len(&self, _: Version) -> usize {
                2
            }
        }
    };
}

ping!(PingReq);
ping!(PingResp);
