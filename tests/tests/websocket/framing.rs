//! Frames and their lengths: section 5.2.

use crate::{echo_socket, shared};
use ringbus_tests::web::{BINARY, Frame, TEXT};

/// Around each of the three encodings of a length.
const LENGTHS: [usize; 7] = [0, 125, 126, 127, 128, 65_535, 65_536];

#[test]
fn rfc6455_5_2_every_length_of_text_and_binary_is_echoed() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for length in LENGTHS {
        client.echo(TEXT, "*".repeat(length));
        client.echo(BINARY, vec![0xFE; length]);
    }
    client.close();
}

#[test]
fn rfc6455_5_2_frames_may_come_in_pieces() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for (length, size) in [
        (0, 1),
        (125, 1),
        (126, 1),
        (128, 1),
        (65_535, 997),
        (65_536, 997),
    ] {
        for opcode in [TEXT, BINARY] {
            let frame = Frame::new(opcode, "*".repeat(length));
            client.send_chopped(&[frame], size);
            client.expect(opcode, "*".repeat(length));
        }
    }
    client.close();
}

#[test]
fn rfc6455_5_2_many_frames_may_come_in_one_piece() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    let frames: Vec<_> = (0..1_000)
        .map(|number| Frame::new(TEXT, format!("message {number}")))
        .collect();
    client.send_all(&frames);
    for frame in frames {
        client.expect(TEXT, frame.payload);
    }
    client.close();
}

/// A key of zeros masks nothing, and is a key.
#[test]
fn rfc6455_5_3_every_byte_is_unmasked_at_every_offset() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for key in [[0; 4], [0xFF; 4], [1, 2, 3, 4], *b"mask"] {
        for length in 0..70_u8 {
            let message: Vec<u8> = (0..length).collect();
            let mut bytes = Vec::new();
            Frame::new(BINARY, &message).encode(Some(key), &mut bytes);
            client.send_bytes(&bytes);
            client.expect(BINARY, message);
        }
    }
    client.close();
}

/// `[RFC6455 5.2]` "the minimal number of bytes MUST be used to encode the length".
#[test]
fn rfc6455_5_2_lengths_that_are_not_minimal_are_refused() {
    let broker = shared();
    for length in [
        &[0xFE, 0, 5][..],
        &[0xFE, 0, 125],
        &[0xFF, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
    ] {
        let mut client = echo_socket(&broker);
        client.send_bytes(&[&[0x82], length, &[0; 9]].concat());
        client.expect_close(1002);
    }
}

/// `[RFC6455 5.2]` "the most significant bit MUST be 0".
#[test]
fn rfc6455_5_2_lengths_of_64_bits_are_refused_before_the_payload() {
    let broker = shared();
    for (high, code) in [(0x80, 1002), (0xFF, 1002), (0x7F, 1009), (0x01, 1009)] {
        let mut client = echo_socket(&broker);
        client.send_bytes(&[0x82, 0xFF, high, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        client.expect_close(code);
    }
}

/// `[RFC6455 5.1]` "MUST close the connection upon receiving a frame that is not masked".
#[test]
fn rfc6455_5_1_frames_without_a_mask_are_refused() {
    let broker = shared();
    for frame in [
        Frame::new(TEXT, "bare"),
        Frame::new(BINARY, ""),
        Frame::new(ringbus_tests::web::PING, "bare"),
        Frame::close(1000, ""),
    ] {
        let mut client = echo_socket(&broker);
        client.text("masked");
        client.send_unmasked(&frame);
        client.expect(TEXT, "masked");
        client.expect_close(1002);
    }
}

/// Autobahn 10.1.1: a client that fragments by itself.
#[test]
fn rfc6455_5_4_a_message_in_frames_of_1300_bytes_is_echoed() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    let message = "*".repeat(65_536);
    let frames = Frame::fragments(TEXT, message.as_bytes(), 1300);
    assert_eq!(frames.len(), 51);
    client.send_all(&frames);
    client.expect(TEXT, message);
    client.close();
}
