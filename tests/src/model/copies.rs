//! The copies of one message that one session received, and what may have caused each.

use std::collections::BTreeMap;

/// A cause with a name and a number: a retained copy that was asked for by a filter, with which
/// SUBSCRIBE of it.
pub type Replay = (String, usize);

/// What one copy may have been, for all that can be seen: with RETAIN kept as published, a live
/// copy and a retained one look alike.
#[derive(Debug)]
pub struct Copy {
    /// It may be there because the message was published.
    pub live: bool,
    /// It may be the retained copy of one of these.
    pub replays: Vec<Replay>,
}

/// All copies of one message in one session, redeliveries not counted.
#[derive(Default, Debug)]
pub struct Got {
    /// In the order of arrival.
    pub copies: Vec<Copy>,
    /// It came, and was acknowledged, before a point of rest: it must not be redelivered.
    pub done: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cause<'a> {
    Live(u32),
    Replay(&'a Replay),
}

impl Got {
    /// True when one of the copies may be there because the message was published.
    #[must_use]
    pub fn has_live(&self) -> bool {
        self.copies.iter().any(|copy| copy.live)
    }

    /// True when one of the copies may be a retained one.
    #[must_use]
    pub fn has_replay(&self) -> bool {
        self.copies.iter().any(|copy| !copy.replays.is_empty())
    }

    /// True when every copy can have a cause of its own, the message having been routed at most
    /// `routed` times. (A matching of copies to causes, by augmenting paths.)
    #[must_use]
    pub fn is_explained(&self, routed: u32) -> bool {
        let mut causes = BTreeMap::new();
        (0..self.copies.len()).all(|copy| self.explain(copy, routed, &mut causes, &mut Vec::new()))
    }

    fn explain<'a>(
        &'a self,
        copy: usize,
        routed: u32,
        causes: &mut BTreeMap<Cause<'a>, usize>,
        tried: &mut Vec<Cause<'a>>,
    ) -> bool {
        let lives = (0..routed)
            .filter(|_| self.copies[copy].live)
            .map(Cause::Live);
        let replays = self.copies[copy].replays.iter().map(Cause::Replay);
        for cause in lives.chain(replays) {
            if tried.contains(&cause) {
                continue;
            }
            tried.push(cause.clone());
            let free = match causes.get(&cause).copied() {
                None => true,
                Some(other) => self.explain(other, routed, causes, tried),
            };
            if free {
                causes.insert(cause, copy);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Copy, Got};

    fn copy(live: bool, replays: &[&str]) -> Copy {
        let replays = replays
            .iter()
            .map(|filter| ((*filter).to_owned(), 0))
            .collect();
        Copy { live, replays }
    }

    #[test]
    fn every_copy_needs_a_cause_of_its_own() {
        let mut got = Got::default();
        got.copies.push(copy(true, &["a"]));
        got.copies.push(copy(true, &["a", "b"]));
        assert!(got.is_explained(1));
        got.copies.push(copy(true, &[]));
        assert!(got.is_explained(1), "the first two were retained copies");
        got.copies.push(copy(false, &["a"]));
        assert!(!got.is_explained(1), "one cause is missing");
        assert!(got.is_explained(2), "unless it was routed twice");
    }
}
