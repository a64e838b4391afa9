//! What happens to a client that does not keep up.

use super::*;
use crate::config::QueuePolicy;

/// A subscriber that does not acknowledge, and a publisher; one message at a time is under way.
fn net(policy: QueuePolicy) -> (Net, usize, usize) {
    let mut net = Net::with(2, |config| {
        config.queue_policy = policy;
        config.queue_messages = 2;
    });
    let mut properties = PropertiesBuf::new();
    properties.push(Property::ReceiveMaximum(1));
    properties.push(Property::SessionExpiryInterval(1_000));
    let connect = Connect {
        properties: properties.as_properties(),
        ..client(V5, "slow")
    };
    let slow = net.connect(0, connect);
    net.send_bytes(slow, &subscribe(&[("t", QoS::AtLeastOnce)], V5, 0));
    net.read(slow, V5);
    let publisher = net.connect(0, client(V5, "p"));
    (net, slow, publisher)
}

fn publish_all(net: &mut Net, publisher: usize, payloads: &[&str]) {
    for payload in payloads {
        let packet = publish("t", payload.as_bytes(), QoS::AtLeastOnce);
        net.send(publisher, V5, &Packet::Publish(packet));
    }
}

fn dropped(net: &Net) -> u64 {
    net.shards.iter().map(|s| s.counters().dropped).sum()
}

/// Acknowledges one after the other and returns what came.
fn drain(net: &mut Net, slow: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let words = net.read(slow, V5);
        let Some(word) = words.first() else {
            return all;
        };
        let number: u16 = word.split('#').nth(1).unwrap().parse().unwrap();
        all.extend(words);
        let ack = Ack::new(id(number));
        net.send(slow, V5, &Packet::PubAck(ack));
    }
}

#[test]
fn the_policy_says_which_messages_go() {
    for (policy, expected) in [
        (QueuePolicy::DropNewest, ["a", "b", "c"]),
        (QueuePolicy::DropOldest, ["a", "d", "e"]),
    ] {
        let (mut net, slow, publisher) = net(policy);
        publish_all(&mut net, publisher, &["a", "b", "c", "d", "e"]);
        assert_eq!(dropped(&net), 2, "{policy:?}");
        let seen = drain(&mut net, slow);
        let word = |(at, payload)| format!("publish t={payload} q1 #{}", at + 1);
        let expected: Vec<String> = expected.into_iter().enumerate().map(word).collect();
        assert_eq!(seen, expected, "{policy:?}");
        assert!(!net.sockets[slow].is_closed);
    }
}

#[test]
fn a_client_that_does_not_keep_up_is_told_and_closed_if_that_is_the_policy() {
    let (mut net, slow, publisher) = net(QueuePolicy::Disconnect);
    publish_all(&mut net, publisher, &["a", "b", "c"]);
    assert!(!net.sockets[slow].is_closed);
    publish_all(&mut net, publisher, &["d"]);
    assert!(net.sockets[slow].is_closed);
    let seen = net.read(slow, V5);
    assert_eq!(seen, ["publish t=a q1 #1", "disconnect QuotaExceeded"]);
    // Away, it loses the newest: nobody is there to be closed.
    publish_all(&mut net, publisher, &["e"]);
    assert_eq!(dropped(&net), 2);
    assert!(!net.sockets[publisher].is_closed);
}

#[test]
fn qos_0_beyond_the_bound_counts_as_not_keeping_up() {
    let mut net = Net::with(1, |config| {
        config.queue_policy = QueuePolicy::Disconnect;
        config.queue_bytes = 1_000;
    });
    let slow = net.connect(0, client(V5, "slow"));
    net.send_bytes(slow, &subscribe(&[("t", QoS::AtMostOnce)], V5, 0));
    let publisher = net.connect(0, client(V5, "p"));
    net.read(slow, V5);
    let mut bytes = Vec::new();
    Packet::Publish(publish("t", &[b'x'; 200], QoS::AtMostOnce)).encode(V5, &mut bytes);
    net.send_bytes(publisher, &bytes.repeat(20));
    assert!(net.sockets[slow].is_closed);
    assert_eq!(
        net.read(slow, V5).last().unwrap(),
        "disconnect QuotaExceeded"
    );
    assert_eq!(net.leaks(), 1, "the publisher is still there");
}
