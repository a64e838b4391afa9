//! Shared subscriptions `[MQTT5-4.8.2]`, over as many shards as there are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Ack, Packet, PacketType, Properties, Property, QoS, ReasonCode, SubscribeFilter, Version,
};
use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::client::{Client, Hello};

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
/// Narrow and broad: one owner, or a part on every shard.
const FILTERS: [&str; 2] = ["$share/g/job/x/+", "$share/g/#"];

fn lasting(name: &str) -> Hello {
    Hello::persistent(Version::V5, name)
}

fn join(broker: &Broker, hello: &Hello, filter: &str, qos: QoS) -> Client {
    let (mut member, _) = Client::hello(broker, hello);
    member.subscribe(filter, qos);
    member
}

/// Publishes the numbers, one after the other is acknowledged.
fn publish_numbers(broker: &Broker, numbers: std::ops::Range<usize>, qos: QoS) {
    let mut publisher = Client::open(broker, Version::V5, "publisher");
    for number in numbers {
        publisher.publish(&format!("job/x/{number}"), &number.to_string(), qos, false);
    }
    publisher.disconnect();
}

/// Reads, acknowledging all, until so many messages came to all of them together; then makes sure
/// that no more come. Counts for each member, and how often each message came.
fn collect(members: &mut [Client], wanted: usize) -> (Vec<usize>, BTreeMap<String, usize>) {
    let mut counts = vec![0; members.len()];
    let mut copies = BTreeMap::new();
    let end = Instant::now() + DEADLINE;
    while copies.values().sum::<usize>() < wanted {
        assert!(Instant::now() < end, "only {copies:?}");
        for (member, count) in members.iter_mut().zip(&mut counts) {
            while let Some(received) = member.receive_within(Duration::from_millis(1)) {
                let message = received.message();
                member.acknowledge(&message);
                *count += 1;
                *copies.entry(message.topic).or_default() += 1;
            }
        }
    }
    for member in members {
        member.expect_nothing();
    }
    (counts, copies)
}

#[test]
fn mqtt5_4_8_2_each_message_goes_to_one_member_in_turn() {
    for filter in FILTERS {
        let broker = Broker::start();
        let join = |n: usize| {
            let version = BOTH[n % 2];
            let hello = Hello::new(version, &format!("member-{n}"));
            join(&broker, &hello, filter, ONE)
        };
        let mut members: Vec<Client> = (0..8).map(join).collect();
        let mut other = Client::open(&broker, Version::V5, "other");
        other.subscribe(&filter.replace("/g/", "/h/"), ONE);
        publish_numbers(&broker, 0..160, ONE);
        let (counts, copies) = collect(&mut members, 160);
        assert!(copies.values().all(|&count| count == 1), "{copies:?}");
        assert_eq!(copies.len(), 160);
        // Exactly 20 once every owner knows every member; it learns of the last ones meanwhile.
        assert!(
            counts.iter().all(|count| (16..=24).contains(count)),
            "{filter}: {counts:?}"
        );
        let (counts, _) = collect(&mut [other], 160);
        assert_eq!(counts, [160], "another group gets its own copies");
        broker.stop();
    }
}

/// `[MQTT5-4.8.2-3]`
#[test]
fn mqtt5_4_8_2_3_each_member_gets_the_qos_it_was_granted() {
    let broker = Broker::start();
    for (granted, published) in [(QoS::AtMostOnce, TWO), (ONE, TWO), (TWO, ONE)] {
        let mut member = Client::open(&broker, Version::V5, "member");
        member.subscribe(FILTERS[0], granted);
        publish_numbers(&broker, 0..1, published);
        member.expect("job/x/0", "0", granted.min(published), false);
        member.disconnect();
    }
    broker.stop();
}

/// What a member had not acknowledged goes to another that is connected.
#[test]
fn what_a_vanished_member_had_not_acknowledged_goes_to_another() {
    for filter in FILTERS {
        for hello in [lasting("doomed"), Hello::new(Version::V5, "doomed")] {
            let broker = Broker::start();
            let hello = hello.with(Property::ReceiveMaximum(3));
            let mut doomed = join(&broker, &hello, filter, ONE);
            publish_numbers(&broker, 0..10, ONE);
            for _ in 0..3 {
                doomed.message_unacknowledged();
            }
            let heir = join(&broker, &Hello::new(Version::V5, "heir"), filter, ONE);
            doomed.cut();
            let (_, copies) = collect(&mut [heir], 10);
            assert_eq!(copies.len(), 10);
            broker.stop();
        }
    }
}

/// `[MQTT5-4.8.2-4]` `[MQTT5-4.8.2-5]`: at QoS 2, only what was never sent goes to another.
#[test]
fn mqtt5_4_8_2_4_what_was_sent_at_qos_2_is_completed_with_its_member() {
    for filter in FILTERS {
        let broker = Broker::start();
        let hello = lasting("doomed").with(Property::ReceiveMaximum(1));
        let mut doomed = join(&broker, &hello, filter, TWO);
        publish_numbers(&broker, 0..3, TWO);
        let first = doomed.message_unacknowledged();
        let heir = join(&broker, &Hello::new(Version::V5, "heir"), filter, TWO);
        doomed.cut();
        let mut heirs = [heir];
        let (_, copies) = collect(&mut heirs, 2);
        assert!(!copies.contains_key(&first.topic));
        let (mut back, present) = Client::hello(&broker, &hello);
        assert!(present);
        let again = back.message_unacknowledged();
        assert!(again.dup);
        assert_eq!(
            (&again.topic, again.packet_identifier),
            (&first.topic, first.packet_identifier)
        );
        // Its session ends with the message under way: it is discarded.
        back.disconnect();
        let mut usurper = Client::open(&broker, Version::V5, "doomed");
        usurper.expect_nothing();
        collect(&mut heirs, 0);
        broker.stop();
    }
}

/// `[MQTT5-4.8.2-6]`
#[test]
fn mqtt5_4_8_2_6_what_a_member_refuses_goes_to_nobody_else() {
    let broker = Broker::start();
    for (qos, answer) in [(ONE, PacketType::PubAck), (TWO, PacketType::PubRec)] {
        let mut picky = join(&broker, &lasting("picky"), FILTERS[0], qos);
        publish_numbers(&broker, 0..1, qos);
        let message = picky.message_unacknowledged();
        let other = join(&broker, &Hello::new(Version::V5, "other"), FILTERS[0], qos);
        let refusal = Ack {
            packet_identifier: message.packet_identifier.expect("QoS 1 or 2"),
            reason: ReasonCode::UnspecifiedError,
            properties: Properties::default(),
        };
        picky.send(&match answer {
            PacketType::PubAck => Packet::PubAck(refusal),
            _ => Packet::PubRec(refusal),
        });
        picky.ping();
        picky.cut();
        let mut others = [other];
        // What comes to the other member is what is published now, not what was refused.
        publish_numbers(&broker, 7..8, qos);
        let (_, copies) = collect(&mut others, 1);
        assert_eq!(copies.keys().collect::<Vec<_>>(), ["job/x/7"]);
        Client::open(&broker, Version::V5, "picky").disconnect();
        let [other] = others;
        other.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.8.3-4]`
#[test]
fn mqtt5_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    let mut filter = SubscribeFilter::new("$share/group/topic", ONE);
    filter.no_local = true;
    client.send_subscribe(&[SubscribeFilter::new("plain", ONE), filter], None);
    assert_eq!(client.disconnected(), Some(0x82));
    broker.stop();
}

/// `[MQTT5-4.8.2-1]` `[MQTT5-4.8.2-2]`: `$share/ab` without a filter, and names that are none.
#[test]
fn mqtt5_4_8_2_1_malformed_shares_are_refused_and_nothing_else() {
    let broker = Broker::start();
    for (version, code) in [(Version::V3_1_1, 0x80), (Version::V5, 0x8F)] {
        let mut client = Client::open(&broker, version, "client");
        let bad = [
            "$share/ab",
            "$share/",
            "$share//a",
            "$share/a/",
            "$share/a+/b",
            "$share/#/b",
        ];
        for bad in bad {
            let filters = [
                SubscribeFilter::new(bad, ONE),
                SubscribeFilter::new("ab", ONE),
            ];
            assert_eq!(client.subscribe_codes(&filters, None), [code, 1], "{bad}");
        }
        client.publish("ab", "still here", ONE, false);
        client.expect("ab", "still here", ONE, false);
    }
    broker.stop();
}

#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5, "client");
    client.publish("job/x/0", "retained", ONE, true);
    client.subscribe(FILTERS[0], ONE);
    client.subscribe(FILTERS[1], ONE);
    client.expect_nothing();
    broker.stop();
}

#[test]
fn messages_for_a_group_of_absent_members_wait_for_the_first() {
    for filter in FILTERS {
        let broker = Broker::start();
        let hellos = ["a", "b", "c"].map(lasting);
        for hello in &hellos {
            join(&broker, hello, filter, ONE).disconnect();
        }
        publish_numbers(&broker, 0..30, ONE);
        let (back, present) = Client::hello(&broker, &hellos[1]);
        assert!(present);
        let (_, copies) = collect(&mut [back], 30);
        assert_eq!(copies.len(), 30);
        broker.stop();
    }
}

#[test]
fn shared_strategy_says_who_is_next() {
    let broker = Broker::start_with(&["--shared-strategy", "sticky"]);
    let join = |n: usize| {
        let hello = Hello::new(Version::V5, &format!("member-{n}"));
        join(&broker, &hello, FILTERS[0], ONE)
    };
    let mut members: Vec<Client> = (0..4).map(join).collect();
    publish_numbers(&broker, 0..40, ONE);
    let (mut counts, _) = collect(&mut members, 40);
    counts.sort_unstable();
    assert_eq!(counts[3], 40, "{counts:?}");
    broker.stop();
}
