//! Clients of MQTT-SN on shards that are fed by hand.

use std::sync::Arc;

use ringbus_protocols::mqtt::{Packet as MqttPacket, QoS, Version};
use ringbus_protocols::mqttsn::{
    FilterRef, Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, WillTopic, decode, encode,
    put_forwarder_head,
};

use super::super::Admission;
use super::net::{Net, client, publish, subscribe};
use crate::base::limits::{SN_HALF_OPEN_MAX, SN_HALF_OPEN_PER_IP_MAX};
use crate::base::{Nanos, SocketAddr};

const RETRY: Nanos = Nanos::from_secs(10);

fn address(number: u32) -> SocketAddr {
    let ip: [u8; 4] = (0x0A00_0000 + number / 50_000).to_be_bytes();
    let port = 1024 + u16::try_from(number % 50_000).unwrap();
    SocketAddr::from((ip, port))
}

fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect {
        clean_session: true,
        will: false,
        duration_seconds: 60,
        client_id,
    }
}

fn subscribe_to(name: &str, qos: QoS) -> Packet<'_> {
    Packet::Subscribe {
        dup: false,
        qos,
        msg_id: 7,
        filter: FilterRef::Name(name),
    }
}

fn publish_short<'a>(name: &str, payload: &'a [u8], qos: PublishQoS, msg_id: u16) -> Packet<'a> {
    Packet::Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicRef::Short(ShortTopic::new(name).unwrap()),
        msg_id,
        payload,
    }
}

const ACCEPTED: Packet<'_> = Packet::ConnAck {
    return_code: ReturnCode::ACCEPTED,
};
const GOODBYE: Packet<'_> = Packet::Disconnect {
    duration_seconds: None,
};

impl Net {
    /// A datagram comes to a shard.
    fn datagram(&mut self, shard: usize, from: SocketAddr, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode(packet, &mut bytes);
        self.raw_datagram(shard, from, &bytes);
        self.settle();
    }

    fn raw_datagram(&mut self, shard: usize, from: SocketAddr, bytes: &[u8]) {
        self.shards[shard].begin_turn(self.now);
        self.shards[shard].on_datagram(0, from, bytes);
    }

    /// What a client was sent since the last call, in debug form.
    fn answers(&mut self, to: SocketAddr) -> Vec<String> {
        let mut answers = Vec::new();
        self.datagrams.retain(|(address, bytes)| {
            if *address == to {
                answers.push(format!("{:?}", decode(bytes).expect("a message")));
            }
            *address != to
        });
        answers
    }

    fn expect(&mut self, to: SocketAddr, wanted: &[Packet<'_>]) {
        let wanted: Vec<String> = wanted.iter().map(|packet| format!("{packet:?}")).collect();
        assert_eq!(self.answers(to), wanted);
    }

    fn connected(&mut self, shard: usize, from: SocketAddr, client_id: &str) {
        self.datagram(shard, from, &connect(client_id));
        self.expect(from, &[ACCEPTED]);
    }
}

/// On every number of shards, with clients that meet every shard first.
fn on_shards(test: impl Fn(&mut Net, usize)) {
    for shards in [1, 2, 4] {
        for first in 0..usize::from(shards) {
            let mut net = Net::new(shards);
            test(&mut net, first);
        }
    }
}

#[test]
fn messages_go_both_ways_wherever_a_clients_datagrams_come() {
    on_shards(|net, first| {
        let last = net.shards.len() - 1;
        let (one, other) = (address(1), address(2));
        net.connected(first, one, "one");
        net.connected(last, other, "other");
        net.datagram(first, one, &subscribe_to("aa", QoS::AtLeastOnce));
        assert_eq!(net.answers(one).len(), 1, "SUBACK");
        let qos = PublishQoS::Of(QoS::AtLeastOnce);
        net.datagram(last, other, &publish_short("aa", b"hello", qos, 3));
        let return_code = ReturnCode::ACCEPTED;
        let topic_id = u16::from_be_bytes(*b"aa");
        net.expect(
            other,
            &[Packet::PubAck {
                topic_id,
                msg_id: 3,
                return_code,
            }],
        );
        let got = net.answers(one);
        assert_eq!(got.len(), 1);
        assert!(
            got[0].starts_with("Publish") && got[0].contains("AtLeastOnce"),
            "{got:?}"
        );
        net.datagram(
            first,
            one,
            &Packet::PubAck {
                topic_id,
                msg_id: 1,
                return_code,
            },
        );
        net.pass(RETRY);
        assert!(net.answers(one).is_empty(), "it was acknowledged");
        for (shard, from) in [(first, one), (last, other)] {
            net.datagram(shard, from, &GOODBYE);
            net.expect(from, &[GOODBYE]);
        }
        assert_eq!(net.leaks(), 0);
    });
}

#[test]
fn mqttsn_6_14_messages_wait_for_a_sleeping_client() {
    on_shards(|net, first| {
        let sleeper = address(1);
        net.connected(first, sleeper, "sleeper");
        net.datagram(first, sleeper, &subscribe_to("aa", QoS::AtLeastOnce));
        net.answers(sleeper);
        let duration_seconds = Some(300);
        net.datagram(first, sleeper, &Packet::Disconnect { duration_seconds });
        net.expect(sleeper, &[GOODBYE]);
        let publisher = net.connect(0, client(Version::V5, "publisher"));
        for payload in [b"1", b"2", b"3"] {
            let message = publish("aa", payload, QoS::AtLeastOnce);
            net.send(publisher, Version::V5, &MqttPacket::Publish(message));
        }
        net.pass(Nanos::from_secs(100));
        assert!(net.answers(sleeper).is_empty(), "it sleeps");
        let client_id = Some("sleeper");
        net.datagram(first, sleeper, &Packet::PingReq { client_id });
        for msg_id in 1..=3 {
            let got = net.answers(sleeper);
            assert!(got[0].starts_with("Publish"), "{got:?}");
            assert!(got[0].contains(&format!("msg_id: {msg_id}")), "{got:?}");
            assert_eq!(got.len(), 1);
            let ack = Packet::PubAck {
                topic_id: u16::from_be_bytes(*b"aa"),
                msg_id,
                return_code: ReturnCode::ACCEPTED,
            };
            net.datagram(first, sleeper, &ack);
        }
        net.expect(sleeper, &[Packet::PingResp]);
        // With nothing to come it is told at once.
        net.datagram(first, sleeper, &Packet::PingReq { client_id });
        net.expect(sleeper, &[Packet::PingResp]);
    });
}

fn hello(clean_session: bool, will: bool) -> Packet<'static> {
    Packet::Connect {
        clean_session,
        will,
        duration_seconds: 60,
        client_id: "mortal",
    }
}

/// What a client of MQTT hears of a will, after it was long enough silent for that.
fn last_words(net: &mut Net, witness: usize) -> Vec<String> {
    net.pass(Nanos::from_secs(91));
    net.datagrams.clear();
    net.read(witness, Version::V5)
}

impl Net {
    /// CONNECT and the will, at any shard.
    fn say_will(&mut self, shard: usize, from: SocketAddr, clean_session: bool, payload: &[u8]) {
        self.datagram(shard, from, &hello(clean_session, true));
        self.expect(from, &[Packet::WillTopicReq]);
        let will = WillTopic {
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "last/words",
        };
        self.datagram(shard, from, &Packet::WillTopic(Some(will)));
        self.expect(from, &[Packet::WillMsgReq]);
        self.datagram(shard, from, &Packet::WillMsg(payload));
        self.expect(from, &[ACCEPTED]);
    }

    fn witness(&mut self) -> usize {
        let witness = self.connect(0, client(Version::V5, "witness"));
        let all = subscribe(&[("#", QoS::AtMostOnce)], Version::V5, 0);
        self.send_bytes(witness, &all);
        self.read(witness, Version::V5);
        witness
    }
}

#[test]
fn mqttsn_6_3_the_will_is_a_part_of_the_session() {
    const ALAS: [&str; 1] = ["publish last/words=alas q0 #0"];
    on_shards(|net, first| {
        let last = net.shards.len() - 1;
        let witness = net.witness();
        net.say_will(first, address(1), false, b"alas");
        net.datagram(first, address(1), &GOODBYE);
        net.expect(address(1), &[GOODBYE]);
        assert!(last_words(net, witness).is_empty(), "it said good-bye");
        // Wherever it comes back, again and again, and whatever it was that ended it.
        for (shard, from) in [(last, address(2)), (first, address(3)), (first, address(3))] {
            net.datagram(shard, from, &hello(false, false));
            net.expect(from, &[ACCEPTED]);
            assert_eq!(last_words(net, witness), ALAS);
        }
        // A connection that takes the session over takes the will over as well.
        net.datagram(first, address(1), &hello(false, false));
        net.datagram(last, address(2), &hello(false, false));
        assert_eq!(net.read(witness, Version::V5), ALAS, "of the first");
        net.expect(address(2), &[ACCEPTED]);
        assert_eq!(last_words(net, witness), ALAS);
        // Another will replaces it.
        net.say_will(first, address(1), false, b"farewell");
        assert_eq!(
            last_words(net, witness),
            ["publish last/words=farewell q0 #0"]
        );
        // An empty one does so, too.
        net.datagram(first, address(1), &hello(false, true));
        net.datagram(first, address(1), &Packet::WillTopic(None));
        assert!(last_words(net, witness).is_empty());
        net.datagram(first, address(1), &hello(false, false));
        assert!(last_words(net, witness).is_empty());
    });
}

#[test]
fn mqttsn_6_3_a_clean_session_and_a_client_of_mqtt_end_the_will() {
    on_shards(|net, first| {
        let witness = net.witness();
        let forget: [fn(&mut Net, usize); 2] = [
            |net, first| net.datagram(first, address(1), &hello(true, false)),
            |net, first| {
                let mut of_mqtt = client(Version::V3_1_1, "mortal");
                of_mqtt.clean_start = false;
                let socket = net.connect(first, of_mqtt);
                net.hang_up(socket);
            },
        ];
        for forget in forget {
            net.say_will(first, address(1), false, b"alas");
            net.datagram(first, address(1), &GOODBYE);
            forget(net, first);
            assert!(last_words(net, witness).is_empty());
            net.datagram(first, address(1), &hello(false, false));
            assert!(last_words(net, witness).is_empty());
        }
    });
}

#[test]
fn a_client_that_is_silent_is_lost_and_its_will_published() {
    on_shards(|net, first| {
        let from = address(1);
        let witness = net.witness();
        net.say_will(first, from, true, b"alas");
        net.pass(Nanos::from_secs(89));
        assert!(net.read(witness, Version::V5).is_empty());
        net.pass(Nanos::from_secs(2));
        let words = net.read(witness, Version::V5);
        assert_eq!(words, ["publish last/words=alas q0 #0"]);
        net.answers(from);
        // The address is nobody's again.
        net.datagram(first, from, &Packet::PingReq { client_id: None });
        net.expect(from, &[GOODBYE]);
    });
}

#[test]
fn a_client_goes_on_from_another_address_only_by_connect() {
    on_shards(|net, first| {
        let last = net.shards.len() - 1;
        let (old, new) = (address(1), address(2));
        let hello = Packet::Connect {
            clean_session: false,
            will: false,
            duration_seconds: 60,
            client_id: "roamer",
        };
        net.datagram(first, old, &hello);
        net.expect(old, &[ACCEPTED]);
        net.datagram(first, old, &subscribe_to("aa", QoS::AtMostOnce));
        net.answers(old);
        let client_id = Some("roamer");
        net.datagram(last, new, &Packet::PingReq { client_id });
        net.expect(new, &[GOODBYE]);
        net.datagram(last, new, &hello);
        net.expect(new, &[ACCEPTED]);
        net.expect(old, &[GOODBYE]);
        let stranger = address(3);
        let message = publish_short("aa", b"x", PublishQoS::MinusOne, 0);
        net.datagram(first, stranger, &message);
        assert_eq!(net.answers(new).len(), 1, "the subscription is still there");
        assert!(net.answers(old).is_empty());
        net.datagram(first, old, &Packet::PingReq { client_id: None });
        net.expect(old, &[GOODBYE]);
    });
}

#[test]
fn another_client_at_the_same_address_replaces_the_first() {
    on_shards(|net, first| {
        let from = address(1);
        // Different homes, if there is more than one shard.
        for name in ["a", "b", "c", "d", "e", "f", "a"] {
            net.connected(first, from, name);
        }
        net.datagram(first, from, &GOODBYE);
        net.expect(from, &[GOODBYE]);
        assert_eq!(net.leaks(), 0);
    });
}

#[test]
fn clients_behind_a_forwarder_are_told_apart() {
    on_shards(|net, first| {
        let from = address(1);
        for node in [b"n1", b"n2"] {
            let mut bytes = Vec::new();
            put_forwarder_head(&mut bytes, 1, node);
            let name = String::from_utf8_lossy(node);
            encode(&connect(&name), &mut bytes);
            net.raw_datagram(first, from, &bytes);
            net.settle();
            let (to, answer) = net.datagrams.pop().expect("CONNACK");
            assert_eq!(to, from);
            assert_eq!(answer[..5], [5, 0xFE, 0, node[0], node[1]]);
            assert_eq!(decode(&answer[5..]), Ok(ACCEPTED));
        }
        let connections: usize = net.shards.iter().map(|shard| shard.connections()).sum();
        assert_eq!(connections, 2);
    });
}

#[test]
fn a_client_may_search_for_the_gateway_that_it_has() {
    on_shards(|net, first| {
        let from = address(1);
        net.connected(first, from, "searcher");
        net.datagram(first, from, &Packet::SearchGw { radius: 0 });
        let (gateway_id, address) = (1, &[][..]);
        net.expect(
            from,
            &[Packet::GwInfo {
                gateway_id,
                address,
            }],
        );
    });
}

#[test]
fn strangers_get_answers_no_longer_than_their_questions() {
    on_shards(|net, first| {
        let from = address(1);
        net.datagram(first, from, &Packet::SearchGw { radius: 0 });
        let (gateway_id, address) = (1, &[][..]);
        net.expect(
            from,
            &[Packet::GwInfo {
                gateway_id,
                address,
            }],
        );
        let qos = PublishQoS::Of(QoS::AtLeastOnce);
        for question in [
            publish_short("aa", b"", qos, 1),
            Packet::PingReq { client_id: None },
            subscribe_to("a", QoS::AtMostOnce),
            Packet::PubRel { msg_id: 1 },
        ] {
            net.datagram(first, from, &question);
            net.expect(from, &[GOODBYE]);
        }
        for question in [GOODBYE, ACCEPTED, Packet::PingResp] {
            net.datagram(first, from, &question);
            net.expect(from, &[]);
        }
        assert_eq!(net.shards[first].counters().datagrams_malformed, 0);
        for garbage in [&b""[..], b"\x01", b"\x03\x18", b"\xff\xff\xff\xff"] {
            net.raw_datagram(first, from, garbage);
        }
        net.settle();
        net.expect(from, &[]);
        assert_eq!(net.shards[first].counters().datagrams_malformed, 4);
    });
}

#[test]
fn a_flood_of_addresses_costs_a_bounded_amount() {
    let mut net = Net::new(1);
    let mut hello = Vec::new();
    encode(
        &Packet::Connect {
            clean_session: true,
            will: true,
            duration_seconds: 60,
            client_id: "x",
        },
        &mut hello,
    );
    let half_open = |net: &Net| net.shards[0].connections();
    for number in 0..100 {
        net.raw_datagram(0, address(number), &hello);
    }
    assert_eq!(half_open(&net), usize::from(SN_HALF_OPEN_PER_IP_MAX));
    // From ever other addresses there are no more than in all.
    let far = |number: u32| SocketAddr::from((number.to_be_bytes(), 1884));
    for number in 0..100_000 {
        net.raw_datagram(0, far(number), &hello);
    }
    assert_eq!(half_open(&net), SN_HALF_OPEN_MAX);
    net.datagrams.clear();
    // They never say more.
    net.pass(Nanos::from_secs(11));
    assert_eq!(net.leaks(), 0);
}

#[test]
fn clients_beyond_the_maximum_are_told_that_there_is_no_place() {
    let mut net = Net::with(2, |config| {
        config.sn.admission = Arc::new(Admission::new(2))
    });
    for number in 1..=2 {
        net.connected(0, address(number), &format!("c{number}"));
    }
    let refused = Packet::ConnAck {
        return_code: ReturnCode::CONGESTION,
    };
    net.datagram(0, address(3), &connect("c3"));
    net.expect(address(3), &[refused]);
    // Connections by streams have places of their own.
    net.connect(1, client(Version::V5, "stream"));
    net.datagram(0, address(1), &GOODBYE);
    net.connected(1, address(3), "c3");
}

#[test]
fn only_open_topics_are_for_everybody() {
    for (filters, is_local, gets) in [
        (None, true, &["aa", "bb"][..]),
        (None, false, &[]),
        (Some(vec!["aa".into()]), true, &["aa"]),
        (Some(vec!["+".into()]), false, &["aa", "bb"]),
    ] {
        let mut net = Net::with(2, |config| {
            config.sn.open_topics = filters;
            config.sn.local_listeners = vec![is_local];
        });
        let witness = net.connect(0, client(Version::V3_1_1, "witness"));
        let all = subscribe(&[("#", QoS::AtMostOnce)], Version::V3_1_1, 0);
        net.send_bytes(witness, &all);
        net.read(witness, Version::V3_1_1);
        for topic in ["aa", "bb"] {
            for payload in [b"1", b"2"] {
                let message = publish_short(topic, payload, PublishQoS::MinusOne, 0);
                net.datagram(1, address(1), &message);
            }
        }
        let publish = |topic: &&str| [1, 2].map(|n| format!("publish {topic}={n} q0 #0"));
        let wanted: Vec<String> = gets.iter().flat_map(publish).collect();
        assert_eq!(net.read(witness, Version::V3_1_1), wanted);
    }
}

#[test]
fn messages_of_many_senders_to_one_topic_are_a_run() {
    let mut net = Net::new(1);
    let witness = net.connect(0, client(Version::V3_1_1, "witness"));
    let some = subscribe(
        &[("a+", QoS::AtMostOnce), ("+", QoS::AtMostOnce)],
        Version::V3_1_1,
        0,
    );
    net.send_bytes(witness, &some);
    net.read(witness, Version::V3_1_1);
    let before = net.shards[0].counters();
    for number in 0..10 {
        for topic in ["aa", "bb", "cc"] {
            let mut bytes = Vec::new();
            let payload = number.to_string();
            encode(
                &publish_short(topic, payload.as_bytes(), PublishQoS::MinusOne, 0),
                &mut bytes,
            );
            net.raw_datagram(0, address(number), &bytes);
        }
    }
    net.settle();
    let after = net.shards[0].counters();
    assert_eq!(after.in_runs - before.in_runs, 30);
    let mut got = net.read(witness, Version::V3_1_1);
    got.sort_by_key(|word| word.as_bytes()[8]);
    let topics = ["aa", "bb", "cc"].iter();
    let wanted: Vec<String> = topics
        .flat_map(|topic| (0..10).map(move |n| format!("publish {topic}={n} q0 #0")))
        .collect();
    assert_eq!(got, wanted, "each topic in order");
}

#[test]
fn a_drain_says_goodbye() {
    on_shards(|net, first| {
        net.connected(first, address(1), "one");
        for shard in &mut net.shards {
            shard.start_drain();
        }
        net.settle();
        net.expect(address(1), &[GOODBYE]);
        assert_eq!(net.leaks(), 0);
        let refused = Packet::ConnAck {
            return_code: ReturnCode::CONGESTION,
        };
        net.datagram(first, address(2), &connect("late"));
        net.expect(address(2), &[refused]);
    });
}
