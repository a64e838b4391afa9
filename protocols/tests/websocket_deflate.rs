//! permessage-deflate against flate2 itself, with both roles and all windows.

mod websocket;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;
use ringbus_protocols::websocket::deflate::{Agreed, Deflaters, Inflater, deflate_frames};
use ringbus_protocols::websocket::frame::{next_frame, put_frame, put_masked};
use ringbus_protocols::websocket::{Kind, Mode, Opcode, Role};
use websocket::{Read, Reading, Setup};

const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

fn agreed(bits: u8, no_context_takeover: bool) -> Agreed {
    Agreed {
        server_bits: bits,
        client_bits: bits,
        server_no_context_takeover: no_context_takeover,
        client_no_context_takeover: no_context_takeover,
    }
}

fn setup(role: Role, agreed: Agreed) -> Setup {
    let mut setup = Setup::new(role, Mode::Messages);
    setup.limits.message_bytes_max = 1 << 20;
    setup.agreed = Some(agreed);
    setup
}

/// A peer that compresses, as the RFC tells it.
struct Peer {
    compress: Compress,
    no_context_takeover: bool,
}

impl Peer {
    fn new(level: u32, bits: u8, no_context_takeover: bool) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::new(level), false, bits),
            no_context_takeover,
        }
    }

    fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        if self.no_context_takeover {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(payload.len() * 2 + 100);
        let compressed = self
            .compress
            .compress_vec(payload, &mut out, FlushCompress::Sync);
        compressed.expect("compressed");
        match out.strip_suffix(&TAIL) {
            Some(short) => short.to_vec(),
            None => vec![0],
        }
    }
}

/// A peer that inflates with no more than the window that was agreed on: the output comes in
/// pieces so small that it is no window itself.
struct Inflating(Decompress);

impl Inflating {
    fn new(bits: u8) -> Self {
        Self(Decompress::new_with_window_bits(false, bits))
    }

    fn message(&mut self, sent: &[u8]) -> Vec<u8> {
        let compressed = [sent, &TAIL].concat();
        let mut rest = compressed.as_slice();
        let mut out = Vec::new();
        loop {
            let (total_in, total_out) = (self.0.total_in(), self.0.total_out());
            let mut piece = [0; 16];
            self.0
                .decompress(rest, &mut piece, FlushDecompress::Sync)
                .expect("it inflates");
            let taken = usize::try_from(self.0.total_in() - total_in).expect("small");
            let made = usize::try_from(self.0.total_out() - total_out).expect("small");
            out.extend_from_slice(&piece[..made]);
            rest = &rest[taken..];
            if rest.is_empty() && made < piece.len() {
                return out;
            }
        }
    }
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let words = prop_oneof![
        4 => Just(b"{\"device\":\"0042\",\"temperature\":21.5}".to_vec()),
        2 => "[a-f ]{1,200}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 1..300),
        1 => Just(vec![0; 3000]),
    ];
    let message = vec(words, 0..12).prop_map(|parts| parts.concat());
    vec(message, 1..12)
}

fn as_read(messages: &[Vec<u8>]) -> Vec<Read> {
    let binary = |message: &Vec<u8>| Read::Message(Kind::Binary, message.clone());
    messages.iter().map(binary).collect()
}

/// Cuts a message into frames; all but the first are continuations.
fn put_fragments(out: &mut Vec<u8>, role: Role, payload: &[u8], size: usize) {
    let count = payload.len().div_ceil(size).max(1);
    for at in 0..count {
        let part = &payload[at * size..payload.len().min((at + 1) * size)];
        let opcode = if at == 0 {
            Opcode::Binary
        } else {
            Opcode::Continuation
        };
        let fin = at + 1 == count;
        match role {
            Role::Server => put_masked(out, opcode, fin, at == 0, [7, 1, 9, 3], part),
            Role::Client => {
                let start = out.len();
                put_frame(out, opcode, part);
                out[start] &= if fin { 0xFF } else { 0x7F };
                out[start] |= if at == 0 { 0x40 } else { 0 };
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_flate2_compresses_is_read(
        messages in messages(),
        bits in 9..=15_u8,
        level in 0..=9_u32,
        no_context_takeover: bool,
        server: bool,
        fragments in 1..6_usize,
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let setup = setup(role, agreed(bits, no_context_takeover));
        let mut peer = Peer::new(level, bits, no_context_takeover);
        let mut stream = Vec::new();
        for message in &messages {
            let payload = peer.message(message);
            put_fragments(&mut stream, role, &payload, payload.len().div_ceil(fragments).max(1));
        }
        let expected = as_read(&messages);
        prop_assert_eq!(&setup.read([stream.as_slice()]).read, &expected);
        prop_assert_eq!(&setup.read(stream.chunks(7)).read, &expected);
    }

    #[test]
    fn every_split_of_compressed_messages_reads_the_same(
        first in "[a-d]{0,60}",
        second in "[a-d]{0,60}",
        corruption in any::<Option<(u8, prop::sample::Index)>>(),
    ) {
        let setup = setup(Role::Server, agreed(10, false));
        let mut peer = Peer::new(6, 10, false);
        let mut stream = Vec::new();
        for text in [first, second] {
            put_fragments(&mut stream, Role::Server, &peer.message(text.as_bytes()), 20);
            put_masked(&mut stream, Opcode::Ping, true, false, [1; 4], b"?");
        }
        if let Some((byte, at)) = corruption {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let expected = setup.read([stream.as_slice()]).settled(setup.mode);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            prop_assert_eq!(&setup.read([first, second]).settled(setup.mode), &expected);
        }
    }

    #[test]
    fn what_deflaters_compress_inflates_with_the_agreed_window(
        messages in messages(),
        bits in 9..=15_u8,
        no_context_takeover: bool,
    ) {
        let agreed = agreed(bits, no_context_takeover);
        let mut deflaters = Deflaters::new(4);
        let mut inflating = Inflating::new(bits);
        for message in &messages {
            let mut out = Vec::new();
            deflaters.deflate(1, &agreed, message, &mut out);
            if no_context_takeover {
                inflating = Inflating::new(bits);
            }
            prop_assert_eq!(&inflating.message(&out), message);
        }
    }

    #[test]
    fn what_is_sent_is_received(messages in messages(), bits in 9..=15_u8, no_context_takeover: bool) {
        let agreed = agreed(bits, no_context_takeover);
        let setup = setup(Role::Client, agreed);
        let (mut frames, mut sent) = (Vec::new(), Vec::new());
        for message in &messages {
            put_frame(&mut frames, Opcode::Binary, message);
        }
        deflate_frames(&frames, 1, &agreed, &mut Deflaters::new(1), &mut sent);
        prop_assert_eq!(setup.read([sent.as_slice()]).read, as_read(&messages));
    }

    /// `[RFC7692 7.2.1]` A sender may begin anew without a word.
    #[test]
    fn stolen_compressors_leave_streams_that_inflate(
        messages in messages(),
        owners in vec((0..4_u64, 0..8_u8), 1..40),
        max in 1..4_usize,
    ) {
        let mut deflaters = Deflaters::new(max);
        // One of them has another window than the others, and another keeps no context.
        let agreements = [agreed(13, false), agreed(13, false), agreed(9, false), agreed(13, true)];
        let mut inflating = agreements.map(|agreed| Inflating::new(agreed.server_bits));
        for (at, &(owner, chance)) in owners.iter().enumerate() {
            let index = usize::try_from(owner).expect("below 4");
            let message = &messages[at % messages.len()];
            let mut out = Vec::new();
            deflaters.deflate(owner, &agreements[index], message, &mut out);
            prop_assert_eq!(&inflating[index].message(&out), message);
            prop_assert!(deflaters.len() <= max);
            if chance == 0 {
                // Another connection gets this number.
                deflaters.forget(owner);
                inflating[index] = Inflating::new(agreements[index].server_bits);
            }
        }
    }
}

#[test]
fn a_context_is_worth_something() {
    let agreed = agreed(13, false);
    let message: Vec<u8> = (0..=u8::MAX).collect();
    let mut deflaters = Deflaters::new(2);
    let mut sizes = [0; 4];
    for (size, owner) in sizes.iter_mut().zip([1, 1, 2, 1]) {
        let mut out = Vec::new();
        deflaters.deflate(owner, &agreed, &message, &mut out);
        *size = out.len();
    }
    assert!(sizes[0] > 200 && sizes[2] > 200, "{sizes:?}");
    assert!(sizes[1] < 20 && sizes[3] < 20, "{sizes:?}");
}

#[test]
fn rfc7692_7_2_3_6_an_empty_message_is_one_byte() {
    let mut out = Vec::new();
    Deflaters::new(1).deflate(1, &agreed(13, false), b"", &mut out);
    assert_eq!(out, [0]);
}

#[test]
fn a_stolen_context_begins_anew_at_the_oldest() {
    let agreed = agreed(13, false);
    let message: Vec<u8> = (0..=u8::MAX).collect();
    let mut deflaters = Deflaters::new(2);
    let mut size = |owner| {
        let mut out = Vec::new();
        deflaters.deflate(owner, &agreed, &message, &mut out);
        out.len()
    };
    let sizes = [1, 2, 1, 3, 1, 2].map(&mut size);
    let has_context = sizes.map(|size| size < 20);
    assert_eq!(has_context, [false, false, true, false, true, false]);
}

#[test]
fn rfc7692_8_a_bomb_stops_at_the_limit() {
    let bomb = Peer::new(9, 15, false).message(&vec![0; 100 << 20]);
    assert!(bomb.len() < 110_000);
    for mode in [Mode::Messages, Mode::Stream] {
        let mut setup = setup(Role::Server, agreed(15, false));
        setup.mode = mode;
        setup.limits.message_bytes_max = 1_000_000;
        let mut stream = Vec::new();
        put_fragments(&mut stream, Role::Server, &bomb, bomb.len());
        let reading = setup.read([stream.as_slice()]);
        assert_eq!(reading.violation, Some(1009));
        assert_eq!(reading.partial, b"", "nothing of it is given out");
        assert!(reading.partial.capacity() <= 1_000_000 + (64 << 10));
    }
}

#[test]
fn a_message_may_inflate_to_exactly_the_limit() {
    for (bytes_max, violation) in [(5000, None), (4999, Some(1009))] {
        let mut setup = setup(Role::Server, agreed(15, false));
        setup.limits.message_bytes_max = bytes_max;
        let mut stream = Vec::new();
        // It hardly gets smaller, with stored blocks even larger.
        let noise: Vec<u8> = (0..5000_u64)
            .map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56).to_le_bytes()[0])
            .collect();
        put_fragments(
            &mut stream,
            Role::Server,
            &Peer::new(0, 15, false).message(&noise),
            9000,
        );
        let reading = setup.read([stream.as_slice()]);
        assert_eq!(reading.violation, violation);
        assert_eq!(reading.read.len(), usize::from(violation.is_none()));
    }
}

#[test]
fn compressed_data_is_bounded_before_it_is_inflated() {
    let mut setup = setup(Role::Server, agreed(15, false));
    setup.limits.message_bytes_max = 1000;
    // 1000 + 1000 / 8 + 64 bytes are enough for everything that fits.
    for (length, violation) in [(1189_u16, None), (1190, Some(1009))] {
        let [high, low] = length.to_be_bytes();
        let header = [0xC2, 0xFE, high, low, 0, 0, 0, 0];
        assert_eq!(setup.read([&header[..]]).violation, violation);
    }
}

#[test]
fn corrupt_data_closes() {
    let setup = setup(Role::Server, agreed(15, false));
    // A block of a reserved kind; a distance before the beginning; half a stored block's length.
    for sent in [
        &[0x06][..],
        &[0xF2, 0x00, 0x11, 0x00, 0x00],
        &[0x00, 0x05, 0x00],
    ] {
        let mut stream = Vec::new();
        put_fragments(&mut stream, Role::Server, sent, 100);
        assert_eq!(
            setup.read([stream.as_slice()]).violation,
            Some(1002),
            "{sent:02X?}"
        );
    }
}

#[test]
fn rfc6455_8_1_compressed_text_is_checked_too() {
    let setup = setup(Role::Server, agreed(15, false));
    for text in [&b"\xFF"[..], b"half \xE2\x82", b"\xED\xA0\x80"] {
        let sent = Peer::new(6, 15, false).message(text);
        let mut stream = Vec::new();
        put_masked(&mut stream, Opcode::Text, true, true, [1; 4], &sent);
        assert_eq!(setup.read([stream.as_slice()]).violation, Some(1007));
    }
    let mut stream = Vec::new();
    let sent = Peer::new(6, 15, false).message("hello €".as_bytes());
    put_masked(&mut stream, Opcode::Text, true, true, [1; 4], &sent);
    let expected = Read::Message(Kind::Text, "hello €".into());
    assert_eq!(setup.read([stream.as_slice()]).read, [expected]);
}

/// `[RFC7692 6.1]` Uncompressed messages between compressed ones are not in the window.
#[test]
fn rfc7692_6_1_uncompressed_messages_leave_the_window_alone() {
    let setup = setup(Role::Client, agreed(13, false));
    let mut peer = Peer::new(6, 13, false);
    let text = b"one of those that come again and again";
    let mut stream = Vec::new();
    for plain in [&b"plain"[..], b"", b"another"] {
        put_fragments(&mut stream, Role::Client, &peer.message(text), 10);
        put_frame(&mut stream, Opcode::Binary, plain);
    }
    let mut receiver = setup.receiver();
    let (mut reading, mut inflater) = (Reading::default(), Inflater::new());
    // Two connections share the inflater.
    let mut other = setup.receiver();
    let mut other_reading = Reading::default();
    for piece in stream.chunks(30) {
        setup.read_piece(&mut receiver, piece, &mut reading, &mut inflater);
        setup.read_piece(&mut other, piece, &mut other_reading, &mut inflater);
    }
    let expected = [&text[..], b"plain", text, b"", text, b"another"].map(<[u8]>::to_vec);
    assert_eq!(reading.read, as_read(&expected));
    assert_eq!(other_reading, reading);
}

#[test]
fn frames_of_one_owner_keep_their_order_and_kind() {
    let agreed = agreed(13, false);
    let (mut frames, mut out) = (Vec::new(), Vec::new());
    put_frame(&mut frames, Opcode::Text, &[b'a'; 100]);
    put_frame(&mut frames, Opcode::Ping, b"?");
    put_frame(&mut frames, Opcode::Text, b"short");
    put_frame(&mut frames, Opcode::Binary, &[b'b'; 100]);
    deflate_frames(&frames, 1, &agreed, &mut Deflaters::new(1), &mut out);
    assert!(out.len() < 60 && next_frame(&out).is_some_and(|frame| frame.rsv1));
    let expected = [
        Read::Message(Kind::Text, vec![b'a'; 100]),
        Read::Ping(b"?".to_vec()),
        Read::Message(Kind::Text, b"short".to_vec()),
        Read::Message(Kind::Binary, vec![b'b'; 100]),
    ];
    assert_eq!(
        setup(Role::Client, agreed).read([out.as_slice()]).read,
        expected
    );
}
