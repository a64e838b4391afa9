//! Frames in any pieces, beside a naive decoder; every violation at its first byte.

mod websocket;

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::frame::{put_frame, put_masked};
use ringbus_protocols::websocket::{Event, Kind, Limits, Mode, Opcode, Receiver, Role};
use websocket::{Read, Reading, Setup, oracle};

const SERVER: Setup = Setup::new(Role::Server, Mode::Messages);
const CLIENT: Setup = Setup::new(Role::Client, Mode::Messages);

/// The violation of this stream and the byte that shows it, when it comes byte by byte.
fn violation(setup: &Setup, bytes: &[u8]) -> Option<(u16, usize)> {
    let mut receiver = setup.receiver();
    let (mut reading, mut inflater) = (Reading::default(), Inflater::new());
    for (at, byte) in bytes.chunks(1).enumerate() {
        setup.read_piece(&mut receiver, byte, &mut reading, &mut inflater);
        if let Some(code) = reading.violation {
            assert_eq!(setup.read([bytes]).violation, Some(code));
            return Some((code, at));
        }
    }
    assert_eq!(setup.read([bytes]).violation, None);
    None
}

#[test]
fn rfc6455_5_2_violations_of_headers_show_at_their_first_byte() {
    for (bytes, at) in [
        // Reserved bits and opcodes, whole or not, also inside a message.
        (&[0xC2][..], 0),
        (&[0xA1], 0),
        (&[0x91], 0),
        (&[0xC9], 0),
        (&[0x83], 0),
        (&[0x87], 0),
        (&[0x0B], 0),
        (&[0x8F], 0),
        (&[0x02, 0x80, 0, 0, 0, 0, 0x90], 6),
        // Fragmented control frames.
        (&[0x08], 0),
        (&[0x09], 0),
        (&[0x0A], 0),
        // Continuations of nothing, and messages inside messages.
        (&[0x80], 0),
        (&[0x00], 0),
        (&[0x82, 0x80, 0, 0, 0, 0, 0x80], 6),
        (&[0x01, 0x80, 0, 0, 0, 0, 0x81], 6),
        (&[0x02, 0x80, 0, 0, 0, 0, 0x01], 6),
        // No mask.
        (&[0x82, 0x00], 1),
        (&[0x89, 0x7E], 1),
        // Long control frames.
        (&[0x89, 0xFE], 1),
        (&[0x88, 0xFF], 1),
        // Lengths that have a shorter form, or none.
        (&[0x82, 0xFE, 0, 125], 3),
        (&[0x82, 0xFE, 0, 0], 3),
        (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF], 7),
        (&[0x82, 0xFF, 0x80], 2),
    ] {
        assert_eq!(violation(&SERVER, bytes), Some((1002, at)), "{bytes:02X?}");
    }
    assert_eq!(violation(&CLIENT, &[0x82, 0x80]), Some((1002, 1)));
}

#[test]
fn rfc6455_7_4_1_what_is_too_much_shows_in_the_header() {
    for (bytes, at) in [
        (&[0x82, 0xFE, 1, 45][..], 3),
        (&[0x82, 0xFE, 2], 2),
        (&[0x82, 0xFF, 0, 0, 1], 4),
        (&[0x82, 0xFF, 0x7F], 2),
        (&[0x82, 0xFF, 0, 0, 0, 0, 0, 1], 7),
    ] {
        assert_eq!(violation(&SERVER, bytes), Some((1009, at)), "{bytes:02X?}");
    }
    let exact = [&[0x82, 0xFE, 1, 44, 0, 0, 0, 0][..], &[b'x'; 300]].concat();
    assert_eq!(violation(&SERVER, &exact), None);
    let mut two = Vec::new();
    put_masked(&mut two, Opcode::Binary, false, false, [1; 4], &[0; 200]);
    put_masked(
        &mut two,
        Opcode::Continuation,
        true,
        false,
        [1; 4],
        &[0; 101],
    );
    assert_eq!(violation(&SERVER, &two), Some((1009, 209)));
    let stream = Setup::new(Role::Server, Mode::Stream);
    assert_eq!(violation(&stream, &two), None);
}

#[test]
fn rfc6455_7_4_1_text_is_refused_where_only_bytes_are_taken() {
    let mut setup = SERVER;
    setup.limits.takes_text = false;
    assert_eq!(violation(&setup, &[0x81]), Some((1003, 0)));
    assert_eq!(violation(&setup, &[0x01]), Some((1003, 0)));
    assert_eq!(violation(&setup, &[0x82, 0x80, 0, 0, 0, 0]), None);
}

#[test]
fn rfc7692_6_1_the_bit_is_on_the_first_frame_only() {
    let mut setup = SERVER;
    setup.agreed = Some(Agreed {
        server_bits: 15,
        client_bits: 15,
        server_no_context_takeover: false,
        client_no_context_takeover: true,
    });
    assert_eq!(violation(&setup, &[0xC1]), None);
    for (bytes, at) in [
        (&[0xC9][..], 0),
        (&[0xC0], 0),
        (&[0x41, 0x80, 0, 0, 0, 0, 0xC0], 6),
        (&[0x41, 0x80, 0, 0, 0, 0, 0xC1], 6),
        (&[0xD1], 0),
    ] {
        assert_eq!(violation(&setup, bytes), Some((1002, at)), "{bytes:02X?}");
    }
}

#[test]
fn rfc6455_8_1_text_fails_at_its_first_wrong_byte() {
    let text = b"\xCE\xBA\xE1\xBD\xB9\xED\xA0\x80edited";
    let mut whole = Vec::new();
    put_masked(&mut whole, Opcode::Text, true, false, [9, 8, 7, 6], text);
    assert_eq!(violation(&SERVER, &whole), Some((1007, 6 + 6)));
    // A character over two frames with a ping between them is a character; half of one is none.
    for (second, code) in [(&b"\x82\xAC"[..], None), (b"\x82", Some(1007))] {
        let mut frames = Vec::new();
        put_frame(&mut frames, Opcode::Ping, b"");
        frames.extend_from_slice(b"\x01\x01\xE2\x89\x00");
        frames.extend_from_slice(&[0x80, u8::try_from(second.len()).expect("short")]);
        frames.extend_from_slice(second);
        let last = frames.len() - 1;
        let expected = code.map(|code| (code, last));
        assert_eq!(violation(&CLIENT, &frames), expected);
    }
    // An empty last frame shows it with its header.
    let frames = b"\x01\x01\xE2\x80\x00";
    assert_eq!(violation(&CLIENT, frames), Some((1007, 4)));
}

#[test]
fn rfc6455_5_5_1_nothing_counts_after_a_close() {
    let stream = b"\x82\x01a\x88\x02\x03\xE8\xFF\xFF\xFF";
    let reading = CLIENT.read([&stream[..]]);
    let message = Read::Message(Kind::Binary, b"a".to_vec());
    assert_eq!(reading.read, [message, Read::Close(Some(1000))]);
    assert_eq!(reading.violation, None);
    for (payload, code) in [
        (&b"\x03"[..], 1002),
        (b"\x03\xED", 1002),
        (b"\x03\xE8\xC0", 1007),
    ] {
        let mut frame = Vec::new();
        put_frame(&mut frame, Opcode::Close, payload);
        let last = frame.len() - 1;
        assert_eq!(violation(&CLIENT, &frame), Some((code, last)));
    }
}

#[test]
fn nothing_counts_after_a_violation() {
    let mut receiver = CLIENT.receiver();
    let (mut payload, mut inflater) = (Vec::new(), Inflater::new());
    let mut read = |bytes: &[u8]| receiver.read(bytes, &mut payload, &CLIENT.limits, &mut inflater);
    assert!(read(&[0x83]).is_err());
    assert_eq!(read(b"\x82\x01a"), Ok((3, Event::More)));
}

#[test]
fn a_million_fragments_stop_at_the_limit() {
    let limits = Limits {
        message_bytes_max: 16 << 20,
        fragments_max: 4096,
        takes_text: true,
    };
    for mode in [Mode::Messages, Mode::Stream] {
        let mut setup = Setup::new(Role::Server, mode);
        setup.limits = limits;
        let mut stream = Vec::new();
        put_masked(&mut stream, Opcode::Text, false, false, [3; 4], b"x");
        for _ in 0..1_000_000 {
            put_masked(
                &mut stream,
                Opcode::Continuation,
                false,
                false,
                [3; 4],
                b"x",
            );
        }
        let reading = setup.read([stream.as_slice()]);
        assert_eq!(reading.violation, Some(1009));
        assert_eq!(reading.partial.len(), 4096);
    }
}

#[test]
fn a_stream_of_small_frames_is_one_read() {
    let mut stream = Vec::new();
    for _ in 0..16 {
        put_masked(
            &mut stream,
            Opcode::Binary,
            true,
            false,
            [1, 2, 3, 4],
            b"small",
        );
    }
    let mut receiver = Receiver::new(Role::Server, Mode::Stream);
    let mut payload = Vec::new();
    let read = receiver.read(&stream, &mut payload, &SERVER.limits, &mut Inflater::new());
    assert_eq!(read, Ok((stream.len(), Event::More)));
    assert_eq!(payload, b"small".repeat(16));
    assert!(receiver.is_idle());
}

#[test]
fn is_idle_between_messages_only() {
    let mut stream = Vec::new();
    put_masked(&mut stream, Opcode::Binary, false, false, [1; 4], b"a");
    put_masked(&mut stream, Opcode::Continuation, true, false, [1; 4], b"b");
    let mut receiver = SERVER.receiver();
    let mut payload = Vec::new();
    for (at, byte) in stream.chunks(1).enumerate() {
        assert_eq!(receiver.is_idle(), at == 0);
        let read = receiver.read(byte, &mut payload, &SERVER.limits, &mut Inflater::new());
        assert!(read.is_ok());
    }
    assert!(receiver.is_idle());
}

/// A frame, right or wrong.
#[derive(Debug, Clone)]
struct Frame {
    first: u8,
    key: Option<[u8; 4]>,
    /// How many bytes the length has at least.
    length_bytes: usize,
    payload: Vec<u8>,
}

impl Frame {
    fn put(&self, out: &mut Vec<u8>) {
        let mask = if self.key.is_some() { 0x80 } else { 0 };
        let length = self.payload.len() as u64;
        let needed = match length {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        };
        let short = match self.length_bytes.max(needed) {
            0 => u8::try_from(length).expect("short"),
            2 => 126,
            _ => 127,
        };
        out.extend([self.first, mask | short]);
        match short {
            126 => out.extend_from_slice(&length.to_be_bytes()[6..]),
            127 => out.extend_from_slice(&length.to_be_bytes()),
            _ => {}
        }
        out.extend(self.key.into_iter().flatten());
        let key = self.key.unwrap_or_default();
        let masked = self.payload.iter().zip(key.iter().cycle());
        out.extend(masked.map(|(byte, key)| byte ^ key));
    }
}

fn pieces_of_text() -> impl Strategy<Value = Vec<u8>> {
    let valid = "[a-zß€😀]{0,30}".prop_map(String::into_bytes);
    let broken = vec(
        select(&b"aa\x80\xBF\xC3\xA9\xE2\x82\xAC\xED\xA0\xF0\x9F\x98\xF4"[..]),
        0..9,
    );
    prop_oneof![6 => valid, 1 => broken]
}

fn payload(range: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        pieces_of_text(),
        vec(any::<u8>(), range),
        Just(b"\x03\xE8bye".to_vec()),
    ]
}

fn frame(masked: bool) -> impl Strategy<Value = Frame> {
    let usual: &[u8] = &[0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x00, 0x80, 0x89, 0x8A];
    let first = prop_oneof![30 => select(usual), 1 => Just(0x88), 1 => any::<u8>()];
    let key = prop_oneof![
        40 => any::<[u8; 4]>().prop_map(move |key| masked.then_some(key)),
        1 => any::<Option<[u8; 4]>>(),
    ];
    let length_bytes = prop_oneof![20 => Just(0_usize), 1 => select(&[2_usize, 8][..])];
    (first, key, length_bytes, payload(0..160)).prop_map(|(first, key, length_bytes, payload)| {
        Frame {
            first,
            key,
            length_bytes,
            payload,
        }
    })
}

/// Frames in an order that is mostly right.
fn ordered(frames: Vec<Frame>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_inside = false;
    for (at, mut frame) in frames.into_iter().enumerate() {
        let is_data = frame.first & 0x08 == 0;
        if is_data && at % 16 != 15 {
            match (is_inside, frame.first & 0x0F) {
                (true, 1..=2) => frame.first &= 0xF0,
                (false, 0) => frame.first |= 0x02,
                _ => {}
            }
        }
        if is_data {
            is_inside = frame.first & 0x80 == 0;
        } else if frame.first & 0x0F >= 8 && at % 16 != 14 {
            frame.payload.truncate(125);
        }
        frame.put(&mut out);
    }
    out
}

fn setup() -> impl Strategy<Value = Setup> {
    (any::<[bool; 2]>(), 0..10).prop_map(|([server, messages], chance)| {
        let role = if server { Role::Server } else { Role::Client };
        let mode = if messages {
            Mode::Messages
        } else {
            Mode::Stream
        };
        let mut setup = Setup::new(role, mode);
        setup.limits.takes_text = chance > 0;
        setup
    })
}

fn setup_and_stream(frames: Range<usize>) -> impl Strategy<Value = (Setup, Vec<u8>)> {
    setup().prop_flat_map(move |setup| {
        let stream = vec(frame(setup.role == Role::Server), frames.clone()).prop_map(ordered);
        (Just(setup), stream)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reads_as_the_oracle((setup, stream) in setup_and_stream(0..24), cuts in vec(1..40_usize, 1..9)) {
        let expected = oracle::decode(&stream, &setup).settled(setup.mode);
        prop_assert_eq!(&setup.read([stream.as_slice()]).settled(setup.mode), &expected);
        prop_assert_eq!(&setup.read(stream.chunks(1)).settled(setup.mode), &expected);
        let mut rest = stream.as_slice();
        let pieces = cuts.iter().cycle().map_while(|&cut| {
            let piece = rest.split_off(..cut.min(rest.len()))?;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(&setup.read(pieces).settled(setup.mode), &expected);
    }

    #[test]
    fn every_split_reads_the_same((setup, stream) in setup_and_stream(0..6)) {
        let expected = setup.read([stream.as_slice()]).settled(setup.mode);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            prop_assert_eq!(&setup.read([first, second]).settled(setup.mode), &expected);
        }
    }

    #[test]
    fn violations_show_when_the_oracle_sees_them((setup, stream) in setup_and_stream(1..6)) {
        let expected = (0..stream.len()).find_map(|at| {
            let code = oracle::decode(&stream[..=at], &setup).violation?;
            Some((code, at))
        });
        prop_assert_eq!(violation(&setup, &stream), expected);
    }

    #[test]
    fn any_bytes_read_as_the_oracle(setup in setup(), stream in vec(any::<u8>(), 0..40)) {
        let expected = oracle::decode(&stream, &setup).settled(setup.mode);
        prop_assert_eq!(&setup.read(stream.chunks(1)).settled(setup.mode), &expected);
        prop_assert_eq!(&setup.read([stream.as_slice()]).settled(setup.mode), &expected);
    }

    #[test]
    fn what_was_put_is_read(
        payload in prop_oneof![vec(any::<u8>(), 0..300), vec(any::<u8>(), 65_000..66_000)],
        key: [u8; 4],
        cut in 1..5_usize,
    ) {
        let mut setup = SERVER;
        setup.limits.message_bytes_max = 1 << 20;
        let expected = [Read::Message(Kind::Binary, payload.clone())];
        let mut frames = Vec::new();
        let parts: Vec<_> = payload.chunks(payload.len() / cut + 1).collect();
        put_masked(&mut frames, Opcode::Binary, parts.len() < 2, false, key, parts.first().unwrap_or(&&[][..]));
        for at in 1..parts.len() {
            put_masked(&mut frames, Opcode::Continuation, at + 1 == parts.len(), false, key, parts[at]);
        }
        prop_assert_eq!(&setup.read([frames.as_slice()]).read, &expected);

        setup.role = Role::Client;
        frames.clear();
        put_frame(&mut frames, Opcode::Binary, &payload);
        prop_assert_eq!(&setup.read(frames.chunks(7)).read, &expected);
    }
}
