//! An open-addressed index from a hash to a number, 8 bytes a cell.
//!
//! The keys live with the caller, who passes the comparison: a probe touches one cache line of cells
//! and then only the one candidate whose 32 hash bits agree.

/// The value that marks an empty cell; never stored.
const EMPTY: u32 = u32::MAX;
const CELLS_MIN: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    value: u32,
}

const EMPTY_CELL: Cell = Cell {
    hash: 0,
    value: EMPTY,
};

/// Distinct values below [`u32::MAX`], found by 32 bits of hash with linear probing.
///
/// Holds no memory while it is empty. The hash must be keyed where a stranger chooses the key, or
/// probes get long.
#[derive(Debug, Default)]
pub struct Table {
    /// A power of two of cells, or none at all.
    cells: Vec<Cell>,
    len: usize,
}

impl Table {
    /// The value with this hash for which `is` holds.
    #[inline]
    #[must_use]
    pub fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.cells.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let cell = self.cells[at];
            if cell.value == EMPTY {
                return None;
            }
            if cell.hash == hash && is(cell.value) {
                return Some(cell.value);
            }
            at = self.next(at);
        }
    }

    /// Adds a value. The caller knows that it is not there yet.
    pub fn insert(&mut self, hash: u32, value: u32) {
        debug_assert_ne!(value, EMPTY, "the empty mark is not a value");
        if self.cells.is_empty() || (self.len + 1) * 4 > self.cells.len() * 3 {
            self.resize((self.cells.len() * 2).max(CELLS_MIN));
        }
        self.put(Cell { hash, value });
        self.len += 1;
    }

    /// Removes a value that is there, and gives memory back when few are left.
    ///
    /// # Panics
    /// If it is not there under that hash: that is the caller's bug.
    pub fn remove(&mut self, hash: u32, value: u32) {
        let mut at = self.home(hash);
        while self.cells[at].value != value {
            assert_ne!(
                self.cells[at].value, EMPTY,
                "only what was inserted is removed"
            );
            at = self.next(at);
        }
        self.close_gap(at);
        self.len -= 1;
        if self.len == 0 {
            self.cells = Vec::new();
        } else if self.cells.len() > CELLS_MIN && self.len * 8 < self.cells.len() {
            self.resize(self.cells.len() / 4);
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }

    /// Moves later cells of the run back, so that no probe meets a hole before its cell.
    fn close_gap(&mut self, mut gap: usize) {
        let mut at = gap;
        loop {
            at = self.next(at);
            let cell = self.cells[at];
            if cell.value == EMPTY {
                break;
            }
            let mask = self.cells.len() - 1;
            let probed = at.wrapping_sub(self.home(cell.hash)) & mask;
            if probed >= (at.wrapping_sub(gap) & mask) {
                self.cells[gap] = cell;
                gap = at;
            }
        }
        self.cells[gap] = EMPTY_CELL;
    }

    fn resize(&mut self, cells: usize) {
        let old = std::mem::replace(&mut self.cells, vec![EMPTY_CELL; cells.max(CELLS_MIN)]);
        for cell in old {
            if cell.value != EMPTY {
                self.put(cell);
            }
        }
    }

    fn put(&mut self, cell: Cell) {
        let mut at = self.home(cell.hash);
        while self.cells[at].value != EMPTY {
            at = self.next(at);
        }
        self.cells[at] = cell;
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.cells.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }
}

/// The half of a hash that indexes tables. The upper one: the lower bits may have chosen the shard,
/// so that all topics of a partition share them.
#[inline]
#[must_use]
pub fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        /// Few distinct hashes, so that runs collide, wrap around and close their gaps.
        #[test]
        fn table_agrees_with_a_set(
            operations in prop::collection::vec((any::<bool>(), 0u32..100), 0..400),
        ) {
            let mut table = Table::default();
            let mut model = HashSet::new();
            let hash = |value: u32| (value % 11).wrapping_mul(0x9E37_79B9);
            for (insert, value) in operations {
                if insert {
                    if model.insert(value) {
                        table.insert(hash(value), value);
                    }
                } else if model.remove(&value) {
                    table.remove(hash(value), value);
                }
                for value in 0..100 {
                    let found = table.find(hash(value), |v| v == value);
                    prop_assert_eq!(found.is_some(), model.contains(&value));
                }
            }
            for value in model {
                table.remove(hash(value), value);
            }
            prop_assert_eq!(table.heap_bytes(), 0);
        }
    }

    #[test]
    fn shrinks_as_it_empties() {
        let mut table = Table::default();
        for value in 0..10_000u32 {
            table.insert(value.wrapping_mul(0x9E37_79B9), value);
        }
        let full = table.heap_bytes();
        for value in 100..10_000u32 {
            table.remove(value.wrapping_mul(0x9E37_79B9), value);
        }
        assert!(
            table.heap_bytes() * 16 <= full,
            "{} of {full}",
            table.heap_bytes()
        );
        for value in 0..100u32 {
            assert_eq!(
                table.find(value.wrapping_mul(0x9E37_79B9), |v| v == value),
                Some(value)
            );
        }
    }
}
