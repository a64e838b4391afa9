//! The level texts of a trie, each kept once: a branch is named by (parent, level number), so a hash
//! collision cannot misroute and a topic level is compared once, not once per branch.

use super::text::Text;
use crate::base::Table;

const _: () = assert!(size_of::<Level>() == 32);

/// The number of a level text while at least one node refers to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LevelId(pub(super) u32);

/// Two to a cache line.
#[repr(align(32))]
struct Level {
    text: Text<22>,
    /// Nodes of this level; while the entry is free, the next free entry.
    references: u32,
}

#[derive(Default)]
pub(super) struct Levels {
    levels: Vec<Level>,
    index: Table,
    free: Option<u32>,
    used: usize,
    text_bytes: usize,
}

const NO_NEXT: u32 = u32::MAX;

impl Levels {
    /// The number of a known level text.
    #[inline]
    pub(super) fn find(&self, text: &str, hash: u32) -> Option<LevelId> {
        self.index
            .find(hash, |id| self.levels[id as usize].text.is(text))
            .map(LevelId)
    }

    /// The number of a level text, with one more reference to it.
    pub(super) fn acquire(&mut self, text: &str, hash: u32) -> LevelId {
        if let Some(id) = self.find(text, hash) {
            self.levels[id.0 as usize].references += 1;
            return id;
        }
        let level = Level {
            text: Text::new(text),
            references: 1,
        };
        let id = match self.free {
            Some(id) => {
                let next = std::mem::replace(&mut self.levels[id as usize], level).references;
                self.free = (next != NO_NEXT).then_some(next);
                id
            }
            None => {
                self.levels.push(level);
                u32::try_from(self.levels.len() - 1).expect("memory ends before 2^32 levels")
            }
        };
        self.index.insert(hash, id);
        self.used += 1;
        self.text_bytes += self.levels[id as usize].text.heap_bytes();
        LevelId(id)
    }

    /// Whether a level in use has that text.
    #[inline]
    pub(super) fn is(&self, id: LevelId, text: &str) -> bool {
        self.levels[id.0 as usize].text.is(text)
    }

    /// The text of a level in use.
    pub(super) fn text(&self, id: LevelId) -> &str {
        self.levels[id.0 as usize].text.as_str()
    }

    /// Drops one reference; the last one frees the text.
    pub(super) fn release(&mut self, id: LevelId, hash: u32) {
        let level = &mut self.levels[id.0 as usize];
        level.references -= 1;
        if level.references > 0 {
            return;
        }
        let text = std::mem::take(&mut level.text);
        level.references = self.free.unwrap_or(NO_NEXT);
        self.free = Some(id.0);
        self.index.remove(hash, id.0);
        self.used -= 1;
        self.text_bytes -= text.heap_bytes();
        if self.used == 0 {
            self.levels = Vec::new();
            self.free = None;
        }
    }

    /// Bytes on the heap, allocator overhead aside.
    pub(super) fn heap_bytes(&self) -> usize {
        self.levels.capacity() * size_of::<Level>() + self.text_bytes + self.index.heap_bytes()
    }
}
