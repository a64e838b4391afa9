//! The ringbus engine: shards, mailboxes, the topic trie and the drivers that run them.

pub mod auth;
pub mod base;
pub mod cli;
pub mod config;
pub mod io;
pub mod mailbox;
pub mod metrics;
pub mod pubsub;
pub mod server;
pub mod session;
pub mod shard;
