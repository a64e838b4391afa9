//! Runs lead to the bytes that single messages lead to.

use super::super::run::Packets;
use super::*;
use proptest::prelude::*;

fn encoded(version: Version, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Packet::Publish(publish(topic, payload, QoS::AtMostOnce)).encode(version, &mut bytes);
    bytes
}

/// How the variable header of a PUBLISH to `a/b` starts.
const HEAD: &[u8] = b"\0\x03a/b";

fn find(bytes: &[u8], bytes_max: u32) -> Option<(usize, u32, u32)> {
    let packets = Packets::find(bytes, HEAD, bytes_max, false)?;
    Some((packets.bytes.len(), packets.count, packets.longest))
}

#[test]
fn a_run_ends_where_a_packet_differs_in_more_than_its_payload() {
    let short = encoded(Version::V3_1_1, "a/b", b"x");
    let long = encoded(Version::V3_1_1, "a/b", &[7; 200]);
    assert_eq!((short.len(), long.len()), (8, 208));
    let run = [&short[..], &long, &short].concat();
    assert_eq!(find(&run, 1_000), Some((224, 3, 208)));
    let other_topic = encoded(Version::V3_1_1, "a/c", b"x");
    let longer_topic = encoded(Version::V3_1_1, "a/bb", b"x");
    let large = encoded(Version::V3_1_1, "a/b", &[7; 5_000]);
    let retained = [&[0x31], &short[1..]].concat();
    let repeated = [&[0x38], &short[1..]].concat();
    let at_least_once = [&[0x32], &short[1..]].concat();
    let overlong = [&[0x30, 0x86, 0x00], &short[2..]].concat();
    let partial = short[..7].to_vec();
    let no_topic = vec![0x30, 1, 0];
    for next in [
        other_topic,
        longer_topic,
        large,
        retained,
        repeated,
        at_least_once,
        overlong,
        partial,
        no_topic,
        vec![0x30],
        vec![0x30, 0x80],
        vec![0x30, 0xFF, 0xFF, 1],
        vec![0xC0, 0],
    ] {
        let bytes = [&run[..], &next, &run].concat();
        if next.len() > 4 && next != short[..7] {
            assert_eq!(find(&bytes, 10_000), Some((224, 3, 208)), "{next:?}");
        }
        assert_eq!(find(&next, 10_000), None, "{next:?}");
    }
    assert_eq!(find(&run, 207), Some((8, 1, 8)), "the second is too large");
    assert_eq!(find(&run, 7), None);
    assert_eq!(find(&run[..223], 1_000), Some((216, 2, 208)));
    let many = short.repeat(100_000);
    let (length, count, _) = find(&many, 1_000).unwrap();
    assert!(length == count as usize * 8 && (65_536..66_000).contains(&length));
}

#[test]
fn a_translation_is_what_the_encoder_makes() {
    for (from, to) in [(Version::V3_1_1, V5), (V5, Version::V3_1_1)] {
        // Bodies of 127 and 128 bytes: the length grows by a byte with the properties.
        let payloads: Vec<Vec<u8>> = [0, 1, 121, 122, 123, 4_000].map(|n| vec![9; n]).into();
        let all = |version| -> Vec<u8> {
            let each = payloads
                .iter()
                .map(|payload| encoded(version, "a/b", payload));
            each.flatten().collect()
        };
        let (bytes, expected) = (all(from), all(to));
        let head = [HEAD, &[0][..usize::from(from == V5)]].concat();
        let packets = Packets::find(&bytes, &head, u32::MAX, from == V5).unwrap();
        assert_eq!(packets.count, 6);
        let mut translated = Vec::new();
        let longest = packets.translate(&mut translated);
        assert_eq!(translated, expected);
        assert_eq!(longest as usize, encoded(to, "a/b", &[9; 4_000]).len());
    }
}

#[derive(Clone, Debug)]
struct Burst {
    topic: &'static str,
    qos: QoS,
    sizes: Vec<usize>,
}

fn burst() -> impl Strategy<Value = Burst> {
    let topic = prop::sample::select(vec!["a/b", "a/c", "x"]);
    let qos = prop_oneof![4 => Just(QoS::AtMostOnce), 1 => Just(QoS::AtLeastOnce)];
    let sizes = prop::collection::vec(prop_oneof![0usize..40, 100usize..300], 1..12);
    (topic, qos, sizes).prop_map(|(topic, qos, mut sizes)| {
        if qos != QoS::AtMostOnce {
            sizes.truncate(1); // The receive maximum bounds how many may be under way.
        }
        Burst { topic, qos, sizes }
    })
}

/// A subscriber: version, filters, subscription identifier.
const SUBSCRIBERS: [(Version, &[&str], u32); 6] = [
    (V5, &["a/b"], 0),
    (Version::V3_1_1, &["a/b"], 0),
    (V5, &["a/+"], 7),
    (V5, &["#", "a/+"], 3),
    (Version::V3_1, &["#"], 0),
    (V5, &["x"], 0),
];

fn wanted(filters: &[&str], topic: &str) -> usize {
    let name = TopicName::parse(topic).unwrap();
    let matches = |filter: &&&str| {
        let filter = ringbus_protocols::topic::TopicFilter::parse(filter).unwrap();
        filter.matches(&name)
    };
    filters.iter().filter(matches).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_run_reaches_subscribers_as_single_messages_do(
        bursts in prop::collection::vec(burst(), 1..12),
        version in prop::sample::select(vec![V5, Version::V3_1_1]),
        shards in prop::sample::select(vec![1u16, 2, 4]),
        cut in 0usize..1_000,
    ) {
        let mut net = Net::new(shards);
        let subscribers: Vec<usize> = SUBSCRIBERS
            .iter()
            .enumerate()
            .map(|(n, &(version, filters, identifier))| {
                let socket = net.connect(0, client(version, &format!("s{n}")));
                for filter in filters {
                    let filter = [(*filter, QoS::AtMostOnce)];
                    net.send_bytes(socket, &subscribe(&filter, version, identifier));
                }
                net.read(socket, version);
                socket
            })
            .collect();
        let publisher = net.connect(0, client(version, "p"));
        let mut bytes = Vec::new();
        let mut expected = vec![Vec::new(); SUBSCRIBERS.len()];
        for (n, burst) in bursts.iter().enumerate() {
            for &size in &burst.sizes {
                let payload = vec![b'a' + u8::try_from(n).unwrap(); size];
                Packet::Publish(publish(burst.topic, &payload, burst.qos)).encode(version, &mut bytes);
                for (at, (_, filters, identifier)) in SUBSCRIBERS.iter().enumerate() {
                    let matched = wanted(filters, burst.topic);
                    if matched > 0 {
                        let text = String::from_utf8(payload.clone()).unwrap();
                        let mut word = format!("publish {}={text} q0 #0", burst.topic);
                        let times = if *identifier == 0 { 0 } else { matched };
                        word.push_str(&format!(" s{identifier}").repeat(times));
                        expected[at].push(word);
                    }
                }
            }
        }
        let (first, rest) = bytes.split_at(cut.min(bytes.len()));
        net.send_bytes(publisher, first);
        net.send_bytes(publisher, rest);
        for (at, &socket) in subscribers.iter().enumerate() {
            // QoS does not change the way between two topics: order is per topic.
            for topic in ["a/b", "a/c", "x"] {
                let of_topic = |word: &&String| word.starts_with(&format!("publish {topic}="));
                let want: Vec<&String> = expected[at].iter().filter(of_topic).collect();
                let line = &net.sockets[socket].received.clone();
                let seen = net.read(socket, SUBSCRIBERS[at].0);
                net.sockets[socket].received.clone_from(line);
                let seen: Vec<&String> = seen.iter().filter(of_topic).collect();
                prop_assert_eq!(seen, want);
            }
        }
        let messages: usize = bursts.iter().map(|burst| burst.sizes.len()).sum();
        let counters: Vec<_> = net.shards.iter().map(Shard::counters).collect();
        prop_assert_eq!(counters.iter().map(|c| c.received).sum::<u64>(), messages as u64);
        let delivered: usize = expected.iter().map(Vec::len).sum();
        prop_assert_eq!(counters.iter().map(|c| c.delivered).sum::<u64>(), delivered as u64);
    }
}

#[test]
fn runs_are_what_the_fast_path_takes() {
    for shards in [1, 2] {
        let mut net = Net::new(shards);
        let publisher = net.connect(0, client(V5, "p"));
        net.send_bytes(publisher, &encoded(V5, "a/b", b"x").repeat(10));
        let in_runs: u64 = net.shards.iter().map(|s| s.counters().in_runs).sum();
        assert_eq!(in_runs, 9, "the first teaches the topic");
    }
}

#[test]
fn a_subscriber_does_not_get_its_own_run_nor_packets_too_large_for_it() {
    let mut net = Net::new(1);
    let own = net.connect(0, client(V5, "own"));
    net.send_bytes(own, &no_local("a/b"));
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MaximumPacketSize(30));
    let small = net.connect(
        0,
        Connect {
            properties: properties.as_properties(),
            ..client(V5, "small")
        },
    );
    net.send_bytes(small, &subscribe(&[("a/b", QoS::AtMostOnce)], V5, 0));
    net.read(own, V5);
    net.read(small, V5);
    let packets = [&b"one"[..], &[b'x'; 50], b"two", b"three"];
    let run: Vec<u8> = packets.iter().flat_map(|p| encoded(V5, "a/b", p)).collect();
    net.send_bytes(own, &run);
    assert_eq!(net.read(own, V5), [""; 0]);
    let word = |payload: &str| format!("publish a/b={payload} q0 #0");
    assert_eq!(net.read(small, V5), ["one", "two", "three"].map(word));
    assert_eq!(net.shards[0].counters().dropped, 1);
}

#[test]
fn a_full_queue_takes_as_much_of_a_run_as_of_single_messages() {
    let one = encoded(V5, "a/b", &[b'x'; 100]);
    let count = (1 << 20) / one.len() + 500;
    let mut taken = Vec::new();
    for chunk in [one.len(), 40 * one.len(), usize::MAX] {
        let mut net = Net::new(1);
        let subscriber = net.connect(0, client(V5, "s"));
        net.send_bytes(subscriber, &subscribe(&[("a/b", QoS::AtMostOnce)], V5, 0));
        let publisher = net.connect(0, client(V5, "p"));
        net.read(subscriber, V5);
        let (home, conn) = net.sockets[publisher].at.unwrap();
        let bytes = one.repeat(count);
        net.shards[home].begin_turn(net.now);
        for part in bytes.chunks(chunk.min(bytes.len())) {
            assert_eq!(net.shards[home].on_bytes(conn, part), part.len());
        }
        let dropped = net.shards[home].counters().dropped;
        net.settle();
        taken.push((net.read(subscriber, V5).len(), dropped));
    }
    assert_eq!(taken[0].0 as u64 + taken[0].1, count as u64);
    assert!(
        taken[0].1 > 400 && taken.iter().all(|same| *same == taken[0]),
        "{taken:?}"
    );
}
