//! Wills, and when a client counts as lost. Where a test has to show that nothing comes, another
//! client's will, due later, tells the time.

use crate::{fresh, shared, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::mqttsn::{SnClient, SnHello, SnWill, flag, kind, qos_flags};
use std::time::Duration;

const ONE: QoS = QoS::AtLeastOnce;

/// A client that promises to be heard every `seconds`, with a will for that topic.
fn mortal(topic: &str, says: &str, seconds: u16) -> SnHello {
    let id = fresh("mortal");
    let hello = SnHello::new(&id).with_duration(seconds);
    hello.with_will(topic, says)
}

#[test]
fn mqttsn_6_11_the_will_of_a_client_that_vanishes_is_published() {
    let broker = shared();
    let topic = fresh("vanished");
    let mut witness = watcher(&broker, &topic);
    for (qos, retain) in [(0, false), (1, true), (2, false)] {
        let mut hello = mortal(&topic, "gone", 1);
        hello.will = hello.will.map(|will| SnWill {
            qos,
            retain,
            ..will
        });
        let mut client = SnClient::hello(&broker, &hello);
        let wanted = QoS::try_from(qos.unsigned_abs()).expect("a QoS");
        witness.expect(&topic, "gone", wanted, false);
        client.forgotten();
    }
    watcher(&broker, &topic).expect(&topic, "gone", ONE, true);
}

#[test]
fn mqttsn_6_11_a_client_that_is_heard_in_time_is_not_lost() {
    let broker = shared();
    let topic = fresh("heard");
    let mut witness = watcher(&broker, &topic);
    let mut alive = SnClient::hello(&broker, &mortal(&topic, "wrong", 2));
    // It is lost after four and a half seconds; the other would be after three.
    let _clock = SnClient::hello(&broker, &mortal(&topic, "clock", 3));
    let will = loop {
        alive.ping();
        if let Some(received) = witness.receive_within(Duration::from_millis(200)) {
            break received.message();
        }
    };
    assert_eq!(will.payload, b"clock");
    alive.ping();
    alive.disconnect();
}

#[test]
fn mqttsn_6_12_no_will_after_a_good_bye() {
    let broker = shared();
    let topic = fresh("polite");
    let mut witness = watcher(&broker, &topic);
    SnClient::hello(&broker, &mortal(&topic, "wrong", 1)).disconnect();
    let _clock = SnClient::hello(&broker, &mortal(&topic, "clock", 2));
    witness.expect(&topic, "clock", ONE, false);
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_3_who_is_asked_for_a_will_may_have_none() {
    let broker = shared();
    let topic = fresh("willess");
    let mut witness = watcher(&broker, &topic);
    let mut client = SnClient::raw(&broker);
    let mut hello = mortal(&topic, "wrong", 1);
    client.send_bytes(&hello.encode());
    client.expect(kind::WILLTOPICREQ, &[]);
    client.send(kind::WILLTOPIC, &[]);
    client.expect(kind::CONNACK, &[0]);
    hello.client_id = fresh("clock");
    hello.duration_seconds = 2;
    let hello = hello.with_will(&topic, "clock");
    let _clock = SnClient::hello(&broker, &hello);
    witness.expect(&topic, "clock", ONE, false);
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_3_the_will_of_a_session_that_stays_is_kept() {
    let broker = shared();
    let topic = fresh("kept");
    let mut witness = watcher(&broker, &topic);
    let hello = SnHello::persistent(&fresh("comes-back")).with_duration(1);
    let with_will = hello.clone().with_will(&topic, "kept");
    SnClient::hello(&broker, &with_will).disconnect();
    // It comes back without a word about the will, by other ports, and is lost each time.
    for _ in 0..2 {
        let _client = SnClient::hello(&broker, &hello);
        witness.expect(&topic, "kept", ONE, false);
    }
    let changed = hello.clone().with_will(&topic, "changed");
    let _client = SnClient::hello(&broker, &changed);
    witness.expect(&topic, "changed", ONE, false);
    // A clean session has none; one that stays and follows it neither.
    let clean = SnHello::new(&hello.client_id);
    SnClient::hello(&broker, &clean).disconnect();
    let _client = SnClient::hello(&broker, &hello);
    let _clock = SnClient::hello(&broker, &mortal(&topic, "clock", 2));
    witness.expect(&topic, "clock", ONE, false);
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_4_a_will_can_be_changed_and_deleted() {
    let broker = shared();
    let (topic, other) = (fresh("before"), fresh("after"));
    let mut witness = watcher(&broker, &topic);
    let mut other_witness = watcher(&broker, &other);
    let update = |client: &mut SnClient, topic: &str, says: &str| {
        let flags = qos_flags(2) | flag::RETAIN;
        client.send(kind::WILLTOPICUPD, &[&[flags], topic.as_bytes()].concat());
        client.expect(kind::WILLTOPICRESP, &[0]);
        client.send(kind::WILLMSGUPD, says.as_bytes());
        client.expect(kind::WILLMSGRESP, &[0]);
    };
    let mut changed = SnClient::hello(&broker, &mortal(&topic, "wrong", 1));
    update(&mut changed, &other, "changed");
    other_witness.expect(&other, "changed", QoS::ExactlyOnce, false);
    let mut deleted = SnClient::hello(&broker, &mortal(&topic, "wrong", 1));
    deleted.send(kind::WILLTOPICUPD, &[]);
    deleted.expect(kind::WILLTOPICRESP, &[0]);
    let _clock = SnClient::hello(&broker, &mortal(&topic, "clock", 2));
    witness.expect(&topic, "clock", ONE, false);
    witness.expect_nothing();
}

#[test]
fn the_will_of_who_is_replaced_at_a_new_address_is_published() {
    let broker = shared();
    let topic = fresh("replaced");
    let mut witness = watcher(&broker, &topic);
    let hello = SnHello::new(&fresh("moves")).with_will(&topic, "the first");
    let _first = SnClient::hello(&broker, &hello);
    let second = SnClient::hello(&broker, &hello);
    witness.expect(&topic, "the first", ONE, false);
    second.disconnect();
    witness.expect_nothing();
}

#[test]
fn mqttsn_6_14_the_will_of_a_sleeper_that_does_not_come_back() {
    let broker = shared();
    let topic = fresh("overslept");
    let mut witness = watcher(&broker, &topic);
    let mut sleeper = SnClient::hello(&broker, &mortal(&topic, "overslept", 600));
    sleeper.sleep(1);
    // The keep alive is that of the sleep now.
    witness.expect(&topic, "overslept", ONE, false);
}
