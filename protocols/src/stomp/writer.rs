//! Writes frames, whole or in parts.
//!
//! In parts: [`begin`], [`header`] for each header, [`end_head`], the body, and a NUL. The parts
//! need not be in one buffer, so that subscribers can share what is the same for all.

use super::{Command, Version, escape};

/// Appends a whole frame. A body, or a command that may have one, gets a `content-length` in front
/// of all `headers`; the first of repeated headers counts, so none of them can say another.
/// Headers that the version cannot express are left out, see [`header`].
///
/// # Panics
/// If there is a body and the command cannot have one: a bug of the caller.
pub fn put_frame<'h>(
    out: &mut Vec<u8>,
    version: Version,
    command: Command,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    body: &[u8],
) {
    assert!(
        body.is_empty() || command.may_have_body(),
        "this command cannot have a body"
    );
    let version = if command.is_plain() {
        Version::V1_0
    } else {
        version
    };
    begin(out, command);
    if command.may_have_body() {
        content_length(out, body.len());
    }
    for (name, value) in headers {
        header(out, version, name, value);
    }
    end_head(out);
    out.extend_from_slice(body);
    out.push(0);
}

/// Appends the first line.
pub fn begin(out: &mut Vec<u8>, command: Command) {
    out.extend_from_slice(command.text().as_bytes());
    out.push(b'\n');
}

/// Appends a header with the escapes of `version`; CONNECT and CONNECTED have none, so theirs are
/// written as 1.0. False, and nothing is appended, if the version cannot express it: line ends and
/// colons before there were escapes, an empty name, U+0000.
pub fn header(out: &mut Vec<u8>, version: Version, name: &str, value: &str) -> bool {
    if !can_express(version, name, value) {
        return false;
    }
    escape::put_escaped(out, name, version);
    out.push(b':');
    escape::put_escaped(out, value, version);
    out.push(b'\n');
    true
}

/// Appends the header that says how many bytes the body has.
pub fn content_length(out: &mut Vec<u8>, body_bytes: usize) {
    out.extend_from_slice(b"content-length:");
    put_decimal(out, body_bytes);
    out.push(b'\n');
}

/// Appends the empty line. The body and a NUL follow.
pub fn end_head(out: &mut Vec<u8>) {
    out.push(b'\n');
}

fn can_express(version: Version, name: &str, value: &str) -> bool {
    let has = |character: char| name.contains(character) || value.contains(character);
    if name.is_empty() || has('\0') {
        return false;
    }
    match version {
        Version::V1_2 => true,
        // The CR would be taken for a part of the line's end.
        Version::V1_1 => !value.ends_with('\r'),
        Version::V1_0 => !has('\n') && !name.contains(':') && !value.ends_with('\r'),
    }
}

/// Without a heap allocation, which `to_string` would be.
fn put_decimal(out: &mut Vec<u8>, value: usize) {
    let start = out.len();
    let mut rest = value;
    loop {
        let digit = u8::try_from(rest % 10).expect("below ten");
        out.push(b'0' + digit);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(version: Version, command: Command, headers: &[(&str, &str)], body: &str) -> String {
        let mut out = Vec::new();
        let headers = headers.iter().copied();
        put_frame(&mut out, version, command, headers, body.as_bytes());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn frames_are_written_with_their_length() {
        let headers = [("destination", "a:b"), ("x\n", "\r\\")];
        assert_eq!(
            frame(Version::V1_2, Command::Message, &headers, "hi"),
            "MESSAGE\ncontent-length:2\ndestination:a\\cb\nx\\n:\\r\\\\\n\nhi\0"
        );
        assert_eq!(
            frame(Version::V1_2, Command::Receipt, &[("receipt-id", "1")], ""),
            "RECEIPT\nreceipt-id:1\n\n\0"
        );
        for length in [0, 9, 10, 12_345] {
            let text = frame(Version::V1_2, Command::Error, &[], &"x".repeat(length));
            let line = format!("ERROR\ncontent-length:{length}\n\n");
            assert!(text.starts_with(&line), "{text}");
        }
    }

    /// `[STOMP1.2 Value Encoding]`
    #[test]
    fn connected_is_not_escaped() {
        let headers = [("server", "a:\\b"), ("two", "li\nnes")];
        let text = "CONNECTED\nserver:a:\\b\n\n\0";
        assert_eq!(frame(Version::V1_2, Command::Connected, &headers, ""), text);
    }

    #[test]
    fn what_a_version_cannot_express_is_left_out() {
        for (name, value, versions) in [
            ("a", "b\nc:d", [true, true, false]),
            ("a", "b:c", [true; 3]),
            ("a:b", "c", [true, true, false]),
            ("a\nb", "c", [true, true, false]),
            ("a", "b\rc", [true; 3]),
            ("a", "b\r", [true, false, false]),
            ("", "b", [false; 3]),
            ("a", "b\0", [false; 3]),
            ("a\0", "b", [false; 3]),
        ] {
            for (version, is_written) in Version::ALL.into_iter().zip(versions) {
                let mut out = Vec::new();
                assert_eq!(header(&mut out, version, name, value), is_written);
                assert_eq!(!out.is_empty(), is_written, "{name:?}:{value:?} {version}");
            }
        }
    }
}
