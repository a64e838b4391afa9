//! Sockets of topics on shards that lag, behind mailboxes that are full.

use super::{asked_for, run};
use ringbus_tests::simulation::{Sockets, SocketsReport};

const SEEDS: std::ops::Range<u64> = 0..100;

/// Whoever is there hears all that is said, once and in order, its own included: also what it said
/// just before it closed.
#[test]
fn sockets_miss_nothing_that_was_said_after_they_were_open() {
    let asked = asked_for(SEEDS);
    let mut sum = SocketsReport::default();
    for seed in asked.clone() {
        let report = run("sockets", seed, || Sockets::new(seed).run(300));
        let report = report.unwrap_or_else(|what| panic!("{what}"));
        sum.opened += report.opened;
        sum.said += report.said;
        sum.heard += report.heard;
        sum.closed += report.closed;
    }
    println!("seeds {asked:?}: {sum:?}");
    if asked == SEEDS {
        // Chance has made something of each kind happen.
        assert!(sum.opened > 500 && sum.closed > 300, "{sum:?}");
        assert!(sum.said > 10_000 && sum.heard > 20_000, "{sum:?}");
    }
}
