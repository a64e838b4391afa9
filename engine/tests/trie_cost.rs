//! What the longest topics cost the trie: steps in proportion to their levels, whatever the filters.
#![expect(clippy::disallowed_methods, reason = "a test of cost reads a clock")]

use ahash::RandomState;
use ringbus::pubsub::trie::Trie;
use ringbus_protocols::topic::TopicFilter;
use std::time::{Duration, Instant};

/// The shortest of several walks of a topic with `levels` levels, all of which six filters follow.
fn walk(levels: usize) -> Duration {
    let topic = "a/".repeat(levels - 1) + "a";
    let filters = [
        "a/+/".repeat(levels / 2 - 1) + "a/a",
        "+/".repeat(levels - 2) + "#",
        "+/".repeat(levels - 1) + "+",
        "#".to_owned(),
        "a/+/#".to_owned(),
        "+/+/+/#".to_owned(),
    ];
    let mut trie = Trie::new(RandomState::with_seeds(1, 2, 3, 4));
    for filter in &filters {
        trie.insert(&TopicFilter::parse(filter).expect("valid"));
    }
    let hash = trie.hash(&topic);
    let mut found = Vec::new();
    let once = |_| {
        found.clear();
        let started = Instant::now();
        trie.matches(&topic, hash, &mut found);
        let took = started.elapsed();
        assert_eq!(found.len(), filters.len());
        took
    };
    (0..20).map(once).min().expect("20 walks")
}

/// 32,768 levels fill a topic of 65,535 bytes. Sixteen times the levels may cost sixteen times as
/// much, with room for caches; a cost in their square would be 256 times, and one in the mixes of `+`
/// would never end.
#[test]
fn a_walk_is_linear_in_levels() {
    let (short, long) = (walk(2_048), walk(32_768));
    assert!(
        long < short * 100,
        "2,048 levels took {short:?}, 32,768 {long:?}"
    );
}
