//! WebSocket connections that move, open late or end.

use ringbus_protocols::mqtt::{Packet, Publish, QoS, Version};
use ringbus_protocols::websocket::Opcode;
use ringbus_protocols::websocket::frame::{next_frame, put_masked};
use ringbus_protocols::websocket::handshake::{put_request, read_response};

use super::{Net, client, id};
use crate::base::Scheme;

const KEY: &[u8; 16] = b"sixteen bytes ok";

fn request(target: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    put_request(&mut out, "test", target, KEY, subprotocol, None);
    out
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_masked(&mut out, opcode, true, false, [1, 2, 3, 4], payload);
    out
}

fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    frame(Opcode::Binary, &out)
}

/// The frames behind the answer to the request.
fn frames(received: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let accepted = read_response(received, KEY).expect("accepted");
    let mut rest = &received[accepted.expect("a whole answer").length..];
    let mut frames = Vec::new();
    while let Some(frame) = next_frame(rest) {
        let payload = &rest[frame.header_len..frame.header_len + frame.payload_len];
        frames.push((frame.opcode, payload.to_vec()));
        rest = &rest[frame.total_len()..];
    }
    assert!(rest.is_empty(), "whole frames");
    frames
}

/// What a client that does not wait sends behind its CONNECT reaches the shard it moves to, also
/// what is no data: it is ponged, or told goodbye.
#[test]
fn control_frames_behind_connect_go_home_with_it() {
    let mut moved = 0;
    for number in 0..16 {
        for (opcode, payload, answer) in [
            (Opcode::Ping, &b"?"[..], Opcode::Pong),
            (Opcode::Close, &[3, 232], Opcode::Close),
        ] {
            let mut net = Net::new(4);
            let socket = net.open_scheme(0, Scheme::Ws);
            net.send_bytes(socket, &request("/", Some("mqtt")));
            let name = format!("client-{number}");
            let connect = client(Version::V5, &name);
            let mut bytes = packet(&Packet::Connect(connect));
            bytes.extend(frame(opcode, payload));
            net.send_bytes(socket, &bytes);
            let line = &net.sockets[socket];
            let got = frames(&line.received);
            assert!(
                got.iter().any(|(kind, _)| *kind == Opcode::Binary),
                "CONNACK: {got:?}"
            );
            let answered = got.iter().find(|(kind, _)| *kind == answer);
            assert_eq!(answered.map(|(_, payload)| &payload[..]), Some(payload));
            assert_eq!(line.is_closed, answer == Opcode::Close);
            moved += net.shards[0].counters().handoffs;
        }
    }
    assert!(moved > 10, "{moved} clients lived elsewhere");
}

/// Whatever is published meanwhile, a socket with `last=1` starts with what is retained.
#[test]
fn last_1_opens_with_the_retained_message() {
    for shards in [1, 2, 3] {
        for topic in ["a", "b/c", "d", "e/f"] {
            let mut net = Net::new(shards);
            let publisher = net.connect(0, client(Version::V5, "publisher"));
            let publish = |payload, retain| {
                Packet::Publish(Publish {
                    qos: QoS::AtLeastOnce,
                    packet_identifier: Some(id(1)),
                    topic,
                    payload,
                    retain,
                    ..Publish::default()
                })
            };
            net.send(publisher, Version::V5, &publish(b"kept", true));
            let other = net.open_scheme(0, Scheme::Ws);
            net.send_bytes(other, &request(&format!("/{topic}"), None));
            let socket = net.open_scheme(0, Scheme::Ws);
            let path = format!("/{topic}?last=1");
            // Both before any mail is looked at.
            net.feed(socket, &request(&path, None));
            net.feed(other, &frame(Opcode::Binary, b"meanwhile"));
            net.settle();
            net.send_bytes(other, &frame(Opcode::Binary, b"after"));
            let got = frames(&net.sockets[socket].received);
            let payloads: Vec<&[u8]> = got.iter().map(|(_, payload)| &payload[..]).collect();
            assert_eq!(
                payloads.first(),
                Some(&&b"kept"[..]),
                "{shards} {topic}: {got:?}"
            );
            assert_eq!(
                payloads.last(),
                Some(&&b"after"[..]),
                "{shards} {topic}: {got:?}"
            );
            let nothing = net.open_scheme(0, Scheme::Ws);
            net.send_bytes(nothing, &request("/nothing/there?last=1", None));
            assert!(
                frames(&net.sockets[nothing].received).is_empty(),
                "it is open"
            );
        }
    }
}

/// A driver reports a send after the turn, and then sleeps until the shard's deadline.
#[test]
fn a_connect_that_waits_for_the_101_to_leave_needs_no_other_event() {
    let mut moved = false;
    for number in 0..8 {
        let mut net = Net::new(2);
        let socket = net.open_scheme(0, Scheme::Ws);
        net.feed(socket, &request("/", Some("mqtt")));
        let (shard, conn) = net.sockets[socket].at.expect("it is open");
        let answer = net.shards[shard].take_output(conn).expect("the 101");
        let name = format!("client-{number}");
        let connect = client(Version::V5, &name);
        net.feed(socket, &packet(&Packet::Connect(connect)));
        net.shards[shard].end_turn(&mut net.mailboxes[shard]);
        net.shards[shard].on_sent(conn, answer);
        let deadline = net.shards[shard].next_deadline();
        if net.shards[shard].counters().handoffs == 0 && net.shards[shard].counters().connects == 0
        {
            assert_eq!(
                deadline,
                Some(net.now),
                "{name} waits, and nothing wakes the shard"
            );
            moved = true;
        }
    }
    assert!(moved, "no client lived elsewhere");
}
