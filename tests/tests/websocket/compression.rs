//! Compressed messages: RFC 7692, sections 6 and 7.2.

use crate::{fresh, shared};
use ringbus_tests::broker::Broker;
use ringbus_tests::random::Random;
use ringbus_tests::web::{BINARY, CONTINUATION, Frame, PING, RSV1, Request, TEXT, WebClient};

/// Text as messages have it: numbers and words that come again.
fn readings(length: usize) -> Vec<u8> {
    let (mut random, mut text) = (Random::new(7), String::new());
    while text.len() < length {
        let (sensor, value) = (random.below(40), random.below(10_000));
        text += &format!("{{\"sensor\":\"hall-{sensor}\",\"value\":{value}}},");
    }
    text.truncate(length);
    text.into_bytes()
}

#[track_caller]
fn open(broker: &Broker, offer: &str) -> WebClient {
    let target = format!("/{}", fresh("deflate"));
    let client = WebClient::connect(broker, &Request::upgrade(&target).extensions(offer));
    assert!(client.agreed().is_some(), "{offer} is declined");
    client
}

/// What the suites 12 and 13 offer.
const OFFERS: [&str; 9] = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; client_max_window_bits; server_max_window_bits=9",
    "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
    "permessage-deflate; client_max_window_bits=9; server_no_context_takeover; \
     server_max_window_bits=9",
    "permessage-deflate; client_max_window_bits=10; client_no_context_takeover; \
     server_no_context_takeover; server_max_window_bits=15",
];

const SIZES: [usize; 10] = [
    16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
];

#[test]
fn rfc7692_7_2_messages_of_every_size_are_echoed_with_every_offer() {
    let broker = shared();
    for offer in OFFERS {
        let mut client = open(&broker, offer);
        for size in SIZES {
            let message = readings(size);
            for _ in 0..4 {
                let frames = client.compressed(TEXT, &message, usize::MAX);
                client.send_all(&frames);
                client.expect(TEXT, &message);
            }
        }
        client.close();
    }
}

#[test]
fn rfc7692_6_1_fragments_of_compressed_messages_are_put_together() {
    let broker = shared();
    for offer in OFFERS {
        let mut client = open(&broker, offer);
        for (length, size) in [(64, 1), (8192, 256), (131_072, 1024), (131_072, 32_768)] {
            let message = readings(length);
            for opcode in [TEXT, BINARY] {
                let frames = client.compressed(opcode, &message, size);
                client.send_all(&frames);
                client.expect(opcode, &message);
            }
        }
        let frames = client.compressed(BINARY, &readings(300), 16);
        client.send_chopped(&frames, 1);
        client.expect(BINARY, readings(300));
        client.close();
    }
}

/// What cannot be compressed may come back as it is, and comes back.
#[test]
fn rfc7692_7_2_noise_is_echoed() {
    let broker = shared();
    for offer in OFFERS {
        let mut client = open(&broker, offer);
        for size in SIZES {
            let message = Random::new(3).bytes(size);
            let frames = client.compressed(BINARY, &message, usize::MAX);
            client.send_all(&frames);
            client.expect(BINARY, &message);
        }
        client.close();
    }
}

/// `[RFC7692 7.2.3.6]` An empty message is one byte, and several forms of it are legal.
#[test]
fn rfc7692_7_2_3_6_empty_messages_are_echoed() {
    let broker = shared();
    for payload in [&[0x00][..], &[0x02, 0x00]] {
        let mut client = open(&broker, "permessage-deflate");
        for opcode in [TEXT, BINARY] {
            client.send(&Frame::new(opcode, payload).reserved(RSV1));
            client.expect(opcode, "");
        }
        let frames = client.compressed(TEXT, b"after", usize::MAX);
        client.send_all(&frames);
        client.expect(TEXT, "after");
        client.close();
    }
}

/// `[RFC7692 7.2.3]` The examples: compressed, fragmented, shared window, stored, final, two
/// blocks.
#[test]
fn rfc7692_7_2_3_the_examples_say_hello() {
    let broker = shared();
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut client = open(&broker, "permessage-deflate; client_max_window_bits");
    client.send(&Frame::new(TEXT, hello).reserved(RSV1));
    client.expect(TEXT, "Hello");
    if !client
        .agreed()
        .is_some_and(|agreed| agreed.client_no_context_takeover)
    {
        client.send(&Frame::new(TEXT, [0xf2, 0x00, 0x11, 0x00, 0x00]).reserved(RSV1));
        client.expect(TEXT, "Hello");
    }
    for alone in [
        &hello[..],
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ] {
        let mut client = open(&broker, "permessage-deflate; client_no_context_takeover");
        client.send_all(&[
            Frame::new(TEXT, &alone[..3]).reserved(RSV1).unfinished(),
            Frame::new(CONTINUATION, &alone[3..]),
        ]);
        client.expect(TEXT, "Hello");
        client.send(&Frame::new(TEXT, alone).reserved(RSV1));
        client.expect(TEXT, "Hello");
        client.close();
    }
}

/// `[RFC7692 6]` Each message is compressed or not; a window goes over those that are not.
#[test]
fn rfc7692_6_compressed_and_other_messages_alternate() {
    let broker = shared();
    for offer in OFFERS {
        let mut client = open(&broker, offer);
        for number in 0..20 {
            let message = readings(100 + number);
            if number % 3 == 0 {
                client.echo(TEXT, &message);
            } else {
                let frames = client.compressed(TEXT, &message, 3);
                client.send(&frames[0]);
                client.send(&Frame::new(PING, "inside"));
                client.send_all(&frames[1..]);
                client.expect_pong("inside");
                client.expect(TEXT, &message);
            }
        }
        client.close();
    }
}

/// The second of two equal messages costs next to nothing if the context is taken over, and as
/// much as the first if not.
#[test]
fn rfc7692_7_1_1_the_server_takes_its_context_over_unless_it_is_told_not_to() {
    let broker = shared();
    for (offer, is_cheap) in [
        ("permessage-deflate", true),
        ("permessage-deflate; server_no_context_takeover", false),
    ] {
        let mut client = open(&broker, offer);
        let message = readings(1500);
        let mut lengths = Vec::new();
        for _ in 0..2 {
            client.text(std::str::from_utf8(&message).expect("ASCII"));
            let frame = client.receive();
            assert_eq!((frame.opcode, frame.rsv), (TEXT, RSV1), "not compressed");
            lengths.push(frame.payload.len());
        }
        assert!(lengths[0] < message.len() / 2, "{lengths:?}");
        assert_eq!(lengths[1] < lengths[0] / 4, is_cheap, "{lengths:?}");
    }
}

#[test]
fn rfc7692_6_reserved_bits_have_no_meaning_elsewhere() {
    let broker = shared();
    let started = Frame::new(TEXT, "start").unfinished();
    for frames in [
        vec![Frame::new(PING, "").reserved(RSV1)],
        vec![Frame::close(1000, "").reserved(RSV1)],
        vec![started, Frame::new(CONTINUATION, "end").reserved(RSV1)],
        vec![Frame::new(TEXT, "other").reserved(0b010)],
        vec![Frame::new(TEXT, "other").reserved(0b101)],
    ] {
        let mut client = open(&broker, "permessage-deflate");
        client.send_all(&frames);
        client.expect_close(1002);
    }
}

#[test]
fn rfc7692_6_2_data_that_does_not_inflate_is_refused() {
    let broker = shared();
    for bytes in [
        // A block type that does not exist, a stored block whose lengths disagree, a distance
        // before the start.
        &[0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0x00, 0x00, 1, 2, 3],
        &[0xff; 40],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ] {
        let mut client = open(&broker, "permessage-deflate; client_no_context_takeover");
        client.text("before");
        client.send(&Frame::new(BINARY, bytes).reserved(RSV1));
        client.expect(TEXT, "before");
        let close = client.receive();
        let code = close.close_code();
        assert!(matches!(code, Some(1002 | 1007)), "{close:?}");
        client.closed();
    }
}

#[test]
fn rfc6455_8_1_compressed_text_is_utf_8() {
    let broker = shared();
    let mut client = open(&broker, "permessage-deflate");
    let message = [&readings(200)[..], b"\xed\xa0\x80", &readings(200)].concat();
    let frames = client.compressed(BINARY, &message, 64);
    client.send_all(&frames);
    client.expect(BINARY, &message);
    let frames = client.compressed(TEXT, &message, 64);
    client.send_all(&frames);
    client.expect_close(1007);
}

/// Subscribers with different parameters, and with none, get the same message.
#[test]
fn rfc7692_7_each_subscriber_gets_what_it_agreed_to() {
    let broker = shared();
    let target = format!("/{}", fresh("mixed"));
    let mut plain = WebClient::open(&broker, &target);
    let mut clients: Vec<_> = OFFERS
        .iter()
        .map(|offer| WebClient::connect(&broker, &Request::upgrade(&target).extensions(offer)))
        .collect();
    for number in 0..30 {
        let message = readings(50 + 97 * number);
        plain.send(&Frame::new(TEXT, &message));
        plain.expect(TEXT, &message);
        for client in &mut clients {
            client.expect(TEXT, &message);
        }
    }
}
