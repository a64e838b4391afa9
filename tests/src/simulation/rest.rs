//! Waiting until a simulated broker rests, and that it keeps nothing then.

use ringbus::base::Nanos;
use ringbus::io::sim::Sim;

use super::plan::Plan;

/// A broker in which whatever can overtake does: mailboxes take one batch.
pub(super) fn narrow_sim(seed: u64) -> Sim {
    let plan = Plan::new(seed);
    let mut config = plan.shard_config();
    config.queue_bytes = 1 << 24;
    Sim::new(config, 1, plan.faults, seed)
}

/// Clients at a simulated broker.
pub(super) trait Inhabited {
    /// The broker.
    fn sim(&self) -> &Sim;

    /// Time passes, and clients read what came.
    ///
    /// # Errors
    /// What a client must not get.
    fn pass(&mut self, span: Nanos) -> Result<(), String>;

    /// How much clients have got.
    fn heard(&self) -> usize;

    /// Time until nothing is under way, also to clients: the longest delay is 100 ms.
    ///
    /// # Errors
    /// That of [`Inhabited::pass`], or what goes on and on.
    fn settle(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..10_000 {
            let heard = self.heard();
            self.pass(Nanos::from_millis(10))?;
            let is_quiet = !self.sim().is_busy() && heard == self.heard();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == 30 {
                return Ok(());
            }
        }
        Err(format!("no rest: {:?}", self.sim().unrest()))
    }
}

/// Checks that no shard keeps anything of clients that have left.
///
/// # Errors
/// What is kept.
pub(super) fn check_leaks(sim: &Sim) -> Result<(), String> {
    for shard in 0..sim.shard_count() {
        let leaks = sim.shard(shard).leaks();
        if !leaks.is_none() {
            return Err(format!("shard {shard} keeps {leaks:?}"));
        }
    }
    Ok(())
}
