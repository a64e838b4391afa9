//! Mailboxes between real threads, with the real queues.

use ringbus::base::ShardId;
use ringbus::mailbox::{Class, Mailbox, Wake, mesh};
use std::sync::Arc;

/// Everything arrives in order, and a shard that sleeps until its
/// waker calls never sleeps forever.
#[test]
fn threads_exchange_mail_in_order_without_a_lost_wake() {
    const BATCHES: u32 = 20_000;
    let threads: Vec<Arc<ThreadWaker>> = (0..2).map(|_| Arc::default()).collect();
    let wakers = threads
        .iter()
        .map(|waker| Arc::clone(waker) as Arc<dyn Wake>)
        .collect();
    let mut boxes = mesh::<u32>(2, 8, wakers);
    std::thread::scope(|scope| {
        for waker in &threads {
            let mut mailbox = boxes.remove(0);
            scope.spawn(move || exchange(&mut mailbox, waker, BATCHES));
        }
    });
}

/// Sends `batches` numbers to the peer and receives as many, in order.
fn exchange(mailbox: &mut Mailbox<u32>, waker: &ThreadWaker, batches: u32) {
    let peer = ShardId(1 - mailbox.shard().0);
    let (mut sent, mut received) = (0, 0);
    while sent < batches || received < batches {
        // Now and then more than fits.
        for _ in 0..=sent % 13 {
            if sent < batches && mailbox.push(peer, Class::Deliver, sent).is_ok() {
                sent += 1;
            } else {
                std::thread::yield_now();
            }
        }
        while let Some(number) = mailbox.pop(peer, Class::Deliver) {
            assert_eq!(number, received);
            received += 1;
        }
        mailbox.wake_peers();
        if received < batches && sent == batches && mailbox.prepare_sleep() {
            waker.wait();
            mailbox.finish_sleep();
        }
    }
}

#[derive(Default)]
struct ThreadWaker {
    signal: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl ThreadWaker {
    fn wait(&self) {
        let mut signal = self.signal.lock().expect("no waker panics");
        while !*signal {
            signal = self.changed.wait(signal).expect("no waker panics");
        }
        *signal = false;
    }
}

impl Wake for ThreadWaker {
    fn wake(&self) {
        *self.signal.lock().expect("no waker panics") = true;
        self.changed.notify_one();
    }
}
