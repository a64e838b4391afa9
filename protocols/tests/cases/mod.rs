//! The malformed packets that the specifications name, in the notation of `common/notation.rs`.

mod handshake;
mod publish;
mod subscribe;

use ringbus_protocols::mqtt::{DecodeError, Version};
use ringbus_protocols::wire::WireError;

/// Name, versions (3 for 3.1, 4 for 3.1.1, 5 for 5.0), packet, rule, Reason Code.
pub type Case = (&'static str, &'static str, &'static str, DecodeError, u8);

const TRUNCATED: DecodeError = DecodeError::Wire(WireError::Truncated);
const NOT_UTF8: DecodeError = DecodeError::Wire(WireError::StringNotUtf8);
const NUL: DecodeError = DecodeError::Wire(WireError::StringNul);
const NOT_MINIMAL: DecodeError = DecodeError::Wire(WireError::VarintNotMinimal);
const TOO_LONG: DecodeError = DecodeError::Wire(WireError::VarintTooLong);

/// Every case.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [handshake::CASES, publish::CASES, subscribe::CASES]
        .into_iter()
        .flatten()
}

/// The versions of a case.
pub fn versions(digits: &str) -> impl Iterator<Item = Version> {
    digits.chars().map(|digit| match digit {
        '3' => Version::V3_1,
        '4' => Version::V3_1_1,
        '5' => Version::V5,
        _ => panic!("no version {digit}"),
    })
}
