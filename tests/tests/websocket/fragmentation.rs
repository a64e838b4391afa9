//! Fragmentation: section 5.4.

use crate::{echo_socket, in_every_piece, shared};
use ringbus_tests::web::{BINARY, CONTINUATION, Frame, PING, PONG, TEXT};

fn start(payload: &str) -> Frame {
    Frame::new(TEXT, payload).unfinished()
}

fn middle(payload: &str) -> Frame {
    Frame::new(CONTINUATION, payload).unfinished()
}

fn last(payload: &str) -> Frame {
    Frame::new(CONTINUATION, payload)
}

#[test]
fn rfc6455_5_5_control_frames_must_not_be_fragmented() {
    for opcode in [PING, PONG] {
        let first = Frame::new(opcode, "fragment1").unfinished();
        in_every_piece(&[first, last("fragment2")], |client| {
            client.expect_close(1002);
        });
    }
    let close = Frame::close(1000, "").unfinished();
    in_every_piece(&[close], |client| {
        client.expect_close(1002);
    });
}

#[test]
fn rfc6455_5_4_two_fragments_are_one_message() {
    for opcode in [TEXT, BINARY] {
        let first = Frame::new(opcode, "fragment1").unfinished();
        in_every_piece(&[first, last("fragment2")], |client| {
            client.expect(opcode, "fragment1fragment2");
        });
    }
}

#[test]
fn rfc6455_5_4_ping_between_fragments_comes_before_the_message() {
    let frames = [
        start("fragment1"),
        Frame::new(PING, "ping payload"),
        last("fragment2"),
    ];
    in_every_piece(&frames, |client| {
        client.expect_pong("ping payload");
        client.expect(TEXT, "fragment1fragment2");
    });
}

#[test]
fn rfc6455_5_4_continuation_of_nothing_is_refused() {
    for first in [last("of nothing"), middle("of nothing")] {
        in_every_piece(&[first, Frame::new(TEXT, "Hello, world!")], |client| {
            client.expect_close(1002);
        });
    }
}

#[test]
fn rfc6455_5_4_continuation_behind_a_whole_message_is_refused() {
    let frames = [
        start("fragment1"),
        last("fragment2"),
        middle("fragment3"),
        Frame::new(TEXT, "fragment4"),
    ];
    in_every_piece(&frames, |client| {
        client.expect(TEXT, "fragment1fragment2");
        client.expect_close(1002);
    });
}

#[test]
fn rfc6455_5_4_continuations_before_every_start_are_refused() {
    for first in [middle("fragment1"), last("fragment1")] {
        let twice = vec![[first, start("fragment2"), last("fragment3")]; 2].concat();
        in_every_piece(&twice, |client| {
            client.expect_close(1002);
        });
    }
}

#[test]
fn rfc6455_5_4_a_message_inside_a_message_is_refused() {
    for second in [
        Frame::new(TEXT, "fragment2"),
        Frame::new(BINARY, "fragment2"),
        start("fragment2"),
    ] {
        in_every_piece(&[start("fragment1"), second], |client| {
            client.expect_close(1002);
        });
    }
}

/// Autobahn 5.19 and 5.20: the second half is sent when the first Pong is here.
#[test]
fn rfc6455_5_4_pings_among_five_fragments_are_answered() {
    let broker = shared();
    for size in [usize::MAX, 1] {
        let mut client = echo_socket(&broker);
        let first = [
            start("fragment1"),
            middle("fragment2"),
            Frame::new(PING, "pongme 1!"),
        ];
        client.send_chopped(&first, size);
        client.expect_pong("pongme 1!");
        let second = [
            middle("fragment3"),
            middle("fragment4"),
            Frame::new(PING, "pongme 2!"),
            last("fragment5"),
        ];
        client.send_chopped(&second, size);
        client.expect_pong("pongme 2!");
        client.expect(TEXT, "fragment1fragment2fragment3fragment4fragment5");
        client.close();
    }
}

#[test]
fn rfc6455_5_4_fragments_may_be_empty() {
    in_every_piece(&[start(""), middle(""), last("")], |client| {
        client.expect(TEXT, "");
    });
    in_every_piece(&[start(""), middle("middle"), last("")], |client| {
        client.expect(TEXT, "middle");
    });
}
