//! How much may be retained, and for how long.

use super::*;
use crate::pubsub::{RetainedQuota, Weight};

/// A net in which so many messages may be retained.
fn bounded(shards: u16, messages_max: usize) -> Net {
    Net::with(shards, |config| {
        config.retained_quota = Arc::new(RetainedQuota::new(messages_max, usize::MAX));
    })
}

fn retain(net: &mut Net, socket: usize, topic: &str, payload: &str, qos: QoS) -> Vec<String> {
    let version = V5;
    let packet = Publish {
        retain: true,
        ..publish(topic, payload.as_bytes(), qos)
    };
    net.send(socket, version, &Packet::Publish(packet));
    net.read(socket, version)
}

fn retained(net: &Net) -> Weight {
    let mut sum = Weight::default();
    for shard in &net.shards {
        let weight = shard.partition.retained.weight();
        sum.messages += weight.messages;
        sum.bytes += weight.bytes;
    }
    sum
}

/// What a new subscriber to `r/#` gets.
fn replay(net: &mut Net) -> Vec<String> {
    let socket = net.connect(0, client(V5, "late"));
    net.send_bytes(socket, &subscribe(&[("r/#", QoS::AtMostOnce)], V5, 0));
    let mut seen = net.read(socket, V5);
    seen.retain(|word| word.starts_with("publish"));
    seen.sort();
    net.hang_up(socket);
    seen
}

const ONE: QoS = QoS::AtLeastOnce;

#[test]
fn a_full_store_keeps_no_new_topic_and_says_so() {
    for shards in [1, 4] {
        let mut net = bounded(shards, 2);
        let watcher = net.connect(0, client(V5, "watcher"));
        net.send_bytes(watcher, &subscribe(&[("r/#", QoS::AtMostOnce)], V5, 0));
        let publisher = net.connect(0, client(V5, "p"));
        net.read(watcher, V5);
        net.read(publisher, V5);
        for topic in ["r/1", "r/2"] {
            let acks = retain(&mut net, publisher, topic, "old", ONE);
            assert_eq!(acks, ["puback #1 Success"]);
        }
        let acks = retain(&mut net, publisher, "r/3", "x", ONE);
        assert_eq!(acks, ["puback #1 QuotaExceeded"]);
        assert!(retain(&mut net, publisher, "r/4", "x", QoS::AtMostOnce).is_empty());
        assert_eq!(net.read(watcher, V5).len(), 4, "subscribers get them all");
        let acks = retain(&mut net, publisher, "r/1", "new", ONE);
        assert_eq!(acks, ["puback #1 Success"], "in the place of the old one");
        let kept = [
            "publish r/1=new q0 #0 retain",
            "publish r/2=old q0 #0 retain",
        ];
        assert_eq!(replay(&mut net), kept);
        let acks = retain(&mut net, publisher, "r/2", "", ONE);
        assert_eq!(acks, ["puback #1 Success"], "clearing always works");
        retain(&mut net, publisher, "r/3", "x", ONE);
        let kept = ["publish r/1=new q0 #0 retain", "publish r/3=x q0 #0 retain"];
        assert_eq!(replay(&mut net), kept);
        let refused: u64 = net.shards.iter().map(|s| s.counters().not_retained).sum();
        assert_eq!(refused, 2);
    }
}

#[test]
fn a_value_that_does_not_fit_does_not_leave_the_old_one_behind() {
    for shards in [1, 4] {
        let mut net = Net::with(shards, |config| {
            config.retained_quota = Arc::new(RetainedQuota::new(usize::MAX, 100));
        });
        let publisher = net.connect(0, client(V5, "p"));
        net.read(publisher, V5);
        retain(&mut net, publisher, "r/1", "old", ONE);
        let large = "x".repeat(200);
        let acks = retain(&mut net, publisher, "r/1", &large, ONE);
        assert_eq!(acks, ["puback #1 QuotaExceeded"]);
        assert_eq!(replay(&mut net), [""; 0]);
        assert_eq!(retained(&net), Weight::default());
    }
}

/// At QoS 2 the message is routed on PUBREL, and PUBCOMP has no code for this.
#[test]
fn a_full_store_completes_the_exchange_at_qos_2() {
    let mut net = bounded(2, 0);
    let publisher = net.connect(0, client(V5, "p"));
    net.read(publisher, V5);
    let acks = retain(&mut net, publisher, "r/1", "x", QoS::ExactlyOnce);
    assert_eq!(acks, ["pubrec #1 Success"]);
    net.send(publisher, V5, &Packet::PubRel(Ack::new(id(1))));
    assert_eq!(net.read(publisher, V5), ["pubcomp #1 Success"]);
    assert_eq!(replay(&mut net), [""; 0]);
}

/// `[MQTT5-3.3.2-5]`
#[test]
fn an_expired_message_leaves_the_store_and_gives_its_room_back() {
    for shards in [1, 4] {
        let mut net = bounded(shards, 1);
        let publisher = net.connect(0, client(V5, "p"));
        net.read(publisher, V5);
        let mut properties = PropertiesBuf::new();
        properties.push(Property::MessageExpiryInterval(5));
        let mortal = Publish {
            retain: true,
            properties: properties.as_properties(),
            ..publish("r/1", b"x", ONE)
        };
        net.send(publisher, V5, &Packet::Publish(mortal));
        net.read(publisher, V5);
        let due = net.shards.iter().filter_map(Shard::next_deadline).min();
        assert_eq!(due, Some(net.now + Nanos::from_secs(5)), "it wakes for it");
        net.pass(Nanos::from_secs(4));
        assert_eq!(retained(&net).messages, 1);
        net.pass(Nanos::from_secs(1));
        assert_eq!(retained(&net), Weight::default());
        let acks = retain(&mut net, publisher, "r/2", "y", ONE);
        assert_eq!(acks, ["puback #1 NoMatchingSubscribers"]);
        assert_eq!(replay(&mut net), ["publish r/2=y q0 #0 retain"]);
    }
}

/// Many that subscribe at once take turns, and all get everything.
#[test]
fn replays_share_the_turns() {
    use crate::base::limits::{RETAINED_STEP_MAX, RETAINED_STEPS_PER_TURN_MAX};
    let mut net = Net::new(1);
    let publisher = net.connect(0, client(V5, "p"));
    let topics = RETAINED_STEP_MAX + 10;
    for n in 0..topics {
        retain(&mut net, publisher, &format!("r/{n}"), "x", QoS::AtMostOnce);
    }
    let subscribers: Vec<usize> = (0..RETAINED_STEPS_PER_TURN_MAX + 4)
        .map(|n| net.connect(0, client(V5, &format!("s{n}"))))
        .collect();
    net.shards[0].begin_turn(net.now);
    for &socket in &subscribers {
        let (_, conn) = net.sockets[socket].at.expect("it is connected");
        let subscribe = subscribe(&[("r/#", QoS::AtMostOnce)], V5, 0);
        net.shards[0].on_bytes(conn, &subscribe);
    }
    net.shards[0].end_turn(&mut net.mailboxes[0]);
    let first = (RETAINED_STEPS_PER_TURN_MAX * RETAINED_STEP_MAX) as u64;
    assert_eq!(net.shards[0].counters().delivered, first);
    assert_eq!(
        net.shards[0].next_deadline(),
        Some(net.now),
        "there is more"
    );
    net.settle();
    for &socket in &subscribers {
        let seen = net.read(socket, V5);
        assert_eq!(seen.len(), 2 + topics, "CONNACK, SUBACK, each topic");
    }
}
