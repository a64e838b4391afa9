//! What finding a topic's owner costs, and how evenly real topic schemes spread over the owners.
//!
//! The balance is a report, not a timing: for each scheme, number of levels K and number of shards, the
//! busiest owner's share over the mean, as the median and the worst of 21 hash seeds. Every topic of a
//! scheme is published equally often. 1.0 is even; as many as there are shards means that one owner
//! has everything.

use ahash::RandomState;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringbus::config::PartitionLevels;
use ringbus::pubsub::partition::Partitioner;
use std::hint::black_box;

const SHARDS: [u16; 6] = [2, 4, 8, 16, 32, 64];
const SEEDS: u64 = 21;

struct Scheme {
    name: &'static str,
    topics: Vec<String>,
}

fn schemes() -> [Scheme; 4] {
    let sparkplug = (0..10_000).flat_map(|device| {
        let (group, node) = (device / 1_000, device / 20);
        ["DDATA", "NDATA"].map(|kind| format!("spBv1.0/plant{group}/{kind}/node{node}/{device}"))
    });
    let homie = (0..10_000).flat_map(|device| {
        ["temperature", "humidity"].map(|property| format!("homie/sensor{device}/air/{property}"))
    });
    let devices = (0..10_000).flat_map(|device| {
        ["telemetry", "attributes"].map(|kind| format!("v1/devices/{device:08x}/{kind}"))
    });
    let tenants = (0..10_000).flat_map(|device| {
        let (tenant, site) = (device / 500, device / 50 % 10);
        ["state", "power"].map(|metric| format!("tenant{tenant}/site{site}/dev{device}/{metric}"))
    });
    [
        Scheme {
            name: "Sparkplug: spBv1.0/group/type/node/device",
            topics: sparkplug.collect(),
        },
        Scheme {
            name: "Homie: homie/device/node/property",
            topics: homie.collect(),
        },
        Scheme {
            name: "v1/devices/id/kind",
            topics: devices.collect(),
        },
        Scheme {
            name: "tenant/site/device/metric",
            topics: tenants.collect(),
        },
    ]
}

fn partitioner(shards: u16, levels: u8, seed: u64) -> Partitioner {
    let levels = PartitionLevels {
        default: levels,
        roots: Vec::new(),
    };
    Partitioner::new(shards, levels, RandomState::with_seeds(seed, 2, 3, 4))
}

/// The busiest owner's share over the mean.
fn imbalance(topics: &[String], partitioner: &Partitioner) -> f64 {
    let mut loads = vec![0u32; usize::from(partitioner.shards())];
    for topic in topics {
        loads[partitioner.owner(topic).index()] += 1;
    }
    let max = loads.iter().max().expect("there are shards");
    f64::from(*max) * loads.len() as f64 / topics.len() as f64
}

fn report() {
    println!("busiest owner over the mean: median of {SEEDS} seeds (worst)\n");
    for scheme in schemes() {
        println!(
            "| {} | {} |",
            scheme.name,
            SHARDS.map(|n| format!("{n} shards")).join(" | ")
        );
        println!("|---|{}", "---|".repeat(SHARDS.len()));
        for levels in 1..=4 {
            let cells = SHARDS.map(|shards| {
                let one = |seed| imbalance(&scheme.topics, &partitioner(shards, levels, seed));
                let mut all: Vec<f64> = (0..SEEDS).map(one).collect();
                all.sort_by(f64::total_cmp);
                format!("{:.2} ({:.2})", all[all.len() / 2], all[all.len() - 1])
            });
            println!("| K = {levels} | {} |", cells.join(" | "));
        }
        println!();
    }
}

fn owner(c: &mut Criterion) {
    report();
    let mut group = c.benchmark_group("partition/owner");
    for (name, topic) in [
        ("short", "v1/devices/00000001/telemetry"),
        (
            "long",
            "enterprise-group/manufacturing-site/production-line/cell/device/temperature",
        ),
    ] {
        for levels in [1, 2, 4] {
            let partitioner = partitioner(8, levels, 1);
            group.bench_function(BenchmarkId::new(name, levels), |b| {
                b.iter(|| partitioner.owner(black_box(topic)));
            });
        }
    }
}

criterion_group!(benches, owner);
criterion_main!(benches);
