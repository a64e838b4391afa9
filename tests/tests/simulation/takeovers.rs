//! Takeovers in flight: no packet identifier is ever acknowledged for another message.

use super::asked_for;
use ringbus_tests::simulation::take_over;

const SEEDS: std::ops::Range<u64> = 0..20;
const TAKEOVERS: usize = 500;

/// 10,000 Clean Starts of one client identifier, on two to four shards that stand still now and
/// then, each while QoS 1 and 2 messages of the connection before are under way.
///
/// `[MQTT5-3.1.2-4]` `[MQTT5-3.1.4-3]` `[MQTT311-3.1.2-6]` `[MQTT311-3.1.4-2]`
#[test]
fn takeovers_in_flight_never_acknowledge_another_message() {
    let asked = asked_for(SEEDS);
    let (mut takeovers, mut outstanding, mut refusals) = (0, 0, 0);
    for seed in asked.clone() {
        let report = take_over(seed, TAKEOVERS).unwrap_or_else(|what| {
            panic!(
                "seed {seed}: {what}\nreplay: RINGBUS_SIM_SEED={seed} \
                 cargo test -p ringbus-tests --test simulation takeovers"
            )
        });
        assert!(
            report.acknowledgements > TAKEOVERS,
            "seed {seed}: {report:?}"
        );
        takeovers += report.takeovers;
        outstanding += report.outstanding;
        refusals += report.refusals;
    }
    println!(
        "seeds {asked:?}: {takeovers} takeovers, {outstanding} in flight, {refusals} refusals"
    );
    assert!(asked != SEEDS || takeovers >= 10_000, "{takeovers}");
    assert!(outstanding * 2 > takeovers, "{outstanding} in flight only");
    assert!(refusals > 0, "no mailbox was ever full");
}
