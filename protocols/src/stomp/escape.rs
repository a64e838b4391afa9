//! Escapes in the names and values of headers `[STOMP1.2 Value Encoding]`.

use std::borrow::Cow;

use super::{StompError, Version};

const UNKNOWN: StompError = StompError::malformed("a header has an unknown escape");

/// Whether every escape in `text` is known.
pub(super) fn check(text: &str, version: Version) -> Result<(), StompError> {
    if version == Version::V1_0 || !text.contains('\\') {
        return Ok(());
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && bytes.next().and_then(|e| meaning(e, version)).is_none() {
            return Err(UNKNOWN);
        }
    }
    Ok(())
}

/// What `text` stands for; what [`check`] refuses stays as it is.
pub(super) fn unescape(text: &str, version: Version) -> Cow<'_, str> {
    if version == Version::V1_0 || !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let escape = characters.as_str().bytes().next();
        match escape.and_then(|escape| meaning(escape, version)) {
            Some(meant) if character == '\\' => {
                plain.push(meant);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

/// What a backslash and `escape` stand for.
fn meaning(escape: u8, version: Version) -> Option<char> {
    match escape {
        b'\\' => Some('\\'),
        b'n' => Some('\n'),
        b'c' => Some(':'),
        b'r' if version == Version::V1_2 => Some('\r'),
        _ => None,
    }
}

/// Appends `text` with what has to be escaped escaped.
pub(super) fn put_escaped(out: &mut Vec<u8>, text: &str, version: Version) {
    if version == Version::V1_0 {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| escape_of(byte, version) != 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', escape_of(rest[at], version)]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// What follows the backslash that stands for `byte`; 0 if `byte` stands for itself.
fn escape_of(byte: u8, version: Version) -> u8 {
    match byte {
        b'\\' => b'\\',
        b'\n' => b'n',
        b':' => b'c',
        b'\r' if version == Version::V1_2 => b'r',
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Version; 3] = Version::ALL;

    #[test]
    fn each_version_has_its_escapes() {
        let text = r"a\nb\cc\\d";
        for (version, plain) in ALL.into_iter().zip(["a\nb:c\\d", "a\nb:c\\d", text]) {
            assert_eq!(check(text, version), Ok(()));
            assert_eq!(unescape(text, version), plain);
        }
        assert_eq!(unescape(r"\\n", Version::V1_2), r"\n");
        assert_eq!(unescape(r"\r", Version::V1_2), "\r");
        assert_eq!(check(r"\r", Version::V1_1), Err(UNKNOWN));
    }

    /// `[STOMP1.2 Value Encoding]`: undefined escape sequences are fatal.
    #[test]
    fn unknown_escapes_are_errors_from_1_1_on() {
        for text in [r"\t", r"\", r"a\\\", r"\N", r"\ä", r"\ n", "\\\0"] {
            assert_eq!(check(text, Version::V1_2), Err(UNKNOWN), "{text}");
            assert_eq!(check(text, Version::V1_1), Err(UNKNOWN), "{text}");
            assert_eq!(check(text, Version::V1_0), Ok(()), "{text}");
            assert!(unescape(text, Version::V1_0) == text);
        }
    }

    #[test]
    fn what_is_escaped_is_read_back() {
        for text in ["", "plain", "a:b\\c\nd\re", "\\n", "ä:ö", ":", "\\"] {
            for version in ALL {
                let mut out = Vec::new();
                put_escaped(&mut out, text, version);
                let escaped = String::from_utf8(out).expect("text");
                assert_eq!(check(&escaped, version), Ok(()));
                assert_eq!(unescape(&escaped, version), text);
            }
        }
    }
}
