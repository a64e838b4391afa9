//! The data representations that MQTT packets are made of `[MQTT5-1.5]`.
//!
//! [`Reader`] takes values off the front of a slice and cannot read past its end. The `put_*`
//! functions append to a `Vec<u8>`. Lengths that do not fit their prefix are a bug of the caller,
//! never of the peer, so the writers panic on them.

use std::error::Error;
use std::fmt;

/// The largest value of a Variable Byte Integer `[MQTT5-1.5.5]`.
pub const VARINT_MAX: u32 = 268_435_455;

/// Why a value could not be taken off the front of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end inside the value.
    Truncated,
    /// A Variable Byte Integer has more than four bytes.
    VarintTooLong,
    /// A Variable Byte Integer has more bytes than its value needs `[MQTT5-1.5.5-1]`.
    VarintNotMinimal,
    /// A string is not well-formed UTF-8, surrogates included `[MQTT5-1.5.4-1]`.
    StringNotUtf8,
    /// A string contains U+0000 `[MQTT5-1.5.4-2]`.
    StringNul,
}

impl WireError {
    /// What is wrong, in a few words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Truncated => "a field ends past the end of the packet",
            Self::VarintTooLong => "a variable byte integer has more than four bytes",
            Self::VarintNotMinimal => "a variable byte integer is not in its shortest form",
            Self::StringNotUtf8 => "a string is not well-formed UTF-8",
            Self::StringNul => "a string contains U+0000",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

impl Error for WireError {}

/// Takes values off the front of a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not yet taken.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    #[inline]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether every byte was taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `count` bytes.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        let (&byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    /// Takes a Two Byte Integer `[MQTT5-1.5.2]`.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// Takes a Four Byte Integer `[MQTT5-1.5.3]`.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// Takes a Variable Byte Integer in its shortest form `[MQTT5-1.5.5-1]`.
    #[inline]
    pub fn varint(&mut self) -> Result<u32, WireError> {
        let (value, length) = read_varint(self.rest)?.ok_or(WireError::Truncated)?;
        if length != varint_len(value) {
            return Err(WireError::VarintNotMinimal);
        }
        self.rest = &self.rest[length..];
        Ok(value)
    }

    /// Takes Binary Data: a Two Byte Integer length and that many bytes `[MQTT5-1.5.6]`.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// Takes a UTF-8 Encoded String without U+0000 `[MQTT5-1.5.4]`.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        utf8_string(self.binary()?)
    }
}

/// From this length on vectors are faster than the standard library; measured.
const LONG_STRING: usize = 128;

/// The bytes as text.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    if bytes.len() < LONG_STRING {
        str::from_utf8(bytes).map_err(|_| WireError::StringNotUtf8)
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| WireError::StringNotUtf8)
    }
}

/// The bytes as text without U+0000.
#[inline]
pub(crate) fn utf8_string(bytes: &[u8]) -> Result<&str, WireError> {
    let text = utf8(bytes)?;
    if bytes.iter().fold(false, |found, &byte| found | (byte == 0)) {
        return Err(WireError::StringNul);
    }
    Ok(text)
}

/// Reads a Variable Byte Integer at the front of `bytes`: its value and its length in bytes.
/// `Ok(None)` when more bytes are needed. Longer forms than needed are taken: MQTT 3.1.1 allows
/// them.
///
/// # Errors
/// [`WireError::VarintTooLong`] when the fourth byte asks for a fifth.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, WireError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(WireError::VarintTooLong)
    }
}

/// How many bytes [`put_varint`] appends for `value`.
#[inline]
pub const fn varint_len(value: u32) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a Two Byte Integer.
#[inline]
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a Four Byte Integer.
#[inline]
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a Variable Byte Integer in its shortest form.
///
/// # Panics
/// If `value` is over [`VARINT_MAX`].
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u32) {
    assert!(
        value <= VARINT_MAX,
        "a variable byte integer holds at most {VARINT_MAX}"
    );
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7F).expect("seven bits fit a byte");
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a UTF-8 Encoded String.
///
/// # Panics
/// If `value` is longer than 65,535 bytes.
#[inline]
pub fn put_str(out: &mut Vec<u8>, value: &str) {
    put_binary(out, value.as_bytes());
}

/// Appends Binary Data.
///
/// # Panics
/// If `value` is longer than 65,535 bytes.
#[inline]
pub fn put_binary(out: &mut Vec<u8>, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("a length prefix holds at most 65,535");
    put_u16(out, length);
    out.extend_from_slice(value);
}

/// How many bytes a string or binary field of `length` bytes takes, its prefix included.
#[inline]
pub const fn prefixed_len(length: usize) -> usize {
    2 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[MQTT5-1.5.5-1]`
    #[test]
    fn varint_boundaries_round_trip() {
        for value in [
            0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX,
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            assert_eq!(read_varint(&out), Ok(Some((value, out.len()))));
            assert_eq!(Reader::new(&out).varint(), Ok(value));
            assert_eq!(read_varint(&out[..out.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn varint_of_five_bytes_is_an_error_at_the_fourth() {
        assert_eq!(read_varint(&[0xFF; 3]), Ok(None));
        assert_eq!(read_varint(&[0xFF; 4]), Err(WireError::VarintTooLong));
        assert_eq!(
            read_varint(&[0x80, 0x80, 0x80, 0x80, 1]),
            Err(WireError::VarintTooLong)
        );
    }

    /// `[MQTT5-1.5.5-1]`
    #[test]
    fn mqtt5_1_5_5_1_longer_forms_are_refused_inside_packets() {
        assert_eq!(read_varint(&[0x80, 0x00]), Ok(Some((0, 2))));
        assert_eq!(
            Reader::new(&[0x80, 0x00]).varint(),
            Err(WireError::VarintNotMinimal)
        );
    }

    #[test]
    #[should_panic(expected = "holds at most")]
    fn varint_over_the_maximum_is_a_bug() {
        put_varint(&mut Vec::new(), VARINT_MAX + 1);
    }

    /// `[MQTT5-1.5.4-1]` `[MQTT5-1.5.4-2]` `[MQTT311-1.5.3-1]` `[MQTT311-1.5.3-2]`
    /// `[MQTT311-1.5.3-3]`
    #[test]
    fn strings_refuse_nul_surrogates_and_overruns() {
        let read = |bytes: &[u8]| Reader::new(bytes).string().map(str::to_owned);
        assert_eq!(read(b"\0\x03abc"), Ok("abc".to_owned()));
        assert_eq!(read(b"\0\x04abc"), Err(WireError::Truncated));
        assert_eq!(read(b"\0"), Err(WireError::Truncated));
        assert_eq!(read(b"\0\x03a\0c"), Err(WireError::StringNul));
        assert_eq!(read(b"\0\x03\xED\xA0\x80"), Err(WireError::StringNotUtf8));
        assert_eq!(read(b"\0\x02\xC0\xAF"), Err(WireError::StringNotUtf8));
        // [MQTT5-1.5.4-3]: U+FEFF is a character like any other.
        assert_eq!(read(b"\0\x03\xEF\xBB\xBF"), Ok("\u{FEFF}".to_owned()));
    }
}
