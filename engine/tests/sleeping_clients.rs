//! What a sleeping client of MQTT-SN costs in memory.
//!
//! The only test of its file: the counter is the process's allocator.

#[path = "../benches/support/one_shard.rs"]
mod one_shard;

use one_shard::OneShard;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{FilterRef, Packet, encode};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are allocated now.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as for `dealloc`, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As many as hash tables of 2^17 places take, so that no half of them is empty.
const CLIENTS: u32 = 114_000;
/// Of one: connection, session, gateway, a subscription, its address and its timer. A filter that
/// nobody else has costs what it does for any client, and is not counted here.
const BYTES_MAX: usize = 1024;

#[test]
fn a_sleeping_client_costs_less_than_a_kibibyte() {
    let mut shard = OneShard::new();
    let before = LIVE.load(Ordering::Relaxed);
    for number in 0..CLIENTS {
        let client_id = format!("sensor-{number:08}");
        let connect = Packet::Connect {
            clean_session: false,
            will: false,
            duration_seconds: 600,
            client_id: &client_id,
        };
        let subscribe = Packet::Subscribe {
            dup: false,
            qos: QoS::AtLeastOnce,
            msg_id: 1,
            filter: FilterRef::Name("sensors/+/set"),
        };
        let sleep = Packet::Disconnect {
            duration_seconds: Some(3600),
        };
        for packet in [connect, subscribe, sleep] {
            let mut datagram = Vec::new();
            encode(&packet, &mut datagram);
            let datagram = (address(number), &datagram[..]);
            assert_eq!(shard.turn_of_datagrams([datagram].into_iter()), 0);
            assert_eq!(shard.datagrams_sent(), 1, "an answer");
        }
    }
    assert_eq!(shard.connections(), CLIENTS as usize);
    let each = (LIVE.load(Ordering::Relaxed) - before) / CLIENTS as usize;
    println!("{each} bytes for each client");
    assert!(each <= BYTES_MAX, "{each} bytes for each client");
}

fn address(number: u32) -> SocketAddr {
    let port = 1_024 + u16::try_from(number % 60_000).expect("below 60,000");
    let ip = Ipv4Addr::from_bits(0x0A00_0000 + number / 60_000);
    SocketAddr::from((ip, port))
}
