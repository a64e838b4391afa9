//! What the broker says of itself, in virtual time.

use super::*;

const INTERVAL: Nanos = Nanos::from_secs(10);
const OLD: Version = Version::V3_1_1;

/// Mosquitto's, each below `$SYS/broker/`.
const TOPICS: [&str; 18] = [
    "version",
    "uptime",
    "clients/connected",
    "clients/disconnected",
    "clients/total",
    "clients/maximum",
    "clients/expired",
    "messages/received",
    "messages/sent",
    "messages/stored",
    "publish/messages/dropped",
    "publish/bytes/received",
    "bytes/received",
    "load/connections/1min",
    "load/publish/dropped/15min",
    "subscriptions/count",
    "retained messages/count",
    "store/messages/bytes",
];

fn telling(shards: u16) -> Net {
    let mut net = Net::with(shards, |config| config.sys_interval = INTERVAL);
    net.settle();
    net
}

/// The value that is retained on a topic below `$SYS/`, wherever that is.
fn said(net: &Net, topic: &str) -> Option<String> {
    let topic = format!("$SYS/{topic}");
    let mut values = net.shards.iter().filter_map(|shard| {
        let stored = shard.partition.retained.get(&topic)?;
        Some(String::from_utf8(stored.message().payload.to_vec()).expect("text"))
    });
    let value = values.next();
    assert_eq!(values.next(), None, "{topic} has one owner");
    value
}

fn broker_says(net: &Net, topic: &str) -> String {
    said(net, &format!("broker/{topic}")).unwrap_or_else(|| panic!("nothing on {topic}"))
}

fn count(net: &Net, topic: &str) -> u64 {
    broker_says(net, topic).parse().expect("a whole number")
}

/// The time of one interval and what the speaker waits for the others.
fn interval(net: &mut Net) {
    net.pass(Nanos::from_millis(9_900));
    net.pass(Nanos::from_millis(100));
}

fn mail_items(net: &Net) -> u64 {
    let items = |shard: &Shard| shard.counters().mail_items;
    net.shards.iter().map(items).sum()
}

#[test]
fn every_topic_is_there_from_the_start() {
    for shards in [1, 2, 4, 8] {
        let net = telling(shards);
        for topic in TOPICS {
            broker_says(&net, topic);
        }
        let version = concat!("ringbus version ", env!("CARGO_PKG_VERSION"));
        assert_eq!(broker_says(&net, "version"), version);
        assert_eq!(broker_says(&net, "uptime"), "1 seconds");
        assert_eq!(broker_says(&net, "load/messages/sent/5min"), "0.00");
        for shard in 0..shards {
            for counter in ["connections", "sessions", "turns", "paced", "mail_items"] {
                assert!(said(&net, &format!("shard/{shard}/{counter}")).is_some());
            }
        }
    }
}

/// With one level all of `$SYS` has one owner, with three or more it has several.
#[test]
fn every_topic_is_there_however_topics_are_partitioned() {
    for levels in [1, 3, 4] {
        let mut net = Net::with(4, |config| {
            config.sys_interval = INTERVAL;
            let levels = crate::config::PartitionLevels {
                default: levels,
                roots: Vec::new(),
            };
            let hasher = config.hasher.clone();
            config.partitioner = Arc::new(crate::pubsub::Partitioner::new(4, levels, hasher));
        });
        net.settle();
        for topic in TOPICS {
            broker_says(&net, topic);
        }
        let client = net.connect(0, client(V5, "c"));
        interval(&mut net);
        assert_eq!(count(&net, "clients/connected"), 1);
        net.hang_up(client);
        interval(&mut net);
        assert_eq!(count(&net, "clients/connected"), 0);
    }
}

#[test]
fn the_speaker_adds_up_what_all_shards_have() {
    for shards in [1, 4] {
        let mut net = telling(shards);
        let sockets: Vec<usize> = (0..8)
            .map(|n| net.connect(n % usize::from(shards), client(V5, &format!("c{n}"))))
            .collect();
        for &socket in &sockets {
            net.send_bytes(socket, &subscribe(&[("a/#", QoS::AtMostOnce)], V5, 0));
        }
        let retained = Publish {
            retain: true,
            ..publish("a/b", b"12345", QoS::AtLeastOnce)
        };
        net.send(sockets[0], V5, &Packet::Publish(retained));
        net.hang_up(sockets[7]);
        net.pass(INTERVAL);
        interval(&mut net);
        assert_eq!(count(&net, "clients/connected"), 7);
        assert_eq!(
            count(&net, "clients/total"),
            7,
            "the eighth left no session"
        );
        assert_eq!(count(&net, "clients/maximum"), 7, "seen at the interval");
        assert_eq!(count(&net, "subscriptions/count"), 7);
        assert_eq!(count(&net, "shared_subscriptions/count"), 0);
        assert_eq!(
            count(&net, "retained messages/count"),
            1,
            "$SYS does not count"
        );
        assert_eq!(count(&net, "messages/stored"), 1);
        assert_eq!(count(&net, "store/messages/bytes"), 11 + 3 + 5);
        assert_eq!(count(&net, "publish/messages/received"), 1);
        assert_eq!(count(&net, "publish/messages/sent"), 8);
        // CONNECT, SUBSCRIBE; CONNACK, SUBACK; a PUBLISH and its PUBACK.
        assert_eq!(count(&net, "messages/received"), 8 + 8 + 1);
        assert_eq!(count(&net, "messages/sent"), 8 + 8 + 8 + 1);
        let publish_len = 2 + 2 + 3 + 2 + 1 + 5;
        assert_eq!(count(&net, "publish/bytes/received"), publish_len);
        assert_eq!(count(&net, "publish/bytes/sent"), 8 * (publish_len - 2));
        let subscribe_len = subscribe(&[("a/#", QoS::AtMostOnce)], V5, 0).len() as u64;
        let mut hello = Vec::new();
        Packet::Connect(client(V5, "c0")).encode(V5, &mut hello);
        let received = 8 * (hello.len() as u64 + subscribe_len) + publish_len;
        assert_eq!(count(&net, "bytes/received"), received);
        let sent: usize = sockets.iter().map(|&s| net.sockets[s].received.len()).sum();
        assert_eq!(count(&net, "bytes/sent"), sent as u64);
        let of_shards = |counter: &str| -> u64 {
            let topics = (0..shards).map(|shard| format!("shard/{shard}/{counter}"));
            let values = topics.map(|topic| said(&net, &topic).expect("it is there"));
            values
                .map(|value| value.parse::<u64>().expect("a number"))
                .sum()
        };
        assert_eq!(of_shards("connections"), 7);
        assert_eq!(of_shards("delivered"), 8);
    }
}

#[test]
fn clients_that_are_away_count_until_their_sessions_expire() {
    let mut net = telling(2);
    let mut properties = PropertiesBuf::new();
    properties.push(Property::SessionExpiryInterval(15));
    let lasting = Connect {
        properties: properties.as_properties(),
        ..client(V5, "away")
    };
    let away = net.connect(0, lasting);
    net.send_bytes(away, &subscribe(&[("t", QoS::AtLeastOnce)], V5, 0));
    net.hang_up(away);
    let publisher = net.connect(1, client(OLD, "p"));
    let shared = [("$share/g/x", QoS::AtMostOnce)];
    net.send_bytes(publisher, &subscribe(&shared, OLD, 0));
    let packet = Packet::Publish(publish("t", b"kept", QoS::AtLeastOnce));
    net.send(publisher, OLD, &packet);
    interval(&mut net);
    assert_eq!(count(&net, "shared_subscriptions/count"), 1);
    let clients = |net: &Net| {
        let of = |what: &str| count(net, &format!("clients/{what}"));
        [
            of("connected"),
            of("disconnected"),
            of("total"),
            of("expired"),
        ]
    };
    assert_eq!(clients(&net), [1, 1, 2, 0]);
    assert_eq!(count(&net, "messages/stored"), 1);
    assert_eq!(count(&net, "subscriptions/count"), 1);
    interval(&mut net);
    assert_eq!(clients(&net), [1, 0, 1, 1]);
    assert_eq!(count(&net, "messages/stored"), 0);
    assert_eq!(count(&net, "subscriptions/count"), 0);
}

#[test]
fn load_averages_count_a_minute_and_decay() {
    let mut net = telling(1);
    let publisher = net.connect(0, client(OLD, "p"));
    let packet = Packet::Publish(publish("t", b"x", QoS::AtMostOnce));
    for _ in 0..100 {
        net.send(publisher, OLD, &packet);
    }
    // The speaker spoke at 1 s, and speaks at 10.1 s.
    net.pass(Nanos::from_millis(9_100));
    let rate = 100.0 * 60.0 / 9.1;
    let expected = rate * (1.0 - (-9.1_f64 / 60.0).exp());
    assert_eq!(
        broker_says(&net, "load/publish/received/1min"),
        format!("{expected:.2}")
    );
    let expected = expected * (-10.0_f64 / 60.0).exp();
    net.pass(INTERVAL);
    assert_eq!(
        broker_says(&net, "load/publish/received/1min"),
        format!("{expected:.2}")
    );
}

#[test]
fn an_idle_broker_wakes_each_shard_once_an_interval_and_sends_no_mail() {
    let mut net = telling(4);
    net.pass(INTERVAL);
    let before = mail_items(&net);
    for _ in 0..5 {
        let next: Vec<Nanos> = net.shards.iter().filter_map(Shard::next_deadline).collect();
        assert_eq!(next.len(), 4);
        for due in next {
            assert!(due > net.now, "due at {due:?}, and it is {:?}", net.now);
        }
        net.pass(INTERVAL);
    }
    assert_eq!(mail_items(&net), before);
    assert_eq!(broker_says(&net, "uptime"), "61 seconds");
}

#[test]
fn a_subscriber_gets_what_is_there_and_then_what_changes() {
    for shards in [1, 4] {
        let mut net = telling(shards);
        let subscriber = net.connect(0, client(V5, "s"));
        let everything = ["#", "+/#", "+/broker/uptime", "+/+/+"];
        for filter in everything {
            net.send_bytes(subscriber, &subscribe(&[(filter, QoS::AtMostOnce)], V5, 0));
        }
        net.pass(INTERVAL);
        let seen = net.read(subscriber, V5);
        assert_eq!(seen.len(), 1 + everything.len(), "{seen:?}");
        net.send_bytes(
            subscriber,
            &subscribe(&[("$SYS/#", QoS::AtLeastOnce)], V5, 0),
        );
        let seen = net.read(subscriber, V5);
        let uptime = "publish $SYS/broker/uptime=11 seconds q0 #0 retain".to_owned();
        assert!(seen.contains(&uptime), "{seen:?}");
        assert!(seen.contains(&"publish $SYS/shard/0/handoffs=0 q0 #0 retain".to_owned()));
        net.pass(INTERVAL);
        let seen = net.read(subscriber, V5);
        let uptime = "publish $SYS/broker/uptime=21 seconds q0 #0".to_owned();
        assert!(seen.contains(&uptime), "{seen:?}");
        let unchanged = |word: &String| word.contains("version") || word.contains("handoffs");
        assert!(!seen.iter().any(unchanged), "{seen:?}");
    }
}

/// `[MQTT311-3.3.5-2]`
#[test]
fn nobody_else_publishes_there() {
    for shards in [1, 4] {
        let mut net = telling(shards);
        let watcher = net.connect(0, client(V5, "w"));
        net.send_bytes(
            watcher,
            &subscribe(&[("$SYS/mine", QoS::AtMostOnce)], V5, 0),
        );
        net.read(watcher, V5);
        let publisher = net.connect(0, client(V5, "p"));
        let old = net.connect(0, client(OLD, "old"));
        net.read(publisher, V5);
        net.read(old, OLD);
        for (qos, in_v5, in_v3) in [
            (QoS::AtMostOnce, None, None),
            (
                QoS::AtLeastOnce,
                Some("puback #1 NotAuthorized"),
                Some("puback #1 Success"),
            ),
            (
                QoS::ExactlyOnce,
                Some("pubrec #1 NotAuthorized"),
                Some("pubrec #1 Success"),
            ),
        ] {
            let packet = Packet::Publish(Publish {
                retain: true,
                ..publish("$SYS/mine", b"x", qos)
            });
            net.send(publisher, V5, &packet);
            net.send(old, OLD, &packet);
            assert_eq!(net.read(publisher, V5), Vec::from_iter(in_v5));
            assert_eq!(net.read(old, OLD), Vec::from_iter(in_v3));
        }
        net.send(old, OLD, &Packet::PubRel(Ack::new(id(1))));
        assert_eq!(net.read(old, OLD), ["pubcomp #1 Success"]);
        assert_eq!(net.read(watcher, V5), [""; 0]);
        assert_eq!(said(&net, "mine"), None);
        let dropped: u64 = net.shards.iter().map(|s| s.counters().dropped).sum();
        assert_eq!(dropped, 6);
    }
}

#[test]
fn a_will_there_is_refused_with_its_connect() {
    let mut net = telling(2);
    for (version, topic, answer) in [
        (V5, "$SYS/will", "connack NotAuthorized false"),
        (OLD, "$SYS/will", "connack NotAuthorized false"),
        (V5, "$SYSTEM/will", "connack Success false"),
    ] {
        let will = Will {
            topic: TopicName::parse(topic).unwrap(),
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Default::default(),
        };
        let connect = Connect {
            will: Some(will),
            ..client(version, "c")
        };
        let socket = net.connect(0, connect);
        assert_eq!(net.read(socket, version), [answer]);
        assert_eq!(net.sockets[socket].is_closed, answer.contains("Not"));
    }
}
