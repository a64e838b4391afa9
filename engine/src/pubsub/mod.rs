//! Topics: who wants which, what is retained, and which shard owns what.

pub mod partition;
pub mod retained;
pub mod trie;
