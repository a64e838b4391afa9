//! One run: a script drawn from the seed, points of rest at which the model is asked, and an end
//! at which nothing may be left.

use ringbus::base::Nanos;
use ringbus::io::sim::{Chance, Sim};
use ringbus::shard::ShardConfig;
use ringbus_protocols::mqtt::{QoS, Version};

use super::chaos::Strangers;
use super::client::{Client, Publication};
use super::plan::{self, Plan};
use crate::model::{ConnectSpec, Leave, Model};

/// Virtual time in which everything must come to rest, a frozen shard included.
const REST_SECONDS_MAX: u64 = 300;

/// How long a shard stands still.
const FROZEN: Nanos = Nanos::from_secs(10);

/// How long nothing must be under way; clients ping at least every 30 seconds.
const QUIET: Nanos = Nanos(400_000_000);

/// What a run that found nothing wrong did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Client operations.
    pub operations: usize,
    /// Batches of mail between shards.
    pub mail_batches: u64,
    /// Batches that found a full queue.
    pub refusals: u64,
    /// Shards that stood still for ten seconds.
    pub freezes: u64,
    /// Turns of all shards.
    pub turns: u64,
    /// Paced waits of all shards.
    pub paced: u64,
    /// Messages published, wills included.
    pub messages: usize,
    /// PUBLISH packets that shards handled in runs.
    pub in_runs: u64,
    /// Copies that clients received.
    pub deliveries: u64,
    /// Copies that a queue bound kept from arriving.
    pub missing: u64,
}

/// The world of one seed.
pub struct World {
    plan: Plan,
    config: ShardConfig,
    sim: Sim,
    model: Model,
    clients: Vec<Client>,
    strangers: Strangers,
    chance: Chance,
    operations: usize,
    frozen_until: Nanos,
    freezes: u64,
}

impl World {
    /// The world as it is before the first operation.
    #[must_use]
    pub fn new(plan: Plan) -> World {
        let mut chance = Chance::new(plan.seed);
        let config = plan.shard_config();
        let sim = Sim::new(
            config.clone(),
            plan.mailbox_capacity,
            plan.faults.clone(),
            chance.draw(),
        );
        let clients = plan.profiles.iter().enumerate();
        let mut model = Model::new(plan.profiles.len(), plan.lossy);
        if plan.trace {
            model.trace();
        }
        World {
            model,
            clients: clients
                .map(|(at, profile)| Client::new(at, profile.clone()))
                .collect(),
            strangers: Strangers::default(),
            operations: 0,
            frozen_until: Nanos(0),
            freezes: 0,
            sim,
            config,
            plan,
            chance,
        }
    }

    /// Runs the whole script.
    ///
    /// # Errors
    /// What was wrong, in words.
    pub fn run(mut self) -> Result<Report, String> {
        let mut next_rest = 150;
        while self.operations < self.plan.operations {
            self.operate();
            self.advance();
            if self.operations >= next_rest {
                self.rest();
                next_rest = self.operations + 100 + self.chance.index(200);
            }
            self.verdict()?;
        }
        self.finish()?;
        Ok(self.report())
    }

    fn report(&self) -> Report {
        Report {
            operations: self.operations,
            mail_batches: self.sim.mail_batches(),
            refusals: self.sim.mail_refusals(),
            freezes: self.freezes,
            turns: self.sim.turns(),
            paced: self.sim.paced_waits(),
            messages: self.model.message_count(),
            in_runs: self.sim.in_runs(),
            deliveries: self.model.deliveries(),
            missing: self.model.missing(),
        }
    }

    fn verdict(&self) -> Result<(), String> {
        match self.model.violations() {
            [] => Ok(()),
            [first, ..] => Err(format!("after {} operations, {first}", self.operations)),
        }
    }

    fn operate(&mut self) {
        self.model.at(self.sim.now().0);
        if self.chance.percent(self.plan.freeze_percent) {
            self.freeze();
        }
        let at = self.chance.index(self.clients.len());
        let online = self.clients[at].is_online();
        match self.chance.below(100) {
            0..58 if online => self.publish(at),
            58..67 if online => self.subscribe(at),
            67..71 if online => self.unsubscribe(at),
            71..76 if online => self.leave(at),
            76..80 if online => self.connect(at),
            80..82 if online => self.ping(at),
            82..84 => self.strangers.act(&mut self.sim, &mut self.chance),
            84 if self.chance.percent(30) => self.nap(),
            _ if !online && !self.clients[at].is_connecting() && self.chance.percent(60) => {
                self.connect(at);
            }
            _ => return,
        }
        self.operations += 1;
    }

    fn publish(&mut self, at: usize) {
        if self.chance.percent(self.plan.volley_percent) {
            for publication in plan::volley(&mut self.chance) {
                self.clients[at].publish(&mut self.sim, &mut self.model, publication);
            }
            return;
        }
        if self.chance.percent(15) {
            return self.burst(at);
        }
        for _ in 0..self.chance.range(1, 4) {
            let client = &mut self.clients[at];
            let v5 = client.profile.version.is_v5();
            let mut publication = plan::publication(&mut self.chance, v5, self.plan.lossy);
            // With small queues, QoS 2 messages that wait for PUBREL fill them too.
            let under_way_max: usize = if self.plan.lossy { 4 } else { 60 };
            if client.quota() == 0 || client.outgoing.len() >= under_way_max {
                publication.qos = QoS::AtMostOnce;
            }
            client.publish(&mut self.sim, &mut self.model, publication);
            self.operations += 1;
        }
    }

    /// Several messages to one topic in one go.
    fn burst(&mut self, at: usize) {
        let count = usize::try_from(self.chance.range(2, 12)).expect("few");
        for publication in plan::burst(&mut self.chance, count) {
            self.clients[at].publish(&mut self.sim, &mut self.model, publication);
            self.operations += 1;
        }
    }

    fn subscribe(&mut self, at: usize) {
        let v5 = self.clients[at].profile.version.is_v5();
        let filters = plan::subscriptions(&mut self.chance, v5);
        self.clients[at].subscribe(&mut self.sim, &mut self.model, &filters);
    }

    fn unsubscribe(&mut self, at: usize) {
        let filters: Vec<String> = self.clients[at].filters.iter().cloned().collect();
        if !filters.is_empty() {
            let first = self.chance.index(filters.len());
            let count = 1 + self.chance.index(3);
            let some: Vec<String> = filters.into_iter().skip(first).take(count).collect();
            self.clients[at].unsubscribe(&mut self.sim, &mut self.model, &some);
        }
    }

    fn leave(&mut self, at: usize) {
        let v5 = self.clients[at].profile.version.is_v5();
        let how = match self.chance.below(6) {
            0 | 1 => Leave::Clean,
            2 if v5 => Leave::CleanWithWill,
            3 => Leave::Reset,
            4 => Leave::Abandon,
            _ => Leave::Close,
        };
        self.clients[at].leave(&mut self.sim, &mut self.model, how);
    }

    fn connect(&mut self, at: usize) {
        let spec = plan::connect_spec(&mut self.chance, &self.clients[at].profile);
        self.connect_with(at, &spec);
    }

    fn connect_with(&mut self, at: usize, spec: &ConnectSpec) {
        let shard = self.chance.index(self.sim.shard_count());
        self.clients[at].has_left_connections(&self.sim, &mut self.model);
        self.clients[at].connect(&mut self.sim, &mut self.model, shard, spec);
    }

    fn ping(&mut self, at: usize) {
        self.clients[at].ping(&mut self.sim, &mut self.model, true);
    }

    /// One shard stands still for ten seconds.
    fn freeze(&mut self) {
        if self.sim.now() < self.frozen_until {
            return;
        }
        let shard = self.chance.index(self.sim.shard_count());
        self.model.freeze(shard, (self.sim.now() + FROZEN).0);
        self.sim.freeze(shard, FROZEN);
        self.freezes += 1;
        self.frozen_until = Nanos(self.sim.now().0 + Nanos::from_secs(30).0);
        if self.plan.flood {
            self.flood();
        }
    }

    /// Some clients publish more to one topic than mail may hold.
    fn flood(&mut self) {
        let online = self
            .clients
            .iter()
            .filter(|client| client.is_online())
            .take(2);
        let online: Vec<usize> = online.map(|client| client.at).collect();
        for at in online {
            for publication in plan::flood(&mut self.chance) {
                self.clients[at].publish(&mut self.sim, &mut self.model, publication);
            }
        }
    }

    fn nap(&mut self) {
        let seconds = self.chance.range(1, plan::NAP_SECONDS_MAX);
        self.pass(Nanos::from_secs(seconds));
    }

    /// Lets time pass while the clients go on reading, acknowledging and pinging.
    fn pass(&mut self, duration: Nanos) {
        let end = self.sim.now().0 + duration.0;
        while self.sim.now().0 < end {
            let slice = Nanos(end.min(self.sim.now().0 + 500_000_000));
            self.sim.run_until(slice);
            self.tend(true);
        }
    }

    /// A few turns, and a look at some clients in between.
    fn advance(&mut self) {
        for _ in 0..self.chance.below(14) {
            let limit = Nanos(self.sim.now().0 + 300_000);
            self.sim.step(limit);
            self.model.at(self.sim.now().0);
            let at = self.chance.index(self.clients.len());
            let client = &mut self.clients[at];
            client.poll_some(&mut self.sim, &mut self.model, &mut self.chance);
            client.acknowledge(&mut self.sim, &mut self.model, &mut self.chance, true);
            client.ping(&mut self.sim, &mut self.model, false);
        }
    }

    /// Every client reads all there is.
    fn tend(&mut self, lazy: bool) {
        self.model.at(self.sim.now().0);
        for client in &mut self.clients {
            client.poll(&mut self.sim, &mut self.model, usize::MAX);
            client.acknowledge(&mut self.sim, &mut self.model, &mut self.chance, lazy);
            client.ping(&mut self.sim, &mut self.model, false);
            client.has_left_connections(&self.sim, &mut self.model);
        }
    }

    /// Waits until nothing is under way, then asks the model what must have arrived.
    fn rest(&mut self) {
        let end = self.sim.now().0 + Nanos::from_secs(REST_SECONDS_MAX).0;
        let mut quiet_since = self.sim.now().0;
        while self.sim.now().0 < quiet_since + QUIET.0 {
            self.work();
            self.tend(false);
            if self.sim.is_busy() || self.clients.iter().any(|client| !client.is_idle()) {
                quiet_since = self.sim.now().0;
                if quiet_since > end {
                    return self.report_unrest();
                }
            }
            if !self.model.violations().is_empty() {
                return;
            }
        }
        self.check_left();
        self.model.event(|| "at rest".into());
        self.model.at_rest();
    }

    /// Some turns; time does not jump while a client has something to read.
    fn work(&mut self) {
        for _ in 0..8 {
            let news = self.clients.iter().any(|client| client.has_news(&self.sim));
            let patience = if news { 0 } else { 100_000_000 };
            if !self.sim.step(Nanos(self.sim.now().0 + patience)) {
                return;
            }
        }
    }

    fn report_unrest(&mut self) {
        let busy = self.sim.unrest();
        let waiting = self.clients.iter().filter(|client| !client.is_idle());
        let waiting: Vec<String> = waiting.map(Client::describe).collect();
        self.model.violation(format!(
            "no rest within {REST_SECONDS_MAX} s; busy: {busy:?}; waiting: {waiting:?}"
        ));
    }

    /// A connection that ended, or was taken over, is gone on the server's side too.
    fn check_left(&mut self) {
        for client in &mut self.clients {
            let overdue = client.overdue_connections(&self.sim);
            if overdue > 0 {
                let at = client.at;
                self.model
                    .violation(format!("client {at}: {overdue} old connections remain"));
            }
        }
    }

    /// Everybody comes back for what is theirs, then everything is put away.
    fn finish(&mut self) -> Result<(), String> {
        self.strangers.leave(&mut self.sim);
        self.rest();
        self.verdict()?;
        self.everybody_connects(false);
        self.verdict()?;
        // Past every keep alive and will delay of connections that were abandoned.
        self.pass(Nanos::from_secs(100));
        self.rest();
        self.verdict()?;
        self.clear_retained();
        self.everybody_connects(true);
        self.verdict()?;
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            client.leave(&mut self.sim, &mut self.model, Leave::Clean);
        }
        self.rest();
        // Sessions that were left to expire do.
        self.pass(Nanos::from_secs(70));
        self.rest();
        self.model.check_orders();
        self.check_leaks();
        self.check_drops();
        self.verdict()
    }

    /// `last`: with Clean Start and nothing that outlives the connection, unless it expires soon.
    fn everybody_connects(&mut self, last: bool) {
        for at in 0..self.clients.len() {
            let profile = self.clients[at].profile.clone();
            let mut spec = plan::connect_spec(&mut self.chance, &profile);
            spec.will = None;
            if last {
                let soon = profile.version.is_v5() && profile.expiry_seconds <= 60;
                spec.clean_start = true;
                spec.expiry_seconds = soon.then_some(profile.expiry_seconds).or(Some(0));
            } else if profile.version.is_v5() {
                spec.clean_start = false;
            }
            if last || !self.clients[at].is_online() {
                self.connect_with(at, &spec);
            }
        }
        self.rest();
    }

    fn clear_retained(&mut self) {
        for topic in self.model.retained_topics() {
            let acknowledged = self.clients[0].quota() > 0;
            let publication = Publication {
                topic,
                qos: if acknowledged {
                    QoS::AtLeastOnce
                } else {
                    QoS::AtMostOnce
                },
                retain: true,
                size: 0,
                expiry_seconds: None,
            };
            self.clients[0].publish(&mut self.sim, &mut self.model, publication);
        }
        self.rest();
    }

    fn check_leaks(&mut self) {
        for shard in 0..self.sim.shard_count() {
            let open = self.config.admission.open();
            if open > 0 {
                self.model
                    .violation(format!("{open} connections are still counted"));
            }
            let leaks = self.sim.shard(shard).leaks();
            if leaks != ringbus::shard::Leaks::default() {
                self.model
                    .violation(format!("shard {shard} leaks {leaks:?}"));
            }
        }
    }

    /// Nothing is missing that was not counted.
    fn check_drops(&mut self) {
        let shards = 0..self.sim.shard_count();
        let dropped: u64 = shards
            .map(|shard| self.sim.shard(shard).counters().dropped)
            .sum();
        if self.model.missing() > dropped {
            let missing = self.model.missing();
            self.model.violation(format!(
                "{missing} copies are missing, {dropped} were counted"
            ));
        }
    }
}

impl Client {
    fn describe(&self) -> String {
        let version: Version = self.profile.version;
        format!(
            "client {} ({version}): connecting {}, to send {:?}, unacknowledged {:?}, requests {:?}",
            self.at,
            self.is_connecting(),
            self.held,
            self.outgoing,
            self.pending
        )
    }
}
