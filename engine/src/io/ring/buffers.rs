//! The receive buffers of one shard, provided to the kernel as a ring.
//!
//! The kernel takes buffers in the order in which it was offered them, so it would go round all of
//! them and find each one cold. It is therefore offered few, the last used first, and more only
//! when it ran out.

use crate::io::datagrams::DATAGRAM_BYTES_MAX;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group of what connections receive.
pub(super) const GROUP: u16 = 0;
/// The group of datagrams.
pub(super) const DATAGRAM_GROUP: u16 = 1;

/// How many buffers a shard has: what one turn can receive at most. A power of two.
pub(super) const COUNT: u16 = 1024;
/// Bytes of one buffer.
pub(super) const BYTES: usize = 16 << 10;

/// How many buffers a shard has for datagrams: what one turn can receive at most.
pub(super) const DATAGRAMS: u16 = 512;
/// Bytes of one of those: the largest datagram, and what stands before it. The last lines keep the
/// heads of all buffers from falling into the same set of the CPU's caches. Pages that no datagram
/// has reached take no memory.
pub(super) const DATAGRAM_BYTES: usize = DATAGRAM_BYTES_MAX + 17 * 64;

/// How many buffers the kernel is offered at least, if there are so many.
const OFFER_MIN: u16 = 32;
/// After so many turns the offer shrinks to what they needed.
const REVIEW_TURNS: u16 = 1024;

const PAGE: usize = 4096;
const _: () = assert!(COUNT.is_power_of_two() && COUNT <= 1 << 15);
const _: () = assert!(DATAGRAMS.is_power_of_two() && DATAGRAMS <= 1 << 15);

/// Buffers that belong to the kernel until a completion names them, to us until
/// they are given back.
pub(super) struct Buffers {
    /// `count` entries, then `count` buffers of `bytes` each.
    memory: NonNull<u8>,
    layout: Layout,
    count: u16,
    bytes: usize,
    /// Entries written so far; the kernel sees it at the next publish.
    tail: u16,
    /// Buffers that are not offered, the last used on top.
    spare: Vec<u16>,
    /// How many are with the kernel.
    offered: u16,
    /// How many shall be.
    offer: u16,
    /// Receives that found none in this turn.
    missed: u16,
    /// The most that a turn took, and the turns, since the last review.
    taken_max: u16,
    turns: u16,
}

impl Buffers {
    /// Allocates the buffers of a group and registers all of them with the ring.
    pub(super) fn register(
        ring: &IoUring,
        group: u16,
        count: u16,
        bytes: usize,
    ) -> io::Result<Self> {
        let entries = usize::from(count) * size_of::<BufRingEntry>();
        let total = entries.next_multiple_of(PAGE) + usize::from(count) * bytes;
        let layout = Layout::from_size_align(total, PAGE).map_err(io::Error::other)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        let memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
        let mut buffers = Self {
            memory,
            layout,
            count,
            bytes,
            tail: 0,
            spare: (0..count).rev().collect(),
            offered: 0,
            offer: OFFER_MIN.min(count),
            missed: 0,
            taken_max: 0,
            turns: 0,
        };
        let address = memory.as_ptr().expose_provenance() as u64;
        // SAFETY: `count` zeroed entries start at this page-aligned address; the
        // driver drops the ring before the buffers.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, count, group, 0)
        }?;
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

    /// Takes back a buffer that a completion named, once its bytes are used.
    #[inline]
    pub(super) fn give_back(&mut self, id: u16) {
        self.offered -= 1;
        self.spare.push(id);
    }

    /// A receive found no buffer.
    pub(super) fn ran_out(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// Once a turn: offers buffers to the kernel again.
    #[inline]
    pub(super) fn publish(&mut self) {
        self.review();
        while self.offered < self.offer
            && let Some(id) = self.spare.pop()
        {
            self.write_entry(id);
            self.offered += 1;
        }
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the first entry is initialised; its reserved field is the ring's
        // tail, aligned for and only written as a 16-bit number.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Doubles an offer that was too small, or more; halves one that nobody needs any more.
    fn review(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            self.offer = self
                .offer
                .saturating_add(missed.max(self.offer))
                .min(self.count);
            self.taken_max = self.offer;
        }
        let taken = self.offer.saturating_sub(self.offered);
        self.taken_max = self.taken_max.max(taken);
        self.turns += 1;
        if self.turns < REVIEW_TURNS {
            return;
        }
        if self.taken_max < self.offer / 4 {
            self.offer = (self.offer / 2).max(OFFER_MIN.min(self.count));
        }
        self.taken_max = 0;
        self.turns = 0;
    }

    fn write_entry(&mut self, id: u16) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn make(count: u16) -> (Buffers, IoUring) {
        let ring = IoUring::builder().build(8).expect("io_uring");
        let buffers = Buffers::register(&ring, GROUP, count, 4096).expect("a buffer ring");
        (buffers, ring)
    }

    /// Which buffer the kernel takes after `skip` others.
    fn offered(buffers: &Buffers, skip: u16) -> u16 {
        let behind = buffers.offered - skip;
        let at = usize::from(buffers.tail.wrapping_sub(behind) & (buffers.count - 1));
        // SAFETY: `at` is below `count`; entries are plain numbers.
        unsafe { (*buffers.memory.as_ptr().cast::<BufRingEntry>().add(at)).bid() }
    }

    #[test]
    fn the_buffer_used_last_is_offered_next() {
        let (mut buffers, _ring) = make(64);
        assert_eq!((offered(&buffers, 0), offered(&buffers, 31)), (0, 31));
        for id in [0, 1, 2] {
            buffers.give_back(id);
        }
        buffers.publish();
        let last = [29, 30, 31].map(|skip| offered(&buffers, skip));
        assert_eq!(last, [2, 1, 0], "not the 32 that were never used");
    }

    #[test]
    fn an_offer_grows_when_it_ran_out_and_shrinks_when_nobody_needs_it() {
        let (mut buffers, _ring) = make(256);
        buffers.publish();
        assert_eq!(buffers.offered, OFFER_MIN);
        buffers.ran_out();
        buffers.publish();
        assert_eq!(buffers.offered, 2 * OFFER_MIN);
        (0..100).for_each(|_| buffers.ran_out());
        buffers.publish();
        assert_eq!(buffers.offered, 164, "one more for each that found none");
        (0..200).for_each(|_| buffers.ran_out());
        buffers.publish();
        assert_eq!(buffers.offered, 256, "there are no more");
        // Taken ones are not offered again while there are enough.
        for turn in 0..8 * u32::from(REVIEW_TURNS) {
            let id = offered(&buffers, 0);
            buffers.give_back(id);
            buffers.publish();
            assert!(turn > 2 * u32::from(REVIEW_TURNS) || buffers.offered > OFFER_MIN);
        }
        assert_eq!(buffers.offer, OFFER_MIN);
        assert_eq!(usize::from(buffers.offered) + buffers.spare.len(), 256);
    }
}
