//! Messages through a whole broker over loopback sockets, for each driver and one or two shards.
//!
//! Broker and generator share the machine's CPUs unpinned: compare runs on one machine, not with
//! `ringbus bench suite`, which pins both.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringbus_bench::messages_per_second;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Nanoseconds measured for one sample.
const SAMPLE_NANOSECONDS: u64 = 300_000_000;

fn end_to_end(criterion: &mut Criterion) {
    let binary = broker_binary();
    let mut group = criterion.benchmark_group("end_to_end");
    group.throughput(Throughput::Elements(1));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(3));
    for io in ["ring", "epoll", "glommio"] {
        for shards in [1, 2] {
            group.bench_function(BenchmarkId::new(io, shards), |bencher| {
                bencher.iter_custom(|messages| {
                    let rate = messages_per_second(&binary, io, shards, SAMPLE_NANOSECONDS)
                        .unwrap_or_else(|error| panic!("{io}, {shards} shards: {error}"));
                    Duration::from_secs_f64(messages as f64 / rate)
                });
            });
        }
    }
    group.finish();
}

/// `RINGBUS_BIN`, or the release binary of this target directory, built if need be.
fn broker_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("RINGBUS_BIN") {
        return path.into();
    }
    let bench = std::env::current_exe().expect("a bench has a path");
    // target/release/deps/end_to_end-hash
    let release = bench
        .ancestors()
        .nth(2)
        .expect("benches run from target/release/deps");
    let target = release
        .parent()
        .expect("a profile is inside a target directory");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "ringbus",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the broker does not build");
    release.join("ringbus")
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
