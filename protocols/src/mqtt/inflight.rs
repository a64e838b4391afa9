//! Packet identifiers in use and the window that Receive Maximum opens `[MQTT5-4.9]`.

use super::PacketIdentifier;

const WORD_BITS: usize = u64::BITS as usize;
const WORDS_MAX: usize = (u16::MAX as usize + 1) / WORD_BITS;

/// A set of packet identifiers that also finds free ones, in turn, so that an identifier is not
/// used again at once. A bitmap that grows with the number in use: nothing when empty, 16 bytes
/// for 64, 8 KiB at most. At most half of it is in use until it is at its largest, so finding a
/// free one is one or two words of work.
#[derive(Debug, Default, Clone)]
pub struct PacketIdentifiers {
    words: Vec<u64>,
    used: usize,
    next: usize,
}

impl PacketIdentifiers {
    /// An empty set.
    pub const fn new() -> Self {
        Self {
            words: Vec::new(),
            used: 0,
            next: 0,
        }
    }

    /// How many identifiers are in use.
    #[inline]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether none is in use.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Takes a free identifier; `None` when all 65,535 are in use.
    #[inline]
    pub fn allocate(&mut self) -> Option<PacketIdentifier> {
        if self.used * 2 >= self.words.len() * WORD_BITS && self.words.len() < WORDS_MAX {
            self.grow(self.words.len() * 2);
        }
        let start = self.next / WORD_BITS;
        // The first word is looked at twice: from `next` up, and again from its beginning.
        let mut mask = u64::MAX << (self.next % WORD_BITS);
        for step in 0..=self.words.len() {
            let index = (start + step) % self.words.len();
            let free = !self.words[index] & mask;
            if free != 0 {
                let bit = free.trailing_zeros() as usize;
                self.words[index] |= 1 << bit;
                self.used += 1;
                let value = index * WORD_BITS + bit;
                self.next = (value + 1) % (self.words.len() * WORD_BITS);
                return PacketIdentifier::new(u16::try_from(value).ok()?);
            }
            mask = u64::MAX;
        }
        None
    }

    /// Adds an identifier; false if it is in use already.
    pub fn insert(&mut self, identifier: PacketIdentifier) -> bool {
        let (index, bit) = position(identifier);
        if index >= self.words.len() {
            self.grow(index + 1);
        }
        let new = self.words[index] & bit == 0;
        self.words[index] |= bit;
        self.used += usize::from(new);
        new
    }

    /// Frees an identifier; false if it was not in use.
    #[inline]
    pub fn release(&mut self, identifier: PacketIdentifier) -> bool {
        let (index, bit) = position(identifier);
        match self.words.get_mut(index) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                self.used -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether an identifier is in use.
    #[inline]
    pub fn contains(&self, identifier: PacketIdentifier) -> bool {
        let (index, bit) = position(identifier);
        self.words.get(index).is_some_and(|word| word & bit != 0)
    }

    /// Frees all identifiers and the memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn grow(&mut self, words: usize) {
        // Free identifiers are above: go there instead of through the crowd below.
        self.next = self.words.len() * WORD_BITS;
        self.words.resize(words.clamp(1, WORDS_MAX), 0);
        // Zero is no identifier: its bit is taken forever.
        self.words[0] |= 1;
    }
}

#[inline]
fn position(identifier: PacketIdentifier) -> (usize, u64) {
    let value = usize::from(identifier.get());
    (value / WORD_BITS, 1 << (value % WORD_BITS))
}

/// Counts the QoS 1 and 2 messages on their way in one direction against the receiver's Receive
/// Maximum `[MQTT5-4.9.0-1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    maximum: u16,
    used: u16,
}

impl Window {
    /// An unused window of `maximum` messages: the Receive Maximum of the receiver, 65,535 if it
    /// names none.
    pub const fn new(maximum: u16) -> Self {
        Self { maximum, used: 0 }
    }

    /// Counts a message; false if the window is full. For a sender that means wait, for a receiver
    /// Receive Maximum exceeded `[MQTT5-3.3.4-9]`.
    #[inline]
    #[must_use]
    pub fn take(&mut self) -> bool {
        let free = self.used < self.maximum;
        self.used += u16::from(free);
        free
    }

    /// A message is done: PUBACK, PUBCOMP, or PUBREC with a failure `[MQTT5-4.9.0-2]`. More than
    /// were taken do not widen the window.
    #[inline]
    pub fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    /// How many messages are on their way.
    #[inline]
    pub fn used(&self) -> u16 {
        self.used
    }

    /// How many more may be sent.
    #[inline]
    pub fn available(&self) -> u16 {
        self.maximum - self.used
    }
}

/// The sending side: an identifier and a place in the window for each message.
#[derive(Debug, Clone)]
pub struct Outbound {
    identifiers: PacketIdentifiers,
    window: Window,
}

impl Outbound {
    /// Nothing on its way, a window of `receive_maximum` messages.
    pub const fn new(receive_maximum: u16) -> Self {
        Self {
            identifiers: PacketIdentifiers::new(),
            window: Window::new(receive_maximum),
        }
    }

    /// Begins a message: its identifier; `None` while the window is full.
    #[inline]
    pub fn begin(&mut self) -> Option<PacketIdentifier> {
        if !self.window.take() {
            return None;
        }
        let identifier = self.identifiers.allocate();
        if identifier.is_none() {
            self.window.give_back();
        }
        identifier
    }

    /// Ends a message; false if the identifier is not on its way.
    #[inline]
    pub fn end(&mut self, identifier: PacketIdentifier) -> bool {
        let known = self.identifiers.release(identifier);
        if known {
            self.window.give_back();
        }
        known
    }

    /// Takes an identifier for what the window does not count: SUBSCRIBE and UNSUBSCRIBE. Free it
    /// with [`Outbound::release`].
    pub fn reserve(&mut self) -> Option<PacketIdentifier> {
        self.identifiers.allocate()
    }

    /// Frees an identifier of [`Outbound::reserve`]; false if it is not in use.
    pub fn release(&mut self, identifier: PacketIdentifier) -> bool {
        self.identifiers.release(identifier)
    }

    /// How many messages are on their way.
    #[inline]
    pub fn len(&self) -> u16 {
        self.window.used()
    }

    /// Whether no message is on its way.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more can begin.
    #[inline]
    pub fn available(&self) -> u16 {
        self.window.available()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(value: u16) -> PacketIdentifier {
        PacketIdentifier::new(value).expect("test identifiers are not zero")
    }

    #[test]
    fn all_identifiers_are_found_once() {
        let mut identifiers = PacketIdentifiers::new();
        let mut seen = BTreeSet::new();
        while let Some(identifier) = identifiers.allocate() {
            assert!(seen.insert(identifier));
        }
        assert_eq!((seen.len(), identifiers.len()), (65_535, 65_535));
        assert!(identifiers.release(id(40_000)));
        assert!(!identifiers.release(id(40_000)));
        assert_eq!(identifiers.allocate(), Some(id(40_000)));
    }

    #[test]
    fn a_small_window_stays_in_a_small_map() {
        let mut identifiers = PacketIdentifiers::new();
        for _ in 0..10_000 {
            let ids: Vec<_> = (0..20).map_while(|_| identifiers.allocate()).collect();
            assert_eq!(ids.len(), 20);
            ids.into_iter()
                .for_each(|id| assert!(identifiers.release(id)));
        }
        assert_eq!(identifiers.words.len(), 1);
    }

    #[test]
    fn an_identifier_is_not_used_again_at_once() {
        let mut identifiers = PacketIdentifiers::new();
        let first = identifiers.allocate().expect("free");
        assert!(identifiers.release(first));
        assert_ne!(identifiers.allocate(), Some(first));
    }

    #[test]
    fn mqtt5_4_9_0_1_the_window_is_kept() {
        let mut outbound = Outbound::new(2);
        let (first, second) = (outbound.begin().expect("1"), outbound.begin().expect("2"));
        assert_eq!((outbound.begin(), outbound.available()), (None, 0));
        assert!(outbound.reserve().is_some(), "SUBSCRIBE is not counted");
        assert!(outbound.end(first));
        assert!(!outbound.end(first));
        assert!(outbound.begin().is_some_and(|third| third != second));
        assert_eq!(outbound.len(), 2);
    }

    #[test]
    fn a_window_never_gets_wider() {
        let mut window = Window::new(1);
        window.give_back();
        assert!(window.take());
        assert!(!window.take());
        assert_eq!((window.used(), window.available()), (1, 0));
    }

    proptest! {
        #[test]
        fn a_set_of_identifiers_agrees_with_an_ordinary_set(
            steps in prop::collection::vec((0..4_u8, 1..300_u16), 0..400),
        ) {
            let mut identifiers = PacketIdentifiers::new();
            let mut model = BTreeSet::new();
            for (action, value) in steps {
                match action {
                    0 => prop_assert_eq!(identifiers.insert(id(value)), model.insert(value)),
                    1 => prop_assert_eq!(identifiers.release(id(value)), model.remove(&value)),
                    2 => prop_assert_eq!(identifiers.contains(id(value)), model.contains(&value)),
                    _ => {
                        let free = identifiers.allocate().expect("far from full");
                        prop_assert!(model.insert(free.get()));
                    }
                }
                prop_assert_eq!(identifiers.len(), model.len());
            }
        }
    }
}
