//! Whether the other end of a WebSocket is still there: pings into silence [RFC6455 5.5.2].

use ringbus_protocols::websocket::frame::Opcode;

use super::{Stage, WebRole};
use crate::base::{ConnId, Nanos};
use crate::shard::Shard;
use crate::shard::fault::Fault;

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
    fn judge(&mut self, now: Nanos, interval: Nanos) -> Verdict {
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
enum Verdict {
    Wait,
    Ping,
    Gone,
}

impl Shard {
    /// A deadline of the WebSocket, or of STOMP on it, has come.
    pub(in crate::shard) fn on_web_timer(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.web.ping);
        let Some(web) = self.web_mut(id) else { return };
        if matches!(web.role, WebRole::Stomp(_)) {
            self.on_stomp_timer(id);
        }
        let Some(web) = self.web_mut(id) else { return };
        if web.alive.next > now {
            return self.arm_connection(id);
        }
        if matches!(web.stage, Stage::Leaving(_)) {
            return self.leave_now(id);
        }
        match web.alive.judge(now, interval) {
            Verdict::Wait => {}
            Verdict::Ping => self.put_control(id, Opcode::Ping, &[]),
            Verdict::Gone => return self.close(id, Some(Fault::NO_PONG), true),
        }
        self.arm_connection(id);
    }

    /// A connection that is not read is not silent.
    pub(in crate::shard) fn excuse_silence(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.web.ping);
        let Some(web) = self.web_mut(id) else { return };
        if let WebRole::Stomp(stomp) = &mut web.role {
            stomp.heard(now);
        }
        match web.stage {
            Stage::Leaving(_) => web.alive.next = now + super::leaving::LEAVING,
            _ => web.alive.start(now, interval),
        }
    }
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
