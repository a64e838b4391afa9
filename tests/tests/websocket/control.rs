//! Pings and Pongs: sections 5.5.2 and 5.5.3.

use crate::{echo_socket, shared};
use ringbus_tests::web::{CONTINUATION, Frame, PING, PONG, TEXT};

#[test]
fn rfc6455_5_5_2_ping_payload_is_returned() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for payload in [
        &b""[..],
        b"Hello, world!",
        &[0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF],
        &[0xFE; 125],
    ] {
        client.send(&Frame::new(PING, payload));
        client.expect_pong(payload);
    }
    client.close();
}

#[test]
fn rfc6455_5_5_ping_of_126_bytes_is_refused() {
    let broker = shared();
    for opcode in [PING, PONG] {
        let mut client = echo_socket(&broker);
        client.send(&Frame::new(opcode, [0xFE; 126]));
        client.expect_close(1002);
        // The header alone says so.
        let mut client = echo_socket(&broker);
        client.send_bytes(&[0x80 | opcode, 0xFE]);
        client.expect_close(1002);
    }
}

#[test]
fn rfc6455_5_5_2_ping_in_pieces_is_answered() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send_chopped(&[Frame::new(PING, [0xFE; 125])], 1);
    client.expect_pong([0xFE; 125]);
    client.close();
}

#[test]
fn rfc6455_5_5_3_unsolicited_pongs_are_ignored() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send(&Frame::new(PONG, ""));
    client.send(&Frame::new(PONG, "unsolicited pong payload"));
    client.expect_nothing();
    client.send(&Frame::new(PONG, "unsolicited pong payload"));
    client.send(&Frame::new(PING, "ping payload"));
    client.expect_pong("ping payload");
    client.close();
}

#[test]
fn rfc6455_5_5_2_ten_pings_are_answered_in_order() {
    let broker = shared();
    let pings: Vec<_> = (0..10)
        .map(|number| Frame::new(PING, format!("payload-{number}")))
        .collect();
    for size in [usize::MAX, 1] {
        let mut client = echo_socket(&broker);
        client.send_chopped(&pings, size);
        for ping in &pings {
            client.expect_pong(&ping.payload);
        }
        client.close();
    }
}

#[test]
fn rfc6455_5_4_ping_between_fragments_is_answered_at_once() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    client.send(&Frame::new(TEXT, "frag").unfinished());
    for number in 0..3 {
        let payload = format!("ping {number}");
        client.send(&Frame::new(PING, &payload));
        // The message is not complete, and will not be before this came.
        client.expect_pong(&payload);
    }
    client.send(&Frame::new(CONTINUATION, "ment"));
    client.expect(TEXT, "fragment");
    client.close();
}
