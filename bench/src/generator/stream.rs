//! A publisher's stream of messages to one topic, and how far its subscribers are.

use super::wire::Template;
use std::collections::VecDeque;

/// One stream.
pub struct Stream {
    /// Connection that publishes it
    pub connection: usize,
    /// Its encoded messages
    pub template: Template,
    /// Sequence of the next message
    pub sent: u64,
    /// Messages it may send before this sequence: the window, the plan, or no end
    pub allowed: u64,
    /// When its last write left, for ping-pong
    pub sent_at: u64,
    /// Whether it waits in the list of streams that may send
    pub queued: bool,
    /// How far the slowest subscriber is
    pub floor: Floor,
}

/// The sequence below which every subscriber has received (or lost) everything.
#[derive(Debug)]
pub struct Floor {
    subscribers: u32,
    step: u64,
    reached: u64,
    /// How many subscribers passed reached + step, reached + 2 step, …
    passed: VecDeque<u32>,
}

impl Floor {
    /// Of `subscribers` subscribers, in steps of `step` messages if there are several.
    pub fn new(subscribers: u32, step: u64) -> Self {
        Self {
            subscribers,
            step,
            reached: 0,
            passed: VecDeque::new(),
        }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> u32 {
        self.subscribers
    }

    /// The floor.
    #[inline]
    pub fn get(&self) -> u64 {
        self.reached
    }

    /// One subscriber moved on; returns whether the floor rose.
    #[inline]
    pub fn advance(&mut self, before: u64, after: u64) -> bool {
        if self.subscribers == 1 {
            self.reached = after;
            return true;
        }
        if before / self.step == after / self.step {
            false
        } else {
            self.pass(before, after)
        }
    }

    fn pass(&mut self, before: u64, after: u64) -> bool {
        let base = self.reached / self.step;
        for level in before / self.step + 1..=after / self.step {
            let Some(index) = level.checked_sub(base + 1) else {
                continue;
            };
            let index = usize::try_from(index).expect("a window fits into memory");
            if self.passed.len() <= index {
                self.passed.resize(index + 1, 0);
            }
            self.passed[index] += 1;
        }
        let mut rose = false;
        while self
            .passed
            .front()
            .is_some_and(|&count| count >= self.subscribers)
        {
            self.passed.pop_front();
            self.reached += self.step;
            rose = true;
        }
        rose
    }

    /// Gives up on everything before `sequence`: it is lost.
    pub fn abandon(&mut self, sequence: u64) {
        if self.subscribers == 1 {
            self.reached = self.reached.max(sequence);
            return;
        }
        while self.reached + self.step <= sequence {
            self.passed.pop_front();
            self.reached += self.step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_is_the_floor() {
        let mut floor = Floor::new(1, 16);
        assert!(floor.advance(0, 3));
        assert_eq!(floor.get(), 3);
    }

    #[test]
    fn the_slowest_of_several_is_the_floor() {
        let mut floor = Floor::new(3, 4);
        assert!(!floor.advance(0, 12));
        assert!(!floor.advance(0, 5));
        assert!(!floor.advance(0, 3));
        assert_eq!(floor.get(), 0);
        assert!(floor.advance(3, 9));
        assert_eq!(floor.get(), 4);
        assert!(floor.advance(5, 9));
        assert_eq!(floor.get(), 8);
    }

    #[test]
    fn the_floor_of_several_equals_the_least_of_them_rounded_down() {
        let mut floor = Floor::new(3, 4);
        let mut at = [0u64; 3];
        let mut seed = 1u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let who = usize::try_from(seed >> 33).unwrap() % 3;
            let after = at[who] + (seed >> 60);
            floor.advance(at[who], after);
            at[who] = after;
            assert_eq!(floor.get(), at.iter().min().unwrap() / 4 * 4);
        }
    }

    #[test]
    fn what_is_abandoned_no_longer_holds_the_floor() {
        let mut floor = Floor::new(2, 4);
        floor.advance(0, 8);
        floor.abandon(12);
        assert_eq!(floor.get(), 12);
        assert!(!floor.advance(0, 13));
        floor.advance(8, 16);
        assert!(floor.advance(13, 16));
        assert_eq!(floor.get(), 16);
    }
}
