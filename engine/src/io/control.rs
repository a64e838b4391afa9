//! What the main thread tells the shards.

use super::WakeFd;
use crate::mailbox::Wake;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What every shard is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Set up, and wait for the others: nobody serves unless all can.
    Start = 0,
    /// Serve.
    Run = 1,
    /// Take no more connections, take leave of those that are there, then end.
    Drain = 2,
    /// End with this turn.
    Quit = 3,
    /// Panic: how the tests see what a broken shard does to the process.
    Panic = 4,
}

/// One flag for all shards, and the doorbells that make them look at it.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    wakers: Vec<Arc<WakeFd>>,
}

impl Control {
    /// All shards start.
    #[must_use]
    pub fn new(wakers: Vec<Arc<WakeFd>>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Start as u8),
            wakers,
        }
    }

    /// What to do now. Read by every driver once a turn.
    #[inline]
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Start,
            1 => Phase::Run,
            2 => Phase::Drain,
            3 => Phase::Quit,
            _ => Phase::Panic,
        }
    }

    /// Orders a later phase and wakes every shard. An earlier phase never comes back.
    pub fn order(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        for waker in &self.wakers {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_never_goes_back() {
        let control = Control::new(Vec::new());
        assert_eq!(control.phase(), Phase::Start);
        control.order(Phase::Run);
        assert_eq!(control.phase(), Phase::Run);
        control.order(Phase::Quit);
        control.order(Phase::Drain);
        assert_eq!(control.phase(), Phase::Quit);
    }
}
