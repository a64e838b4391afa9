//! Seeded simulation of whole brokers: more than 300 seeds of 2,000 operations and more.
//!
//! `RINGBUS_SIM_TRACE=1` beside it prints what every client sends and gets.
//!
//! A failure says which seed it was and the one command that replays it. More seeds than the test
//! command runs: `RINGBUS_SIM_SEED=0..100000 cargo test -p ringbus-tests --test simulation seeds`.

mod absence;
mod delayed_wills;
mod expiry;
mod group;
mod groups;
mod mqttsn;
mod nats;
mod pacing;
mod silence;
mod sockets;
mod takeovers;

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringbus_tests::simulation::{Plan, Report, World, innocent_goes_on, noise};

const SEEDS: Range<u64> = 0..304;
const FROZEN_SEEDS: Range<u64> = 0..14;
const THREADS: usize = 2;

/// Runs one seed; an error says how to replay it, whatever went wrong.
fn run<T>(test: &str, seed: u64, world: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = catch_unwind(AssertUnwindSafe(world)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("of unknown kind")))
    });
    outcome.map_err(|what| {
        format!(
            "seed {seed}: {what}\nreplay: RINGBUS_SIM_SEED={seed} \
             cargo test -p ringbus-tests --test simulation {test}"
        )
    })
}

/// `RINGBUS_SIM_SEED=7` or `RINGBUS_SIM_SEED=0..1000` instead of those of the test command.
fn asked_for(default: Range<u64>) -> Range<u64> {
    let Ok(asked) = std::env::var("RINGBUS_SIM_SEED") else {
        return default;
    };
    let parse = |text: &str| {
        text.parse::<u64>()
            .expect("RINGBUS_SIM_SEED is SEED or FROM..TO")
    };
    match asked.split_once("..") {
        Some((from, to)) => parse(from)..parse(to),
        None => parse(&asked)..parse(&asked) + 1,
    }
}

/// Runs the seeds in threads until one fails; their reports, or the first failure.
fn run_all(
    test: &str,
    seeds: Range<u64>,
    plan: fn(u64) -> Plan,
) -> Result<Vec<(u64, Report)>, String> {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.load(Ordering::Relaxed) {
                return Ok(done);
            }
            let mut plan = plan(seed);
            plan.trace = std::env::var_os("RINGBUS_SIM_TRACE").is_some();
            match run(test, seed, || World::new(plan).run()) {
                Ok(report) => done.push((seed, report)),
                Err(what) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(what);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().expect("run catches panics")?);
        }
        Ok(all)
    })
}

fn sum(reports: &[(u64, Report)]) -> Report {
    reports
        .iter()
        .fold(Report::default(), |sum, (_, one)| Report {
            operations: sum.operations + one.operations,
            mail_batches: sum.mail_batches + one.mail_batches,
            refusals: sum.refusals + one.refusals,
            freezes: sum.freezes + one.freezes,
            turns: sum.turns + one.turns,
            paced: sum.paced + one.paced,
            messages: sum.messages + one.messages,
            in_runs: sum.in_runs + one.in_runs,
            deliveries: sum.deliveries + one.deliveries,
            missing: sum.missing + one.missing,
        })
}

/// Every subscriber gets exactly what the model says, in every weather, and nothing is left over.
///
/// tests/bugs breaks these on purpose, one at a time, and it is noticed:
/// `[MQTT5-2.2.1-4]` `[MQTT5-3.1.2-8]` `[MQTT5-3.1.2-22]` `[MQTT5-3.1.2-23]` `[MQTT5-3.1.3-9]`
/// `[MQTT5-3.1.4-3]` `[MQTT5-3.3.1-1]` `[MQTT5-3.3.1-6]` `[MQTT5-3.3.1-10]` `[MQTT5-3.3.1-13]`
/// `[MQTT5-3.3.2-5]` `[MQTT5-3.3.4-2]` `[MQTT5-3.3.4-9]` `[MQTT5-3.8.3-3]` `[MQTT5-3.8.4-8]`
/// `[MQTT5-3.14.4-3]` `[MQTT5-4.1.0-2]` `[MQTT5-4.3.2-1]` `[MQTT5-4.3.3-1]` `[MQTT5-4.3.3-12]`
/// `[MQTT5-4.4.0-1]` `[MQTT5-4.7.2-1]`
#[test]
fn seeds() {
    let asked = asked_for(SEEDS);
    let reports =
        run_all("seeds", asked.clone(), Plan::new).unwrap_or_else(|what| panic!("{what}"));
    for (seed, report) in &reports {
        assert!(
            report.operations >= 2_000,
            "seed {seed} did only {}",
            report.operations
        );
        assert!(report.deliveries > 0, "seed {seed} delivered nothing");
        let shards = Plan::new(*seed).shards;
        assert_eq!(
            report.mail_batches > 0,
            shards > 1,
            "seed {seed}: mail with {shards} shards"
        );
    }
    let sum = sum(&reports);
    let paced_seeds = reports.iter().filter(|(_, report)| report.paced > 0);
    assert!(
        asked != SEEDS || paced_seeds.count() > 50,
        "hardly a turn was paced: {sum:?}"
    );
    assert!(sum.in_runs > 0, "no messages came in runs");
    println!("seeds {asked:?}: {sum:?}");
}

/// Mailboxes of one batch, one shard after the other frozen for ten seconds: all resume, and
/// nothing was lost.
#[test]
fn frozen_shards_and_full_mailboxes() {
    let asked = asked_for(FROZEN_SEEDS);
    let reports = run_all(
        "frozen_shards_and_full_mailboxes",
        asked.clone(),
        Plan::frozen,
    )
    .unwrap_or_else(|what| panic!("{what}"));
    for (seed, report) in &reports {
        assert!(report.freezes > 0, "seed {seed} froze no shard");
    }
    let sum = sum(&reports);
    assert!(sum.refusals > 0, "no mailbox was ever full");
    println!("seeds {asked:?}: {sum:?}");
}

/// Whatever a client sends, before or after its CONNECT, another one does not notice.
#[test]
fn any_bytes_leave_an_innocent_connection_alone() {
    for seed in asked_for(0..5_000) {
        let bytes = noise(seed);
        let tried = catch_unwind(AssertUnwindSafe(|| innocent_goes_on(&bytes)));
        assert!(
            tried.is_ok(),
            "seed {seed}: {bytes:?}\nreplay: RINGBUS_SIM_SEED={seed} \
             cargo test -p ringbus-tests --test simulation any_bytes"
        );
    }
}

/// The fuzzer starts from the same bytes. `RINGBUS_CORPUS=write` writes them anew.
#[test]
fn the_corpus_of_the_fuzzer_is_what_noise_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/connection");
    for seed in 0..48 {
        let file = folder.join(format!("noise-{seed:02}"));
        if std::env::var("RINGBUS_CORPUS").is_ok_and(|order| order == "write") {
            fs::create_dir_all(&folder).expect("the corpus is in the checkout");
            fs::write(&file, noise(seed)).expect("the corpus is in the checkout");
        }
        let kept = fs::read(&file).expect("each seed has its file");
        assert_eq!(kept, noise(seed), "{} is stale", file.display());
    }
}

/// A shard that panics is not swallowed: the run fails and says which seed it was.
#[test]
fn a_panic_is_reported_with_its_seed() {
    let what = run::<Report>("seeds", 7, || panic!("half-alive")).expect_err("it panicked");
    assert!(what.contains("half-alive"), "{what}");
    assert!(what.contains("RINGBUS_SIM_SEED=7 cargo test"), "{what}");
}
