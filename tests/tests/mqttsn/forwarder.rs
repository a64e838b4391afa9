//! Clients behind a forwarder, which all have its address: `[MQTTSN-5.5]`.

use crate::{fresh, publisher, shared, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::mqttsn::{
    SnMessage, SnSocket, connect, forwarded, kind, message, publish, unwrap_forwarded,
};
use std::time::Duration;

/// A node's question over the forwarder, and what the broker sends next.
#[track_caller]
fn ask(forwarder: &SnSocket, node: &[u8], question: &[u8]) -> SnMessage {
    forwarder.send(&forwarded(node, question));
    let (to, answer) = unwrap_forwarded(&forwarder.receive());
    assert_eq!(to, node, "{answer:02x?}");
    answer
}

fn of(kind: u8, body: &[u8]) -> SnMessage {
    let body = body.to_vec();
    SnMessage { kind, body }
}

#[test]
fn mqttsn_5_5_clients_behind_one_forwarder_are_told_apart() {
    let broker = shared();
    let forwarder = SnSocket::new(&broker);
    let long_node = [7; 200];
    let nodes: [&[u8]; 4] = [b"\x01", b"\x02", b"", &long_node];
    for node in nodes {
        let hello = connect(4, 60, &fresh("node"));
        assert_eq!(ask(&forwarder, node, &hello), of(kind::CONNACK, &[0]));
    }
    // The forwarder may be a client, too.
    forwarder.send(&connect(4, 60, &fresh("forwarder")));
    assert_eq!(forwarder.receive(), [3, kind::CONNACK, 0]);
    let mut publisher = publisher(&broker);
    for node in nodes {
        let topic = fresh("behind");
        let subscribe = [&[0x20, 0, 1][..], topic.as_bytes()].concat();
        let suback = ask(&forwarder, node, &message(kind::SUBSCRIBE, &subscribe));
        assert_eq!((suback.kind, suback.body[5]), (kind::SUBACK, 0));
        let id = &suback.body[1..3];
        publisher.publish(&topic, "for one", QoS::AtLeastOnce, false);
        let (to, message_) = unwrap_forwarded(&forwarder.receive());
        assert_eq!((&to[..], message_.kind), (node, kind::PUBLISH));
        assert_eq!(message_.body[5..], *b"for one");
        let msg_id = &message_.body[3..5];
        let puback = message(kind::PUBACK, &[id, msg_id, &[0]].concat());
        forwarder.send(&forwarded(node, &puback));
    }
    // One leaves, the others stay.
    let goodbye = message(kind::DISCONNECT, &[]);
    assert_eq!(
        ask(&forwarder, nodes[0], &goodbye),
        of(kind::DISCONNECT, &[])
    );
    let ping = message(kind::PINGREQ, &[]);
    let is_forgotten = |(): &()| {
        // It crosses the news of the end between two shards, and gets lost, or it does not.
        forwarder.send(&forwarded(nodes[0], &ping));
        let answer = forwarder.receive_within(Duration::from_secs(1));
        answer.is_some_and(|answer| unwrap_forwarded(&answer).1 == of(kind::DISCONNECT, &[]))
    };
    let asked = std::iter::repeat_n((), 30).find(is_forgotten);
    assert!(asked.is_some(), "it is still known");
    for node in &nodes[1..] {
        assert_eq!(ask(&forwarder, node, &ping), of(kind::PINGRESP, &[]));
    }
}

#[test]
fn mqttsn_5_5_a_search_and_a_message_at_qos_minus_one_through_a_forwarder() {
    let broker = shared();
    let forwarder = SnSocket::new(&broker);
    let search = message(kind::SEARCHGW, &[0]);
    assert_eq!(ask(&forwarder, b"node", &search), of(kind::GWINFO, &[1]));
    let mut witness = watcher(&broker, "fw");
    forwarder.send(&forwarded(b"node", &publish(0x62, *b"fw", 0, b"relayed")));
    witness.expect("fw", "relayed", QoS::AtMostOnce, false);
}
