//! One message, whatever it was published by, reaches the subscribers of every protocol as it is.

use crate::fresh;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::mqttsn::{self, SnClient, SnTopic};
use ringbus_tests::nats::NatsClient;
use ringbus_tests::web::{StompClient, StompFrame, WebClient};

/// A client that is subscribed to one topic, publishes to it, and hears itself.
trait Party {
    fn publish(&mut self, payload: &[u8]);
    /// The payload of the next message of the topic.
    fn hear(&mut self) -> Vec<u8>;
}

type Join = fn(&Broker, &str) -> Box<dyn Party>;

/// Every protocol that the broker speaks: one more is one more line.
const PROTOCOLS: &[(&str, Join)] = &[
    ("MQTT 3.1.1", |broker, topic| {
        mqtt(broker, topic, Version::V3_1_1)
    }),
    ("MQTT 5", |broker, topic| mqtt(broker, topic, Version::V5)),
    ("bare WebSocket", |broker, topic| {
        Box::new(WebClient::open(broker, &format!("/{topic}")))
    }),
    ("STOMP over WebSocket", stomp),
    ("NATS", nats),
    ("MQTT-SN", mqttsn),
];

/// As much as a datagram takes.
const LARGE_BYTES: usize = 60_000;

#[test]
fn one_message_reaches_all() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = every_byte
        .iter()
        .rev()
        .copied()
        .cycle()
        .take(LARGE_BYTES)
        .collect();
    let payloads = [
        every_byte,
        b"text".to_vec(),
        Vec::new(),
        b"\r\nPING\r\n\0".to_vec(),
        large,
    ];
    let broker = Broker::start_everything(&[]);
    // Several topics, as each has an owner among the shards.
    for _ in 0..4 {
        let topic = fresh("all");
        let join = |&(name, join): &(&'static str, Join)| (name, join(&broker, &topic));
        let mut parties: Vec<(&str, Box<dyn Party>)> = PROTOCOLS.iter().map(join).collect();
        for publisher in 0..parties.len() {
            for payload in &payloads {
                parties[publisher].1.publish(payload);
                let sender = parties[publisher].0;
                for (name, party) in &mut parties {
                    let heard = party.hear();
                    let lengths = (heard.len(), payload.len());
                    assert!(heard == *payload, "{sender} to {name}: {lengths:?} bytes");
                }
            }
        }
    }
    broker.stop().assert_mail_crossed();
}

struct Mqtt {
    client: Client,
    topic: String,
}

fn mqtt(broker: &Broker, topic: &str, version: Version) -> Box<dyn Party> {
    let mut client = Client::open(broker, version, &format!("{version:?} of {topic}"));
    client.subscribe(topic, QoS::AtLeastOnce);
    let topic = topic.to_owned();
    Box::new(Mqtt { client, topic })
}

impl Party for Mqtt {
    fn publish(&mut self, payload: &[u8]) {
        self.client
            .send_publish(&self.topic, payload, QoS::AtMostOnce, false);
    }

    fn hear(&mut self) -> Vec<u8> {
        let message = self.client.message();
        assert_eq!(message.topic, self.topic);
        message.payload
    }
}

impl Party for WebClient {
    fn publish(&mut self, payload: &[u8]) {
        self.binary(payload);
    }

    fn hear(&mut self) -> Vec<u8> {
        self.message().payload
    }
}

struct Stomp {
    client: StompClient,
    topic: String,
}

fn stomp(broker: &Broker, topic: &str) -> Box<dyn Party> {
    let mut client = StompClient::open(broker);
    client.subscribe("all", topic, "auto");
    let topic = topic.to_owned();
    Box::new(Stomp { client, topic })
}

impl Party for Stomp {
    fn publish(&mut self, payload: &[u8]) {
        let send = StompFrame::new("SEND").with("destination", &self.topic);
        let send = send.with("content-length", &payload.len().to_string());
        self.client.send(&send.body(payload));
    }

    fn hear(&mut self) -> Vec<u8> {
        let message = self.client.message("all");
        assert_eq!(message.header("destination"), Some(self.topic.as_str()));
        message.body
    }
}

struct Nats {
    client: NatsClient,
    subject: String,
}

fn nats(broker: &Broker, topic: &str) -> Box<dyn Party> {
    let mut client = NatsClient::open(broker.nats_address());
    let subject = topic.replace('/', ".");
    client.subscribe(&subject, "1");
    Box::new(Nats { client, subject })
}

impl Party for Nats {
    fn publish(&mut self, payload: &[u8]) {
        self.client.publish(&self.subject, payload);
    }

    fn hear(&mut self) -> Vec<u8> {
        let message = self.client.expect_message();
        assert_eq!(message.subject, self.subject);
        message.payload
    }
}

struct MqttSn {
    client: SnClient,
    topic: String,
    id: u16,
}

fn mqttsn(broker: &Broker, topic: &str) -> Box<dyn Party> {
    let mut client = SnClient::open(broker, &format!("device of {topic}"));
    let id = client.subscribe(SnTopic::Name(topic), 0);
    let topic = topic.to_owned();
    Box::new(MqttSn { client, topic, id })
}

impl Party for MqttSn {
    fn publish(&mut self, payload: &[u8]) {
        let id = self.id.to_be_bytes();
        let datagram = mqttsn::publish(mqttsn::qos_flags(0), id, 0, payload);
        self.client.send_bytes(&datagram);
    }

    fn hear(&mut self) -> Vec<u8> {
        let message = self.client.message();
        assert_eq!(message.topic, self.topic);
        message.payload
    }
}
