//! Heart-beats: an end of line into silence, both ways, as CONNECT and CONNECTED agreed.

use ringbus_protocols::stomp::heart_beat::HeartBeats;
use ringbus_protocols::websocket::frame::{Opcode, put_frame};

use crate::base::{ConnId, Nanos};
use crate::shard::Shard;
use crate::shard::fault::Fault;

/// How often the server can send one, and how often it wants one, in milliseconds.
pub(super) const OFFERED: (u32, u32) = (1_000, 10_000);

/// When a beat is due, and when one must have come.
#[derive(Debug, Default)]
pub(super) struct Beats {
    /// Between two of ours; zero for none.
    send: Nanos,
    /// Between two of the client's; zero for none.
    expect: Nanos,
    sent_at: Nanos,
    heard_at: Nanos,
}

impl Beats {
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            send: Nanos::ZERO,
            expect: Nanos::ZERO,
            sent_at: now,
            heard_at: now,
        }
    }

    pub(super) fn agree(&mut self, agreed: HeartBeats, now: Nanos) {
        // Early enough that a loaded machine is not late.
        self.send = Nanos(Nanos::from_millis(u64::from(agreed.send_ms)).0 / 4 * 3);
        // The specification wants room for delays.
        self.expect = Nanos::from_millis(u64::from(agreed.expect_ms) * 2);
        self.sent_at = now;
        self.heard_at = now;
    }

    pub(super) fn heard(&mut self, now: Nanos) {
        self.heard_at = now;
    }

    pub(super) fn next(&self) -> Nanos {
        let after = |since: Nanos, span: Nanos| match span {
            Nanos::ZERO => Nanos::MAX,
            span => since + span,
        };
        after(self.sent_at, self.send).min(after(self.heard_at, self.expect))
    }

    fn is_silent(&self, now: Nanos) -> bool {
        self.expect > Nanos::ZERO && self.heard_at + self.expect <= now
    }

    /// Whether a beat is due; it counts as sent.
    fn take_due(&mut self, now: Nanos) -> bool {
        let is_due = self.send > Nanos::ZERO && self.sent_at + self.send <= now;
        if is_due {
            self.sent_at = now;
        }
        is_due
    }
}

impl Shard {
    pub(in crate::shard) fn on_stomp_timer(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let Some(stomp) = conn.stomp_mut() else {
            return;
        };
        if stomp.beats.is_silent(now) {
            return self.close(id, Some(Fault::NO_HEART_BEAT), true);
        }
        if stomp.beats.take_due(now) {
            let out = self.outgoing.open_for_frames(conn);
            put_frame(out, Opcode::Text, b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Beats;
    use crate::base::Nanos;
    use ringbus_protocols::stomp::heart_beat::HeartBeats;

    #[test]
    fn beats_are_early_and_their_absence_is_noticed_late() {
        let mut beats = Beats::new(Nanos::ZERO);
        assert_eq!(beats.next(), Nanos::MAX);
        let agreed = HeartBeats {
            send_ms: 1_000,
            expect_ms: 500,
        };
        beats.agree(agreed, Nanos::ZERO);
        assert_eq!(beats.next(), Nanos::from_millis(750));
        assert!(!beats.take_due(Nanos::from_millis(749)));
        assert!(beats.take_due(Nanos::from_millis(750)));
        assert!(!beats.is_silent(Nanos::from_millis(999)));
        assert!(beats.is_silent(Nanos::from_millis(1_000)));
        beats.heard(Nanos::from_millis(900));
        assert!(!beats.is_silent(Nanos::from_millis(1_899)));
    }
}
