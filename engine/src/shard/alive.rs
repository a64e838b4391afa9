//! Whether the other end of a connection is still there: pings into silence.

use crate::base::Nanos;

/// Pings without an answer after which nobody is there.
const UNANSWERED_MAX: u8 = 2;

/// When something last came, and what was done about silence since.
#[derive(Debug)]
pub(super) struct Alive {
    /// When to look at it again; [`Nanos::MAX`] for never.
    pub(super) next: Nanos,
    heard_at: Nanos,
    unanswered: u8,
}

impl Default for Alive {
    fn default() -> Self {
        Self {
            next: Nanos::MAX,
            heard_at: Nanos::ZERO,
            unanswered: 0,
        }
    }
}

impl Alive {
    /// Something came.
    #[inline]
    pub(super) fn heard(&mut self, now: Nanos) {
        self.heard_at = now;
        self.unanswered = 0;
    }

    /// Silence counts from now on; an interval of zero never ends.
    pub(super) fn start(&mut self, now: Nanos, interval: Nanos) {
        self.heard(now);
        self.next = match interval {
            Nanos::ZERO => Nanos::MAX,
            interval => now + interval,
        };
    }

    /// What to do at [`Alive::next`].
    pub(super) fn judge(&mut self, now: Nanos, interval: Nanos) -> Verdict {
        let silent_since = self.heard_at + Nanos(interval.0 * u64::from(self.unanswered));
        if silent_since + interval > now {
            self.next = silent_since + interval;
            return Verdict::Wait;
        }
        if self.unanswered == UNANSWERED_MAX {
            return Verdict::Gone;
        }
        self.unanswered += 1;
        self.next = now + interval;
        Verdict::Ping
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Ping,
    Gone,
}

#[cfg(test)]
mod tests {
    use super::{Alive, Verdict};
    use crate::base::Nanos;

    #[test]
    fn two_pings_and_then_it_is_gone() {
        let second = Nanos::from_secs(1);
        let mut alive = Alive::default();
        alive.start(Nanos::ZERO, second);
        let verdicts: Vec<Verdict> = (0..3).map(|_| alive.judge(alive.next, second)).collect();
        assert_eq!(verdicts, [Verdict::Ping, Verdict::Ping, Verdict::Gone]);
    }

    #[test]
    fn what_comes_in_between_starts_it_anew() {
        let second = Nanos::from_secs(1);
        let mut alive = Alive::default();
        alive.start(Nanos::ZERO, second);
        assert_eq!(alive.judge(alive.next, second), Verdict::Ping);
        alive.heard(Nanos::from_millis(1_500));
        assert_eq!(alive.judge(alive.next, second), Verdict::Wait);
        assert_eq!(alive.next, Nanos::from_millis(2_500));
        assert_eq!(alive.judge(alive.next, second), Verdict::Ping);
    }

    #[test]
    fn no_interval_is_no_deadline() {
        let mut alive = Alive::default();
        alive.start(Nanos::ZERO, Nanos::ZERO);
        assert_eq!(alive.next, Nanos::MAX);
    }
}
