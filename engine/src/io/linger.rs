//! Deadlines that are all equally far away, in the order they were set.

use super::link::LinkKey;
use crate::base::Nanos;
use std::collections::VecDeque;

/// After shutdown of the sending side, what the peer still sends is read and
/// discarded this long: closing at once would answer it with a reset, which
/// takes the last bytes we sent out of the peer's hands.
pub(crate) const LINGER: Nanos = Nanos::from_secs(1);

/// A peer that does not take the last bytes meant for it keeps them this long.
pub(crate) const FLUSH: Nanos = Nanos::from_secs(5);

/// Links that wait for one and the same span.
#[derive(Debug)]
pub(crate) struct Deadlines {
    span: Nanos,
    queue: VecDeque<(Nanos, LinkKey)>,
}

impl Deadlines {
    pub(crate) fn after(span: Nanos) -> Self {
        Self {
            span,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, now: Nanos, key: LinkKey) {
        self.queue.push_back((now + self.span, key));
    }

    /// The next link whose time is up. It may be gone by now.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<LinkKey> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, key)| key)
    }

    pub(crate) fn next(&self) -> Option<Nanos> {
        self.queue.front().map(|(due, _)| *due)
    }
}
