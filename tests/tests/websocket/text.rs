//! UTF-8 in text messages: section 8.1.

use crate::{echo_socket, in_every_piece, shared};
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{BINARY, CONTINUATION, Frame, PING, TEXT, put_head};

/// A Greek word, a surrogate, and more: the surrogate is seen in its second byte.
const BROKEN: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64";
/// Where that cannot go on.
const BROKEN_AT: usize = 12;
/// The same word and a code point above the last, seen in its second byte.
const TOO_HIGH: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65";

/// Valid: of every length, the ends of every range, and what is no character but a code point.
const VALID: [&str; 27] = [
    "",
    "hello$world",
    "hello\u{A2}world",
    "hello\u{20AC}world",
    "hello\u{24B62}world",
    "\u{3BA}\u{1F79}\u{3C3}\u{3BC}\u{3B5}",
    "\0",
    "\u{80}",
    "\u{800}",
    "\u{10000}",
    "\u{7F}",
    "\u{7FF}",
    "\u{FFFF}",
    "\u{10FFFF}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFD}",
    "\u{FFFE}",
    "\u{FEFF}bom",
    "\u{1FFFE}\u{1FFFF}",
    "\u{2FFFE}\u{2FFFF}",
    "\u{FFFFE}\u{FFFFF}",
    "\u{10FFFE}",
    "\u{FFF9}\u{FFFA}\u{FFFB}\u{FFFC}",
    "\u{FDD0}\u{FDEF}",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "\u{D7FF}\u{E000}\u{10000}\u{10FFFF}",
];

/// Invalid, and not for the missing end alone.
const INVALID: [&[u8]; 56] = [
    // Code points that UTF-8 does not have.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    // Continuation bytes that continue nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"ends with\x80",
    // Bytes that want continuation, each before a space.
    b"\xc0 \xc1 \xc2 \xdf ",
    b"\xc2 ",
    b"\xdf ",
    b"\xe0 \xe1 \xef ",
    b"\xe1\x80 ",
    b"\xf0 \xf1 \xf4 ",
    b"\xf1\x80\x80 ",
    b"\xf8 ",
    b"\xfc ",
    // Sequences without their ends, one behind the other.
    b"\xdf\xe1",
    b"\xef\xbf\xdf",
    b"\xf3\xbf\xbf\xc2",
    b"\xc0\xe0\x80\xf0\x80\x80\xdf\xef\xbf",
    // Bytes that never occur.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0",
    b"\xc1",
    // Longer than they must be.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    // Surrogates, alone and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xa0\x80\xed\xbf\xbf",
    b"\xed\xad\xbf\xed\xb0\x80",
    b"\xed\xae\x80\xed\xbf\xbf",
    b"\xed\xaf\xbf\xed\xb0\x80",
];

#[test]
fn rfc6455_8_1_valid_text_is_echoed_whole_and_in_fragments() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for text in VALID {
        client.echo(TEXT, text);
        client.send_all(&Frame::fragments(TEXT, text.as_bytes(), 1));
        client.expect(TEXT, text);
        for at in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            client.send(&Frame::new(TEXT, first).unfinished());
            client.send(&Frame::new(CONTINUATION, second));
            client.expect(TEXT, text);
        }
        client.send_chopped(&[Frame::new(TEXT, text)], 1);
        client.expect(TEXT, text);
    }
    client.close();
}

#[test]
fn rfc6455_8_1_every_first_byte_of_every_plane_is_echoed() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    let all = (0..=0x10_FFFF_u32).step_by(37).filter_map(char::from_u32);
    let text: String = all.collect();
    client.echo(TEXT, &text);
    client.send_all(&Frame::fragments(TEXT, text.as_bytes(), 61));
    client.expect(TEXT, text);
    client.close();
}

#[test]
fn rfc6455_8_1_invalid_text_is_refused() {
    let broker = shared();
    for bytes in INVALID {
        assert!(std::str::from_utf8(bytes).is_err(), "{bytes:02x?}");
        let mut client = echo_socket(&broker);
        client.send(&Frame::new(TEXT, bytes));
        client.expect_close(1007);
        let mut client = echo_socket(&broker);
        client.send_all(&Frame::fragments(TEXT, bytes, 1));
        client.expect_close(1007);
    }
}

/// Behind text that is long enough for a fast path.
#[test]
fn rfc6455_8_1_invalid_text_is_refused_far_inside() {
    let broker = shared();
    for bytes in INVALID {
        let long = [&[b'a'; 1000][..], bytes, &[b'b'; 1000]].concat();
        let mut client = echo_socket(&broker);
        client.send(&Frame::new(TEXT, long));
        client.expect_close(1007);
    }
}

#[test]
fn rfc6455_8_1_text_without_its_end_is_refused() {
    let broker = shared();
    for text in VALID {
        for at in (0..text.len()).filter(|&at| !text.is_char_boundary(at)) {
            let mut client = echo_socket(&broker);
            client.send(&Frame::new(TEXT, &text.as_bytes()[..at]));
            client.expect_close(1007);
        }
    }
}

#[test]
fn rfc6455_8_1_what_came_before_invalid_text_is_echoed() {
    let frames = [
        Frame::new(TEXT, "valid"),
        Frame::new(BINARY, BROKEN),
        Frame::new(TEXT, BROKEN),
        Frame::new(TEXT, "not read"),
    ];
    in_every_piece(&frames, |client| {
        client.expect(TEXT, "valid");
        client.expect(BINARY, BROKEN);
        client.expect_close(1007);
    });
}

/// Autobahn 6.4.1 and 6.4.2: a fragment is refused before the message is complete.
#[test]
fn rfc6455_8_1_a_bad_fragment_is_refused_before_the_last() {
    let broker = shared();
    for text in [BROKEN, TOO_HIGH] {
        for at in [0, 5, BROKEN_AT, BROKEN_AT + 1] {
            let mut client = echo_socket(&broker);
            client.send(&Frame::new(TEXT, &text[..at]).unfinished());
            client.send(&Frame::new(PING, "between"));
            if at <= BROKEN_AT {
                client.expect_pong("between");
                client.send(&Frame::new(CONTINUATION, &text[at..]).unfinished());
            }
            // Nothing more is sent: only what is here can be the reason.
            client.expect_close(1007);
        }
    }
}

/// Autobahn 6.4.3 and 6.4.4: so is a byte, before its frame is complete.
#[test]
fn rfc6455_8_1_a_bad_byte_is_refused_before_the_end_of_its_frame() {
    let broker = shared();
    for text in [BROKEN, TOO_HIGH] {
        for size in [1, 4, 100] {
            let mut client = start_frame(&broker, text.len());
            for part in text[..=BROKEN_AT].chunks(size) {
                // The key is zeros.
                client.send_bytes(part);
            }
            client.expect_close(1007);
        }
    }
}

/// A socket that has sent the head of a text frame.
fn start_frame(broker: &Broker, payload_len: usize) -> ringbus_tests::web::WebClient {
    let mut client = echo_socket(broker);
    let mut head = Vec::new();
    put_head(&Frame::new(TEXT, ""), payload_len, Some([0; 4]), &mut head);
    client.send_bytes(&head);
    client
}

#[test]
fn rfc6455_5_6_binary_may_be_anything() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for bytes in INVALID {
        client.echo(BINARY, bytes);
    }
    client.close();
}
