//! A whole PUBLISH through the sans-IO shard: decode, route, match, encode, to 1, 10 and 1,000
//! subscribers; one message per turn and sixteen.

#[path = "support/one_shard.rs"]
mod one_shard;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use one_shard::{OneShard, publishes};
use ringbus_protocols::mqtt::{QoS, Version};
use std::hint::black_box;

const TOPIC: &str = "bench/site/line/device";
const PAYLOAD: [u8; 64] = [b'x'; 64];

fn publish(c: &mut Criterion) {
    for (name, filter) in [("exact", TOPIC), ("wildcard", "bench/+/line/#")] {
        let mut group = c.benchmark_group(format!("shard/publish to {name} subscribers"));
        for subscribers in [1usize, 10, 1_000] {
            let mut shard = OneShard::new();
            let publisher = shard.connect(Version::V3_1_1);
            for _ in 0..subscribers {
                let subscriber = shard.connect(Version::V3_1_1);
                shard.subscribe(subscriber, filter, QoS::AtMostOnce);
            }
            for per_turn in [1, 16] {
                let bytes = publishes(Version::V3_1_1, TOPIC, &PAYLOAD, per_turn);
                group.throughput(Throughput::Elements((per_turn * subscribers) as u64));
                let id = BenchmarkId::new(format!("{per_turn} a turn"), subscribers);
                group.bench_function(id, |b| {
                    b.iter(|| {
                        let sent = shard.turn(publisher, black_box(&bytes));
                        assert_eq!(sent, bytes.len() * subscribers);
                    });
                });
            }
        }
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
