//! Reserved bits and opcodes: section 5.2.

use crate::{echo_socket, in_every_piece, shared};
use ringbus_tests::web::{BINARY, CLOSE, Frame, PING, PONG, TEXT};

/// Without an extension that gives them a meaning.
#[test]
fn rfc6455_5_2_reserved_bits_are_refused() {
    let broker = shared();
    for rsv in 1..8 {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            let mut client = echo_socket(&broker);
            let payload: &[u8] = if opcode == CLOSE {
                &[3, 232]
            } else {
                b"reserved"
            };
            client.send(&Frame::new(opcode, payload).reserved(rsv));
            client.expect_close(1002);
        }
    }
}

#[test]
fn rfc6455_5_2_what_came_before_reserved_bits_is_echoed() {
    for rsv in 1..8 {
        let frames = [
            Frame::new(TEXT, "Hello, world!"),
            Frame::new(TEXT, "Hello, world!").reserved(rsv),
            Frame::new(PING, ""),
        ];
        in_every_piece(&frames, |client| {
            client.expect(TEXT, "Hello, world!");
            client.expect_close(1002);
        });
    }
}

#[test]
fn rfc6455_5_2_reserved_opcodes_are_refused() {
    let broker = shared();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "reserved opcode payload"] {
            let mut client = echo_socket(&broker);
            client.send(&Frame::new(opcode, payload));
            client.expect_close(1002);
        }
        // The first byte alone says so.
        let mut client = echo_socket(&broker);
        client.send_bytes(&[0x80 | opcode]);
        client.expect_close(1002);
    }
}

#[test]
fn rfc6455_5_2_what_came_before_a_reserved_opcode_is_echoed() {
    for opcode in [3, 5, 7, 11, 13, 15] {
        let frames = [
            Frame::new(TEXT, "Hello, world!"),
            Frame::new(opcode, "reserved"),
            Frame::new(PING, ""),
        ];
        in_every_piece(&frames, |client| {
            client.expect(TEXT, "Hello, world!");
            client.expect_close(1002);
        });
    }
}
