//! The open loop's plan: when each message should leave, whatever the broker does.

/// An even rate over all streams, one write after the other, round robin.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    start: u64,
    /// Nanoseconds between two writes, in 1/65536: a rate need not divide a second
    interval_fixed: u128,
    streams: u64,
    batch: u64,
}

impl Plan {
    /// `rate` messages a second in all from `start` (nanoseconds) on, `batch` in a write.
    pub fn new(start: u64, rate: f64, streams: u64, batch: u64) -> Self {
        let interval = batch as f64 * 1e9 / rate * 65536.0;
        assert!(
            interval >= 1.0 && streams > 0 && batch > 0,
            "the load was validated"
        );
        #[expect(clippy::cast_possible_truncation, reason = "checked to be at least 1")]
        #[expect(clippy::cast_sign_loss, reason = "checked to be at least 1")]
        Self {
            start,
            interval_fixed: interval as u128,
            streams,
            batch,
        }
    }

    /// When write number `write` is due.
    #[inline]
    pub fn write_time(&self, write: u64) -> u64 {
        let offset = (u128::from(write) * self.interval_fixed) >> 16;
        self.start + u64::try_from(offset).unwrap_or(u64::MAX / 2)
    }

    /// The stream of write number `write`.
    #[inline]
    pub fn stream(&self, write: u64) -> u64 {
        write % self.streams
    }

    /// When a stream's message was due.
    #[inline]
    pub fn message_time(&self, stream: u32, sequence: u64) -> u64 {
        self.write_time(sequence / self.batch * self.streams + u64::from(stream))
    }

    /// Messages due before `time`.
    pub fn messages_due(&self, time: u64) -> u64 {
        let elapsed = u128::from(time.saturating_sub(self.start)) << 16;
        let writes = elapsed.div_ceil(self.interval_fixed);
        u64::try_from(writes).unwrap_or(u64::MAX / self.batch) * self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_even_and_round_robin() {
        let plan = Plan::new(1000, 5000.0, 50, 1);
        assert_eq!(plan.write_time(0), 1000);
        assert_eq!(plan.write_time(1), 201_000);
        assert_eq!(plan.write_time(5000), 1_000_001_000);
        assert_eq!(plan.stream(49), 49);
        assert_eq!(plan.stream(50), 0);
    }

    #[test]
    fn a_message_is_due_with_the_write_that_carries_it() {
        let plan = Plan::new(0, 1000.0, 3, 4);
        for write in 0..30 {
            let stream = u32::try_from(plan.stream(write)).unwrap();
            for sequence in 0..4 {
                let sequence = write / 3 * 4 + sequence;
                assert_eq!(plan.message_time(stream, sequence), plan.write_time(write));
            }
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let plan = Plan::new(0, 3.0, 1, 1);
        let hour = plan.write_time(3 * 3600);
        assert!(hour.abs_diff(3600 * 1_000_000_000) < 1000, "{hour}");
    }

    #[test]
    fn what_is_due_is_what_was_planned_before() {
        let plan = Plan::new(500, 1000.0, 7, 2);
        for time in [0, 500, 501, 2_000_500, 2_000_501, 77_777_777] {
            let due = (0..)
                .take_while(|&write| plan.write_time(write) < time)
                .count() as u64;
            assert_eq!(plan.messages_due(time), due * 2, "at {time}");
        }
    }
}
