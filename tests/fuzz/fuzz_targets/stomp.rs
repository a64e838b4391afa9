//! Any bytes as a stream of STOMP frames, of both sides and in every version: no panic, pieces do
//! not change the meaning, and what decodes encodes to the same frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::stomp::{
    Command, Decoded, Decoder, Frame, Limits, Version, heart_beat, writer,
};

const LIMITS: Limits = Limits {
    head_bytes_max: 400,
    headers_max: 8,
    frame_bytes_max: 700,
};

fuzz_target!(|stream: &[u8]| {
    let versions = [
        None,
        Some(Version::V1_0),
        Some(Version::V1_1),
        Some(Version::V1_2),
    ];
    for version in versions {
        for decoder in [Decoder::default(), Decoder::client()] {
            assert_eq!(
                decode(decoder, stream, stream.len(), version),
                decode(decoder, stream, 1, version),
                "pieces change the meaning"
            );
        }
    }
});

/// How many frames and line ends there are when `stream` arrives in pieces of `size` bytes, and
/// whether it ends at an error.
fn decode(
    mut decoder: Decoder,
    stream: &[u8],
    size: usize,
    version: Option<Version>,
) -> (usize, usize, bool) {
    let (mut start, mut end, mut frames, mut line_ends) = (0, 0, 0, 0);
    while end < stream.len() {
        end = stream.len().min(end + size);
        loop {
            match decoder.decode(&stream[start..end], version, &LIMITS) {
                Err(error) => {
                    assert!(!error.words.is_empty());
                    return (frames, line_ends, true);
                }
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::HeartBeat { length }) => {
                    line_ends += length;
                    start += length;
                }
                Ok(Decoded::Frame { frame, length }) => {
                    assert!(length <= LIMITS.frame_bytes_max);
                    check_frame(&frame, version);
                    frames += 1;
                    start += length;
                }
            }
        }
    }
    (frames, line_ends, false)
}

/// A frame that was taken survives the round trip.
fn check_frame(frame: &Frame<'_>, version: Option<Version>) {
    let version = version.unwrap_or(Version::V1_2);
    if let Some(value) = frame.header("heart-beat") {
        let _ = heart_beat::negotiate(Some(&value), (1, 1));
    }
    let _ = Version::negotiate(frame.header("accept-version").as_deref());
    if !frame.body.is_empty() && !frame.command.may_have_body() {
        assert_eq!(version, Version::V1_0);
        return;
    }
    let headers: Vec<_> = frame
        .headers()
        .filter(|(name, _)| name != "content-length")
        .collect();
    let borrowed = headers.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
    let mut bytes = Vec::new();
    writer::put_frame(&mut bytes, version, frame.command, borrowed, frame.body);
    // The one more header is the length.
    let limits = Limits::new(usize::MAX);
    let mut decoder = decoder(frame.command);
    let Ok(Decoded::Frame {
        frame: again,
        length,
    }) = decoder.decode(&bytes, Some(version), &limits)
    else {
        panic!("what was encoded does not decode: {}", bytes.escape_ascii());
    };
    assert_eq!(length, bytes.len());
    assert_eq!((again.command, again.body), (frame.command, frame.body));
    let kept = again.headers().filter(|(name, _)| name != "content-length");
    // A value that ends in CR is more than 1.0 and 1.1 can express, and so is left out.
    let is_plain = matches!(
        frame.command,
        Command::Connect | Command::Stomp | Command::Connected
    );
    let has_return = version == Version::V1_2 && !is_plain;
    let expressible = headers
        .into_iter()
        .filter(|(_, value)| has_return || !value.ends_with('\r'));
    assert!(kept.eq(expressible));
}

fn decoder(command: Command) -> Decoder {
    if command.is_from_server() {
        Decoder::client()
    } else {
        Decoder::default()
    }
}
