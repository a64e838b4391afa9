//! Shared subscriptions over one and more shards, to narrow and broad filters.

use super::*;
use crate::config::SharedStrategy;

const FILTERS: [&str; 2] = ["$share/g/a/b/#", "$share/g/#"];
const ALL_SHARDS: [u16; 3] = [1, 2, 4];

fn member_hello<'a>(name: &'a str, properties: &'a PropertiesBuf) -> Connect<'a> {
    Connect {
        clean_start: false,
        properties: properties.as_properties(),
        ..client(V5, name)
    }
}

fn lasting(receive_maximum: u16) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::SessionExpiryInterval(1_000));
    properties.push(Property::ReceiveMaximum(receive_maximum));
    properties
}

/// A member with a session that stays, which takes so many messages at a time.
fn join(net: &mut Net, name: &str, filter: &str, qos: QoS, receive_maximum: u16) -> usize {
    let properties = lasting(receive_maximum);
    let shard = net.sockets.len() % net.shards.len();
    let socket = net.connect(shard, member_hello(name, &properties));
    net.send_bytes(socket, &subscribe(&[(filter, qos)], V5, 0));
    let granted = format!("suback [{}]", qos as u8);
    assert_eq!(net.read(socket, V5), ["connack Success false", &granted]);
    socket
}

fn members(net: &mut Net, count: usize, filter: &str, qos: QoS) -> Vec<usize> {
    let join = |n| join(net, &format!("member-{n}"), filter, qos, 100);
    (0..count).map(join).collect()
}

fn come_back(net: &mut Net, name: &str) -> usize {
    let properties = lasting(100);
    let socket = net.connect(0, member_hello(name, &properties));
    let told = net.read_first(socket);
    assert_eq!(told, "connack Success true");
    socket
}

fn publish_numbers(net: &mut Net, numbers: std::ops::Range<u32>, qos: QoS) {
    let publisher = net.connect(0, client(V5, "publisher"));
    for number in numbers {
        let topic = format!("a/b/{}", number % 7);
        let text = number.to_string();
        net.send(
            publisher,
            V5,
            &Packet::Publish(publish(&topic, text.as_bytes(), qos)),
        );
        if qos == QoS::ExactlyOnce {
            net.send(publisher, V5, &Packet::PubRel(Ack::new(id(1))));
        }
    }
    net.hang_up(publisher);
}

/// The numbers of the messages that came, and whether one came as a repetition.
fn numbers(net: &mut Net, socket: usize) -> Vec<u32> {
    let words = net.read(socket, V5);
    let number = |word: &String| {
        let payload = word.strip_prefix("publish ")?.split(['=', ' ']).nth(1)?;
        payload.parse().ok()
    };
    words.iter().filter_map(number).collect()
}

impl Net {
    /// The first packet that came; the others stay.
    fn read_first(&mut self, socket: usize) -> String {
        let bytes = self.sockets[socket].received.clone();
        let first = self.read(socket, V5).remove(0);
        let Ok(Frame::Complete { length, .. }) = frame(&bytes, u32::MAX) else {
            panic!("the shard sends whole packets");
        };
        self.sockets[socket].received = bytes[length..].to_vec();
        first
    }

    fn acknowledge(&mut self, socket: usize, identifiers: std::ops::Range<u16>) {
        for identifier in identifiers {
            self.send(socket, V5, &Packet::PubAck(Ack::new(id(identifier))));
        }
    }

    fn dropped(&self) -> u64 {
        self.shards.iter().map(|s| s.counters().dropped).sum()
    }
}

fn everywhere(test: impl Fn(&mut Net, &str)) {
    for shards in ALL_SHARDS {
        for filter in FILTERS {
            test(&mut Net::new(shards), filter);
        }
    }
}

/// `[MQTT5-4.8.2-3]`
#[test]
fn each_message_goes_to_one_member_and_each_member_gets_its_share() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        everywhere(|net, filter| {
            let members = members(net, 10, filter, qos);
            publish_numbers(net, 0..200, qos);
            let mut all = Vec::new();
            for &member in &members {
                let mine = numbers(net, member);
                // Each partition takes turns by itself, and a narrow filter has one.
                let fair = if filter == FILTERS[0] {
                    18..=22
                } else {
                    12..=28
                };
                assert!(
                    fair.contains(&mine.len()),
                    "{filter}: {} of 200",
                    mine.len()
                );
                all.extend(mine);
            }
            all.sort_unstable();
            assert_eq!(all, (0..200).collect::<Vec<_>>());
            for member in members {
                net.send_bytes(member, &[0xE0, 2, 0, 0]);
            }
            net.pass(Nanos::from_secs(2_000));
            assert_eq!(net.leaks(), 0);
        });
    }
}

#[test]
fn a_publisher_learns_that_a_group_is_somebody() {
    everywhere(|net, filter| {
        let member = join(net, "member", filter, QoS::AtMostOnce, 10);
        let publisher = net.connect(0, client(V5, "publisher"));
        let packet = Packet::Publish(publish("a/b/c", b"1", QoS::AtLeastOnce));
        net.send(publisher, V5, &packet);
        let seen = net.read(publisher, V5);
        assert_eq!(seen[1], "puback #1 Success");
        assert_eq!(numbers(net, member), [1]);
    });
}

#[test]
fn a_group_and_a_subscription_of_ones_own_are_two_copies() {
    everywhere(|net, filter| {
        let both = net.connect(0, client(V5, "both"));
        net.send_bytes(both, &subscribe(&[(filter, QoS::AtLeastOnce)], V5, 1));
        net.send_bytes(both, &subscribe(&[("a/b/c", QoS::AtMostOnce)], V5, 2));
        let other_group = filter.replace("/g/", "/other/");
        net.send_bytes(both, &subscribe(&[(&other_group, QoS::AtMostOnce)], V5, 3));
        net.read(both, V5);
        let publisher = net.connect(0, client(V5, "publisher"));
        let packet = Packet::Publish(publish("a/b/c", b"x", QoS::AtLeastOnce));
        net.send(publisher, V5, &packet);
        let mut seen = net.read(both, V5);
        seen.sort();
        let copies = [
            "publish a/b/c=x q0 #0 s2",
            "publish a/b/c=x q0 #0 s3",
            "publish a/b/c=x q1 #1 s1",
        ];
        assert_eq!(seen, copies);
    });
}

#[test]
fn who_is_away_is_passed_over() {
    everywhere(|net, filter| {
        let members = members(net, 4, filter, QoS::AtLeastOnce);
        net.hang_up(members[1]);
        net.hang_up(members[2]);
        publish_numbers(net, 0..40, QoS::AtLeastOnce);
        let (first, last) = (numbers(net, members[0]), numbers(net, members[3]));
        assert_eq!(first.len() + last.len(), 40);
        assert!(
            first.len() > 10 && last.len() > 10,
            "{} {}",
            first.len(),
            last.len()
        );
        let back = come_back(net, "member-1");
        assert!(numbers(net, back).is_empty());
    });
}

#[test]
fn what_waits_for_a_group_goes_to_the_first_who_comes() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        everywhere(|net, filter| {
            for member in members(net, 3, filter, qos) {
                net.hang_up(member);
            }
            publish_numbers(net, 0..30, qos);
            let back = come_back(net, "member-1");
            let mut got = numbers(net, back);
            got.sort_unstable();
            assert_eq!(got, (0..30).collect::<Vec<_>>());
            let other = come_back(net, "member-2");
            assert!(numbers(net, other).is_empty());
            assert_eq!(net.dropped(), 0);
        });
    }
}

#[test]
fn what_a_lost_member_had_not_acknowledged_goes_to_another() {
    everywhere(|net, filter| {
        let doomed = join(net, "doomed", filter, QoS::AtLeastOnce, 5);
        publish_numbers(net, 0..12, QoS::AtLeastOnce);
        assert_eq!(numbers(net, doomed), [0, 1, 2, 3, 4]);
        net.acknowledge(doomed, 1..3);
        assert_eq!(numbers(net, doomed), [5, 6]);
        let heir = join(net, "heir", filter, QoS::AtLeastOnce, 100);
        net.hang_up(doomed);
        let mut got = numbers(net, heir);
        got.sort_unstable();
        assert_eq!(got, (2..12).collect::<Vec<_>>());
        let back = come_back(net, "doomed");
        assert!(
            numbers(net, back).is_empty(),
            "they are somebody else's now"
        );
    });
}

/// `[MQTT5-4.8.2-4]` `[MQTT5-4.8.2-5]`
#[test]
fn what_was_sent_at_qos_2_is_for_that_member_alone() {
    everywhere(|net, filter| {
        let doomed = join(net, "doomed", filter, QoS::ExactlyOnce, 2);
        publish_numbers(net, 0..5, QoS::ExactlyOnce);
        assert_eq!(numbers(net, doomed), [0, 1]);
        let heir = join(net, "heir", filter, QoS::ExactlyOnce, 100);
        net.hang_up(doomed);
        let mut got = numbers(net, heir);
        got.sort_unstable();
        assert_eq!(got, [2, 3, 4], "what was never sent");
        let back = come_back(net, "doomed");
        let again = net.read(back, V5);
        assert!(again[0].ends_with("=0 q2 #1 dup"), "{again:?}");
        assert!(again[1].ends_with("=1 q2 #2 dup"), "{again:?}");
        net.hang_up(back);
        net.pass(Nanos::from_secs(2_000));
        assert!(numbers(net, heir).is_empty(), "discarded with the session");
    });
}

#[test]
fn a_session_that_ends_leaves_its_messages_to_the_group() {
    everywhere(|net, filter| {
        let doomed = join(net, "doomed", filter, QoS::AtLeastOnce, 2);
        publish_numbers(net, 0..5, QoS::AtLeastOnce);
        assert_eq!(numbers(net, doomed), [0, 1]);
        net.hang_up(doomed);
        // Nobody is there: its own session keeps them, and sends them again as what they are.
        let doomed = come_back(net, "doomed");
        let again = net.read(doomed, V5);
        assert!(again[0].ends_with("=0 q1 #1 dup"), "{again:?}");
        let heir = join(net, "heir", filter, QoS::AtLeastOnce, 100);
        net.hang_up(heir);
        // A Clean Start ends the session; the heir's keeps what is left.
        let usurper = net.connect(0, client(V5, "doomed"));
        assert_eq!(net.read(usurper, V5), ["connack Success false"]);
        let back = come_back(net, "heir");
        let mut got = numbers(net, back);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_full_member_is_passed_over_and_nothing_is_lost_while_any_has_room() {
    for shards in ALL_SHARDS {
        let mut net = Net::with(shards, |config| config.queue_messages = 3);
        let slow = join(&mut net, "slow", FILTERS[0], QoS::AtLeastOnce, 1);
        let fast = join(&mut net, "fast", FILTERS[0], QoS::AtLeastOnce, 100);
        publish_numbers(&mut net, 0..60, QoS::AtLeastOnce);
        assert_eq!(numbers(&mut net, slow).len(), 1, "and three wait");
        assert_eq!(numbers(&mut net, fast).len(), 56);
        net.hang_up(fast);
        publish_numbers(&mut net, 60..70, QoS::AtLeastOnce);
        // Both queues take three, whoever is connected; what was sent to the fast one is kept.
        assert!(net.dropped() > 0);
    }
}

#[test]
fn a_message_too_large_for_one_member_goes_to_another() {
    let mut net = Net::new(2);
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MaximumPacketSize(100));
    let small = net.connect(0, member_hello("small", &properties));
    net.send_bytes(small, &subscribe(&[(FILTERS[0], QoS::AtLeastOnce)], V5, 0));
    let large = join(&mut net, "large", FILTERS[0], QoS::AtLeastOnce, 100);
    let publisher = net.connect(0, client(V5, "publisher"));
    for _ in 0..6 {
        let packet = publish("a/b/c", &[b'1'; 200], QoS::AtLeastOnce);
        net.send(publisher, V5, &Packet::Publish(packet));
    }
    assert_eq!(net.read(large, V5).len(), 6);
}

/// `[MQTT5-3.8.3-4]`
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut net = Net::new(2);
    let socket = net.connect(0, client(V5, "c"));
    let mut bytes = subscribe(&[("a", QoS::AtMostOnce)], V5, 0);
    bytes.extend(no_local("$share/g/a"));
    net.send_bytes(socket, &bytes);
    let seen = net.read(socket, V5);
    let expected = [
        "connack Success false",
        "suback [0]",
        "disconnect ProtocolError",
    ];
    assert_eq!(seen, expected);
    assert!(net.sockets[socket].is_closed);
}

/// `[MQTT5-4.8.2-1]` `[MQTT5-4.8.2-2]`
#[test]
fn a_share_without_a_name_or_a_filter_is_refused() {
    for (version, code) in [(V5, 0x8F), (Version::V3_1_1, 0x80)] {
        for bad in [
            "$share/ab",
            "$share/",
            "$share//a",
            "$share/g/",
            "$share/a+/b",
            "$share/#/b",
        ] {
            let mut net = Net::new(2);
            let socket = net.connect(0, client(version, "c"));
            net.send_bytes(socket, &subscribe(&[(bad, QoS::AtMostOnce)], version, 0));
            let seen = net.read(socket, version);
            assert_eq!(seen[1], format!("suback [{code}]"), "{bad}");
            assert_eq!(
                net.shards
                    .iter()
                    .map(|s| s.leaks().local_filters)
                    .sum::<usize>(),
                0
            );
        }
    }
}

#[test]
fn a_group_gets_no_retained_messages_and_may_get_retain_as_published() {
    everywhere(|net, filter| {
        let publisher = net.connect(0, client(V5, "publisher"));
        let retained = |payload| Publish {
            retain: true,
            ..publish("a/b/c", payload, QoS::AtLeastOnce)
        };
        net.send(publisher, V5, &Packet::Publish(retained(b"1")));
        let socket = net.connect(0, client(V5, "member"));
        let wanted = SubscribeFilter {
            filter,
            qos: QoS::AtLeastOnce,
            retain_as_published: true,
            ..SubscribeFilter::default()
        };
        net.send_bytes(socket, &subscribe_to(&[wanted], V5, 0));
        assert_eq!(
            net.read(socket, V5),
            ["connack Success false", "suback [1]"]
        );
        net.send(publisher, V5, &Packet::Publish(retained(b"2")));
        assert_eq!(net.read(socket, V5), ["publish a/b/c=2 q1 #1 retain"]);
    });
}

/// `[MQTT5-4.8.2-6]`
#[test]
fn a_message_that_a_member_refuses_is_nobody_elses() {
    everywhere(|net, filter| {
        let first = join(net, "first", filter, QoS::AtLeastOnce, 100);
        publish_numbers(net, 0..1, QoS::AtLeastOnce);
        assert_eq!(numbers(net, first), [0]);
        let second = join(net, "second", filter, QoS::AtLeastOnce, 100);
        let refusal = Ack {
            reason: ReasonCode::UnspecifiedError,
            ..Ack::new(id(1))
        };
        net.send(first, V5, &Packet::PubAck(refusal));
        net.hang_up(first);
        assert!(numbers(net, second).is_empty());
    });
}

#[test]
fn a_member_of_version_3_shares_too() {
    everywhere(|net, filter| {
        let old = net.connect(0, client(Version::V3_1_1, "old"));
        net.send_bytes(
            old,
            &subscribe(&[(filter, QoS::AtLeastOnce)], Version::V3_1_1, 0),
        );
        let new = join(net, "new", filter, QoS::AtLeastOnce, 100);
        publish_numbers(net, 0..20, QoS::AtLeastOnce);
        let old = net.read(old, Version::V3_1_1).len() - 2;
        let new = numbers(net, new).len();
        assert_eq!(old + new, 20);
        assert!(old > 4 && new > 4, "{old} {new}");
    });
}

#[test]
fn who_unsubscribes_keeps_what_it_has_and_gets_no_more() {
    everywhere(|net, filter| {
        let leaves = join(net, "leaves", filter, QoS::AtLeastOnce, 1);
        publish_numbers(net, 0..3, QoS::AtLeastOnce);
        let stays = join(net, "stays", filter, QoS::AtLeastOnce, 100);
        let mut out = Vec::new();
        let identifier = id(4);
        ringbus_protocols::mqtt::Unsubscribe::encode_from(
            identifier,
            &Default::default(),
            &[filter],
            V5,
            &mut out,
        );
        net.send_bytes(leaves, &out);
        publish_numbers(net, 3..8, QoS::AtLeastOnce);
        assert_eq!(numbers(net, stays), [3, 4, 5, 6, 7]);
        assert_eq!(numbers(net, leaves), [0]);
        net.acknowledge(leaves, 1..3);
        assert_eq!(numbers(net, leaves), [1, 2]);
    });
}

#[test]
fn a_run_is_shared_message_by_message() {
    everywhere(|net, filter| {
        let members = members(net, 4, filter, QoS::AtMostOnce);
        let publisher = net.connect(0, client(V5, "publisher"));
        let mut bytes = Vec::new();
        for number in 0..40 {
            let text = number.to_string();
            let packet = publish("a/b/c", text.as_bytes(), QoS::AtMostOnce);
            Packet::Publish(packet).encode(V5, &mut bytes);
        }
        net.send_bytes(publisher, &bytes);
        let mut all = Vec::new();
        for &member in &members {
            let mine = numbers(net, member);
            assert_eq!(mine.len(), 10);
            all.extend(mine);
        }
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<_>>());
    });
}

fn shares_under(strategy: SharedStrategy, shards: u16, publishers: usize) -> Vec<Vec<u32>> {
    let mut net = Net::with(shards, |config| config.shared_strategy = strategy);
    let members = members(&mut net, 4, FILTERS[0], QoS::AtLeastOnce);
    for n in 0..publishers {
        let publisher = net.connect(0, client(V5, &format!("publisher-{n}")));
        for _ in 0..20 {
            let text = n.to_string();
            let packet = publish("a/b/c", text.as_bytes(), QoS::AtLeastOnce);
            net.send(publisher, V5, &Packet::Publish(packet));
        }
    }
    members
        .iter()
        .map(|&member| numbers(&mut net, member))
        .collect()
}

#[test]
fn sticky_gives_all_to_one_while_it_is_there() {
    for shards in ALL_SHARDS {
        let mut counts: Vec<usize> = shares_under(SharedStrategy::Sticky, shards, 3)
            .iter()
            .map(Vec::len)
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 60]);
    }
}

#[test]
fn hash_client_gives_one_publisher_to_one_member() {
    for shards in ALL_SHARDS {
        let shares = shares_under(SharedStrategy::HashClient, shards, 24);
        let mut members_with_any = 0;
        for share in &shares {
            for n in 0..24 {
                let count = share.iter().filter(|&&got| got == n).count();
                assert!(count == 0 || count == 20, "publisher {n}: {count} of 20");
            }
            members_with_any += usize::from(!share.is_empty());
        }
        assert!(members_with_any > 1, "24 publishers and one member");
    }
}

#[test]
fn random_gives_everybody_something() {
    for shards in ALL_SHARDS {
        let shares = shares_under(SharedStrategy::Random, shards, 5);
        assert!(shares.iter().all(|share| (8..=45).contains(&share.len())));
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), 100);
    }
}

#[test]
fn least_inflight_gives_to_those_who_acknowledge() {
    for shards in ALL_SHARDS {
        let mut net = Net::with(shards, |config| {
            config.shared_strategy = SharedStrategy::LeastInflight;
        });
        let members = members(&mut net, 4, FILTERS[0], QoS::AtLeastOnce);
        let publisher = net.connect(0, client(V5, "publisher"));
        let mut prompt = 0;
        for _ in 0..60 {
            let packet = publish("a/b/c", b"1", QoS::AtLeastOnce);
            net.send(publisher, V5, &Packet::Publish(packet));
            // One acknowledges at once, the others never.
            for _ in numbers(&mut net, members[2]) {
                prompt += 1;
                net.acknowledge(members[2], prompt..prompt + 1);
            }
        }
        assert!(prompt > 50, "{shards} shards: {prompt} of 60");
    }
}
