//! The receive buffers of one shard, provided to the kernel as a ring.

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The only group of a ring.
pub(super) const GROUP: u16 = 0;

/// How many buffers a shard has: what one turn can receive at most. A power of two.
pub(super) const COUNT: u16 = 1024;
/// Bytes of one buffer.
pub(super) const BYTES: usize = 4096;

const PAGE: usize = 4096;
const _: () = assert!(COUNT.is_power_of_two() && COUNT <= 1 << 15);

/// Buffers that belong to the kernel until a completion names them, to us until
/// they are given back.
pub(super) struct Buffers {
    /// `count` entries, then `count` buffers of `bytes` each.
    memory: NonNull<u8>,
    layout: Layout,
    count: u16,
    bytes: usize,
    /// Entries given back so far; the kernel sees it at the next publish.
    tail: u16,
}

impl Buffers {
    /// Allocates the buffers and registers all of them with the ring.
    pub(super) fn register(ring: &IoUring, count: u16, bytes: usize) -> io::Result<Self> {
        let entries = usize::from(count) * size_of::<BufRingEntry>();
        let total = entries.next_multiple_of(PAGE) + usize::from(count) * bytes;
        let layout = Layout::from_size_align(total, PAGE).map_err(io::Error::other)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        let memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
        // Touched here, so that no receive has to wait for a page. Volatile, because the compiler
        // may turn plain zeros into memory that the kernel has yet to give.
        for page in (0..total).step_by(PAGE) {
            // SAFETY: the offset is within what was just allocated.
            unsafe { memory.as_ptr().add(page).write_volatile(0) };
        }
        let mut buffers = Self {
            memory,
            layout,
            count,
            bytes,
            tail: 0,
        };
        let address = memory.as_ptr().expose_provenance() as u64;
        // SAFETY: `count` zeroed entries start at this page-aligned address; the
        // driver drops the ring before the buffers.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, count, GROUP, 0)
        }?;
        for id in 0..count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// What the kernel put into a buffer that a completion named.
    #[inline]
    pub(super) fn received(&self, id: u16, length: usize) -> &[u8] {
        assert!(id < self.count && length <= self.bytes);
        // SAFETY: in bounds as just checked; the kernel wrote `length` bytes and
        // does not touch the buffer until it is given back, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.buffer(id), length) }
    }

    /// Gives a buffer back to the kernel, with effect from the next [`Buffers::publish`].
    #[inline]
    pub(super) fn give_back(&mut self, id: u16) {
        let address = self.buffer(id).expose_provenance() as u64;
        let at = usize::from(self.tail & (self.count - 1));
        // SAFETY: `at` is below `count`, and the kernel does not read entries
        // from the tail on.
        let entry = unsafe { &mut *self.memory.as_ptr().cast::<BufRingEntry>().add(at) };
        entry.set_addr(address);
        entry.set_len(u32::try_from(self.bytes).expect("buffers are smaller than 4 GiB"));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the first entry is initialised; its reserved field is the ring's
        // tail, aligned for and only written as a 16-bit number.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        let entries = usize::from(self.count) * size_of::<BufRingEntry>();
        let offset = entries.next_multiple_of(PAGE) + usize::from(id) * self.bytes;
        // SAFETY: inside the allocation for every id below `count`.
        unsafe { self.memory.as_ptr().add(offset) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the ring that knew it is gone.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}
