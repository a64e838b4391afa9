//! Ops in any pieces and many at once; and that a PONG comes behind what was done before it.

use crate::fresh;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::nats::NatsClient;

/// Enough for each shard to own some of them.
const SUBJECTS: usize = 32;

fn fresh_subject(name: &str) -> String {
    fresh(name).replace('/', ".")
}

#[test]
fn a_subscription_before_a_pong_hears_what_is_published_after_it() {
    let broker = Broker::start_nats(&[]);
    let (mut reader, mut writer) = two(&broker);
    for number in 0..SUBJECTS {
        let subject = fresh_subject("active");
        reader.subscribe(&subject, &number.to_string());
        writer.publish(&subject, subject.as_bytes());
        let message = reader.expect_message();
        assert_eq!(message.payload, subject.as_bytes());
        assert_eq!(message.sid, number.to_string());
    }
    broker.stop();
}

#[test]
fn an_unsubscription_before_a_pong_is_final() {
    let broker = Broker::start_nats(&[]);
    let (mut reader, mut writer) = two(&broker);
    reader.subscribe("fence", "fence");
    for number in 0..SUBJECTS {
        let subject = fresh_subject("over");
        reader.subscribe(&subject, &number.to_string());
        reader.send(format!("UNSUB {number}\r\n"));
        reader.barrier();
        writer.publish(&subject, b"too late");
        writer.publish("fence", b"");
        writer.barrier();
        assert_eq!(reader.expect_message().subject, "fence");
        reader.expect_nothing();
    }
    broker.stop();
}

/// Who asks an MQTT client's broker after a PONG finds the message kept.
#[test]
fn a_retained_message_before_a_pong_is_found_after_it() {
    let broker = Broker::start_nats(&[]);
    let mut writer = NatsClient::open(broker.nats_address());
    let mut device = Client::open(&broker, Version::V5, "late");
    for _ in 0..SUBJECTS {
        let topic = fresh("kept");
        let subject = topic.replace('/', ".");
        writer.publish_with(&subject, "", &["Mqtt-Retain: 1"], topic.as_bytes());
        writer.barrier();
        device.subscribe(&topic, QoS::AtMostOnce);
        device.expect(&topic, &topic, QoS::AtMostOnce, true);
    }
    broker.stop();
}

/// Without CONNECT each op is confirmed, in order, however its bytes come.
#[test]
fn ops_may_come_in_pieces_of_any_size() {
    let broker = Broker::start_nats(&[]);
    let ops = "sub  p.>\t1\r\nPUB p.a 5\r\nhello\r\nPub p.b in.x\t 5\r\nPING\r\r\n\
        HPUB p.c 23 25\r\nNATS/1.0\r\nColour: r\r\n\r\nhi\r\nSUB p..q 2\r\nUNSUB 1 4\r\npInG\r\n\
        PUB p.d 0\r\n\r\nUNSUB other\r\nPUB q.e 1\r\nx\r\nPING  \r\n";
    let confirmed = [
        "+OK",
        "+OK",
        "+OK",
        "+OK",
        "-ERR 'Invalid Subject'",
        "+OK",
        "PONG",
        "+OK",
        "+OK",
        "+OK",
        "PONG",
    ];
    let messages = [
        ("p.a", &b"hello"[..]),
        ("p.b", b"PING\r"),
        ("p.c", b"hi"),
        ("p.d", b""),
    ];
    for size in [1, 2, 3, 5, 7, 16, 64, ops.len()] {
        let mut client = NatsClient::raw(broker.nats_address());
        for piece in ops.as_bytes().chunks(size) {
            client.send(piece);
        }
        let lines = confirmed.map(|_| client.next_line_of_any());
        assert_eq!(lines, confirmed, "in pieces of {size}");
        // Subjects of different owners have no order among them.
        let mut got = messages.map(|_| client.expect_message());
        got.sort_by(|a, b| a.subject.cmp(&b.subject));
        for (got, (subject, payload)) in got.iter().zip(messages) {
            let got = (got.subject.as_str(), got.payload.as_slice());
            assert_eq!(got, (subject, payload), "in pieces of {size}");
        }
        client.quiet();
        client.expect_nothing();
    }
    broker.stop();
}

#[test]
fn many_ops_in_one_write_are_done_in_order() {
    const MESSAGES: usize = 10_000;
    let broker = Broker::start_nats(&[]);
    let (mut reader, mut writer) = two(&broker);
    let subject = fresh_subject("many");
    reader.subscribe(&format!("{subject}.*"), "1");
    let ops: String = (0..MESSAGES)
        .map(|number| {
            let payload = number.to_string();
            format!(
                "PUB {subject}.{} {}\r\n{payload}\r\n",
                number % 3,
                payload.len()
            )
        })
        .collect();
    writer.send(ops);
    writer.barrier();
    let mut next = [0, 1, 2];
    for _ in 0..MESSAGES {
        let message = reader.expect_message();
        let at: usize = message.subject[subject.len() + 1..]
            .parse()
            .expect("a number");
        assert_eq!(message.payload, next[at].to_string().as_bytes());
        next[at] += 3;
    }
    reader.expect_nothing();
    broker.stop();
}

fn two(broker: &Broker) -> (NatsClient, NatsClient) {
    let open = || NatsClient::open(broker.nats_address());
    (open(), open())
}
