//! What a sleeping client of MQTT-SN costs in memory.
//!
//! The only test of its file: the counter is the process's allocator.

#[path = "../benches/support/one_shard.rs"]
mod one_shard;

use one_shard::OneShard;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{FilterRef, Packet, encode, put_forwarder_head};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are allocated now.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(charge(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(charge(layout.size()), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(charge(size), Ordering::Relaxed);
        LIVE.fetch_sub(charge(layout.size()), Ordering::Relaxed);
        // SAFETY: as for `dealloc`, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the program's allocator sets aside for so many bytes: multiples of 16, from 64 bytes on four
/// sizes for each power of two, and pages.
fn charge(size: usize) -> usize {
    const PAGE_BYTES: usize = 4096;
    let step = match size {
        ..=64 => 16,
        _ => ((size - 1).next_power_of_two() / 8).min(PAGE_BYTES),
    };
    size.next_multiple_of(step)
}

/// As many as lists of 2^17 places take, so that no half of them is empty.
const CLIENTS: u32 = 130_000;

/// What each client is subscribed to before it sleeps.
#[derive(Clone, Copy, Debug)]
enum Topic {
    None,
    /// The same for all.
    OfAll,
    /// Another one for each.
    ItsOwn,
}

#[test]
fn a_sleeping_client_costs_less_than_a_kibibyte() {
    for (topic, bytes_max) in [
        (Topic::None, 768),
        (Topic::OfAll, 800),
        (Topic::ItsOwn, 1024),
    ] {
        let each = bytes_for_each(topic);
        println!("{each} bytes for each client, topic: {topic:?}");
        assert!(each <= bytes_max, "{each} bytes each, topic: {topic:?}");
    }
}

fn bytes_for_each(topic: Topic) -> usize {
    let mut shard = OneShard::new();
    let before = LIVE.load(Ordering::Relaxed);
    for number in 0..CLIENTS {
        fall_asleep(&mut shard, number, topic);
    }
    assert_eq!(shard.connections(), CLIENTS as usize);
    (LIVE.load(Ordering::Relaxed) - before) / CLIENTS as usize
}

fn fall_asleep(shard: &mut OneShard, number: u32, topic: Topic) {
    let client_id = format!("sensor-{number:08}");
    let connect = Packet::Connect {
        clean_session: false,
        will: false,
        duration_seconds: 600,
        client_id: &client_id,
    };
    let name = match topic {
        Topic::None => None,
        Topic::OfAll => Some("to/all/sensors".to_owned()),
        Topic::ItsOwn => Some(format!("to/{number:08}")),
    };
    let subscribe = name.as_deref().map(|name| Packet::Subscribe {
        dup: false,
        qos: QoS::AtLeastOnce,
        msg_id: 1,
        filter: FilterRef::Name(name),
    });
    let sleep = Packet::Disconnect {
        duration_seconds: Some(3600),
    };
    for packet in [Some(connect), subscribe, Some(sleep)]
        .into_iter()
        .flatten()
    {
        let mut datagram = Vec::new();
        // Half of them are behind a forwarder.
        if number.is_multiple_of(2) {
            put_forwarder_head(&mut datagram, 0, &number.to_be_bytes());
        }
        encode(&packet, &mut datagram);
        let datagram = (address(number), &datagram[..]);
        assert_eq!(shard.turn_of_datagrams([datagram].into_iter()), 0);
        assert_eq!(shard.datagrams_sent(), 1, "an answer");
    }
}

fn address(number: u32) -> SocketAddr {
    let port = 1_024 + u16::try_from(number % 60_000).expect("below 60,000");
    let ip = Ipv4Addr::from_bits(0x0A00_0000 + number / 60_000);
    SocketAddr::from((ip, port))
}
