//! Warnings of what goes on for long and is noticed often.

use crate::base::Nanos;

/// One warning stands for all of this span.
const SPAN: Nanos = Nanos::from_secs(60);

/// Says when it is time for a warning.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    last: Option<Nanos>,
}

impl Seldom {
    /// Whether to warn now: true at first, and then once in a minute.
    pub(super) fn is_due(&mut self, now: Nanos) -> bool {
        let due = self.last.is_none_or(|last| now - last >= SPAN);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_and_then_one_a_minute() {
        let mut warning = Seldom::default();
        let due: Vec<u64> = (10..200)
            .filter(|&second| warning.is_due(Nanos::from_secs(second)))
            .collect();
        assert_eq!(due, [10, 70, 130, 190]);
    }
}
