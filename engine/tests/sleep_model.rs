//! Every interleaving of the mailbox's sleep/wake handshake, under loom.
//!
//! crossbeam's queues are not instrumented for loom, so a counter stands in for the queue: a push
//! stores with release, a look loads with acquire, as weak as a queue may be.

mod atomic {
    pub use loom::sync::atomic::{AtomicBool, Ordering, fence};
}
#[path = "../src/mailbox/sleep.rs"]
mod sleep;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use sleep::{SleepFlag, fence_after_push};

struct Shared {
    flag: SleepFlag,
    /// Batches in the model queue of each sender.
    pushed: [AtomicUsize; 2],
    wakes: AtomicUsize,
    /// The eventfd: a wake before the wait ends the wait.
    eventfd: Mutex<bool>,
    readable: Condvar,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            flag: SleepFlag::default(),
            pushed: [AtomicUsize::new(0), AtomicUsize::new(0)],
            wakes: AtomicUsize::new(0),
            eventfd: Mutex::new(false),
            readable: Condvar::new(),
        })
    }

    fn mail(&self) -> usize {
        self.pushed
            .iter()
            .map(|queue| queue.load(Ordering::Acquire))
            .sum()
    }
}

fn send(shared: &Shared, sender: usize, batches: usize) {
    for batch in 1..=batches {
        shared.pushed[sender].store(batch, Ordering::Release);
        fence_after_push();
        if shared.flag.claim_wake() {
            shared.wakes.fetch_add(1, Ordering::AcqRel);
            *shared.eventfd.lock().expect("nobody panics") = true;
            shared.readable.notify_one();
        }
    }
}

/// The shard reads until it has all mail, and sleeps in between until a wake arrives. A lost wake
/// leaves it waiting with nobody left to run, which loom reports as a deadlock.
fn receive(shared: &Shared, expected: usize) {
    let mut read = 0;
    while read < expected {
        if shared.flag.prepare(|| shared.mail() > read) {
            let mut written = shared.eventfd.lock().expect("nobody panics");
            while !*written {
                written = shared.readable.wait(written).expect("nobody panics");
            }
            *written = false;
            drop(written);
            shared.flag.finish();
        }
        read = shared.mail();
    }
}

#[test]
fn one_sender_never_leaves_the_shard_asleep() {
    loom::model(|| {
        let shared = Shared::new();
        let sender = Arc::clone(&shared);
        let thread = loom::thread::spawn(move || send(&sender, 0, 2));
        receive(&shared, 2);
        thread.join().expect("the sender ends");
    });
}

#[test]
fn two_senders_never_leave_the_shard_asleep_and_exactly_one_wakes_it() {
    loom::model(|| {
        let shared = Shared::new();
        let threads = [0, 1].map(|number| {
            let sender = Arc::clone(&shared);
            loom::thread::spawn(move || send(&sender, number, 1))
        });
        let slept = shared.flag.prepare(|| shared.mail() > 0);
        for thread in threads {
            thread.join().expect("the sender ends");
        }
        let wakes = shared.wakes.load(Ordering::Acquire);
        assert!(wakes <= 1, "{wakes} senders woke it");
        assert!(wakes == 1 || !slept, "it sleeps and nobody woke it");
    });
}
