use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
struct CountingWaker(AtomicU64);

impl Wake for CountingWaker {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted_mesh(shards: u16, capacity: usize) -> (Vec<Mailbox<u32>>, Vec<Arc<CountingWaker>>) {
    let wakers: Vec<Arc<CountingWaker>> = (0..shards).map(|_| Arc::default()).collect();
    let shared = wakers
        .iter()
        .map(|waker| Arc::clone(waker) as Arc<dyn Wake>)
        .collect();
    (mesh(shards, capacity, shared), wakers)
}

#[test]
fn a_full_queue_gives_the_batch_back_and_only_that_queue_is_full() {
    let (mut boxes, _) = counted_mesh(3, 2);
    assert_eq!(boxes[0].push(ShardId(1), Class::Deliver, 1), Ok(()));
    assert_eq!(boxes[0].push(ShardId(1), Class::Deliver, 2), Ok(()));
    assert_eq!(boxes[0].push(ShardId(1), Class::Deliver, 3), Err(3));
    assert_eq!(boxes[0].push(ShardId(1), Class::Ack, 4), Ok(()));
    assert_eq!(boxes[0].push(ShardId(2), Class::Deliver, 5), Ok(()));
    assert_eq!(boxes[2].push(ShardId(1), Class::Deliver, 6), Ok(()));
    assert_eq!(boxes[1].pop(ShardId(0), Class::Deliver), Some(1));
    assert_eq!(boxes[0].push(ShardId(1), Class::Deliver, 3), Ok(()));
    assert_eq!(boxes[0].unread(ShardId(1), Class::Deliver), 2);
    let counters = boxes[0].counters();
    assert_eq!((counters.pushes, counters.refusals), (5, 1));
}

#[test]
fn emptied_batches_come_back_to_their_sender() {
    let (mut boxes, _) = counted_mesh(2, 1);
    assert_eq!(boxes[0].recycled(ShardId(1), Class::Publish), None);
    boxes[1].give_back(ShardId(0), Class::Publish, 7);
    boxes[1].give_back(ShardId(0), Class::Publish, 8);
    assert_eq!(
        boxes[0].recycled(ShardId(1), Class::Deliver),
        None,
        "each class has its own"
    );
    assert_eq!(boxes[0].recycled(ShardId(1), Class::Publish), Some(7));
    assert_eq!(
        boxes[0].recycled(ShardId(1), Class::Publish),
        None,
        "the surplus was dropped"
    );
}

#[test]
fn only_a_sleeping_peer_is_woken_and_only_once() {
    let (mut boxes, wakers) = counted_mesh(3, 4);
    let woken = |shard: usize| wakers[shard].0.load(Ordering::SeqCst);
    boxes[0]
        .push(ShardId(1), Class::Ack, 1)
        .expect("there is room");
    boxes[0].wake_peers();
    assert_eq!(woken(1), 0, "it is awake");

    assert!(!boxes[1].prepare_sleep(), "there is mail");
    boxes[1].pop(ShardId(0), Class::Ack).expect("the mail");
    assert!(boxes[1].prepare_sleep());
    assert!(boxes[2].prepare_sleep());
    boxes[0]
        .push(ShardId(1), Class::Ack, 2)
        .expect("there is room");
    boxes[0]
        .push(ShardId(1), Class::Publish, 3)
        .expect("there is room");
    assert_eq!(woken(1), 0, "a push alone wakes nobody");
    boxes[0].wake_peers();
    boxes[2]
        .push(ShardId(1), Class::Ack, 4)
        .expect("there is room");
    boxes[2].wake_peers();
    assert_eq!((woken(1), woken(2)), (1, 0));
    boxes[0].wake_peers();
    assert_eq!(boxes[0].counters().wakes, 1);

    boxes[1].finish_sleep();
    boxes[2].finish_sleep();
    boxes[0]
        .push(ShardId(2), Class::Ack, 5)
        .expect("there is room");
    boxes[0].wake_peers();
    assert_eq!(woken(2), 0, "it finished sleeping");
}

#[test]
#[should_panic(expected = "no mail to itself")]
fn a_shard_has_no_mail_to_itself() {
    let (mut boxes, _) = counted_mesh(2, 1);
    let _ = boxes[0].push(ShardId(0), Class::Ack, 1);
}

#[test]
fn a_mesh_of_one_is_silent() {
    let (mut boxes, _) = counted_mesh(1, 1);
    assert!(!boxes[0].has_mail());
    assert!(boxes[0].prepare_sleep());
    assert_eq!(boxes[0].peers().count(), 0);
}

#[derive(Debug, Clone)]
enum Operation {
    Push { from: u16, to: u16, class: usize },
    Pop { to: u16, from: u16, class: usize },
    GiveBack { to: u16, from: u16, class: usize },
    Recycled { from: u16, to: u16, class: usize },
}

const SHARDS: u16 = 3;

fn operation() -> impl Strategy<Value = Operation> {
    (0..4, 0..SHARDS, 1..SHARDS, 0usize..3).prop_map(|(kind, a, distance, class)| {
        let b = (a + distance) % SHARDS;
        match kind {
            0 => Operation::Push {
                from: a,
                to: b,
                class,
            },
            1 => Operation::Pop {
                to: b,
                from: a,
                class,
            },
            2 => Operation::GiveBack {
                to: b,
                from: a,
                class,
            },
            _ => Operation::Recycled {
                from: a,
                to: b,
                class,
            },
        }
    })
}

proptest! {
    #[test]
    fn agrees_with_plain_queues(
        capacity in 1usize..5,
        operations in prop::collection::vec(operation(), 0..300),
    ) {
        let (mut boxes, _) = counted_mesh(SHARDS, capacity);
        let mut mail: HashMap<(u16, u16, usize), VecDeque<u32>> = HashMap::new();
        let mut empties = mail.clone();
        for (number, operation) in (0u32..).zip(operations) {
            match operation {
                Operation::Push { from, to, class } => {
                    let queue = mail.entry((from, to, class)).or_default();
                    let pushed = boxes[usize::from(from)].push(ShardId(to), Class::ALL[class], number);
                    prop_assert_eq!(pushed.is_ok(), queue.len() < capacity);
                    if pushed.is_ok() {
                        queue.push_back(number);
                    }
                }
                Operation::Pop { to, from, class } => {
                    let popped = boxes[usize::from(to)].pop(ShardId(from), Class::ALL[class]);
                    prop_assert_eq!(popped, mail.entry((from, to, class)).or_default().pop_front());
                }
                Operation::GiveBack { to, from, class } => {
                    let queue = empties.entry((from, to, class)).or_default();
                    boxes[usize::from(to)].give_back(ShardId(from), Class::ALL[class], number);
                    if queue.len() < capacity {
                        queue.push_back(number);
                    }
                }
                Operation::Recycled { from, to, class } => {
                    let empty = boxes[usize::from(from)].recycled(ShardId(to), Class::ALL[class]);
                    prop_assert_eq!(empty, empties.entry((from, to, class)).or_default().pop_front());
                }
            }
            for shard in 0..SHARDS {
                let waits = mail.iter().any(|((_, to, _), queue)| *to == shard && !queue.is_empty());
                prop_assert_eq!(boxes[usize::from(shard)].has_mail(), waits);
            }
        }
    }
}
