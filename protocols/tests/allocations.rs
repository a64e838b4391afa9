//! Decoding allocates nothing, whatever the packet; encoding into a buffer with room neither.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{decode, notation};
use ringbus_protocols::mqtt::{Frame, PACKET_SIZE_MAX, Packet, Version, frame};

/// The system's allocator, counting what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to `System` unchanged; counting touches only a constant-initialised
// thread-local without destructor, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` through `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const PACKETS: [(&str, Version); 12] = [
    ("30 [ s'site/7/device' 'payload' ]", Version::V3_1_1),
    ("30 [ s'site/7/device' 00 'payload' ]", Version::V5),
    (
        "30 [ s'' [ 23 0001 03 s'text' 0B07 0B08 26 s'k' s'v' ] 'payload' ]",
        Version::V5,
    ),
    (
        "32 [ 0007 'caf' C3A9 '/x' 0001 'payload' ]",
        Version::V3_1_1,
    ),
    ("34 [ s'a' 0001 [ 02 0000003C ] ]", Version::V5),
    (
        "10 [ s'MQTT' 05 EE 003C [ 21 0014 ] s'i' [ 18 00000001 ] s'w' s'p' s'u' s'p' ]",
        Version::V5,
    ),
    ("20 [ 00 00 [ 12 s'id' 24 01 ] ]", Version::V5),
    ("40 [ 0001 10 [ 1F s'nobody' ] ]", Version::V5),
    (
        "82 [ 0001 [ 0B01 ] s'a/+' 2D s'$share/g/#' 01 ]",
        Version::V5,
    ),
    ("90 [ 0001 00 00 01 80 ]", Version::V5),
    ("A2 [ 0001 s'a' s'b' ]", Version::V3_1_1),
    ("E0 [ 8E [ 1F s'elsewhere' ] ]", Version::V5),
];

#[test]
fn decoding_and_reading_allocate_nothing() {
    for (text, version) in PACKETS {
        let bytes = notation::bytes(text);
        let count = allocations(|| match decode(&bytes, version) {
            Ok(Packet::Publish(publish)) => {
                assert!(publish.properties.iter().count() < 9);
                assert!(publish.properties.subscription_identifiers().count() < 3);
            }
            Ok(Packet::Subscribe(subscribe)) => assert_eq!(subscribe.filters().count(), 2),
            Ok(Packet::Unsubscribe(unsubscribe)) => assert_eq!(unsubscribe.filters().count(), 2),
            Ok(_) => {}
            Err(error) => panic!("{text}: {error}"),
        });
        assert_eq!(count, 0, "{text}");
    }
}

#[test]
fn refusing_allocates_nothing() {
    for text in [
        "30 [ s'a/+' 00 ]",
        "30 [ s'a' [ 0102 ] ]",
        "E0 [ 01 ]",
        "00 00",
    ] {
        let bytes = notation::bytes(text);
        let count = allocations(|| {
            let refused = match frame(&bytes, PACKET_SIZE_MAX) {
                Ok(Frame::Complete { header, body, .. }) => {
                    Packet::decode(header, body, Version::V5).is_err()
                }
                other => other.is_err(),
            };
            assert!(refused);
        });
        assert_eq!(count, 0, "{text}");
    }
}

#[test]
fn encoding_into_room_allocates_nothing() {
    for (text, version) in PACKETS {
        let bytes = notation::bytes(text);
        let packet = decode(&bytes, version).expect("valid");
        let mut out = Vec::with_capacity(packet.encoded_len(version));
        assert_eq!(
            allocations(|| packet.encode(version, &mut out)),
            0,
            "{text}"
        );
        assert_eq!(allocations(|| drop(vec![1_u8])), 1, "the counter counts");
    }
}
