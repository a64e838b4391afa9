//! The wildcard filters of a partition: a trie by level, with one flat edge table for all nodes.

use super::Slot;
use super::levels::{LevelId, Levels};
use crate::base::Table;
use crate::pubsub::slash::nth_slash;
use ahash::RandomState;
use std::cell::Cell;

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;
/// The level number of nodes reached by `+`; no literal level has it.
const PLUS: u32 = u32::MAX;

/// A prefix of filters. Its literal children are found in the edge table.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Node {
    /// The node one level up; while the node is free, the next free one.
    parent: u32,
    /// The last level of the prefix.
    level: u32,
    /// The child by `+`.
    plus: u32,
    /// The filter that is this prefix and `#`.
    many: u32,
    /// The filter that is this prefix.
    here: u32,
    /// The number of children by a literal level.
    literals: u32,
    /// All literal children, combined by exclusive or: of one, the child itself.
    only: u32,
}

impl Node {
    fn new(parent: u32, level: u32) -> Node {
        Node {
            parent,
            level,
            plus: NONE,
            many: NONE,
            here: NONE,
            literals: 0,
            only: 0,
        }
    }

    fn has_children(&self) -> bool {
        self.plus != NONE || self.literals > 0
    }

    fn is_empty(&self) -> bool {
        !self.has_children() && self.many == NONE && self.here == NONE
    }
}

/// A level of a topic that some filter has.
#[derive(Clone, Copy)]
struct Known {
    id: LevelId,
    hash: u32,
}

const _: () = assert!(size_of::<Node>() == 32);

/// Nodes to look at, one level of the topic at a time.
#[derive(Default)]
struct Frontier {
    now: Vec<u32>,
    next: Vec<u32>,
    /// Nodes that walks have looked at.
    #[cfg(test)]
    visited: usize,
}

/// The trie of the filters that have a wildcard.
pub(super) struct Branches {
    nodes: Vec<Node>,
    free: u32,
    used: usize,
    edges: Table,
    levels: Levels,
    hasher: RandomState,
    /// Keys of the edge hash: node and level numbers are dense, so a stranger who chooses filters
    /// could aim plain mixes at one run of cells.
    edge_keys: [u64; 2],
    /// Kept between walks, so that a walk allocates nothing.
    frontier: Cell<Frontier>,
}

impl Branches {
    pub(super) fn new(hasher: RandomState) -> Branches {
        let edge_keys = [
            hasher.hash_one("edge xor"),
            hasher.hash_one("edge multiply") | 1,
        ];
        Branches {
            nodes: Vec::new(),
            free: NONE,
            used: 0,
            edges: Table::default(),
            levels: Levels::default(),
            hasher,
            edge_keys,
            frontier: Cell::default(),
        }
    }

    /// Adds a filter that has a wildcard and is not there, and returns the node it ends at.
    pub(super) fn insert(&mut self, filter: &str, slot: Slot) -> u32 {
        if self.nodes.is_empty() {
            self.add_node(Node::new(NONE, PLUS));
        }
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                self.nodes[at as usize].many = slot.0;
                return at;
            }
            at = if level == "+" {
                self.grow_plus(at)
            } else {
                self.grow_literal(at, level)
            };
        }
        self.nodes[at as usize].here = slot.0;
        at
    }

    /// Removes the filter that ends at `node`, and every branch that is bare then.
    pub(super) fn remove(&mut self, filter: &str, node: u32) {
        if filter.ends_with('#') {
            self.nodes[node as usize].many = NONE;
        } else {
            self.nodes[node as usize].here = NONE;
        }
        let mut at = node;
        while self.nodes[at as usize].is_empty() {
            if at == ROOT {
                self.clear();
                return;
            }
            at = self.prune(at);
        }
    }

    /// Appends each wildcard filter that matches `topic`, once.
    ///
    /// Breadth first: the nodes at depth d whose prefix matches the topic's first d levels. A node
    /// has one parent and one way to be reached, so it is looked at once at most; the work is bounded
    /// by the topic's levels plus the nodes whose prefix matches, whatever the mix of `+`. At depth d
    /// those are no more than min(2^d, nodes at depth d).
    #[inline]
    pub(super) fn matches(&self, topic: &str, found: &mut Vec<Slot>) {
        if self.nodes.is_empty() {
            return;
        }
        let mut frontier = self.frontier.take();
        self.walk(topic, &mut frontier, found);
        self.frontier.set(frontier);
    }

    /// Bytes on the heap, allocator overhead and the walk's scratch aside.
    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.edges.heap_bytes()
            + self.levels.heap_bytes()
    }

    /// How many nodes all walks so far have looked at.
    #[cfg(test)]
    pub(super) fn visited(&self) -> usize {
        let frontier = self.frontier.take();
        let visited = frontier.visited;
        self.frontier.set(frontier);
        visited
    }

    fn walk(&self, topic: &str, frontier: &mut Frontier, found: &mut Vec<Slot>) {
        // Wildcards at the first level do not match a topic that begins with `$`
        // [MQTT311-4.7.2-1] [MQTT5-4.7.2-1].
        let mut wild = !topic.starts_with('$');
        if wild {
            report(self.nodes[ROOT as usize].many, found);
        }
        frontier.now.clear();
        frontier.now.push(ROOT);
        let mut rest = topic;
        loop {
            let end = nth_slash(rest.as_bytes(), 1);
            let level = &rest[..end.unwrap_or(rest.len())];
            self.step(level, wild, end.is_none(), frontier, found);
            let Some(end) = end.filter(|_| !frontier.now.is_empty()) else {
                return;
            };
            rest = &rest[end + 1..];
            wild = true;
        }
    }

    /// Moves the frontier one level down.
    #[inline]
    fn step(
        &self,
        level: &str,
        wild: bool,
        last: bool,
        frontier: &mut Frontier,
        found: &mut Vec<Slot>,
    ) {
        frontier.next.clear();
        #[cfg(test)]
        {
            frontier.visited += frontier.now.len();
        }
        // Looked up when the first node with several children asks.
        let mut known = None;
        for &at in &frontier.now {
            let node = &self.nodes[at as usize];
            if wild && node.plus != NONE {
                self.reach(node.plus, last, &mut frontier.next, found);
            }
            let child = match node.literals {
                0 => None,
                1 => self.only_child(node, level),
                _ => known
                    .get_or_insert_with(|| self.known(level))
                    .and_then(|level| self.child(at, level)),
            };
            if let Some(child) = child {
                self.reach(child, last, &mut frontier.next, found);
            }
        }
        std::mem::swap(&mut frontier.now, &mut frontier.next);
    }

    /// Reports what ends at a node, and keeps it for the next level if something is below it.
    #[inline]
    fn reach(&self, at: u32, last: bool, next: &mut Vec<u32>, found: &mut Vec<Slot>) {
        let node = &self.nodes[at as usize];
        // `a/#` matches `a` too [MQTT5-4.7.1-2].
        report(node.many, found);
        if last {
            report(node.here, found);
        } else if node.has_children() {
            next.push(at);
        }
    }

    fn grow_plus(&mut self, parent: u32) -> u32 {
        let child = self.nodes[parent as usize].plus;
        if child != NONE {
            return child;
        }
        let child = self.add_node(Node::new(parent, PLUS));
        self.nodes[parent as usize].plus = child;
        child
    }

    fn grow_literal(&mut self, parent: u32, level: &str) -> u32 {
        let known = self.known(level);
        if let Some(child) = known.and_then(|level| self.child(parent, level)) {
            return child;
        }
        let hash = self.hash(level);
        let id = self.levels.acquire(level, hash);
        let child = self.add_node(Node::new(parent, id.0));
        let node = &mut self.nodes[parent as usize];
        node.literals += 1;
        node.only ^= child;
        self.edges.insert(self.edge_hash(parent, hash), child);
        child
    }

    /// Cuts an empty node off its parent, and returns the parent.
    fn prune(&mut self, at: u32) -> u32 {
        let Node { parent, level, .. } = self.nodes[at as usize];
        if level == PLUS {
            self.nodes[parent as usize].plus = NONE;
        } else {
            let hash = self.hash(self.levels.text(LevelId(level)));
            let node = &mut self.nodes[parent as usize];
            node.literals -= 1;
            node.only ^= at;
            self.edges.remove(self.edge_hash(parent, hash), at);
            self.levels.release(LevelId(level), hash);
        }
        self.nodes[at as usize].parent = self.free;
        self.free = at;
        self.used -= 1;
        parent
    }

    #[inline]
    fn known(&self, level: &str) -> Option<Known> {
        let hash = self.hash(level);
        self.levels.find(level, hash).map(|id| Known { id, hash })
    }

    /// The literal child of a node that has one, if it is of that level: needs no hash.
    #[inline]
    fn only_child(&self, node: &Node, level: &str) -> Option<u32> {
        let child = &self.nodes[node.only as usize];
        self.levels
            .is(LevelId(child.level), level)
            .then_some(node.only)
    }

    /// The child of a node by a literal level.
    #[inline]
    fn child(&self, parent: u32, level: Known) -> Option<u32> {
        // By the hash, not the number, of the level: so the edge's memory is on its way while the
        // level's text is still being compared.
        self.edges
            .find(self.edge_hash(parent, level.hash), |child| {
                let node = &self.nodes[child as usize];
                node.parent == parent && node.level == level.id.0
            })
    }

    #[inline]
    fn edge_hash(&self, parent: u32, level_hash: u32) -> u32 {
        let pair = u64::from(parent) << 32 | u64::from(level_hash);
        let [xor, factor] = self.edge_keys;
        let high = (u128::from(pair ^ xor) * u128::from(factor)) >> 64;
        super::short((pair ^ xor).wrapping_mul(factor) ^ high as u64)
    }

    fn add_node(&mut self, node: Node) -> u32 {
        self.used += 1;
        if self.free != NONE {
            let at = self.free;
            self.free = self.nodes[at as usize].parent;
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("memory ends before 2^32 nodes")
    }

    fn clear(&mut self) {
        assert_eq!(self.used, 1, "only the root is left when it is bare");
        *self = Branches::new(self.hasher.clone());
    }

    #[inline]
    fn hash(&self, level: &str) -> u32 {
        super::short(self.hasher.hash_one(level))
    }
}

#[inline]
fn report(slot: u32, found: &mut Vec<Slot>) {
    if slot != NONE {
        found.push(Slot(slot));
    }
}
