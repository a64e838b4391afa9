//! Topic aliases: small numbers that stand for topic names on one connection, in one direction
//! `[MQTT5-3.3.2.3.4]`.

use std::collections::HashMap;

use super::{DecodeError, PropertyId};
use crate::topic::TopicName;

/// The aliases that the peer defined. Holds at most as many names as this side announced in Topic
/// Alias Maximum, and no memory before the first.
#[derive(Debug, Default)]
pub struct InboundAliases {
    maximum: u16,
    names: Vec<Option<Box<str>>>,
}

impl InboundAliases {
    /// Aliases up to `maximum`, the Topic Alias Maximum that was announced; 0: none.
    pub const fn new(maximum: u16) -> Self {
        Self {
            maximum,
            names: Vec::new(),
        }
    }

    /// The topic of a PUBLISH that came with `alias`: defines the alias if `topic` is not empty,
    /// else looks it up.
    ///
    /// # Errors
    /// Topic Alias invalid if `alias` is 0 or over the maximum `[MQTT5-3.3.2-9]`, Protocol Error
    /// if it was never defined.
    pub fn resolve<'a>(&'a mut self, alias: u16, topic: &'a str) -> Result<&'a str, DecodeError> {
        if alias == 0 || alias > self.maximum {
            return Err(DecodeError::PropertyValueInvalid(PropertyId::TopicAlias));
        }
        let index = usize::from(alias) - 1;
        if topic.is_empty() {
            let name = self.names.get(index).and_then(Option::as_deref);
            return name.ok_or(DecodeError::TopicMissing);
        }
        if self.names.len() <= index {
            self.names.resize(index + 1, None);
        }
        let slot = &mut self.names[index];
        // Senders repeat a definition until they know that it arrived.
        if slot.as_deref() != Some(topic) {
            *slot = Some(topic.into());
        }
        Ok(topic)
    }
}

/// How a topic goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundAlias {
    /// By name alone: the peer takes no aliases.
    None,
    /// By name and alias: this defines the alias, or gives it a new meaning.
    Define(u16),
    /// By alias, with an empty topic.
    Use(u16),
}

/// The aliases that this side defines. When all are taken, the one that was not used for the
/// longest (to within one round) is given to the next new topic.
#[derive(Debug, Default)]
pub struct OutboundAliases {
    maximum: u16,
    by_name: HashMap<Box<str>, u16>,
    slots: Vec<Slot>,
    /// The slot that is looked at next when one has to go.
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    name: Box<str>,
    used: bool,
}

impl OutboundAliases {
    /// Aliases up to `maximum`: what the peer announced, or fewer.
    pub fn new(maximum: u16) -> Self {
        Self {
            maximum,
            ..Self::default()
        }
    }

    /// How a PUBLISH to `topic` goes out. The answer counts only if the PUBLISH is really sent,
    /// in this order.
    pub fn assign(&mut self, topic: TopicName<'_>) -> OutboundAlias {
        if self.maximum == 0 {
            return OutboundAlias::None;
        }
        if let Some(&alias) = self.by_name.get(topic.as_str()) {
            self.slots[usize::from(alias) - 1].used = true;
            return OutboundAlias::Use(alias);
        }
        let slot = Slot {
            name: topic.as_str().into(),
            used: false,
        };
        let index = self.free_slot();
        let alias = u16::try_from(index + 1).expect("there are at most 65,535 slots");
        self.by_name.insert(slot.name.clone(), alias);
        match self.slots.get_mut(index) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        OutboundAlias::Define(alias)
    }

    /// A slot that was never used, else the next that was not used since the hand passed it.
    fn free_slot(&mut self) -> usize {
        if self.slots.len() < usize::from(self.maximum) {
            return self.slots.len();
        }
        // Ends in the second round at the latest: the first one clears every mark.
        loop {
            let index = self.hand;
            self.hand = (index + 1) % self.slots.len();
            let slot = &mut self.slots[index];
            if !std::mem::take(&mut slot.used) {
                self.by_name.remove(&slot.name);
                return index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TopicName<'_> {
        TopicName::parse(text).expect("test topic")
    }

    #[test]
    fn mqtt5_3_3_2_3_4_inbound_aliases_are_defined_used_and_redefined() {
        let mut aliases = InboundAliases::new(2);
        assert_eq!(aliases.resolve(2, ""), Err(DecodeError::TopicMissing));
        assert_eq!(aliases.resolve(2, "a"), Ok("a"));
        assert_eq!(aliases.resolve(2, ""), Ok("a"));
        assert_eq!(aliases.resolve(1, ""), Err(DecodeError::TopicMissing));
        assert_eq!(aliases.resolve(2, "b"), Ok("b"));
        assert_eq!(aliases.resolve(2, ""), Ok("b"));
    }

    #[test]
    fn mqtt5_3_3_2_9_inbound_aliases_are_bounded() {
        let invalid = Err(DecodeError::PropertyValueInvalid(PropertyId::TopicAlias));
        assert_eq!(InboundAliases::new(0).resolve(1, "a"), invalid);
        assert_eq!(InboundAliases::new(2).resolve(3, "a"), invalid);
        assert_eq!(InboundAliases::new(2).resolve(0, "a"), invalid);
        assert!(InboundAliases::new(u16::MAX).resolve(u16::MAX, "a").is_ok());
    }

    #[test]
    fn outbound_aliases_replace_what_was_not_used() {
        let mut aliases = OutboundAliases::new(2);
        assert_eq!(aliases.assign(name("a")), OutboundAlias::Define(1));
        assert_eq!(aliases.assign(name("b")), OutboundAlias::Define(2));
        assert_eq!(aliases.assign(name("a")), OutboundAlias::Use(1));
        assert_eq!(aliases.assign(name("c")), OutboundAlias::Define(2));
        assert_eq!(aliases.assign(name("b")), OutboundAlias::Define(1));
        assert_eq!(aliases.assign(name("c")), OutboundAlias::Use(2));
        assert_eq!(
            OutboundAliases::new(0).assign(name("a")),
            OutboundAlias::None
        );
    }

    #[test]
    fn what_one_side_assigns_the_other_resolves() {
        for maximum in [0, 1, 3, 7] {
            let mut outbound = OutboundAliases::new(maximum);
            let mut inbound = InboundAliases::new(maximum);
            for step in 0..500_u32 {
                let text = format!("t/{}", step * step % 11);
                let resolved = match outbound.assign(name(&text)) {
                    OutboundAlias::None => Ok(text.as_str()),
                    OutboundAlias::Define(alias) => inbound.resolve(alias, &text),
                    OutboundAlias::Use(alias) => inbound.resolve(alias, ""),
                };
                assert_eq!(
                    resolved,
                    Ok(text.as_str()),
                    "maximum {maximum}, step {step}"
                );
            }
        }
    }
}
