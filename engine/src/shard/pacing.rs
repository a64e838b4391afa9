//! Turn pacing: a busy shard waits a little before a turn, so that the turn carries more.
//!
//! A broker that answers every small write at once spends its time on system calls that carry one
//! message each. While the load is high enough that a wait of 50 µs gathers at least eight
//! messages, this controller looks for the wait that serves best: windows of at least 24 turns and
//! 3 ms are rated by `ln(rate) − 0.35·ln(CPU per message)`; one neighbouring level is tried for
//! one window; it is kept if it gains (or, going down, does not lose), else the direction turns and
//! the controller rests. Below that load it never waits and forgets what it had learnt, so an idle
//! shard answers at once.

use crate::base::Nanos;

/// How to wait for the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Until something happens.
    Block,
    /// This long, outside the ring, whatever happens.
    Sleep(Nanos),
}

const LEVELS_US: [u32; 8] = [0, 10, 20, 50, 100, 200, 400, 800];
const FIRST_LEVEL: usize = 4;
/// The load average forgets with this time constant.
const MEMORY_NANOS: f64 = 300_000.0;
/// The load is worth pacing when this span brings [`WORTH_MESSAGES`].
const WORTH_SPAN_NANOS: f64 = 50_000.0;
const WORTH_MESSAGES: f64 = 8.0;
const WINDOW_TURNS_MIN: u32 = 24;
const WINDOW_MIN: Nanos = Nanos::from_micros(3_000);
const CPU_WEIGHT: f64 = 0.35;
const GAIN_UP: f64 = 0.01;
const LOSS_DOWN: f64 = 0.01;
const REST_WINDOWS: [u32; 4] = [4, 8, 16, 32];

/// The controller of one shard.
#[derive(Debug)]
pub(super) struct Pacing {
    levels: usize,
    last_turn: Nanos,
    last_work: u64,
    // Messages per nanosecond, lately.
    load: f64,
    search: Search,
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    started: Nanos,
    cpu: Nanos,
    work: u64,
    turns: u32,
}

/// A hill climb over the levels.
#[derive(Clone, Copy, Debug)]
struct Search {
    level: usize,
    /// The smoothed utility of `level`.
    utility: Option<f64>,
    probing: Option<usize>,
    goes_up: bool,
    failures: usize,
    rest: u32,
}

impl Search {
    fn new(levels: usize) -> Self {
        Self {
            level: FIRST_LEVEL.min(levels - 1),
            utility: None,
            probing: None,
            goes_up: true,
            failures: 0,
            rest: 0,
        }
    }
}

impl Pacing {
    /// A controller whose longest wait is `pace_us_max` microseconds; 0 turns it off.
    pub(super) fn new(pace_us_max: u32) -> Self {
        let levels = LEVELS_US
            .iter()
            .filter(|&&level| level <= pace_us_max)
            .count();
        Self {
            levels,
            last_turn: Nanos::ZERO,
            last_work: 0,
            load: 0.0,
            search: Search::new(levels),
            window: None,
        }
    }

    /// A turn is over; `work` counts all messages and mail so far, `cpu` tells this thread's CPU
    /// time and is asked once a window.
    pub(super) fn end_of_turn(
        &mut self,
        now: Nanos,
        work: u64,
        cpu: impl FnOnce() -> Nanos,
    ) -> Pace {
        if self.levels <= 1 {
            return Pace::Block;
        }
        self.note_load(now, work);
        if self.load * WORTH_SPAN_NANOS < WORTH_MESSAGES {
            self.window = None;
            self.search = Search::new(self.levels);
            return Pace::Block;
        }
        self.note_turn(now, work, cpu);
        match LEVELS_US[self.search.probing.unwrap_or(self.search.level)] {
            0 => Pace::Block,
            micros => Pace::Sleep(Nanos::from_micros(u64::from(micros))),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a turn's counts and times are far below 2^52"
    )]
    fn note_load(&mut self, now: Nanos, work: u64) {
        let span = (now - self.last_turn).0 as f64;
        let messages = (work - self.last_work) as f64;
        self.load = (self.load * MEMORY_NANOS + messages) / (MEMORY_NANOS + span);
        self.last_turn = now;
        self.last_work = work;
    }

    fn note_turn(&mut self, now: Nanos, work: u64, cpu: impl FnOnce() -> Nanos) {
        let Some(window) = &mut self.window else {
            self.window = Some(Window {
                started: now,
                cpu: cpu(),
                work,
                turns: 0,
            });
            return;
        };
        window.turns += 1;
        if window.turns < WINDOW_TURNS_MIN || now - window.started < WINDOW_MIN {
            return;
        }
        let ended = *window;
        let cpu = cpu();
        self.window = Some(Window {
            started: now,
            cpu,
            work,
            turns: 0,
        });
        if let Some(utility) = utility(&ended, now, work, cpu) {
            self.search.judge(utility, self.levels);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a window's counts and times are far below 2^52"
)]
fn utility(window: &Window, now: Nanos, work: u64, cpu: Nanos) -> Option<f64> {
    let messages = (work - window.work) as f64;
    let elapsed = (now - window.started).0 as f64;
    let busy = (cpu - window.cpu).0 as f64;
    if messages < 1.0 || busy < 1.0 {
        return None;
    }
    Some((messages / elapsed).ln() - CPU_WEIGHT * (busy / messages).ln())
}

impl Search {
    fn judge(&mut self, utility: f64, levels: usize) {
        let Some(probed) = self.probing.take() else {
            self.utility = Some(self.utility.map_or(utility, |old| (old + utility) / 2.0));
            self.rest = self.rest.saturating_sub(1);
            if self.rest == 0 {
                self.probing = self.neighbour(levels);
            }
            return;
        };
        let gain = utility
            - self
                .utility
                .expect("a level is rated before a neighbour is tried");
        let is_better = if probed > self.level {
            gain > GAIN_UP
        } else {
            gain > -LOSS_DOWN
        };
        if is_better {
            self.level = probed;
            self.utility = Some(utility);
            self.failures = 0;
        } else {
            self.goes_up = !self.goes_up;
            self.rest = REST_WINDOWS[self.failures.min(REST_WINDOWS.len() - 1)];
            self.failures += 1;
        }
    }

    fn neighbour(&mut self, levels: usize) -> Option<usize> {
        if self.goes_up && self.level + 1 == levels {
            self.goes_up = false;
        } else if !self.goes_up && self.level == 0 {
            self.goes_up = true;
        }
        if self.goes_up {
            Some(self.level + 1)
        } else {
            self.level.checked_sub(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LEVELS_US, Pace, Pacing};
    use crate::base::Nanos;

    /// A machine that is at its best when turns wait `best_us`: each doubling away from that costs
    /// a fifth of the rate and a quarter more CPU per message.
    struct Plant {
        best_us: u32,
        now: u64,
        cpu: u64,
        work: u64,
    }

    impl Plant {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a model, in whole nanoseconds"
        )]
        fn turn(&mut self, wait_us: u32) {
            let doublings = |us: u32| f64::from(us.max(5)).log2();
            let off = (doublings(wait_us) - doublings(self.best_us)).abs();
            let per_message = 500.0 * 1.25_f64.powf(off);
            let per_nanosecond = 0.001 * 0.8_f64.powf(off);
            let span = u64::from(wait_us) * 1_000 + 30_000;
            let messages = (span as f64 * per_nanosecond) as u64;
            self.now += span;
            self.work += messages;
            self.cpu += (messages as f64 * per_message) as u64;
        }
    }

    fn micros(pace: Pace) -> u32 {
        match pace {
            Pace::Block => 0,
            Pace::Sleep(span) => u32::try_from(span.0 / 1_000).unwrap(),
        }
    }

    /// Runs some turns and returns how many of the last half waited each level.
    fn run(pacing: &mut Pacing, plant: &mut Plant, turns: u32) -> Vec<u32> {
        let mut counts = vec![0; LEVELS_US.len()];
        let mut wait_us = 0;
        for turn in 0..turns {
            plant.turn(wait_us);
            let pace = pacing.end_of_turn(Nanos(plant.now), plant.work, || Nanos(plant.cpu));
            wait_us = micros(pace);
            if turn >= turns / 2 {
                counts[LEVELS_US
                    .iter()
                    .position(|&level| level == wait_us)
                    .unwrap()] += 1;
            }
        }
        counts
    }

    #[test]
    fn it_finds_the_wait_that_serves_best_and_follows_it() {
        let mut pacing = Pacing::new(800);
        let mut plant = Plant {
            best_us: 20,
            now: 0,
            cpu: 0,
            work: 0,
        };
        for best_us in [800, 200, 10, 50, 400, 100, 0, 20] {
            plant.best_us = best_us;
            let counts = run(&mut pacing, &mut plant, 40_000);
            let best = LEVELS_US
                .iter()
                .position(|&level| level == best_us)
                .unwrap();
            assert!(
                counts[best] > 14_000,
                "best {best_us} µs: {counts:?} of 20,000"
            );
        }
    }

    #[test]
    fn a_light_load_never_waits_and_a_lower_bound_holds() {
        let mut pacing = Pacing::new(200);
        let (mut now, mut work) = (0, 0);
        for _ in 0..10_000 {
            now += 20_000;
            work += 1;
            let pace = pacing.end_of_turn(Nanos(now), work, || Nanos(now));
            assert_eq!(pace, Pace::Block, "50k messages a second are a light load");
        }
        let mut bounded = Pacing::new(50);
        let mut plant = Plant {
            best_us: 200,
            now: 0,
            cpu: 0,
            work: 0,
        };
        let counts = run(&mut bounded, &mut plant, 40_000);
        assert_eq!(counts[4..], [0; 4]);
        let mut off = Pacing::new(0);
        assert_eq!(run(&mut off, &mut plant, 1_000)[0], 500);
    }
}
