//! The sending side `[RFC7692 7.2.1]`.

use flate2::{Compress, Compression, FlushCompress};

use super::negotiate::{WINDOW_BITS_MAX, WINDOW_BITS_MIN};
use super::{Agreed, TAIL};

/// Measured with messages of devices: at 300 bytes all levels give a quarter or less of the size,
/// and every other one takes 5 to 10 times as long. At 1 KiB, level 4 would give 18 % for 26 %.
const LEVEL: u32 = 1;

/// The compressors of a shard, each some 200 KiB, shared by its connections.
///
/// A connection that still has its compressor continues the context of its last message. If all
/// are taken, the one that was idle for longest is given away; its owner begins anew, which a
/// sender may do at any time.
#[derive(Debug)]
pub struct Deflaters {
    slots: Vec<Slot>,
    max: usize,
    /// Counts messages, to tell which compressor is idle for longest.
    now: u64,
    /// Where [`super::deflate_frames`] compresses to, as the length comes before the payload.
    pub(super) scratch: Vec<u8>,
}

#[derive(Debug)]
struct Slot {
    compress: Compress,
    bits: u8,
    /// Whose context this is, if anybody will continue it.
    owner: Option<u64>,
    used: u64,
}

impl Slot {
    fn new(bits: u8) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::new(LEVEL), false, bits),
            bits,
            owner: None,
            used: 0,
        }
    }
}

impl Deflaters {
    /// At most this many compressors, at least one; they are made when they are needed.
    pub fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            max: max.max(1),
            now: 0,
            scratch: Vec::new(),
        }
    }

    /// How many compressors there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing was compressed yet.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Appends one compressed message without its tail. `owner` tells connections apart; what is
    /// compressed must be sent, and in this order.
    pub fn deflate(&mut self, owner: u64, agreed: &Agreed, payload: &[u8], out: &mut Vec<u8>) {
        if payload.is_empty() {
            // An empty block, and nothing that a context would have to know [RFC7692 7.2.3.6].
            out.push(0x00);
            return;
        }
        let bits = agreed.server_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        let keeps_context = !agreed.server_no_context_takeover;
        self.now += 1;
        let now = self.now;
        let slot = self.slot(owner, bits);
        slot.owner = keeps_context.then_some(owner);
        slot.used = if keeps_context { now } else { 0 };
        compress(&mut slot.compress, payload, out);
    }

    /// The connection is gone, and its context with it.
    pub fn forget(&mut self, owner: u64) {
        for slot in &mut self.slots {
            if slot.owner == Some(owner) {
                slot.owner = None;
                slot.used = 0;
            }
        }
    }

    /// The compressor of this owner with its context, or another one that is empty.
    fn slot(&mut self, owner: u64, bits: u8) -> &mut Slot {
        let is_own = |slot: &Slot| slot.owner == Some(owner) && slot.bits == bits;
        if let Some(own) = self.slots.iter().position(is_own) {
            return &mut self.slots[own];
        }
        self.forget(owner);
        let is_free = |slot: &Slot| slot.owner.is_none() && slot.bits == bits;
        let at = if let Some(free) = self.slots.iter().position(is_free) {
            self.slots[free].compress.reset();
            free
        } else if self.slots.len() < self.max {
            self.slots.push(Slot::new(bits));
            self.slots.len() - 1
        } else {
            self.take_oldest(bits)
        };
        &mut self.slots[at]
    }

    fn take_oldest(&mut self, bits: u8) -> usize {
        let ages = self.slots.iter().enumerate();
        let (oldest, slot) = ages
            .min_by_key(|(_, slot)| slot.used)
            .expect("there is at least one compressor");
        if slot.bits == bits {
            self.slots[oldest].compress.reset();
        } else {
            self.slots[oldest] = Slot::new(bits);
        }
        oldest
    }
}

/// Compresses to the end of a byte and drops the tail that shows it.
fn compress(compress: &mut Compress, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = payload;
    out.reserve(payload.len() / 2 + 64);
    loop {
        let total_in = compress.total_in();
        compress
            .compress_vec(rest, out, FlushCompress::Sync)
            .expect("compressing without an end does not fail");
        let taken = usize::try_from(compress.total_in() - total_in);
        rest = &rest[taken.expect("a part of a slice")..];
        if rest.is_empty() && out.len() < out.capacity() {
            break;
        }
        out.reserve(rest.len() + 64);
    }
    assert!(
        out[start..].ends_with(&TAIL),
        "a flush ends with an empty block"
    );
    out.truncate(out.len() - TAIL.len());
}
