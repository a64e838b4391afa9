//! Clients of MQTT-SN on a network that loses, doubles and reorders: what they say at QoS 1
//! arrives, and at QoS 2 it arrives once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ringbus::base::Nanos;
use ringbus::io::sim::{Chance, DatagramFaults, Sim};
use ringbus::shard::{ShardConfig, SnConfig};
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::Settings;

use super::plan::Plan;
use super::rest::check_leaks;
use super::sn_client::{SnClient, Wish};

const TOPICS: [&str; 4] = ["sn/one", "sn/two", "s3", "s4"];
/// The filters that clients subscribe to, of which each topic matches exactly one.
const FILTERS: [&str; 3] = ["sn/+", "s3", "s4"];
const STEP: Nanos = Nanos::from_millis(20);
const STEPS_MAX: usize = 60_000;

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnReport {
    /// Messages said.
    pub said: usize,
    /// Messages heard, each by each.
    pub heard: usize,
    /// Those of them that were heard more than once, at QoS 1.
    pub doubled: usize,
    /// Datagrams that clients sent again.
    pub repeats: usize,
}

/// A broker and its clients.
pub struct SnWorld {
    sim: Sim,
    chance: Chance,
    clients: Vec<SnClient>,
    /// What each asked for.
    qos: Vec<QoS>,
    /// Those that sleep when they have nothing to say.
    sleepers: Vec<bool>,
    /// Each message: its topic's number and at which QoS.
    said: BTreeMap<String, (usize, QoS)>,
}

impl SnWorld {
    /// A broker of so many shards, and clients that do not know each other.
    #[must_use]
    pub fn new(seed: u64, shards: u16) -> Self {
        let plan = Plan {
            shards,
            ..Plan::new(seed)
        };
        let config = ShardConfig {
            sn: SnConfig {
                gateway: Settings {
                    retry_ns: 400_000_000,
                    // A client that is there is never lost.
                    retries: 60,
                    ..Settings::default()
                },
                ..SnConfig::default()
            },
            queue_bytes: 1 << 24,
            ..plan.shard_config()
        };
        let mut sim = Sim::new(config, plan.mailbox_capacity, plan.faults, seed);
        sim.set_datagram_faults(DatagramFaults {
            drop_percent: 30,
            duplicate_percent: 30,
            reorder_percent: 30,
            late_max: Nanos::from_millis(60),
        });
        let mut chance = Chance::new(seed ^ 0x5EA5);
        let count = usize::try_from(chance.range(3, 6)).expect("a few");
        let clients = (0..count).map(|number| {
            let port = 40_000 + u16::try_from(number).expect("a few");
            let address = SocketAddr::from(([10, 0, 0, 1], port));
            SnClient::new(&format!("sn-{number}"), address)
        });
        let clients = clients.collect();
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce];
        Self {
            sim,
            clients,
            qos: (0..count).map(|_| *chance.pick(&qos)).collect(),
            // One at least.
            sleepers: (0..count).map(|at| at == 0 || chance.percent(30)).collect(),
            said: BTreeMap::new(),
            chance,
        }
    }

    /// Everybody says so much, and hears what the others say.
    ///
    /// # Errors
    /// Somebody missed something, or heard at QoS 2 what was not said once; or somebody waits for
    /// ever; or the broker keeps something of those who left.
    pub fn run(mut self, messages_each: usize) -> Result<SnReport, String> {
        for (client, &qos) in self.clients.iter_mut().zip(&self.qos) {
            for filter in FILTERS {
                client.wish(Wish::Subscribe(filter.to_owned(), qos));
            }
            for topic in TOPICS.iter().filter(|topic| topic.len() > 2) {
                client.wish(Wish::Register((*topic).to_owned()));
            }
        }
        self.settle("before anything was said")?;
        for round in 0..messages_each {
            for at in 0..self.clients.len() {
                self.speak(at, round);
            }
        }
        self.settle("while they talked")?;
        self.wake_until_heard()?;
        let report = self.check()?;
        for client in &mut self.clients {
            client.wish(Wish::Leave);
        }
        self.settle("when they left")?;
        self.check_leaks()?;
        Ok(report)
    }

    fn speak(&mut self, at: usize, round: usize) {
        let topic = self.chance.index(TOPICS.len());
        let qos = *self.chance.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let text = format!("{at}-{round}");
        let client = &mut self.clients[at];
        if self.sleepers[at] {
            if round == 0 {
                client.wish(Wish::Sleep(300));
            }
            if self.chance.percent(50) {
                client.wish(Wish::Ping);
            }
            // Sleeping clients say nothing: they would have to connect.
            return;
        }
        client.wish(Wish::Publish(TOPICS[topic].to_owned(), qos, text.clone()));
        self.said.insert(text, (topic, qos));
    }

    /// Sleeping clients come for their messages, and the others wait.
    fn wake_until_heard(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            let missing = (0..self.clients.len()).any(|at| self.missing(at).is_some());
            if !missing {
                return Ok(());
            }
            for (client, _) in self
                .clients
                .iter_mut()
                .zip(&self.sleepers)
                .filter(|(_, s)| **s)
            {
                client.wish(Wish::Ping);
            }
            self.settle("while messages were fetched")?;
            for _ in 0..20 {
                self.step()?;
            }
        }
        Ok(())
    }

    /// A message that a client has not heard.
    fn missing(&self, at: usize) -> Option<&str> {
        let heard = &self.clients[at].heard;
        let mut texts = self.said.keys();
        let missing = texts.find(|text| !heard.iter().any(|one| one.text == **text));
        missing.map(String::as_str)
    }

    fn check(&self) -> Result<SnReport, String> {
        let mut report = SnReport {
            said: self.said.len(),
            ..SnReport::default()
        };
        for (at, client) in self.clients.iter().enumerate() {
            let name = &client.name;
            if let Some(missing) = self.missing(at) {
                return Err(format!("{name} did not hear {missing}"));
            }
            for (text, &(topic, qos)) in &self.said {
                let copies = client.heard.iter().filter(|heard| heard.text == *text);
                let copies: Vec<_> = copies.collect();
                let granted = qos.min(self.qos[at]);
                for copy in &copies {
                    if copy.topic != TOPICS[topic] || copy.qos != granted {
                        return Err(format!("{name} heard {copy:?} for {}", TOPICS[topic]));
                    }
                }
                if copies.len() > 1 && granted == QoS::ExactlyOnce {
                    return Err(format!("{name} heard {text} {} times", copies.len()));
                }
                report.doubled += usize::from(copies.len() > 1);
            }
            report.heard += client.heard.len();
            report.repeats += client.repeats;
        }
        Ok(report)
    }

    /// Time passes until everybody has done what it wants.
    fn settle(&mut self, when: &str) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            if self.clients.iter().all(SnClient::is_content) {
                return Ok(());
            }
            self.step()?;
        }
        let waiting = self.clients.iter().filter(|client| !client.is_content());
        let complaints: Vec<String> = waiting.map(SnClient::complaint).collect();
        Err(format!("no rest {when}: {complaints:?}"))
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim.run_until(self.sim.now() + STEP);
        for client in &mut self.clients {
            let acted = client.act(&mut self.sim);
            acted.map_err(|what| format!("{}: {what}", client.name))?;
        }
        Ok(())
    }

    fn check_leaks(&mut self) -> Result<(), String> {
        // Copies of a last DISCONNECT that got lost are not waited for: silence is.
        self.sim.run_until(self.sim.now() + Nanos::from_secs(1000));
        check_leaks(&self.sim)
    }
}
