//! How the members of a shared subscription share.

/// Which member of a shared subscription gets the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedStrategy {
    /// Each in turn.
    RoundRobin,
    /// Any, by chance.
    Random,
    /// The same one as long as it takes messages.
    Sticky,
    /// The one that the publisher's client identifier hashes to, as long as the members stay.
    HashClient,
    /// One with the fewest messages that wait or are not acknowledged.
    LeastInflight,
}

pub(super) const SHARED_STRATEGIES: [(&str, SharedStrategy); 5] = [
    ("round-robin", SharedStrategy::RoundRobin),
    ("random", SharedStrategy::Random),
    ("sticky", SharedStrategy::Sticky),
    ("hash-client", SharedStrategy::HashClient),
    ("least-inflight", SharedStrategy::LeastInflight),
];
