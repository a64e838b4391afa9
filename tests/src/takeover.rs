//! One connection of a client that other connections of the same client take over while its
//! acknowledgements are outstanding: what it has sent, and so which acknowledgements it may get.
//!
//! Every life begins with a Clean Start, so nothing that an earlier one sent concerns it. What
//! shows that an acknowledgement belongs to another message: its packet identifier is not in use
//! here (half of the identifiers are used by one life in a thousand only), its kind or its place in
//! the exchange is wrong, its reason says that nobody heard a message that somebody heard, or it
//! comes before the owner of the topic can have seen the message.

use std::collections::BTreeMap;

use ringbus::base::Nanos;
use ringbus::io::sim::Chance;
use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, Properties, Publish, QoS, ReasonCode, Version,
};

use crate::client::Hello;

/// How many topics these clients publish to.
pub const TOPICS: usize = 16;
/// The one client identifier.
pub const CLIENT: &str = "wanted";
/// Packet identifiers that every life uses, from 1.
const COMMON_IDENTIFIERS: u64 = 16;
/// Packet identifiers of each life's own, and how many lives have different ones.
const OWN_IDENTIFIERS: u16 = 60;
const OWNERS: usize = 1_000;

/// A topic; every other one [is heard](is_heard).
#[must_use]
pub fn topic(number: usize) -> String {
    format!("topic{number}")
}

/// Whether somebody subscribes to the topic of that number.
#[must_use]
pub fn is_heard(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// A message that is not acknowledged to the end.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    topic: usize,
    qos: QoS,
    released: bool,
    /// Before that its owner does not run.
    not_before: Nanos,
}

/// A connection from its CONNECT to its end.
#[derive(Debug)]
pub struct Life {
    number: usize,
    version: Version,
    own: u16,
    is_connected: bool,
    in_flight: BTreeMap<u16, Exchange>,
}

impl Life {
    /// The life of that number; nothing is sent.
    #[must_use]
    pub fn new(number: usize, version: Version) -> Life {
        Life {
            number,
            version,
            own: 0,
            is_connected: false,
            in_flight: BTreeMap::new(),
        }
    }

    /// Its CONNECT.
    #[must_use]
    pub fn hello(&self) -> Vec<u8> {
        Hello::new(self.version, CLIENT).encode()
    }

    /// Whether its CONNACK has come.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Topics of the messages that are not acknowledged to the end.
    pub fn outstanding(&self) -> impl Iterator<Item = usize> {
        self.in_flight.values().map(|exchange| exchange.topic)
    }

    /// A PUBLISH of a QoS above 0 to a topic drawn by chance. `asleep`: until when the owner of
    /// each topic does not run.
    pub fn publish(
        &mut self,
        chance: &mut Chance,
        payload: &[u8],
        asleep: &[Nanos; TOPICS],
    ) -> Vec<u8> {
        let topic = chance.index(TOPICS);
        let qos = *chance.pick(&[QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let exchange = Exchange {
            topic,
            qos,
            released: false,
            not_before: asleep[topic],
        };
        let identifier = self.identifier(chance);
        self.in_flight.insert(identifier, exchange);
        let publish = Publish {
            qos,
            topic: &self::topic(topic),
            packet_identifier: PacketIdentifier::new(identifier),
            payload,
            ..Publish::default()
        };
        let mut out = Vec::new();
        Packet::Publish(publish).encode(self.version, &mut out);
        out
    }

    /// One that is not in flight: common to all lives, or of this life alone.
    fn identifier(&mut self, chance: &mut Chance) -> u16 {
        let common = chance.range(1, COMMON_IDENTIFIERS);
        let common = u16::try_from(common).expect("few");
        if chance.percent(50) && !self.in_flight.contains_key(&common) {
            return common;
        }
        self.own = self.own % OWN_IDENTIFIERS + 1;
        let window = u16::try_from(self.number % OWNERS).expect("at most a thousand");
        100 + window * OWN_IDENTIFIERS + self.own
    }

    /// Judges a packet from the broker; what to answer, if anything.
    ///
    /// # Errors
    /// Why this life cannot get that packet.
    pub fn take(
        &mut self,
        packet: &Packet<'_>,
        now: Nanos,
        asleep: &[Nanos; TOPICS],
    ) -> Result<Option<Vec<u8>>, String> {
        let judged = match packet {
            Packet::ConnAck(connack) => self.on_connack(connack.reason, connack.session_present),
            Packet::PubAck(ack) => self.finish(ack, QoS::AtLeastOnce, now),
            Packet::PubComp(ack) => self.finish(ack, QoS::ExactlyOnce, now),
            Packet::PubRec(ack) => return self.release(ack, asleep).map(Some),
            Packet::Disconnect(last) if last.reason == ReasonCode::SessionTakenOver => Ok(()),
            _ => Err("never sent to it".into()),
        };
        judged
            .map(|()| None)
            .map_err(|why| self.wrong(packet, &why))
    }

    fn on_connack(&mut self, reason: ReasonCode, present: bool) -> Result<(), String> {
        if self.is_connected || present || reason != ReasonCode::Success {
            return Err("a Clean Start is answered once, with a new session".into());
        }
        self.is_connected = true;
        Ok(())
    }

    fn finish(&mut self, ack: &Ack<'_>, qos: QoS, now: Nanos) -> Result<(), String> {
        let exchange = self.in_flight.remove(&ack.packet_identifier.get());
        let exchange = exchange.ok_or("no message of this connection has that identifier")?;
        if exchange.qos != qos || exchange.released != (qos == QoS::ExactlyOnce) {
            return Err(format!("the exchange stands elsewhere: {exchange:?}"));
        }
        if now < exchange.not_before {
            return Err(format!("its owner cannot have seen it: {exchange:?}"));
        }
        let unheard = qos == QoS::AtLeastOnce && !is_heard(exchange.topic);
        let expected = match unheard && self.version == Version::V5 {
            true => ReasonCode::NoMatchingSubscribers,
            false => ReasonCode::Success,
        };
        if ack.reason != expected {
            return Err(format!("it should say {expected}: {exchange:?}"));
        }
        Ok(())
    }

    fn release(&mut self, ack: &Ack<'_>, asleep: &[Nanos; TOPICS]) -> Result<Vec<u8>, String> {
        let exchange = self.in_flight.get_mut(&ack.packet_identifier.get());
        let waits = |exchange: &&mut Exchange| {
            exchange.qos == QoS::ExactlyOnce && !exchange.released && !ack.reason.is_error()
        };
        let Some(exchange) = exchange.filter(waits) else {
            return Err(self.wrong(&Packet::PubRec(*ack), "nothing waits for it"));
        };
        exchange.released = true;
        // Routed on PUBREL: from here on its owner matters.
        exchange.not_before = asleep[exchange.topic];
        let pubrel = Packet::PubRel(Ack {
            packet_identifier: ack.packet_identifier,
            reason: ReasonCode::Success,
            properties: Properties::default(),
        });
        let mut out = Vec::new();
        pubrel.encode(self.version, &mut out);
        Ok(out)
    }

    fn wrong(&self, packet: &Packet<'_>, why: &str) -> String {
        let (number, version) = (self.number, self.version);
        format!("connection {number} ({version}) got {packet:?}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbus_protocols::mqtt::{Frame, frame};

    const LATER: Nanos = Nanos::from_secs(9);

    fn decoded<T>(bytes: &[u8], read: impl FnOnce(&Packet<'_>) -> T) -> T {
        let Ok(Frame::Complete { header, body, .. }) = frame(bytes, 1 << 10) else {
            panic!("a whole packet: {bytes:?}")
        };
        read(&Packet::decode(header, body, Version::V5).expect("a packet"))
    }

    fn take(life: &mut Life, bytes: &[u8], now: Nanos) -> Result<Option<Vec<u8>>, String> {
        decoded(bytes, |packet| life.take(packet, now, &[LATER; TOPICS]))
    }

    /// A life with one message of that QoS in flight, whose owner sleeps until `LATER`.
    fn with_one(qos: QoS) -> (Life, [u8; 2], bool) {
        for seed in 0.. {
            let mut life = Life::new(1, Version::V5);
            take(&mut life, &[0x20, 3, 0, 0, 0], LATER).expect("its CONNACK");
            let bytes = life.publish(&mut Chance::new(seed), b"", &[LATER; TOPICS]);
            let (identifier, found) = decoded(&bytes, |packet| match packet {
                Packet::Publish(publish) => (publish.packet_identifier, publish.qos),
                other => panic!("{other:?}"),
            });
            if found == qos {
                let identifier = identifier.expect("above QoS 0").get();
                let heard = is_heard(life.outstanding().next().expect("one"));
                return (life, identifier.to_be_bytes(), heard);
            }
        }
        unreachable!("one seed in three")
    }

    #[test]
    fn only_the_right_acknowledgement_is_taken() {
        for wrong in ["kind", "identifier", "reason", "early", "nothing"] {
            let (mut life, [high, low], heard) = with_one(QoS::AtLeastOnce);
            let (right, other) = if heard { (0x00, 0x10) } else { (0x10, 0x00) };
            let (bytes, now) = match wrong {
                "kind" => ([0x70, 3, high, low, 0], LATER),
                "identifier" => ([0x40, 3, high ^ 1, low, right], LATER),
                "reason" => ([0x40, 3, high, low, other], LATER),
                "early" => ([0x40, 3, high, low, right], Nanos::ZERO),
                _ => ([0x40, 3, high, low, right], LATER),
            };
            let taken = take(&mut life, &bytes, now);
            assert_eq!(taken.is_ok(), wrong == "nothing", "{wrong}: {taken:?}");
        }
    }

    #[test]
    fn an_exchange_of_qos_2_keeps_its_order() {
        let (mut life, [high, low], _) = with_one(QoS::ExactlyOnce);
        let [pubrec, pubcomp] = [0x50, 0x70].map(|kind| [kind, 2, high, low]);
        let answer = take(&mut life, &pubrec, Nanos::ZERO).expect("it waits for PUBREC");
        assert_eq!(answer.expect("PUBREL")[0], 0x62);
        take(&mut life, &pubrec, LATER).expect_err("a second PUBREC");
        take(&mut life, &pubcomp, LATER).expect("the end");
        assert_eq!(life.outstanding().count(), 0);
        let (mut life, _, _) = with_one(QoS::ExactlyOnce);
        take(&mut life, &pubcomp, LATER).expect_err("PUBCOMP before PUBREL");
        take(&mut life, &[0x20, 3, 0, 0, 0], LATER).expect_err("a second CONNACK");
    }
}
