//! When a shard may sleep, and who wakes it.
//!
//! The shard raises its flag, then looks at its queues once more; a sender pushes, then looks at the
//! flag. A sequentially consistent fence stands between the two steps on both sides, so at least one
//! of them sees the other: mail is found before sleeping, or its sender wakes the sleeper.

use super::atomic::{AtomicBool, Ordering, fence};

/// The flag of one shard, which is awake at first.
#[derive(Default)]
pub struct SleepFlag {
    sleeping: AtomicBool,
}

impl SleepFlag {
    /// The shard's side: raises the flag, then asks `has_mail`. Returns whether it may sleep; if not,
    /// the flag is down again.
    pub fn prepare(&self, has_mail: impl FnOnce() -> bool) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if has_mail() {
            self.sleeping.store(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// The shard's side: it is awake, nobody needs to wake it.
    pub fn finish(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// A sender's side, after a push and [`fence_after_push`]: whether this sender has to wake the
    /// shard. Of several senders, one does.
    pub fn claim_wake(&self) -> bool {
        // Only a claim writes: a sender that comes too late must not take down the next sleep's flag.
        let lower = || {
            self.sleeping
                .compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed)
        };
        self.sleeping.load(Ordering::Relaxed) && lower().is_ok()
    }
}

/// Orders the pushes before it with the flags read after it. One serves any number of peers.
pub fn fence_after_push() {
    fence(Ordering::SeqCst);
}
