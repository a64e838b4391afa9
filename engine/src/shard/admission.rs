//! Who may connect: the places of the whole process, and the pace at which they are taken.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Rate;
use crate::base::Nanos;
use crate::base::limits::SURPLUS_CONNECTIONS_MAX;

/// Counts the connections of a process against the most it takes. Counts, no lock.
#[derive(Debug)]
pub struct Admission {
    open: AtomicUsize,
    max: usize,
    /// Connections beyond that, kept until they can be told so.
    surplus: AtomicUsize,
    rate: Option<Rate>,
    /// The state of the rate's bucket.
    filled_at: AtomicU64,
}

impl Admission {
    /// Nothing open, `max` allowed.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self::with_rate(max, None)
    }

    /// And CONNECT packets no faster than that.
    #[must_use]
    pub fn with_rate(max: usize, rate: Option<Rate>) -> Self {
        Self {
            open: AtomicUsize::new(0),
            max,
            surplus: AtomicUsize::new(0),
            rate,
            filled_at: AtomicU64::new(0),
        }
    }

    /// Takes a place, unless all are taken.
    pub(crate) fn enter(&self) -> bool {
        enter(&self.open, self.max)
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        leave(&self.open);
    }

    /// Takes one of the few places for those that can only be told that there is none.
    pub(crate) fn enter_surplus(&self) -> bool {
        enter(&self.surplus, SURPLUS_CONNECTIONS_MAX)
    }

    /// Gives such a place back.
    pub(crate) fn leave_surplus(&self) {
        leave(&self.surplus);
    }

    /// Whether one more CONNECT is within the rate. One that is not does not count.
    pub(crate) fn takes_connect(&self, now: Nanos) -> bool {
        let Some(rate) = self.rate else { return true };
        let take = |filled_at| rate.take(Nanos(filled_at), 1, now).map(|after| after.0);
        let (order, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.filled_at.fetch_update(order, fetch, take).is_ok()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.surplus.load(Ordering::Relaxed)
    }
}

fn enter(places: &AtomicUsize, max: usize) -> bool {
    if places.fetch_add(1, Ordering::Relaxed) < max {
        return true;
    }
    places.fetch_sub(1, Ordering::Relaxed);
    false
}

fn leave(places: &AtomicUsize) {
    let before = places.fetch_sub(1, Ordering::Relaxed);
    assert!(before > 0, "a connection leaves once");
}
