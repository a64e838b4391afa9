use std::cell::Cell;

use super::*;

thread_local! {
    /// How many bytes were looked at for the end of something.
    pub(super) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
}

const V1_2: Option<Version> = Some(Version::V1_2);
const LIMITS: Limits = Limits::new(100_000);

fn decode(bytes: &[u8], version: Option<Version>) -> Result<Decoded<'_>, StompError> {
    Decoder::default().decode(bytes, version, &LIMITS)
}

/// The only frame in `bytes`, which is refused or incomplete at no split before the last byte.
fn frame(bytes: &[u8], version: Option<Version>) -> Frame<'_> {
    let mut decoder = Decoder::default();
    for split in 0..bytes.len() {
        let found = decoder.decode(&bytes[..split], version, &LIMITS);
        assert_eq!(found, Ok(Decoded::Incomplete), "at {split}");
    }
    let found = decoder.decode(bytes, version, &LIMITS);
    assert_eq!(found, decode(bytes, version));
    match found {
        Ok(Decoded::Frame { frame, length }) if length == bytes.len() => frame,
        other => panic!("{other:?}"),
    }
}

fn refusal(bytes: &[u8], version: Option<Version>) -> Option<&'static str> {
    decode(bytes, version).err().map(|error| error.words)
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn a_frame_has_command_headers_and_body() {
    let frame = frame(b"SEND\ndestination:a/b\nx: y \n\nhello\0", V1_2);
    assert_eq!((frame.command, frame.body), (Command::Send, &b"hello"[..]));
    assert_eq!(frame.header("destination").as_deref(), Some("a/b"));
    // [STOMP1.2 Value Encoding]: spaces are not trimmed.
    assert_eq!(frame.header("x").as_deref(), Some(" y "));
    assert_eq!(frame.header("X"), None);
    assert_eq!(frame.headers().count(), 2);
}

/// `[STOMP1.2 STOMP Frames]`
#[test]
fn lines_may_end_in_crlf() {
    let frame = frame(b"CONNECT\r\naccept-version:1.2\r\nhost:a\n\r\n\0", None);
    assert_eq!(frame.command, Command::Connect);
    assert_eq!(frame.header("accept-version").as_deref(), Some("1.2"));
    assert_eq!(frame.header("host").as_deref(), Some("a"));
}

/// `[STOMP1.2 Repeated Header Entries]`
#[test]
fn the_first_of_repeated_headers_wins() {
    let repeated = frame(b"SEND\na:1\na:2\nb:3\n\n\0", V1_2);
    assert_eq!(repeated.header("a").as_deref(), Some("1"));
    let all: Vec<_> = repeated.headers().map(|(n, v)| format!("{n}{v}")).collect();
    assert_eq!(all, ["a1", "a2", "b3"]);
    let first = b"SEND\ncontent-length:1\ncontent-length:9\n\nx\0";
    assert_eq!(frame(first, V1_2).body, b"x");
}

/// `[STOMP1.2 Value Encoding]`
#[test]
fn escapes_follow_the_version_and_connect_has_none() {
    let bytes = b"SEND\na\\cb:c\\nd\\\\e:f\n\n\0";
    for version in [Version::V1_1, Version::V1_2] {
        let frame = frame(bytes, Some(version));
        assert_eq!(frame.header("a:b").as_deref(), Some("c\nd\\e:f"));
    }
    let plain = frame(bytes, Some(Version::V1_0));
    assert_eq!(plain.header("a\\cb").as_deref(), Some("c\\nd\\\\e:f"));
    for command in ["CONNECT", "STOMP"] {
        let text = format!("{command}\npasscode:\\t\\c\n\n\0");
        let frame = frame(text.as_bytes(), None);
        assert_eq!(frame.header("passcode").as_deref(), Some("\\t\\c"));
    }
    let unknown = Some("a header has an unknown escape");
    assert_eq!(refusal(b"SEND\na:\\t\n", V1_2), unknown);
    assert_eq!(refusal(b"SEND\na\\:b\n", V1_2), unknown);
    assert_eq!(refusal(b"SEND\na:\\r\n", Some(Version::V1_1)), unknown);
    assert_eq!(refusal(b"SEND\na:\\t\n", Some(Version::V1_0)), None);
}

/// `[STOMP1.2 Header content-length]`
#[test]
fn a_body_of_known_length_may_have_nuls() {
    let bytes = b"SEND\ncontent-length:5\n\na\0b\0\n\0";
    assert_eq!(frame(bytes, V1_2).body, b"a\0b\0\n");
    let short = b"SEND\ncontent-length:1\n\nabc\0";
    assert_eq!(refusal(short, V1_2), Some("no NUL follows the body"));
    for text in ["", "-1", "+1", "1 ", "x", "0x1"] {
        let text = format!("SEND\ncontent-length:{text}\n\n");
        assert_eq!(
            refusal(text.as_bytes(), V1_2),
            Some("content-length is not a number")
        );
    }
}

#[test]
fn several_frames_and_line_ends_follow_each_other() {
    let mut bytes = &b"\r\n\n\nCONNECT\n\n\0\n\r\nBEGIN\ntransaction:t\n\n\0\r"[..];
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    loop {
        let length = match decoder.decode(bytes, V1_2, &LIMITS).expect("valid") {
            Decoded::Incomplete => break,
            Decoded::HeartBeat { length } => {
                found.push(length.to_string());
                length
            }
            Decoded::Frame { frame, length } => {
                found.push(frame.command.to_string());
                length
            }
        };
        bytes = &bytes[length..];
    }
    assert_eq!(found, ["4", "CONNECT", "3", "BEGIN"]);
    assert_eq!(bytes, b"\r");
    assert_eq!(
        decoder.decode(b"\r\n", V1_2, &LIMITS),
        Ok(Decoded::HeartBeat { length: 2 })
    );
    assert!(decoder.is_between_frames());
}

#[test]
fn what_is_no_frame_is_refused_at_its_first_byte() {
    let unknown = Some("the command is unknown");
    for bytes in [
        &b"G"[..],
        b"\x10",
        b"\0",
        b"\rS",
        b" ",
        b"send",
        b"SENT",
        b"SEND\r\r",
        b"SEND ",
        b"SEND\0",
        b"SENDS",
        b"SEN\n",
        b"MESSAGE\n",
        b"CONNECTED\n",
    ] {
        assert_eq!(refusal(bytes, V1_2), unknown, "{}", bytes.escape_ascii());
    }
    assert_eq!(refusal(b"UNSUBSCRIBE\r", V1_2), None);
}

#[test]
fn bad_headers_are_refused_at_the_end_of_their_line() {
    for (line, words) in [
        (&b"a\n"[..], "a header has no colon"),
        (b":b\n", "a header has no name"),
        (b"a:\xFF\n", "a header is not UTF-8"),
        (b"a:\xED\xA0\x80\n", "a header is not UTF-8"),
        (b"a:b\0", "the frame ends within its headers"),
        (b"a:b\0c:d\n", "the frame ends within its headers"),
        (b"\0", "the frame ends within its headers"),
    ] {
        let mut bytes = b"SEND\nfine:yes\n".to_vec();
        bytes.extend_from_slice(line);
        assert_eq!(refusal(&bytes, V1_2), Some(words));
        bytes.pop();
        assert_eq!(refusal(&bytes, V1_2).is_some(), line == b"a:b\0c:d\n");
    }
}

/// `[STOMP1.2 Body]`
#[test]
fn only_some_commands_have_a_body() {
    let words = Some("this command cannot have a body");
    assert_eq!(refusal(b"SUBSCRIBE\n\nx", V1_2), words);
    assert_eq!(refusal(b"CONNECT\n\nx", None), words);
    assert_eq!(refusal(b"ACK\ncontent-length:1\n\n", V1_2), words);
    let none = b"ACK\ncontent-length:0\n\n\0";
    assert_eq!(frame(none, V1_2).body, b"");
    let old = frame(b"SUBSCRIBE\n\nx\0", Some(Version::V1_0));
    assert_eq!(old.body, b"x");
}

#[test]
fn a_client_takes_the_frames_of_a_server() {
    let bytes = b"CONNECTED\nserver:a\\b:c\n\n\0MESSAGE\na:b\\cc\n\nhi\0";
    let mut decoder = Decoder::client();
    let Ok(Decoded::Frame { frame, length }) = decoder.decode(bytes, None, &LIMITS) else {
        panic!("CONNECTED is there");
    };
    assert_eq!(frame.header("server").as_deref(), Some("a\\b:c"));
    let Ok(Decoded::Frame { frame, .. }) = decoder.decode(&bytes[length..], V1_2, &LIMITS) else {
        panic!("MESSAGE is there");
    };
    assert_eq!(frame.header("a").as_deref(), Some("b:c"));
    assert_eq!((frame.command, frame.body), (Command::Message, &b"hi"[..]));
    assert!(decoder.decode(b"SEND\n", V1_2, &LIMITS).is_err());
}

#[test]
fn header_bombs_are_refused_within_the_limits() {
    let headers = |count| format!("SEND\n{}", "a:b\n".repeat(count));
    assert_eq!(refusal(headers(100).as_bytes(), V1_2), None);
    for count in [101, 100_000] {
        let error = decode(headers(count).as_bytes(), V1_2).expect_err("too many");
        assert!(error.is_too_large);
        assert_eq!(error.words, "the frame has too many headers");
    }
    let head_bytes_max = usize::try_from(HEAD_BYTES_MAX).expect("small");
    let head = |length| format!("SEND\na:{}\n\n", "x".repeat(length - "SEND\na:\n\n".len()));
    let fits = head(head_bytes_max);
    assert_eq!(decode(fits.as_bytes(), V1_2), Ok(Decoded::Incomplete));
    for length in [head_bytes_max + 1, 1 << 20] {
        let text = head(length);
        let error = decode(text.as_bytes(), V1_2).expect_err("too long");
        assert_eq!(error, HEAD_TOO_LARGE);
        let error = decode(&text.as_bytes()[..head_bytes_max], V1_2);
        assert_eq!(error, Err(HEAD_TOO_LARGE));
    }
}

#[test]
fn frames_have_a_limit_that_a_length_cannot_get_around() {
    let limits = Limits::new(20);
    let decode = |bytes: &[u8]| Decoder::default().decode(bytes, V1_2, &limits).map(|_| ());
    let fits = b"SEND\na:b\n\n123456789\0";
    assert_eq!(fits.len(), 20);
    assert_eq!(decode(fits), Ok(()));
    assert_eq!(decode(&fits[..19]), Ok(()));
    assert_eq!(decode(b"SEND\na:b\n\n1234567890"), Err(FRAME_TOO_LARGE));
    assert_eq!(decode(b"SEND\na:b\n\n1234567890\0"), Err(FRAME_TOO_LARGE));
    assert_eq!(decode(b"SEND\na:1234567890123"), Err(HEAD_TOO_LARGE));
    for length in ["100000", "18446744073709551615", "99999999999999999999999"] {
        let text = format!("SEND\ncontent-length:{length}\n\n");
        assert_eq!(
            Decoder::default().decode(text.as_bytes(), V1_2, &LIMITS),
            Err(FRAME_TOO_LARGE)
        );
    }
}

/// However a frame is cut, each of its bytes is looked at a few times, not once for each piece.
#[test]
fn a_frame_that_comes_byte_by_byte_costs_what_it_has_bytes() {
    let body = "x".repeat(50_000);
    let known = format!("SEND\ncontent-length:50000\n\n{body}\0");
    let unknown = format!("SEND\na:b\n\n{body}\0");
    let long_line = format!("SEND\n{}:b\n\n\0", "a".repeat(16_000));
    let many_lines = format!("SEND\n{}\n\0", "a:b\n".repeat(100));
    // The head for the ends of its lines and for a NUL, the body for a NUL; then the first line.
    for (text, at_most) in [
        (&known, 100),
        (&unknown, unknown.len() + 100),
        (&long_line, 2 * long_line.len() + 100),
        (&many_lines, 2 * many_lines.len() + 100),
    ] {
        LOOKED_AT.set(0);
        let mut decoder = Decoder::default();
        for end in 1..text.len() {
            let found = decoder.decode(&text.as_bytes()[..end], V1_2, &LIMITS);
            assert_eq!(found, Ok(Decoded::Incomplete));
        }
        let found = decoder.decode(text.as_bytes(), V1_2, &LIMITS);
        assert!(matches!(found, Ok(Decoded::Frame { .. })), "{found:?}");
        let looked_at = LOOKED_AT.get();
        assert!(looked_at <= at_most, "{looked_at} of {}", text.len());
    }
}
