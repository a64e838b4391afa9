//! Close codes and close frames `[RFC6455 5.5.1]`, `[RFC6455 7.4]`.

use std::error::Error;
use std::fmt;

use super::frame::{CONTROL_BYTES_MAX, Opcode, put_header};

/// Why a connection is closed `[RFC6455 7.4.1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// All is done.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// A rule of a protocol is broken.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of message that is not taken here.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// A text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A rule of this server is broken.
    pub const POLICY: Self = Self(1008);
    /// A message is larger than the server takes.
    pub const TOO_BIG: Self = Self(1009);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server has too much to do.
    pub const TRY_AGAIN: Self = Self(1013);

    /// The code of this number, if it may be sent.
    pub fn new(code: u16) -> Option<Self> {
        Self::is_valid_on_wire(code).then_some(Self(code))
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a close frame may carry this number: one that is registered, or one of the ranges
    /// for libraries and applications `[RFC6455 7.4.2]`. 1005, 1006 and 1015 are never sent.
    pub const fn is_valid_on_wire(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a peer did wrong, and the code that its connection is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The code of the close frame to send.
    pub code: CloseCode,
    /// What is wrong, in a few words.
    pub words: &'static str,
}

impl Violation {
    pub(super) const fn protocol(words: &'static str) -> Self {
        let code = CloseCode::PROTOCOL_ERROR;
        Self { code, words }
    }

    pub(super) const fn not_utf8(words: &'static str) -> Self {
        let code = CloseCode::INVALID_PAYLOAD;
        Self { code, words }
    }

    pub(super) const fn too_big(words: &'static str) -> Self {
        let code = CloseCode::TOO_BIG;
        Self { code, words }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}

impl Error for Violation {}

/// Reads the payload of a close frame: nothing, or a code and a reason `[RFC6455 5.5.1]`.
///
/// # Errors
/// [`CloseCode::PROTOCOL_ERROR`] for half a code and for a code that is never sent,
/// [`CloseCode::INVALID_PAYLOAD`] for a reason that is not UTF-8.
pub fn parse(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload
        .split_first_chunk()
        .ok_or(Violation::protocol("a close frame has half a code"))?;
    let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(Violation::protocol(
        "a close frame has a code that is never sent",
    ))?;
    if str::from_utf8(reason).is_err() {
        return Err(Violation::not_utf8("the reason of a close is not UTF-8"));
    }
    Ok(Some(code))
}

/// Appends a close frame, unmasked. A reason that does not fit is cut between two characters.
pub fn put_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason_bytes_max = CONTROL_BYTES_MAX - size_of::<CloseCode>();
    let mut end = reason.len().min(reason_bytes_max);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    put_header(out, Opcode::Close, size_of::<CloseCode>() + reason.len());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_7_4_codes_that_are_sent() {
        for code in 0..=u16::MAX {
            let valid = match code {
                1004..=1006 | 1015..=2999 => false,
                _ => (1000..5000).contains(&code),
            };
            assert_eq!(CloseCode::is_valid_on_wire(code), valid, "{code}");
            let parsed = parse(&code.to_be_bytes());
            match parsed {
                Ok(found) => assert_eq!(found.map(CloseCode::get), Some(code)),
                Err(violation) => {
                    assert!(!valid);
                    assert_eq!(violation.code, CloseCode::PROTOCOL_ERROR);
                }
            }
        }
    }

    #[test]
    fn rfc6455_5_5_1_payload() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03\xE8bye"), Ok(Some(CloseCode::NORMAL)));
        let code = |payload| parse(payload).map_err(|violation| violation.code);
        assert_eq!(code(b"\x03"), Err(CloseCode::PROTOCOL_ERROR));
        assert_eq!(code(b"\x03\xE8\xFF"), Err(CloseCode::INVALID_PAYLOAD));
        assert_eq!(code(b"\x03\xE8\xE2\x82"), Err(CloseCode::INVALID_PAYLOAD));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        put_close(&mut out, CloseCode::POLICY, &"é".repeat(200));
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xF0]);
        assert_eq!(str::from_utf8(&out[4..]), Ok("é".repeat(61).as_str()));
    }
}
