//! The closing handshake: sections 5.5.1 and 7.

use crate::{echo_socket, in_every_piece, shared};
use ringbus_tests::web::{CLOSE, CONTINUATION, Frame, PING, TEXT};
use std::io::Read;

/// `[RFC6455 7.4]` What may be on the wire.
const VALID: [u16; 18] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000,
    4001, 4999,
];
/// What may not, or does not exist.
const INVALID: [u16; 16] = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 2000, 2999, 5000, 9999, 32_768, 65_535,
];

#[test]
fn rfc6455_7_1_2_a_message_is_echoed_before_the_close_is_answered() {
    let frames = [Frame::new(TEXT, "Hello World!"), Frame::close(1000, "")];
    in_every_piece(&frames, |client| {
        client.expect(TEXT, "Hello World!");
        client.expect_close(1000);
    });
}

#[test]
fn rfc6455_5_5_1_what_follows_a_close_is_ignored() {
    for behind in [
        Frame::new(CLOSE, ""),
        Frame::close(1001, "again"),
        Frame::new(PING, "still there?"),
        Frame::new(TEXT, "Hello World!"),
        Frame::new(CONTINUATION, "of nothing"),
        Frame::new(0xF, "no such opcode"),
    ] {
        in_every_piece(&[Frame::close(1000, ""), behind], |client| {
            client.expect_close(1000);
        });
    }
}

#[test]
fn rfc6455_5_5_1_a_close_may_come_inside_a_message() {
    let frames = [
        Frame::new(TEXT, "fragment1").unfinished(),
        Frame::close(1000, ""),
        Frame::new(CONTINUATION, "fragment2"),
    ];
    in_every_piece(&frames, |client| {
        client.expect_close(1000);
    });
}

/// Autobahn 7.1.6: 256 KiB and a small message are on their way when the Close comes.
#[test]
fn rfc6455_7_1_2_large_messages_are_echoed_before_the_close() {
    let large = "BAsd7&jh23".repeat(26_215);
    let frames = [
        Frame::new(TEXT, &large),
        Frame::new(TEXT, "Hello World!"),
        Frame::close(1000, ""),
        Frame::new(PING, ""),
    ];
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send_all(&frames);
    client.expect(TEXT, large);
    client.expect(TEXT, "Hello World!");
    client.expect_close(1000);
}

#[test]
fn rfc6455_5_5_1_a_close_without_a_code_is_answered() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send(&Frame::new(CLOSE, ""));
    let close = client.receive();
    let code = close.close_code();
    assert!(matches!(code, None | Some(1000)), "{close:?}");
    client.closed();
}

#[test]
fn rfc6455_5_5_1_a_close_of_one_byte_is_refused() {
    in_every_piece(&[Frame::new(CLOSE, "a")], |client| {
        client.expect_close(1002);
    });
}

#[test]
fn rfc6455_5_5_1_every_valid_code_is_answered_with_itself() {
    let broker = shared();
    for code in VALID {
        for reason in ["", "a reason"] {
            let mut client = echo_socket(&broker);
            client.send(&Frame::close(code, reason));
            client.expect_close(code);
        }
    }
}

#[test]
fn rfc6455_7_4_invalid_codes_are_refused() {
    let broker = shared();
    for code in INVALID {
        for reason in ["", "a reason"] {
            let mut client = echo_socket(&broker);
            client.send(&Frame::close(code, reason));
            client.expect_close(1002);
        }
    }
}

#[test]
fn rfc6455_5_5_1_a_reason_has_at_most_123_bytes() {
    for length in [0, 1, 12, 122, 123] {
        in_every_piece(&[Frame::close(1000, "*".repeat(length))], |client| {
            client.expect_close(1000);
        });
    }
    in_every_piece(&[Frame::close(1000, "*".repeat(124))], |client| {
        client.expect_close(1002);
    });
}

#[test]
fn rfc6455_5_5_1_a_reason_is_utf_8() {
    let greek = "κόσμε".as_bytes();
    in_every_piece(&[Frame::close(1000, greek)], |client| {
        client.expect_close(1000);
    });
    for bad in [b"\xed\xa0\x80edited", &b"\xce"[..], b"\xff"] {
        let reason = [greek, bad].concat();
        in_every_piece(&[Frame::close(1000, reason)], |client| {
            client.expect_close(1007);
        });
    }
}

/// A peer that broke the rules is not waited for.
#[test]
fn rfc6455_7_1_7_a_violation_ends_the_connection_without_an_answer() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send(&Frame::new(0x3, ""));
    let close = client.receive();
    assert_eq!(close.close_code(), Some(1002), "{close:?}");
    assert!(!close.close_reason().is_empty(), "no reason");
    client.closed();
}

/// Everything that came before the end of the stream is in the topic.
#[test]
fn rfc6455_7_1_5_a_connection_that_just_ends_has_published() {
    let broker = shared();
    let topic = crate::fresh("ends");
    let mut watcher = ringbus_tests::web::WebClient::open(&broker, &format!("/{topic}"));
    let mut client = ringbus_tests::web::WebClient::open(&broker, &format!("/{topic}?echo=0"));
    client.text("last words");
    client.send(&Frame::new(TEXT, "not all of").unfinished());
    let mut stream = client.stream();
    stream.shutdown(std::net::Shutdown::Write).expect("open");
    let mut rest = Vec::new();
    // How a broker answers half a connection is its own affair; that it ends, is not.
    let _ = stream.read_to_end(&mut rest);
    watcher.expect(TEXT, "last words");
    watcher.expect_nothing();
}
