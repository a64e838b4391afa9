//! Shared subscriptions by seed.

use super::{asked_for, run};
use ringbus_tests::simulation::{Group, GroupReport};

const SEEDS: std::ops::Range<u64> = 0..200;

/// Members come, go, return, are taken over and do not acknowledge, shards stand still: each
/// message is with one member at a time, none is lost, and at QoS 2 each comes once.
#[test]
fn each_message_is_with_one_member_and_none_is_lost() {
    let mut sum = GroupReport::default();
    for seed in asked_for(SEEDS) {
        let test = "each_message_is_with_one_member";
        let report = run(test, seed, || Group::new(seed).run());
        let report = report.unwrap_or_else(|what| panic!("{what}"));
        sum.messages += report.messages;
        sum.moved += report.moved;
        sum.repeated += report.repeated;
        sum.mail_batches += report.mail_batches;
    }
    println!("{sum:?}");
    if asked_for(SEEDS) == SEEDS {
        assert!(sum.moved > 1_000, "hardly a message had to move: {sum:?}");
        assert!(sum.repeated > 100, "hardly a message was repeated: {sum:?}");
    }
}
