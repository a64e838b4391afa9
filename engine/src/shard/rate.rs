//! How often something may happen: so many times a second, and as many at once.

use crate::base::Nanos;

const SECOND: Nanos = Nanos::from_secs(1);

/// A bucket that holds what one second allows, and fills at that pace.
///
/// What was taken is kept as a point in time by which it is filled again: `Nanos::ZERO` for a full
/// bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between two, on average.
    interval: Nanos,
    /// What an empty bucket takes to fill: a second, but for rounding.
    span: Nanos,
}

impl Rate {
    /// So many a second, 1 to 1,000,000,000.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        let interval = SECOND.0 / u64::from(count);
        Self {
            interval: Nanos(interval),
            span: Nanos(interval * u64::from(count)),
        }
    }

    /// How many more there may be now.
    #[inline]
    pub(super) fn room(self, filled_at: Nanos, now: Nanos) -> u32 {
        let left = (now + self.span).0.saturating_sub(filled_at.max(now).0);
        u32::try_from(left / self.interval.0).unwrap_or(u32::MAX)
    }

    /// Takes so many out of the bucket; `None` if there are not enough.
    #[inline]
    pub(super) fn take(self, filled_at: Nanos, count: u32, now: Nanos) -> Option<Nanos> {
        let after = filled_at.max(now) + Nanos(self.interval.0 * u64::from(count));
        (after <= now + self.span).then_some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_as_it_says_however_they_are_spread() {
        for count in [1, 3, 7, 1_000, 999_999] {
            let rate = Rate::per_second(count);
            let mut now = Nanos::from_secs(5);
            let full = rate.take(Nanos::ZERO, count, now).expect("all at once");
            assert_eq!(rate.take(full, 1, now), None);
            assert_eq!(rate.room(full, now), 0);
            assert_eq!(rate.take(Nanos::ZERO, count + 1, now), None);
            assert_eq!(rate.room(Nanos::ZERO, now), count);
            // At its pace it goes on for ever.
            let mut filled = full;
            for _ in 0..100 {
                now = now + rate.interval;
                filled = rate.take(filled, 1, now).expect("one came back");
                assert_eq!(rate.take(filled, 1, now), None);
            }
        }
    }
}
