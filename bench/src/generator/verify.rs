//! What became of each message: received once, lost, twice, or out of order.

use std::collections::VecDeque;
use std::ops::Range;

/// Gaps remembered per subscriber and stream; older ones count as lost for good.
const GAPS_MAX: usize = 4096;

/// What one subscriber has seen of one stream.
#[derive(Debug, Default)]
pub struct Track {
    /// One more than the highest sequence seen
    next: u64,
    /// Below `next` and not seen, ascending
    gaps: VecDeque<Range<u64>>,
}

/// How a message fits into its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or one after a gap
    New,
    /// One that a gap was waiting for: it was overtaken
    Late,
    /// One that was here before
    Duplicate,
    /// One that this subscriber should not get at all
    Unwanted,
}

impl Track {
    /// The track of a stream that the subscriber did not subscribe to.
    pub fn unwanted() -> Self {
        Self {
            next: u64::MAX,
            gaps: VecDeque::new(),
        }
    }

    /// One more than the highest sequence seen.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Notes the message `sequence`.
    #[inline]
    pub fn arrive(&mut self, sequence: u64) -> Arrival {
        if sequence == self.next && sequence < u64::MAX {
            self.next += 1;
            return Arrival::New;
        }
        self.arrive_out_of_turn(sequence)
    }

    #[cold]
    fn arrive_out_of_turn(&mut self, sequence: u64) -> Arrival {
        if self.next == u64::MAX || sequence == u64::MAX {
            return Arrival::Unwanted;
        }
        if sequence > self.next {
            if self.gaps.len() == GAPS_MAX {
                self.gaps.pop_front();
            }
            self.gaps.push_back(self.next..sequence);
            self.next = sequence + 1;
            return Arrival::New;
        }
        let after = self.gaps.partition_point(|gap| gap.start <= sequence);
        let Some(index) = after
            .checked_sub(1)
            .filter(|&i| self.gaps[i].contains(&sequence))
        else {
            return Arrival::Duplicate;
        };
        let gap = self.gaps.remove(index).expect("the index was found");
        for rest in [sequence + 1..gap.end, gap.start..sequence] {
            if !rest.is_empty() {
                self.gaps.insert(index, rest);
            }
        }
        Arrival::Late
    }
}

/// Deliveries of a run, over all subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Received once: duplicates excluded
    pub received: u64,
    /// Received again
    pub duplicated: u64,
    /// Received after a later one of the same publisher
    pub reordered: u64,
    /// Not of this run, or not for this subscriber
    pub foreign: u64,
    /// Refusals and goodbyes of the broker
    pub refused: u64,
}

impl Tally {
    /// Counts one arrival.
    #[inline]
    pub fn count(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::New => self.received += 1,
            Arrival::Late => {
                self.received += 1;
                self.reordered += 1;
            }
            Arrival::Duplicate => self.duplicated += 1,
            Arrival::Unwanted => self.foreign += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sequences: &[u64]) -> Tally {
        let (mut track, mut tally) = (Track::default(), Tally::default());
        for &sequence in sequences {
            tally.count(track.arrive(sequence));
        }
        tally
    }

    #[test]
    fn messages_in_order_are_new() {
        assert_eq!(
            tally(&[0, 1, 2, 3]),
            Tally {
                received: 4,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn a_lost_message_is_not_received() {
        assert_eq!(
            tally(&[0, 1, 3, 4]),
            Tally {
                received: 4,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn an_overtaken_message_is_reordered_and_not_lost() {
        let expected = Tally {
            received: 5,
            reordered: 1,
            ..Tally::default()
        };
        assert_eq!(tally(&[0, 1, 3, 4, 2]), expected);
    }

    #[test]
    fn a_second_copy_is_a_duplicate_also_of_an_overtaken_message() {
        let expected = Tally {
            received: 4,
            duplicated: 3,
            reordered: 1,
            ..Tally::default()
        };
        assert_eq!(tally(&[0, 0, 1, 3, 2, 2, 1]), expected);
    }

    #[test]
    fn every_order_of_a_gap_fills_it() {
        for late in [
            [1, 2, 3],
            [1, 3, 2],
            [2, 1, 3],
            [2, 3, 1],
            [3, 1, 2],
            [3, 2, 1],
        ] {
            let mut sequences = vec![0, 4];
            sequences.extend(late);
            sequences.extend(late);
            let expected = Tally {
                received: 5,
                duplicated: 3,
                reordered: 3,
                ..Tally::default()
            };
            assert_eq!(tally(&sequences), expected, "{late:?}");
        }
    }

    #[test]
    fn a_stream_nobody_subscribed_to_is_foreign() {
        let (mut track, mut tally) = (Track::unwanted(), Tally::default());
        tally.count(track.arrive(0));
        tally.count(track.arrive(u64::MAX));
        assert_eq!(
            tally,
            Tally {
                foreign: 2,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn remembered_gaps_are_bounded() {
        let mut track = Track::default();
        for sequence in (1..3 * GAPS_MAX as u64).step_by(2) {
            track.arrive(sequence);
        }
        assert_eq!(track.gaps.len(), GAPS_MAX);
        assert_eq!(track.arrive(0), Arrival::Duplicate);
    }
}
