//! Two clients that keep their session over a network that fails: a publisher that sends again
//! what was not acknowledged, and a subscriber that knows what it has. They obey the rules of
//! retransmission to the letter `[MQTT5-4.4.0-1]`, so that a loss or a duplicate is the broker's.

use crate::broker::DEADLINE;
use crate::client::{Client, Hello, Received};
use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, Properties, Publish, QoS, ReasonCode, SubscribeFilter,
};
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Silence after which these clients believe that their connection is dead.
const PATIENCE: Duration = Duration::from_millis(400);
/// Messages under way at once.
const WINDOW: usize = 10;

/// What was under way, how often the network failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Payloads in order: acknowledged (publisher) or received (subscriber).
    pub numbers: Vec<usize>,
    /// Network connections it took.
    pub connections: usize,
}

/// Publishes the numbers below `count` to a topic at QoS 1 or 2, until all are acknowledged.
pub fn publish_numbers(
    address: SocketAddr,
    hello: &Hello,
    topic: &str,
    qos: QoS,
    count: usize,
) -> Report {
    let mut publisher = Publisher {
        topic,
        qos,
        count,
        next: 0,
        last_identifier: 0,
        pending: VecDeque::new(),
        report: Report::default(),
    };
    let mut known = false;
    let end = Instant::now() + DEADLINE * 4;
    while publisher.report.numbers.len() < count {
        assert!(Instant::now() < end, "{topic}: {publisher:?}");
        publisher.report.connections += 1;
        if let Some(mut client) = connect(address, hello, &mut known) {
            publisher.run(&mut client);
        }
    }
    publisher.report
}

/// Subscribes and records numbers until `enough` of them are different and a last look round
/// brings nothing more. `received` is the count of different ones, for others to watch.
pub fn receive_numbers(
    address: SocketAddr,
    hello: &Hello,
    topic: &str,
    qos: QoS,
    enough: usize,
    received: &AtomicUsize,
) -> Report {
    let mut subscriber = Subscriber {
        topic,
        qos,
        subscribed: false,
        different: HashSet::new(),
        unreleased: HashSet::new(),
        received,
        report: Report::default(),
    };
    let mut known = false;
    let end = Instant::now() + DEADLINE * 4;
    loop {
        assert!(
            Instant::now() < end,
            "{topic}: {} came",
            subscriber.different.len()
        );
        subscriber.report.connections += 1;
        let Some(mut client) = connect(address, hello, &mut known) else {
            continue;
        };
        if subscriber.run(&mut client, enough).is_some() {
            return subscriber.report;
        }
    }
}

/// A connection with its CONNACK, unless the network fails first. `known`: a CONNACK came once,
/// so the session must be there.
fn connect(address: SocketAddr, hello: &Hello, known: &mut bool) -> Option<Client> {
    let mut client = Client::raw(address, hello.version);
    client.send_bytes(&hello.encode());
    let received = client.receive_within(PATIENCE)?;
    let Packet::ConnAck(connack) = received.packet() else {
        panic!("no CONNACK: {received:?}")
    };
    assert_eq!(connack.reason, ReasonCode::Success, "{}", hello.client_id);
    assert!(
        connack.session_present || !*known,
        "{}: the session was lost",
        hello.client_id
    );
    *known = true;
    Some(client)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    packet_identifier: PacketIdentifier,
    number: usize,
    released: bool,
}

#[derive(Debug)]
struct Publisher<'a> {
    topic: &'a str,
    qos: QoS,
    count: usize,
    next: usize,
    last_identifier: u16,
    pending: VecDeque<Pending>,
    report: Report,
}

impl Publisher<'_> {
    /// Until the network fails or all is acknowledged.
    fn run(&mut self, client: &mut Client) {
        for pending in self.pending.clone() {
            self.send(client, pending, true);
        }
        while self.report.numbers.len() < self.count {
            while self.next < self.count && self.pending.len() < WINDOW {
                let pending = self.new_pending();
                self.send(client, pending, false);
            }
            let Some(received) = client.receive_within(PATIENCE) else {
                return;
            };
            if !self.take(client, &received) {
                return;
            }
        }
    }

    fn new_pending(&mut self) -> Pending {
        // Small and reused at once, so that a stale acknowledgement would show.
        self.last_identifier = self.last_identifier % 16 + 1;
        let packet_identifier = PacketIdentifier::new(self.last_identifier).expect("above zero");
        let pending = Pending {
            packet_identifier,
            number: self.next,
            released: false,
        };
        self.next += 1;
        self.pending.push_back(pending);
        pending
    }

    fn send(&self, client: &mut Client, pending: Pending, dup: bool) {
        let payload = pending.number.to_string();
        client.send(&if pending.released {
            Packet::PubRel(success(pending.packet_identifier))
        } else {
            Packet::Publish(Publish {
                dup,
                qos: self.qos,
                topic: self.topic,
                packet_identifier: Some(pending.packet_identifier),
                payload: payload.as_bytes(),
                ..Publish::default()
            })
        });
    }

    /// False if the broker ended the connection.
    fn take(&mut self, client: &mut Client, received: &Received) -> bool {
        match received.packet() {
            Packet::PubAck(ack) | Packet::PubComp(ack) => self.finish(&ack),
            Packet::PubRec(ack) => {
                assert!(!ack.reason.is_error(), "PUBREC {:?}", ack.reason);
                let is_it = |p: &&mut Pending| p.packet_identifier == ack.packet_identifier;
                let pending = self.pending.iter_mut().find(is_it);
                pending
                    .unwrap_or_else(|| panic!("PUBREC of nothing: {ack:?}"))
                    .released = true;
                client.send(&Packet::PubRel(success(ack.packet_identifier)));
            }
            // Taken over by our own next connection, whose packet came on the old one's tail.
            Packet::Disconnect(_) => return false,
            packet => panic!("a publisher got {packet:?}"),
        }
        true
    }

    fn finish(&mut self, ack: &Ack<'_>) {
        // A PUBREL sent again after a lost PUBCOMP finds nothing, which is no error during
        // recovery `[MQTT5-3.7.2.1]`.
        let recovering = self.report.connections > 1;
        let is_known = ack.reason == ReasonCode::PacketIdentifierNotFound && recovering;
        assert!(!ack.reason.is_error() || is_known, "{:?}", ack.reason);
        let is_it = |p: &Pending| p.packet_identifier == ack.packet_identifier;
        let at = self.pending.iter().position(is_it);
        let at = at.unwrap_or_else(|| panic!("{ack:?} acknowledges nothing"));
        let pending = self.pending.remove(at).expect("just found");
        assert!(
            pending.released || self.qos == QoS::AtLeastOnce,
            "PUBCOMP before PUBREL"
        );
        self.report.numbers.push(pending.number);
    }
}

struct Subscriber<'a> {
    topic: &'a str,
    qos: QoS,
    subscribed: bool,
    different: HashSet<usize>,
    /// QoS 2 identifiers that were received and not yet released.
    unreleased: HashSet<PacketIdentifier>,
    received: &'a AtomicUsize,
    report: Report,
}

impl Subscriber<'_> {
    /// Until the network fails (`None`) or enough came and nothing follows.
    fn run(&mut self, client: &mut Client, enough: usize) -> Option<()> {
        if !self.subscribed {
            let filter = SubscribeFilter::new(self.topic, self.qos);
            client.send_subscribe(&[filter], None);
        }
        while !self.subscribed || self.different.len() < enough {
            let received = client.receive_within(PATIENCE)?;
            self.take(client, &received)?;
        }
        // Two rounds: what the shard had for us comes before the second answer.
        for _ in 0..2 {
            client.send(&Packet::PingReq(ringbus_protocols::mqtt::PingReq));
            loop {
                let received = client.receive_within(PATIENCE)?;
                if matches!(received.packet(), Packet::PingResp(_)) {
                    break;
                }
                self.take(client, &received)?;
            }
        }
        Some(())
    }

    fn take(&mut self, client: &mut Client, received: &Received) -> Option<()> {
        match received.packet() {
            Packet::SubAck(suback) => {
                assert_eq!(suback.reasons, [u8::from(self.qos)]);
                self.subscribed = true;
            }
            Packet::Publish(publish) => self.take_publish(client, &publish),
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.packet_identifier);
                client.send(&Packet::PubComp(success(ack.packet_identifier)));
            }
            Packet::Disconnect(_) => return None,
            Packet::PingResp(_) => {}
            packet => panic!("a subscriber got {packet:?}"),
        }
        Some(())
    }

    fn take_publish(&mut self, client: &mut Client, publish: &Publish<'_>) {
        let identifier = publish.packet_identifier.expect("QoS 1 or 2");
        assert_eq!((publish.topic, publish.qos), (self.topic, self.qos));
        let answer = success(identifier);
        if self.qos == QoS::AtLeastOnce {
            self.record(publish.payload);
            client.send(&Packet::PubAck(answer));
            return;
        }
        if self.unreleased.insert(identifier) {
            self.record(publish.payload);
        }
        client.send(&Packet::PubRec(answer));
    }

    fn record(&mut self, payload: &[u8]) {
        let text = std::str::from_utf8(payload).expect("a number");
        let number = text.parse().expect("a number");
        self.report.numbers.push(number);
        self.different.insert(number);
        self.received.store(self.different.len(), Ordering::SeqCst);
    }
}

fn success(packet_identifier: PacketIdentifier) -> Ack<'static> {
    Ack {
        packet_identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    }
}
