//! Topics: the messages on them, who wants which, what is retained, and which shard owns what.

mod message;
pub mod partition;
pub mod retained;
pub mod shared;
mod slash;
mod store;
pub mod trie;

pub use message::{Message, PublisherId, Stored};
pub use partition::{Owners, Partitioner};
pub use retained::Retained;
pub use shared::Groups;
pub use store::{RetainedQuota, RetainedStore, Weight};
pub use trie::{Slot, Trie};

/// Below this the broker speaks of itself, and nobody else does.
pub const BROKER_TOPICS: &str = "$SYS/";
