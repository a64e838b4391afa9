//! MQTT-SN on a network that loses, doubles and reorders 30 of 100 datagrams each way.

use std::net::SocketAddr;

use super::{asked_for, run};
use ringbus::base::Nanos;
use ringbus::io::sim::Sim;
use ringbus::shard::{Advertise, ShardConfig, SnConfig};
use ringbus_tests::simulation::{Plan, SnReport, SnWorld};

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

/// A network that loses nothing hears the gateway at once and then at every interval, from one of
/// its shards and from no other.
#[test]
fn a_gateway_says_in_virtual_time_that_it_is_there() {
    let here = SocketAddr::from(([10, 0, 0, 255], 1884));
    for seed in asked_for(0..30) {
        let plan = Plan::new(seed);
        let config = ShardConfig {
            sn: SnConfig {
                advertise: Advertise {
                    to: vec![(0, here)],
                    interval_seconds: 900,
                },
                ..SnConfig::default()
            },
            ..plan.shard_config()
        };
        let mut sim = Sim::new(config, plan.mailbox_capacity, plan.faults, seed);
        for hours in 1..4 {
            sim.run_until(Nanos::from_secs(hours * 3600 - 60));
            let heard = std::iter::from_fn(|| sim.receive_datagram(here));
            let heard: Vec<_> = heard.collect();
            // ADVERTISE, GwId 1, 900 s.
            assert_eq!(heard, vec![[5, 0, 1, 3, 132]; 4], "seed {seed}");
        }
    }
}
