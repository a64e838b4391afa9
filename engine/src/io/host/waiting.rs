//! How long the driver may leave the shard alone.

use super::{Host, Port};
use crate::base::Nanos;
use crate::io::clock;
use crate::shard::Pace;

/// What a driver does until the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Reap what is there and go on.
    Not,
    /// Sleep outside the kernel queue, then reap. The mailbox keeps taking this
    /// shard for awake, since it looks at its mail afterwards in any case.
    Paced(Nanos),
    /// Sleep until an event, at most so long. [`Host::awake`] must follow.
    Block(Option<Nanos>),
}

/// A shard that had mail so recently expects more.
const MAIL_RECENT: Nanos = Nanos::from_micros(200);
/// It looks for it this long before it sleeps: a wake costs its sender 11 µs
/// and the mail 25 µs.
const POLL: Nanos = Nanos::from_micros(20);

impl Host {
    /// Decides after [`Host::finish`] how to wait.
    pub(crate) fn wait<P: Port>(&mut self, port: &mut P) -> Wait {
        let has_work = !self.resumed.is_empty() || !self.rearm.is_empty();
        if has_work || port.has_backlog() {
            return Wait::Not;
        }
        if let Pace::Sleep(span) = self.shard.pace(self.now, clock::thread_cpu) {
            return Wait::Paced(span);
        }
        if self.now - self.mail_at < MAIL_RECENT && self.poll(port) {
            return Wait::Not;
        }
        if !self.mailbox.prepare_sleep() {
            self.mailbox.finish_sleep();
            return Wait::Not;
        }
        Wait::Block(self.next_deadline().map(|deadline| deadline - self.now))
    }

    /// The sleep is over.
    pub(crate) fn awake(&mut self) {
        self.mailbox.finish_sleep();
    }

    fn next_deadline(&self) -> Option<Nanos> {
        let deadlines = [
            self.shard.next_deadline(),
            self.flushing.next(),
            self.lingering.next(),
            self.accept_again,
            self.udp.next(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn poll<P: Port>(&mut self, port: &mut P) -> bool {
        if self.mailbox.shards() == 1 {
            return false;
        }
        let until = self.clock.now() + POLL;
        loop {
            if self.mailbox.has_mail() || port.is_ready() {
                return true;
            }
            if self.clock.now() >= until {
                return false;
            }
            std::hint::spin_loop();
        }
    }
}
