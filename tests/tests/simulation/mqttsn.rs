//! MQTT-SN on a network that loses, doubles and reorders 30 of 100 datagrams each way.

use super::{asked_for, run};
use ringbus_tests::simulation::{SnReport, SnWorld};

const SEEDS: std::ops::Range<u64> = 0..150;
const MESSAGES_EACH: usize = 20;

/// At QoS 1 all is heard, at QoS 2 once, by sleeping clients as well.
#[test]
fn nothing_is_missed_and_at_qos_2_nothing_doubled() {
    let asked = asked_for(SEEDS);
    let mut sum = SnReport::default();
    for seed in asked.clone() {
        let shards = [1, 2, 4][usize::try_from(seed % 3).expect("below 3")];
        let report = run("nothing_is_missed", seed, || {
            SnWorld::new(seed, shards).run(MESSAGES_EACH)
        });
        let report = report.unwrap_or_else(|what| panic!("{what}"));
        sum.said += report.said;
        sum.heard += report.heard;
        sum.doubled += report.doubled;
        sum.repeats += report.repeats;
    }
    println!("seeds {asked:?}: {sum:?}");
    if asked == SEEDS {
        // Chance has made something of each kind happen.
        assert!(sum.said > 3_000 && sum.heard > 10_000, "{sum:?}");
        assert!(sum.repeats > 1_000 && sum.doubled > 100, "{sum:?}");
    }
}
