//! How long a topic takes to find its filters, and what a filter costs to add, remove and keep.
//!
//! The plant: devices at `site/line/device/metric`, ten filters each (six exact ones, two with `+`, one
//! with `#`, one with `+` at the end), and wider ones per line, site and for all. A device's first
//! metric matches exactly ten: five of its own, five wider. 60 % of the filters are exact, 30 % have
//! `+`, 10 % `#`.

use ahash::RandomState;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringbus::pubsub::trie::{Slot, Trie};
use ringbus_protocols::topic::TopicFilter;
use std::hint::black_box;

const METRICS: [&str; 6] = ["temperature", "pressure", "speed", "state", "load", "alarm"];
const LINES_PER_SITE: usize = 20;
const DEVICES_PER_LINE: usize = 50;
const MATCHES: usize = 10;

struct Plant {
    filters: usize,
}

impl Plant {
    fn devices(&self) -> usize {
        (self.filters / 10).max(1)
    }

    fn path(device: usize) -> (String, String, String) {
        let line = device / DEVICES_PER_LINE;
        let site = line / LINES_PER_SITE;
        (
            format!("site{site}"),
            format!("line{line}"),
            format!("device{device:06}"),
        )
    }

    /// The topic with ten matching filters.
    fn topic(device: usize) -> String {
        let (site, line, device) = Plant::path(device);
        format!("{site}/{line}/{device}/{}", METRICS[0])
    }

    fn filters(&self) -> Vec<String> {
        let first = METRICS[0];
        let mut filters = vec!["#".to_owned(), format!("+/+/+/{first}")];
        for device in 0..self.devices() {
            let (site, line, name) = Plant::path(device);
            filters.extend(METRICS.map(|metric| format!("{site}/{line}/{name}/{metric}")));
            filters.push(format!("{site}/{line}/{name}/+"));
            filters.push(format!("{site}/{line}/{name}/#"));
            filters.push(format!("{site}/+/{name}/{first}"));
            filters.push(format!("+/{line}/{name}/{first}"));
            if device % DEVICES_PER_LINE == 0 {
                filters.push(format!("{site}/{line}/#"));
                filters.push(format!("{site}/{line}/+/{first}"));
            }
            if device % (DEVICES_PER_LINE * LINES_PER_SITE) == 0 {
                filters.push(format!("{site}/#"));
            }
        }
        filters
    }

    fn trie(&self) -> Trie {
        let mut trie = Trie::new(RandomState::with_seeds(1, 2, 3, 4));
        for filter in self.filters() {
            insert(&mut trie, &filter);
        }
        trie
    }
}

fn insert(trie: &mut Trie, filter: &str) -> Slot {
    trie.insert(&TopicFilter::parse(filter).expect("the plant's filters are valid"))
        .0
}

/// Topics and their hashes, one after the other in memory as they come from a socket: what is cold is
/// the trie, not the topic.
struct Topics {
    text: String,
    ends: Vec<(usize, u64)>,
    next: usize,
    start: usize,
}

impl Topics {
    /// The topics of `count` devices in an order that no prefetcher guesses.
    fn new(trie: &Trie, plant: &Plant, count: usize) -> Topics {
        let mut topics = Topics {
            text: String::new(),
            ends: Vec::new(),
            next: 0,
            start: 0,
        };
        for n in 0..count.min(plant.devices()) {
            let topic = Plant::topic(n * 7_919 % plant.devices());
            topics.text += &topic;
            topics.ends.push((topics.text.len(), trie.hash(&topic)));
        }
        topics
    }

    fn next(&mut self) -> (&str, u64) {
        if self.next == self.ends.len() {
            (self.next, self.start) = (0, 0);
        }
        let (end, hash) = self.ends[self.next];
        let topic = &self.text[self.start..end];
        (self.next, self.start) = (self.next + 1, end);
        (topic, hash)
    }
}

/// Ten matches each, over `hot` topics in turn or over all devices, whose filters are then mostly out
/// of the caches.
fn ten_matches(c: &mut Criterion) {
    let mut group = c.benchmark_group("trie/10 matches");
    group.throughput(Throughput::Elements(1));
    for filters in [1_000, 100_000, 1_000_000] {
        let plant = Plant { filters };
        let trie = plant.trie();
        println!(
            "{} filters: {} bytes each on the heap",
            trie.len(),
            trie.heap_bytes() / trie.len()
        );
        for (name, count) in [("100 topics", 100), ("all topics", usize::MAX)] {
            let mut topics = Topics::new(&trie, &plant, count);
            let mut found = Vec::with_capacity(64);
            group.bench_function(BenchmarkId::new(name, filters), |b| {
                b.iter(|| {
                    let (topic, hash) = topics.next();
                    found.clear();
                    trie.matches(black_box(topic), hash, &mut found);
                    assert_eq!(found.len(), MATCHES);
                });
            });
        }
    }
}

/// One exact filter matches; with wildcard filters beside it that do not, and without any.
fn one_match(c: &mut Criterion) {
    let mut group = c.benchmark_group("trie/1 match");
    group.throughput(Throughput::Elements(1));
    for (name, wildcard) in [
        ("exact only", None),
        ("beside wildcards", Some("other/+/x/#")),
    ] {
        let mut trie = Trie::new(RandomState::with_seeds(1, 2, 3, 4));
        for device in 0..1_000 {
            insert(&mut trie, &Plant::topic(device));
        }
        if let Some(wildcard) = wildcard {
            insert(&mut trie, wildcard);
        }
        let mut topics = Topics::new(&trie, &Plant { filters: 10_000 }, 1_000);
        let mut found = Vec::with_capacity(4);
        group.bench_function(name, |b| {
            b.iter(|| {
                let (topic, hash) = topics.next();
                found.clear();
                trie.matches(black_box(topic), hash, &mut found);
                assert_eq!(found.len(), 1);
            });
        });
    }
}

fn long_topic(c: &mut Criterion) {
    let mut trie = Trie::new(RandomState::with_seeds(1, 2, 3, 4));
    let topic = "a/".repeat(29_999) + "a";
    insert(&mut trie, &("+/".repeat(29_999) + "+"));
    insert(&mut trie, &("a/".repeat(29_999) + "+"));
    let hash = trie.hash(&topic);
    let mut found = Vec::new();
    c.bench_function("trie/30,000 levels", |b| {
        b.iter(|| {
            found.clear();
            trie.matches(black_box(&topic), hash, &mut found);
            assert_eq!(found.len(), 2);
        });
    });
}

fn churn(c: &mut Criterion) {
    let mut group = c.benchmark_group("trie/insert and remove");
    for filters in [1_000, 1_000_000] {
        let mut trie = Plant { filters }.trie();
        for (name, filter) in [
            ("exact", "x/y/z/metric"),
            ("+", "x/+/z/metric"),
            ("#", "x/y/z/#"),
        ] {
            group.bench_function(BenchmarkId::new(name, filters), |b| {
                b.iter(|| {
                    let slot = insert(&mut trie, black_box(filter));
                    trie.remove(slot);
                });
            });
        }
    }
    group.sample_size(10);
    let plant = Plant { filters: 100_000 };
    let filters = plant.filters();
    group.throughput(Throughput::Elements(filters.len() as u64));
    group.bench_function("100,000 filters in, then out", |b| {
        let empty = || Trie::new(RandomState::with_seeds(1, 2, 3, 4));
        b.iter_batched_ref(
            empty,
            |trie| {
                let slots: Vec<Slot> = filters.iter().map(|filter| insert(trie, filter)).collect();
                slots.into_iter().for_each(|slot| trie.remove(slot));
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, ten_matches, one_match, long_topic, churn);
criterion_main!(benches);
