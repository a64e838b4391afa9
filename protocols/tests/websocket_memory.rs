//! What a connection keeps between messages, and the most that a bomb makes it allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ringbus_protocols::websocket::deflate::{Agreed, Deflaters, Inflater};
use ringbus_protocols::websocket::frame::put_masked;
use ringbus_protocols::websocket::{Event, Limits, Mode, Opcode, Receiver, Role};

/// The system's allocator, counting the bytes that each thread has.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static BYTES_MOST: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to `System` unchanged; counting touches only constant-initialised
// thread-locals without destructor, which do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes = BYTES.get() + layout.size().cast_signed();
        BYTES.set(bytes);
        BYTES_MOST.set(BYTES_MOST.get().max(bytes));
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size().cast_signed());
        // SAFETY: `pointer` came from `System` through `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 20,
    fragments_max: 16,
    takes_text: true,
};

const AGREED: Agreed = Agreed {
    server_bits: 15,
    client_bits: 13,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
};

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    Deflaters::new(1).deflate(1, &AGREED, message, &mut sent);
    let mut stream = Vec::new();
    put_masked(&mut stream, Opcode::Binary, true, true, [5; 4], &sent);
    stream
}

#[test]
fn an_idle_connection_keeps_its_window_and_nothing_else() {
    let stream = compressed(&vec![b'x'; 1 << 20]);
    let mut inflater = Inflater::new();
    let mut payload = Vec::new();
    // The shard's inflater is there already.
    let mut first = Receiver::new(Role::Server, Mode::Messages).with_deflate(&AGREED);
    first
        .read(&stream, &mut payload, &LIMITS, &mut inflater)
        .expect("a message");
    payload.clear();

    let before = BYTES.get();
    let mut receiver = Receiver::new(Role::Server, Mode::Messages);
    assert_eq!(BYTES.get(), before);
    receiver = receiver.with_deflate(&AGREED);
    for piece in stream.chunks(100) {
        receiver
            .read(piece, &mut payload, &LIMITS, &mut inflater)
            .expect("a part of a message");
    }
    assert!(receiver.is_idle());
    assert_eq!(payload.len(), 1 << 20);
    let kept = BYTES.get() - before;
    assert!((8192..8192 + 128).contains(&kept), "{kept} bytes");
    drop(receiver);
    assert_eq!(BYTES.get(), before);
}

#[test]
fn a_ping_is_kept_until_the_next_read() {
    let mut stream = Vec::new();
    put_masked(
        &mut stream,
        Opcode::Ping,
        true,
        false,
        [5; 4],
        b"are you there?",
    );
    let mut receiver = Receiver::new(Role::Server, Mode::Stream);
    let (mut payload, mut inflater) = (Vec::new(), Inflater::new());
    let before = BYTES.get();
    let mut read = |bytes: &[u8]| receiver.read(bytes, &mut payload, &LIMITS, &mut inflater);
    assert_eq!(read(&stream), Ok((stream.len(), Event::Ping)));
    assert!(BYTES.get() > before);
    assert_eq!(read(b""), Ok((0, Event::More)));
    assert_eq!(BYTES.get(), before);
}

#[test]
fn uncompressed_messages_allocate_nothing() {
    let mut stream = Vec::new();
    for _ in 0..16 {
        put_masked(&mut stream, Opcode::Text, true, false, [5; 4], b"a message");
        put_masked(&mut stream, Opcode::Ping, true, false, [5; 4], b"");
    }
    let mut receiver = Receiver::new(Role::Server, Mode::Stream);
    let (mut payload, mut inflater) = (Vec::with_capacity(1024), Inflater::new());
    let before = ALLOCATIONS.get();
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let read = receiver.read(rest, &mut payload, &LIMITS, &mut inflater);
        rest = &rest[read.expect("valid").0..];
    }
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn a_bomb_allocates_no_more_than_the_limit() {
    let stream = compressed(&vec![0; 200 << 20]);
    let mut receiver = Receiver::new(Role::Server, Mode::Messages).with_deflate(&AGREED);
    let (mut payload, mut inflater) = (Vec::new(), Inflater::new());
    // The output grows by copying, as every vector does, from at most half of the limit; what
    // has arrived and the inflater come on top.
    let allowed = LIMITS.message_bytes_max * 3 / 2 + 2 * stream.len() + (128 << 10);
    let before = BYTES.get();
    BYTES_MOST.set(before);
    let error = receiver.read(&stream, &mut payload, &LIMITS, &mut inflater);
    assert_eq!(error.expect_err("a bomb").code.get(), 1009);
    let most = BYTES_MOST.get() - before;
    assert!(most <= allowed.cast_signed(), "{most} bytes at once");
    assert!(payload.capacity() <= LIMITS.message_bytes_max + (64 << 10));
}
