//! Topics: the messages on them, who wants which, what is retained, and which shard owns what.

mod message;
pub mod partition;
pub mod retained;
mod slash;
pub mod trie;

pub use message::{Message, PublisherId, Stored};
pub use partition::{Owners, Partitioner};
pub use retained::Retained;
pub use trie::{Slot, Trie};
