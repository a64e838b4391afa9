//! Messages to one client at QoS 1 and 2: the queue, and the window of those under way.
//!
//! Invariants: the window holds at most `window` entries that were sent on this connection and
//! not completed; entries keep the order in which they were first sent; a packet identifier is in
//! use from the first transmission to its completion.

use std::collections::VecDeque;

use ringbus_protocols::mqtt::{PacketIdentifier, QoS};

use crate::pubsub::Stored;

/// A message for one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub stored: Stored,
    /// The granted level, 1 or 2.
    pub qos: QoS,
    /// The RETAIN flag to send.
    pub retain: bool,
    /// The identifiers of the subscriptions that matched.
    pub subscription_identifiers: Box<[u32]>,
}

/// What to send next.
#[derive(Debug)]
pub enum Transmit<'a> {
    /// A PUBLISH.
    Publish {
        /// Its packet identifier.
        identifier: PacketIdentifier,
        /// A repetition on a new connection.
        dup: bool,
        /// The message.
        delivery: &'a Delivery,
    },
    /// A PUBREL, again on a new connection.
    PubRel(PacketIdentifier),
}

/// An acknowledgement that fits no message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// No message has that packet identifier.
    UnknownIdentifier,
    /// The message with that identifier expects another acknowledgement.
    WrongKind,
}

#[derive(Debug)]
struct Inflight {
    identifier: PacketIdentifier,
    // Counts transmissions, so that the age of the oldest shows when identifiers may collide.
    serial: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Published(Delivery),
    Released,
}

/// What may wait for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimit {
    /// Bytes of records, those under way included. A single message always fits.
    pub bytes: usize,
    /// Messages that are not under way, 1 or more.
    pub messages: usize,
    /// Whether the oldest make room for the newest.
    pub drops_oldest: bool,
}

impl QueueLimit {
    /// No limit.
    pub const NONE: Self = Self {
        bytes: usize::MAX,
        messages: usize::MAX,
        drops_oldest: false,
    };
}

/// The messages to one client at QoS 1 and 2.
#[derive(Debug)]
pub struct Outbound {
    inflight: VecDeque<Inflight>,
    unsent: usize,
    queue: VecDeque<Delivery>,
    bytes: usize,
    serial: u32,
    last_identifier: u16,
    window: u16,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            inflight: VecDeque::new(),
            unsent: 0,
            queue: VecDeque::new(),
            bytes: 0,
            serial: 0,
            last_identifier: 0,
            window: 1,
        }
    }
}

impl Outbound {
    /// Appends a message. Returns how many were dropped for want of room: the new one, or the
    /// oldest that wait, as many as it takes.
    #[must_use]
    pub fn push(&mut self, delivery: Delivery, limit: &QueueLimit) -> usize {
        let charge = delivery.stored.charge();
        let Some(oldest) = self.in_the_way(charge, limit) else {
            return 1;
        };
        for dropped in self.queue.drain(..oldest) {
            self.bytes -= dropped.stored.charge();
        }
        self.bytes += charge;
        self.queue.push_back(delivery);
        oldest
    }

    /// How many of the oldest have to go for a message of so many bytes; `None` if none may, or
    /// if it would not fit then either.
    fn in_the_way(&self, charge: usize, limit: &QueueLimit) -> Option<usize> {
        let fits = |gone: usize, bytes: usize| {
            let has_bytes = bytes + charge <= limit.bytes || bytes == 0;
            has_bytes && self.queue.len() - gone < limit.messages
        };
        if fits(0, self.bytes) {
            return Some(0);
        }
        if !limit.drops_oldest {
            return None;
        }
        let mut bytes = self.bytes;
        self.queue.iter().enumerate().find_map(|(at, oldest)| {
            bytes -= oldest.stored.charge();
            fits(at + 1, bytes).then_some(at + 1)
        })
    }

    /// Starts over on a new connection that takes `window` messages at a time.
    pub fn restart(&mut self, window: u16) {
        assert!(window > 0, "a receive maximum of 0 is a protocol error");
        self.window = window;
        self.unsent = self.inflight.len();
    }

    /// The next thing to send, if the window has room.
    pub fn transmit(&mut self) -> Option<Transmit<'_>> {
        let sent = self.inflight.len() - self.unsent;
        if sent >= usize::from(self.window) {
            return None;
        }
        if self.unsent > 0 {
            self.unsent -= 1;
            let entry = &self.inflight[sent];
            return Some(match &entry.stage {
                Stage::Published(delivery) => Transmit::Publish {
                    identifier: entry.identifier,
                    dup: true,
                    delivery,
                },
                Stage::Released => Transmit::PubRel(entry.identifier),
            });
        }
        let delivery = self.queue.pop_front()?;
        let identifier = self.allocate();
        let serial = self.serial;
        self.inflight.push_back(Inflight {
            identifier,
            serial,
            stage: Stage::Published(delivery),
        });
        let Some(Inflight {
            stage: Stage::Published(delivery),
            ..
        }) = self.inflight.back()
        else {
            unreachable!("it was pushed in this stage");
        };
        Some(Transmit::Publish {
            identifier,
            dup: false,
            delivery,
        })
    }

    /// Drops the message that was just taken by [`Outbound::transmit`]: it cannot be sent.
    pub fn withdraw(&mut self, identifier: PacketIdentifier) {
        if let Some(at) = self.position(identifier) {
            self.complete(at);
        }
    }

    /// The client has a QoS 1 message.
    ///
    /// # Errors
    /// If no QoS 1 message has that identifier.
    pub fn on_puback(&mut self, identifier: PacketIdentifier) -> Result<(), AckError> {
        let at = self
            .position(identifier)
            .ok_or(AckError::UnknownIdentifier)?;
        match &self.inflight[at].stage {
            Stage::Published(delivery) if delivery.qos == QoS::AtLeastOnce => {
                self.complete(at);
                Ok(())
            }
            _ => Err(AckError::WrongKind),
        }
    }

    /// The client has a QoS 2 message, or refused it (then it is done with). A repetition is fine.
    ///
    /// # Errors
    /// If no QoS 2 message has that identifier.
    pub fn on_pubrec(
        &mut self,
        identifier: PacketIdentifier,
        accepted: bool,
    ) -> Result<(), AckError> {
        let at = self
            .position(identifier)
            .ok_or(AckError::UnknownIdentifier)?;
        let entry = &mut self.inflight[at];
        match &entry.stage {
            Stage::Published(delivery) if delivery.qos == QoS::ExactlyOnce => {}
            Stage::Published(_) => return Err(AckError::WrongKind),
            Stage::Released => return Ok(()),
        }
        if !accepted {
            self.complete(at);
        } else if let Stage::Published(delivery) =
            std::mem::replace(&mut entry.stage, Stage::Released)
        {
            self.bytes -= delivery.stored.charge();
        }
        Ok(())
    }

    /// The client has let go of a QoS 2 identifier.
    ///
    /// # Errors
    /// If no released message has that identifier.
    pub fn on_pubcomp(&mut self, identifier: PacketIdentifier) -> Result<(), AckError> {
        let at = self
            .position(identifier)
            .ok_or(AckError::UnknownIdentifier)?;
        match self.inflight[at].stage {
            Stage::Released => {
                self.complete(at);
                Ok(())
            }
            Stage::Published(_) => Err(AckError::WrongKind),
        }
    }

    /// Whether anything waits that the window would let through.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let sent = self.inflight.len() - self.unsent;
        sent < usize::from(self.window) && (self.unsent > 0 || !self.queue.is_empty())
    }

    /// The bytes of all messages that are not acknowledged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that are queued or under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inflight.len() + self.queue.len()
    }

    /// Whether nothing is queued or under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn position(&self, identifier: PacketIdentifier) -> Option<usize> {
        // Clients acknowledge in order, so it is the first one nearly always.
        let sent = self.inflight.len() - self.unsent;
        self.inflight
            .iter()
            .take(sent)
            .position(|entry| entry.identifier == identifier)
    }

    fn complete(&mut self, at: usize) {
        let entry = self.inflight.remove(at).expect("position found it");
        if let Stage::Published(delivery) = entry.stage {
            self.bytes -= delivery.stored.charge();
        }
        if self.inflight.is_empty() && self.queue.is_empty() {
            // An idle session owns no buffer.
            self.inflight = VecDeque::new();
            self.queue = VecDeque::new();
        }
    }

    fn allocate(&mut self) -> PacketIdentifier {
        self.serial = self.serial.wrapping_add(1);
        loop {
            self.last_identifier = self.last_identifier.wrapping_add(1);
            if let Some(identifier) = PacketIdentifier::new(self.last_identifier)
                && !self.is_in_use(identifier)
            {
                return identifier;
            }
        }
    }

    fn is_in_use(&self, identifier: PacketIdentifier) -> bool {
        // Identifiers go round once in 65,535 transmissions; until the oldest entry is nearly that
        // old, none can come up again.
        let Some(oldest) = self.inflight.front() else {
            return false;
        };
        let age = self.serial.wrapping_sub(oldest.serial);
        age >= u32::from(u16::MAX) - u32::from(self.window)
            && self
                .inflight
                .iter()
                .any(|entry| entry.identifier == identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::{AckError, Delivery, Outbound, QueueLimit, Transmit};
    use crate::base::Nanos;
    use crate::pubsub::{Message, PublisherId, Stored};
    use ringbus_protocols::mqtt::{PacketIdentifier, QoS};

    fn delivery(qos: QoS, payload: &[u8]) -> Delivery {
        let stored = Stored::new(&Message {
            topic: "t",
            payload,
            properties: &[],
            qos,
            retain: false,
            expires_at: Nanos::MAX,
            publisher: PublisherId::default(),
        });
        Delivery {
            stored,
            qos,
            retain: false,
            subscription_identifiers: Box::new([]),
        }
    }

    fn next(outbound: &mut Outbound) -> Option<(u16, bool)> {
        match outbound.transmit()? {
            Transmit::Publish {
                identifier, dup, ..
            } => Some((identifier.get(), dup)),
            Transmit::PubRel(identifier) => Some((identifier.get(), true)),
        }
    }

    fn id(value: u16) -> PacketIdentifier {
        PacketIdentifier::new(value).unwrap()
    }

    #[test]
    fn the_window_bounds_what_is_under_way() {
        let mut outbound = Outbound::default();
        outbound.restart(2);
        for _ in 0..3 {
            assert_eq!(
                outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
                0
            );
        }
        assert_eq!(next(&mut outbound), Some((1, false)));
        assert_eq!(next(&mut outbound), Some((2, false)));
        assert_eq!(next(&mut outbound), None);
        assert_eq!(outbound.on_puback(id(2)), Ok(()));
        assert_eq!(next(&mut outbound), Some((3, false)));
        assert_eq!(outbound.on_puback(id(2)), Err(AckError::UnknownIdentifier));
    }

    #[test]
    fn a_new_connection_repeats_in_order_within_its_window() {
        let mut outbound = Outbound::default();
        outbound.restart(4);
        for _ in 0..4 {
            assert_eq!(
                outbound.push(delivery(QoS::ExactlyOnce, b"x"), &QueueLimit::NONE),
                0
            );
            assert!(next(&mut outbound).is_some());
        }
        assert_eq!(outbound.on_pubrec(id(1), true), Ok(()));
        outbound.restart(2);
        assert!(matches!(outbound.transmit(), Some(Transmit::PubRel(i)) if i == id(1)));
        assert_eq!(next(&mut outbound), Some((2, true)));
        assert_eq!(next(&mut outbound), None);
        assert_eq!(
            outbound.on_pubrec(id(3), true),
            Err(AckError::UnknownIdentifier)
        );
        assert_eq!(outbound.on_pubcomp(id(1)), Ok(()));
        assert_eq!(next(&mut outbound), Some((3, true)));
    }

    #[test]
    fn an_identifier_in_use_is_skipped_after_a_full_round() {
        let mut outbound = Outbound::default();
        outbound.restart(3);
        assert_eq!(
            outbound.push(delivery(QoS::AtLeastOnce, b"stuck"), &QueueLimit::NONE),
            0
        );
        assert_eq!(next(&mut outbound), Some((1, false)));
        for _ in 0..u32::from(u16::MAX) - 1 {
            assert_eq!(
                outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
                0
            );
            let (identifier, _) = next(&mut outbound).unwrap();
            assert_ne!(identifier, 1);
            assert_eq!(outbound.on_puback(id(identifier)), Ok(()));
        }
        assert_eq!(
            outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
            0
        );
        assert_eq!(next(&mut outbound), Some((2, false)));
    }

    #[test]
    fn bytes_are_charged_until_acknowledged() {
        let mut outbound = Outbound::default();
        outbound.restart(8);
        let one = delivery(QoS::AtLeastOnce, &[0; 100]);
        let charge = one.stored.charge();
        let limit = QueueLimit {
            bytes: charge,
            ..QueueLimit::NONE
        };
        assert_eq!(outbound.push(one.clone(), &limit), 0);
        assert_eq!(outbound.push(one, &limit), 1, "beyond the bound");
        assert_eq!(outbound.bytes(), charge);
        assert_eq!(next(&mut outbound), Some((1, false)));
        assert_eq!(outbound.on_pubrec(id(1), true), Err(AckError::WrongKind));
        assert_eq!(outbound.on_puback(id(1)), Ok(()));
        assert_eq!((outbound.bytes(), outbound.len()), (0, 0));
    }

    fn payloads(outbound: &mut Outbound) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Some(Transmit::Publish { delivery, .. }) = outbound.transmit() {
            seen.push(delivery.stored.message().payload[0]);
        }
        seen
    }

    #[test]
    fn either_the_newest_or_the_oldest_that_wait_are_dropped() {
        for (drops_oldest, expected) in [(false, b"abcd"), (true, b"aefg")] {
            let mut outbound = Outbound::default();
            outbound.restart(1);
            let limit = QueueLimit {
                messages: 3,
                drops_oldest,
                ..QueueLimit::NONE
            };
            let mut dropped = 0;
            for payload in b"abcdefg" {
                dropped += outbound.push(delivery(QoS::AtLeastOnce, &[*payload]), &limit);
                if *payload == b'a' {
                    assert_eq!(next(&mut outbound), Some((1, false)));
                }
            }
            assert_eq!(dropped, 3);
            outbound.restart(8);
            assert_eq!(payloads(&mut outbound), expected, "what is under way stays");
        }
    }

    #[test]
    fn as_many_of_the_oldest_go_as_the_newest_needs_and_none_in_vain() {
        let small = delivery(QoS::AtLeastOnce, b"s");
        let charge = small.stored.charge();
        let large = delivery(QoS::AtLeastOnce, &vec![b'l'; 2 * charge]);
        let limit = QueueLimit {
            bytes: 5 * charge,
            drops_oldest: true,
            ..QueueLimit::NONE
        };
        let mut outbound = Outbound::default();
        for _ in 0..5 {
            assert_eq!(outbound.push(small.clone(), &limit), 0);
        }
        assert_eq!(outbound.push(large.clone(), &limit), 3);
        assert_eq!(outbound.len(), 3);
        assert!(outbound.bytes() <= limit.bytes);
        // Everything is under way: nothing can make room.
        outbound.restart(8);
        assert_eq!(payloads(&mut outbound).len(), 3);
        assert_eq!(outbound.push(large, &limit), 1);
        assert_eq!(outbound.len(), 3);
    }
}
