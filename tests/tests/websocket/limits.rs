//! Long messages, many messages, small pieces: section 10.4.

use crate::{echo_socket, fresh, shared};
use ringbus_tests::broker::Broker;
use ringbus_tests::web::{BINARY, CONTINUATION, Frame, TEXT, WebClient, put_head};

const MIB: usize = 1 << 20;

#[test]
fn rfc6455_10_4_messages_of_up_to_16_mib_are_echoed() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for length in [MIB / 16, MIB / 4, MIB, 4 * MIB, 8 * MIB, 16 * MIB] {
        client.echo(TEXT, "*".repeat(length));
        client.echo(BINARY, vec![0xFE; length]);
    }
    client.close();
}

#[test]
fn rfc6455_10_4_a_message_of_4_mib_may_come_in_fragments_of_any_size() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for size in [64, 256, 1024, 4096, 16_384, MIB / 16, MIB / 4, MIB, 4 * MIB] {
        for opcode in [TEXT, BINARY] {
            let message = "*".repeat(4 * MIB);
            client.send_all(&Frame::fragments(opcode, message.as_bytes(), size));
            client.expect(opcode, message);
        }
    }
    client.close();
}

#[test]
fn rfc6455_10_4_a_message_of_1_mib_may_come_in_pieces_of_any_size() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for size in [64, 128, 256, 512, 1024, 2048] {
        for opcode in [TEXT, BINARY] {
            let message = "*".repeat(MIB);
            client.send_chopped(&[Frame::new(opcode, &message)], size);
            client.expect(opcode, message);
        }
    }
    client.close();
}

/// One after the other, as a conversation is.
#[test]
fn rfc6455_5_6_a_thousand_messages_are_echoed_one_by_one() {
    let broker = shared();
    let mut client = echo_socket(&broker);
    for length in [0, 16, 64, 256, 1024, 4096] {
        for opcode in [TEXT, BINARY] {
            let message = "*".repeat(length);
            for _ in 0..500 {
                client.echo(opcode, &message);
            }
        }
    }
    client.close();
}

fn small_broker() -> Broker {
    Broker::start_web_socket(&["--max-packet-size", "64KiB"])
}

#[test]
fn rfc6455_7_4_1_1009_a_longer_message_is_refused_by_its_header() {
    let broker = small_broker();
    for opcode in [TEXT, BINARY] {
        let mut client = WebClient::open(&broker, "/limit");
        client.echo(opcode, "*".repeat(65_000));
        let mut head = Vec::new();
        put_head(&Frame::new(opcode, ""), 66_000, Some([0; 4]), &mut head);
        client.send_bytes(&head);
        client.expect_close(1009);
    }
    broker.stop();
}

#[test]
fn rfc6455_7_4_1_1009_fragments_of_a_longer_message_are_refused() {
    let broker = small_broker();
    let mut client = WebClient::open(&broker, "/limit");
    client.text("before");
    client.send(&Frame::new(BINARY, [0; 40_000]).unfinished());
    client.send(&Frame::new(CONTINUATION, [0; 40_000]).unfinished());
    client.expect(TEXT, "before");
    client.expect_close(1009);
    broker.stop();
}

/// The topic takes its part of `--max-packet-size`; the longest message that fits is taken by
/// subscribers on TCP as well.
#[test]
fn rfc6455_7_4_1_1009_the_longest_message_is_told_from_the_next() {
    let broker = small_broker();
    let topic = fresh("exact");
    let accepted = |length: usize| {
        let mut client = WebClient::open(&broker, &format!("/{topic}"));
        client.binary(vec![7; length]);
        let frame = client.receive();
        frame.opcode == BINARY && frame.payload.len() == length
    };
    let (mut fits, mut refused) = (60_000, 70_000);
    assert!(accepted(fits) && !accepted(refused));
    while refused - fits > 1 {
        let middle = (fits + refused) / 2;
        if accepted(middle) {
            fits = middle;
        } else {
            refused = middle;
        }
    }
    assert!(fits <= 65_536 - topic.len(), "{fits} does not fit a packet");
    assert!(fits + topic.len() + 64 >= 65_536, "{fits} only");
    broker.stop();
}
