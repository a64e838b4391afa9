//! NATS clients on shards that lag, behind mailboxes that are full.

use super::{asked_for, run};
use ringbus_tests::simulation::{NatsClients, NatsReport};

const SEEDS: std::ops::Range<u64> = 0..300;

/// What a PONG promises holds: subscriptions before it are active, messages before it routed.
#[test]
fn a_pong_keeps_what_it_promises() {
    let asked = asked_for(SEEDS);
    let mut sum = NatsReport::default();
    for seed in asked.clone() {
        let report = run("a_pong_keeps", seed, || NatsClients::new(seed).run(300));
        let report = report.unwrap_or_else(|what| panic!("{what}"));
        sum.said += report.said;
        sum.heard += report.heard;
        sum.shared += report.shared;
        sum.pongs += report.pongs;
        sum.ended += report.ended;
        sum.unheard += report.unheard;
    }
    println!("seeds {asked:?}: {sum:?}");
    if asked == SEEDS {
        // Chance has made something of each kind happen.
        assert!(sum.said > 50_000 && sum.heard > 100_000, "{sum:?}");
        assert!(sum.shared > 5_000 && sum.pongs > 5_000, "{sum:?}");
        assert!(sum.ended > 100 && sum.unheard > 1_000, "{sum:?}");
    }
}
