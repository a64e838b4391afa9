//! Messages to one client at QoS 1 and 2: the queue, and the window of those under way.
//!
//! Invariants: the window holds at most `window` entries that were sent on this connection and
//! not completed; entries keep the order in which they were first sent; a packet identifier is in
//! use from the first transmission to its completion.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ringbus_protocols::mqtt::{PacketIdentifier, QoS};

use crate::base::{Key, ShardId};
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
    /// The shared subscription that it came by, if it was one.
    pub group: Option<GroupRef>,
}

/// A shared subscription, as its owner and as the home of a member know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRef {
    /// The owner.
    pub owner: ShardId,
    /// The owner's key of the group.
    pub group: Key,
    /// The home's key of the filter.
    pub local: Key,
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
    queue: VecDeque<Delivery>,
    bytes: usize,
    shared: u32,
    serial: u32,
    last_identifier: u16,
    window: u16,
    /// So many of the window's last entries were not sent on this connection.
    unsent: u16,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            inflight: VecDeque::new(),
            queue: VecDeque::new(),
            bytes: 0,
            shared: 0,
            serial: 0,
            last_identifier: 0,
            window: 1,
            unsent: 0,
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
        for _ in 0..oldest {
            let dropped = self.queue.pop_front().expect("that many are in the way");
            self.release(&dropped);
        }
        self.bytes += charge;
        self.shared += u32::from(delivery.group.is_some());
        self.queue.push_back(delivery);
        oldest
    }

    /// Whether a message of so many bytes fits without a loss.
    #[must_use]
    pub fn has_room(&self, charge: usize, limit: &QueueLimit) -> bool {
        self.in_the_way(charge, limit) == Some(0)
    }

    /// Messages that came by a shared subscription and that the client does not have for good.
    #[must_use]
    pub fn shared(&self) -> u32 {
        self.shared
    }

    /// Takes out what another member of a shared subscription may get instead, in order: of the
    /// groups that `may_go`, what was sent at QoS 1 and is not acknowledged, and all that was never
    /// sent. What was sent at QoS 2 is nobody else's [MQTT5-4.8.2-4] [MQTT5-4.8.2-5].
    ///
    /// Only between connections: nothing is under way then.
    pub fn take_shared(&mut self, may_go: impl Fn(&GroupRef) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        if self.shared == 0 {
            return taken;
        }
        let goes = |delivery: &Delivery| delivery.group.as_ref().is_some_and(&may_go);
        for entry in std::mem::take(&mut self.inflight) {
            match entry.stage {
                Stage::Published(delivery)
                    if delivery.qos == QoS::AtLeastOnce && goes(&delivery) =>
                {
                    taken.push(delivery);
                }
                _ => self.inflight.push_back(entry),
            }
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(goes);
        self.queue = kept.into();
        taken.extend(gone);
        for gone in &taken {
            self.release(gone);
        }
        self.unsent = self.under_way();
        self.free_if_empty();
        taken
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
        self.unsent = self.under_way();
    }

    /// The next thing to send, if the window has room.
    pub fn transmit(&mut self) -> Option<Transmit<'_>> {
        let sent = self.inflight.len() - usize::from(self.unsent);
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
            self.release(&delivery);
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
        let sent = self.inflight.len() - usize::from(self.unsent);
        sent < usize::from(self.window) && (self.unsent > 0 || !self.queue.is_empty())
    }

    /// Whether anything waits to be sent, for the first time or again.
    #[inline]
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.unsent > 0 || !self.queue.is_empty()
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

    fn under_way(&self) -> u16 {
        let count = self.inflight.len();
        u16::try_from(count).expect("each has a packet identifier of its own")
    }

    fn position(&self, identifier: PacketIdentifier) -> Option<usize> {
        // Clients acknowledge in order, so it is the first one nearly always.
        let sent = self.inflight.len() - usize::from(self.unsent);
        self.inflight
            .iter()
            .take(sent)
            .position(|entry| entry.identifier == identifier)
    }

    fn complete(&mut self, at: usize) {
        let entry = self.inflight.remove(at).expect("position found it");
        if let Stage::Published(delivery) = entry.stage {
            self.release(&delivery);
        }
        self.free_if_empty();
    }

    /// A message leaves the books.
    fn release(&mut self, delivery: &Delivery) {
        self.bytes -= delivery.stored.charge();
        self.shared -= u32::from(delivery.group.is_some());
    }

    /// An idle session owns no buffer.
    fn free_if_empty(&mut self) {
        if self.inflight.is_empty() && self.queue.is_empty() {
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
