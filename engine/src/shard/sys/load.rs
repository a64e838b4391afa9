//! Load averages, as Mosquitto keeps them: events a minute, smoothed over 1, 5 and 15 minutes.

use crate::base::Nanos;

const SECONDS_PER_MINUTE: f64 = 60.0;
const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

/// The averages of one number that only grows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    total: u64,
    averages: [f64; MINUTES.len()],
}

impl Load {
    /// The number is `total` now; it was given last `span` ago.
    pub(super) fn update(&mut self, total: u64, span: Nanos) {
        let seconds = span.to_duration().as_secs_f64();
        let grown = total.saturating_sub(self.total);
        self.total = total;
        if seconds == 0.0 {
            return;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "an average, shown with two decimals"
        )]
        let rate = grown as f64 * SECONDS_PER_MINUTE / seconds;
        for (average, minutes) in self.averages.iter_mut().zip(MINUTES) {
            let kept = (-seconds / (minutes * SECONDS_PER_MINUTE)).exp();
            *average = rate + kept * (*average - rate);
        }
    }

    /// Over 1, 5 and 15 minutes, each a minute.
    pub(super) fn averages(&self) -> [f64; MINUTES.len()] {
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(load: &Load) -> [String; 3] {
        load.averages().map(|average| format!("{average:.2}"))
    }

    /// The figures were computed by hand: 600 in 10 s are 3,600 a minute, of which the averages take
    /// 1 − e^(−1/6), 1 − e^(−1/30) and 1 − e^(−1/90); then they decay by the same powers of e.
    #[test]
    fn averages_rise_and_decay_exponentially() {
        let mut load = Load::default();
        load.update(600, Nanos::from_secs(10));
        assert_eq!(shown(&load), ["552.67", "118.02", "39.78"]);
        load.update(600, Nanos::from_secs(10));
        assert_eq!(shown(&load), ["467.82", "114.15", "39.34"]);
    }

    #[test]
    fn a_steady_rate_is_what_they_come_to() {
        let mut load = Load::default();
        for tick in 1..2_000 {
            load.update(tick * 50, Nanos::from_secs(10));
        }
        assert_eq!(shown(&load), ["300.00"; 3]);
    }

    #[test]
    fn no_time_is_no_rate() {
        let mut load = Load::default();
        load.update(5, Nanos::ZERO);
        assert_eq!(load.averages(), [0.0; 3]);
    }
}
