//! STOMP frames decode to what was written, at every split of the input and in every version;
//! damaged ones never do harm.

use proptest::prelude::*;
use ringbus_protocols::stomp::{Command, Decoded, Decoder, Limits, StompError, Version, writer};

const LIMITS: Limits = Limits::new(1 << 20);

/// A frame with everything owned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    command: Command,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Owned {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        let headers = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        writer::put_frame(&mut out, version, self.command, headers, &self.body);
        out
    }

    /// What of it arrives: what the version cannot express does not, and a length is added.
    fn expected(&self, version: Version) -> Self {
        let escapes = match self.command {
            Command::Connect | Command::Stomp | Command::Connected => Version::V1_0,
            _ => version,
        };
        let mut headers = Vec::new();
        if self.command.may_have_body() {
            headers.push(("content-length".to_owned(), self.body.len().to_string()));
        }
        let can_express = |(name, value): &&(String, String)| {
            writer::header(&mut Vec::new(), escapes, name, value)
        };
        headers.extend(self.headers.iter().filter(can_express).cloned());
        Self {
            headers,
            ..self.clone()
        }
    }
}

fn decoder(command: Command) -> Decoder {
    if command.is_from_server() {
        Decoder::client()
    } else {
        Decoder::default()
    }
}

/// Everything in `stream`, which comes in pieces that end at `ends`: the frames, how many bytes of
/// line ends were between them, and what stopped it.
fn decode_pieces(
    mut decoder: Decoder,
    stream: &[u8],
    ends: &[usize],
    version: Option<Version>,
    limits: &Limits,
) -> (Vec<Owned>, usize, Option<StompError>) {
    let (mut frames, mut line_ends, mut start) = (Vec::new(), 0, 0);
    for &end in ends.iter().chain([&stream.len()]) {
        let end = end.min(stream.len());
        while start <= end {
            match decoder.decode(&stream[start..end], version, limits) {
                Err(error) => return (frames, line_ends, Some(error)),
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::HeartBeat { length }) => {
                    assert!(length > 0 && length <= end - start);
                    line_ends += length;
                    start += length;
                }
                Ok(Decoded::Frame { frame, length }) => {
                    assert_eq!(stream[start + length - 1], 0);
                    start += length;
                    frames.push(Owned {
                        command: frame.command,
                        headers: frame
                            .headers()
                            .map(|(name, value)| (name.into_owned(), value.into_owned()))
                            .collect(),
                        body: frame.body.to_vec(),
                    });
                }
            }
        }
    }
    (frames, line_ends, None)
}

fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(Version::ALL.to_vec())
}

/// Text that is full of what has to be escaped.
fn text() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec!['\\', ':', '\n', '\r', 'n', 'c', ' ', '\0', 'ä']);
    let character = prop_oneof![special, any::<char>()];
    proptest::collection::vec(character, 0..8).prop_map(String::from_iter)
}

fn name() -> impl Strategy<Value = String> {
    // Another length would be overruled, which is tested elsewhere.
    text().prop_filter("a name of its own", |name| name != "content-length")
}

fn frame() -> impl Strategy<Value = Owned> {
    (
        proptest::sample::select(Command::ALL.to_vec()),
        proptest::collection::vec((name(), text()), 0..6),
        proptest::collection::vec(prop_oneof![Just(0), Just(b'\n'), any::<u8>()], 0..40),
    )
        .prop_map(|(command, headers, body)| Owned {
            command,
            headers,
            body: if command.may_have_body() {
                body
            } else {
                Vec::new()
            },
        })
}

/// A frame as bytes that another program could have written: lines end as they like, there may be
/// no length.
fn foreign() -> impl Strategy<Value = Vec<u8>> {
    let line_end = || proptest::sample::select(vec!["\n", "\r\n"]);
    let header = ("[a-z]{1,5}", "[a-z :]{0,5}", line_end());
    (
        proptest::sample::select(vec!["SEND", "CONNECT", "SUBSCRIBE", "ACK"]),
        line_end(),
        proptest::collection::vec(header, 0..5),
        line_end(),
        "[a-z\n]{0,9}",
        proptest::collection::vec(line_end(), 0..4),
    )
        .prop_map(|(command, end, headers, last_end, body, between)| {
            let headers: String = headers
                .into_iter()
                .map(|(name, value, end)| format!("{name}:{value}{end}"))
                .collect();
            let body = if command == "SEND" {
                body
            } else {
                String::new()
            };
            let between = between.concat();
            format!("{command}{end}{headers}{last_end}{body}\0{between}").into_bytes()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn frames_survive_the_round_trip(frame in frame(), version in version()) {
        let bytes = frame.encode(version);
        let decoder = decoder(frame.command);
        let (frames, line_ends, error) =
            decode_pieces(decoder, &bytes, &[], Some(version), &LIMITS);
        prop_assert_eq!(error, None);
        prop_assert_eq!(line_ends, 0);
        prop_assert_eq!(frames, [frame.expected(version)]);
    }

    /// Up to its last byte a frame is incomplete, whether the decoder saw the bytes before or not.
    #[test]
    fn a_frame_is_found_at_its_last_byte(frame in frame(), version in version()) {
        let bytes = frame.encode(version);
        let mut grown = decoder(frame.command);
        for split in 0..bytes.len() {
            let part = &bytes[..split];
            let incomplete = Ok(Decoded::Incomplete);
            prop_assert_eq!(grown.decode(part, Some(version), &LIMITS), incomplete);
            let mut fresh = decoder(frame.command);
            prop_assert_eq!(fresh.decode(part, Some(version), &LIMITS), incomplete);
        }
        let whole = grown.decode(&bytes, Some(version), &LIMITS);
        prop_assert_eq!(whole, decoder(frame.command).decode(&bytes, Some(version), &LIMITS));
    }

    #[test]
    fn other_programs_frames_are_taken_in_any_pieces(
        frames in proptest::collection::vec(foreign(), 1..4),
        mut ends in proptest::collection::vec(0_usize..200, 0..8),
    ) {
        ends.sort_unstable();
        let stream = frames.concat();
        let version = Some(Version::V1_2);
        let decoder = Decoder::default();
        let (found, line_ends, error) = decode_pieces(decoder, &stream, &ends, version, &LIMITS);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found.len(), frames.len());
        let after_nul = |frame: &Vec<u8>| frame.len() - 1 - frame.iter().rposition(|b| *b == 0).expect("NUL");
        prop_assert_eq!(line_ends, frames.iter().map(after_nul).sum::<usize>());
    }

    /// Damage changes what arrives or is refused, the same way in whatever pieces it comes.
    #[test]
    fn damaged_frames_do_no_harm_and_pieces_do_not_matter(
        frames in proptest::collection::vec(frame(), 1..3),
        version in version(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..3, any::<u8>()), 0..4),
        is_known in any::<bool>(),
        frame_bytes_max in 1_usize..300,
    ) {
        let mut stream: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(version)).collect();
        for (index, kind, byte) in damage {
            let at = index.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ if stream.len() > 1 => drop(stream.remove(at)),
                _ => {}
            }
        }
        let version = is_known.then_some(version);
        let limits = Limits { head_bytes_max: 150, headers_max: 4, frame_bytes_max };
        let decoder = decoder(frames[0].command);
        let whole = decode_pieces(decoder, &stream, &[], version, &limits);
        let every_byte: Vec<_> = (0..stream.len()).collect();
        let pieces = decode_pieces(decoder, &stream, &every_byte, version, &limits);
        prop_assert_eq!(&whole.0, &pieces.0);
        prop_assert_eq!(whole.1, pieces.1);
        prop_assert_eq!(whole.2.is_some(), pieces.2.is_some());
    }

    #[test]
    fn noise_does_no_harm(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        for decoder in [Decoder::default(), Decoder::client()] {
            let (frames, _, _) = decode_pieces(decoder, &noise, &[], None, &LIMITS);
            prop_assert!(frames.len() < noise.len().max(1));
        }
    }
}
