//! Percent-encoding `[RFC3986 2.1]`.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Why a text is not percent-encoded UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PercentError {
    /// `%` is not followed by two hexadecimal digits.
    Escape,
    /// The bytes that the text stands for are not well-formed UTF-8.
    NotUtf8,
}

impl PercentError {
    /// What is wrong, in a few words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Escape => "a % is not followed by two hexadecimal digits",
            Self::NotUtf8 => "the text is not percent-encoded UTF-8",
        }
    }
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

impl Error for PercentError {}

/// What a percent-encoded text stands for. A `+` is a plus: paths have no forms. `%00` gives
/// U+0000.
///
/// # Errors
/// What is wrong with an escape, or with the bytes that came of them.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, PercentError> {
    let Some((plain, _)) = text.split_once('%') else {
        return Ok(Cow::Borrowed(text));
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain.as_bytes());
    let mut rest = &text.as_bytes()[plain.len()..];
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (b'%', _) => return Err(PercentError::Escape),
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    match String::from_utf8(decoded) {
        Ok(decoded) => Ok(Cow::Owned(decoded)),
        Err(_) => Err(PercentError::NotUtf8),
    }
}

fn hex(digit: u8) -> Result<u8, PercentError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PercentError::Escape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes_and_nothing_else_changes() {
        for (text, decoded) in [
            ("", ""),
            ("a+b", "a+b"),
            ("%41%2f%2Fz", "A//z"),
            ("%C3%a4%F0%9F%98%80", "ä😀"),
            ("%2541", "%41"),
            ("%00", "\0"),
            ("ä%20", "ä "),
        ] {
            assert_eq!(percent_decode(text).as_deref(), Ok(decoded), "{text}");
        }
        assert!(matches!(percent_decode("plain"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn bad_escapes_and_bad_utf_8_are_errors() {
        for text in ["%", "a%4", "%4", "%%41", "%zz", "%4 ", "% 4", "%+1", "%é"] {
            assert_eq!(percent_decode(text), Err(PercentError::Escape), "{text}");
        }
        for text in ["%FF", "%C0%80", "%ED%A0%80", "%C3", "%C3x", "%80"] {
            assert_eq!(percent_decode(text), Err(PercentError::NotUtf8), "{text}");
        }
    }
}
