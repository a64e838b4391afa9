//! Turn pacing of whole shards under virtual time and virtual CPU time: what `--pace-us` promises.

use ringbus::base::Nanos;
use ringbus::io::sim::Sim;
use ringbus_tests::simulation::Stream;

/// A million messages a second.
const BUSY: Nanos = Nanos::from_micros(1);
const WHILE: Nanos = Nanos::from_millis(20);
const REST: Nanos = Nanos::from_millis(5);
/// Longer than a turn with one message, shorter than any paced wait.
const AT_ONCE: Nanos = Nanos::from_micros(9);

/// Before a load and after it: nothing waits, one turn takes a message in and its delivery out.
#[test]
fn an_idle_shard_answers_in_the_same_turn() {
    let mut stream = Stream::new(1, 200);
    assert_answers_at_once(&mut stream);
    assert_eq!(stream.sim.paced_waits(), 0, "one message a millisecond");
    stream.run(BUSY, WHILE, |_| ());
    assert!(stream.sim.paced_waits() > 0, "a million messages a second");
    stream.pass(REST);
    let before = stream.sim.paced_waits();
    assert_answers_at_once(&mut stream);
    assert_eq!(stream.sim.paced_waits(), before, "the load is over");
}

fn assert_answers_at_once(stream: &mut Stream) {
    for _ in 0..50 {
        let (began, turns) = (stream.sim.now(), stream.sim.turns());
        stream.publish();
        while stream.missing() > 0 {
            stream.sim.step(began + REST);
            stream.receive();
        }
        assert_eq!(stream.sim.turns() - turns, 1, "turns for one message");
        assert!(stream.sim.now() - began < AT_ONCE, "it waited");
        stream.pass(Nanos::from_millis(1));
    }
}

/// Mail that comes while a shard waits is in its next turn, and that follows the wait.
#[test]
fn mail_that_comes_during_a_wait_is_drained_right_after_it() {
    let mut stream = Stream::new(2, 200);
    let mut waits = [None; 2];
    let mut found = 0;
    stream.run(BUSY, WHILE, |sim| {
        for (shard, wait) in waits.iter_mut().enumerate() {
            found += check_wait(sim, shard, wait);
        }
    });
    assert!(found > 20, "mail came only in {found} waits");
    stream.pass(REST);
    assert_eq!(stream.missing(), 0, "messages that did not arrive");
}

/// Follows one wait that mail came in; 1 when it is over, and the mail was drained.
fn check_wait(sim: &Sim, shard: usize, wait: &mut Option<Nanos>) -> u32 {
    // While it is over, the other shard may be in a turn.
    const TURN_MAX: Nanos = Nanos::from_micros(200);
    if let Some(until) = *wait {
        assert!(sim.now() - until < TURN_MAX, "no turn after the wait");
        if sim.paced_until(shard) == Some(until) {
            return 0;
        }
        assert!(!sim.has_mail(shard), "the turn after a wait left mail");
        *wait = None;
        return 1;
    }
    *wait = sim.paced_until(shard).filter(|_| sim.has_mail(shard));
    0
}

/// The same load, with pacing and without: larger turns, less CPU for each message.
#[test]
fn a_busy_shard_does_more_in_a_turn_with_less_cpu() {
    let paced = Cost::of(200);
    let not = Cost::of(0);
    assert_eq!(paced.messages, not.messages, "the load is the same");
    assert!(
        paced.turns * 4 < not.turns,
        "{paced:?} with pacing, {not:?} without"
    );
    assert!(
        paced.cpu.0 * 2 < not.cpu.0,
        "{paced:?} with pacing, {not:?} without"
    );
}

#[derive(Debug)]
struct Cost {
    messages: u64,
    turns: u64,
    cpu: Nanos,
}

impl Cost {
    fn of(pace_us_max: u32) -> Cost {
        let mut stream = Stream::new(1, pace_us_max);
        stream.run(BUSY, WHILE, |_| ());
        stream.pass(REST);
        assert_eq!(stream.missing(), 0, "messages that did not arrive");
        Cost {
            messages: stream.sim.shard(0).counters().delivered,
            turns: stream.sim.turns(),
            cpu: stream.sim.cpu(0),
        }
    }
}

/// This load gains from every longer wait: the bound is reached, not passed.
#[test]
fn no_wait_is_longer_than_pace_us() {
    // Longer waits than 400 µs bring less than one percent at the costs of this stream.
    let expected = [(0, 0), (9, 0), (10, 10), (70, 50), (200, 200), (999, 400)];
    for (pace_us_max, expected_us) in expected {
        let mut stream = Stream::new(1, pace_us_max);
        let mut longest = Nanos::ZERO;
        stream.run(BUSY, WHILE + WHILE, |sim| {
            if let Some(until) = sim.paced_until(0) {
                longest = longest.max(until - sim.now());
            }
        });
        let expected = Nanos::from_micros(expected_us);
        assert_eq!(
            longest, expected,
            "the longest with --pace-us {pace_us_max}"
        );
    }
}
