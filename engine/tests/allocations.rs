//! No heap allocation per QoS 0 publish on one shard.
//!
//! The only test of its file: the counter is the process's allocator.

#[path = "../benches/support/one_shard.rs"]
mod one_shard;

use one_shard::{OneShard, publishes};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_protocols::mqttsn::{self, PublishQoS, ShortTopic, TopicRef};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `dealloc`, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TOPIC: &str = "site/line/device/temperature";
const SUBSCRIBERS: usize = 100;

/// A shard with subscribers through exact and wildcard filters, and the bytes of `per_turn` publishes.
fn allocations(version: Version, per_turn: usize, payload: &[u8]) -> u64 {
    let mut shard = OneShard::new();
    let publisher = shard.connect(version);
    let filters = [TOPIC, "site/+/device/#", "#", "site/line/device/+"];
    for filter in filters.iter().cycle().take(SUBSCRIBERS) {
        let subscriber = shard.connect(Version::V3_1_1);
        shard.subscribe(subscriber, filter, QoS::AtMostOnce);
        shard.subscribe(subscriber, "another/+", QoS::AtMostOnce);
    }
    let bytes = publishes(version, TOPIC, payload, per_turn);
    let delivered = publishes(Version::V3_1_1, TOPIC, payload, per_turn).len() * SUBSCRIBERS;
    // Buffers grow to their size.
    for _ in 0..20 {
        assert_eq!(shard.turn(publisher, &bytes), delivered);
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..1_000 {
        assert_eq!(shard.turn(publisher, &bytes), delivered);
    }
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The same for datagrams at QoS −1 from many senders to some topics.
fn allocations_of_datagrams(payload: &[u8]) -> u64 {
    let mut shard = OneShard::new();
    for filter in ["aa", "+", "#", "bb"].iter().cycle().take(SUBSCRIBERS) {
        let subscriber = shard.connect(Version::V3_1_1);
        shard.subscribe(subscriber, filter, QoS::AtMostOnce);
    }
    let datagrams: Vec<(SocketAddr, Vec<u8>)> = (0..64).map(|n| datagram(n, payload)).collect();
    let turn = |shard: &mut OneShard| {
        let datagrams = datagrams.iter();
        shard.turn_of_datagrams(datagrams.map(|(from, bytes)| (*from, &bytes[..])))
    };
    let delivered = turn(&mut shard);
    assert!(delivered > 64 * SUBSCRIBERS / 2 * payload.len());
    (0..20).for_each(|_| assert_eq!(turn(&mut shard), delivered));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..1_000).for_each(|_| assert_eq!(turn(&mut shard), delivered));
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn datagram(number: u16, payload: &[u8]) -> (SocketAddr, Vec<u8>) {
    let topic = ["aa", "bb", "cc"][usize::from(number % 3)];
    let packet = mqttsn::Packet::Publish {
        dup: false,
        qos: PublishQoS::MinusOne,
        retain: false,
        topic: TopicRef::Short(ShortTopic::new(topic).expect("two characters")),
        msg_id: 0,
        payload,
    };
    let mut bytes = Vec::new();
    mqttsn::encode(&packet, &mut bytes);
    (SocketAddr::from(([10, 0, 0, 1], 1_000 + number)), bytes)
}

#[test]
fn a_qos_0_publish_allocates_nothing() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(before)));
    assert!(
        ALLOCATIONS.load(Ordering::Relaxed) > before,
        "the counter counts"
    );
    for version in [Version::V3_1_1, Version::V5] {
        for per_turn in [1, 16] {
            for payload in [&b"x"[..], &[b'x'; 64], &[b'x'; 3_000]] {
                let count = allocations(version, per_turn, payload);
                let length = payload.len();
                assert_eq!(count, 0, "{version:?}, {per_turn} a turn, {length} bytes");
            }
        }
    }
    for payload in [&b"x"[..], &[b'x'; 64], &[b'x'; 1_000]] {
        let count = allocations_of_datagrams(payload);
        assert_eq!(count, 0, "datagrams of {} bytes", payload.len());
    }
}
