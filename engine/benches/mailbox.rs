//! What a batch and a message cost to pass from one shard to another, on one core: the queue's own
//! instructions, without the cache misses between cores.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringbus::base::ShardId;
use ringbus::mailbox::{Class, Mailbox, Wake, mesh};
use std::hint::black_box;
use std::sync::Arc;

struct NoWaker;

impl Wake for NoWaker {
    fn wake(&self) {}
}

/// As large as an item of mail.
type Item = [u64; 3];

fn pair() -> (Mailbox<Vec<Item>>, Mailbox<Vec<Item>>) {
    let mut boxes = mesh(2, 64, vec![Arc::new(NoWaker), Arc::new(NoWaker)]).into_iter();
    (
        boxes.next().expect("two shards"),
        boxes.next().expect("two shards"),
    )
}

/// One turn of each side: take a recycled batch, fill it, push, wake; pop, read, give back.
fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox/exchange a batch");
    for items in [0usize, 1, 16, 256] {
        group.throughput(Throughput::Elements(items.max(1) as u64));
        let (mut sender, mut receiver) = pair();
        let (from, to) = (sender.shard(), receiver.shard());
        group.bench_function(BenchmarkId::from_parameter(items), |b| {
            b.iter(|| {
                let mut batch = sender.recycled(to, Class::Deliver).unwrap_or_default();
                for item in 0..items as u64 {
                    batch.push(black_box([item; 3]));
                }
                sender
                    .push(to, Class::Deliver, batch)
                    .expect("there is room");
                sender.wake_peers();
                let mut batch = receiver.pop(from, Class::Deliver).expect("it was pushed");
                black_box(batch.iter().map(|item| item[1]).sum::<u64>());
                batch.clear();
                receiver.give_back(from, Class::Deliver, batch);
            });
        });
    }
}

/// What a shard pays per turn when there is no mail: a look at each class of each peer.
fn idle(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox/look for mail in vain");
    for shards in [2u16, 8, 64] {
        let wakers = (0..shards)
            .map(|_| Arc::new(NoWaker) as Arc<dyn Wake>)
            .collect();
        let mut boxes = mesh::<Vec<Item>>(shards, 64, wakers);
        let mailbox = &mut boxes[0];
        group.bench_function(BenchmarkId::new("pop all", shards), |b| {
            b.iter(|| {
                for class in Class::ALL {
                    for from in (1..shards).map(ShardId) {
                        assert!(mailbox.pop(from, class).is_none());
                    }
                }
            });
        });
        group.bench_function(BenchmarkId::new("has_mail", shards), |b| {
            b.iter(|| assert!(!black_box(&*mailbox).has_mail()));
        });
    }
}

criterion_group!(benches, exchange, idle);
criterion_main!(benches);
