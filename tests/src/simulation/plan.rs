//! What one seed means: how many shards, which clients, how bad the weather is.

use std::sync::Arc;

use ringbus::base::{Nanos, Scheme};
use ringbus::config::PartitionLevels;
use ringbus::io::sim::{Chance, Faults};
use ringbus::pubsub::{Partitioner, RetainedQuota};
use ringbus::shard::{Admission, NatsConfig, ShardConfig, SnConfig, WebConfig};
use ringbus_protocols::mqtt::{QoS, Version};

use super::client::{Profile, Publication};
use crate::model::{ConnectSpec, Options, WillSpec};

/// The longest virtual time a script lets pass at once, in seconds.
pub(super) const NAP_SECONDS_MAX: u64 = 8;

/// Where clients publish, wills and retained messages included.
const TOPICS: [&str; 24] = [
    "a", "a/b", "a/b/c", "a/b/d", "a/c", "b", "b/b", "b/b/c", "c/d/e/f", "c/d/e/g", "c/d", "/",
    "/a", "a/", "a//b", "$d/a", "$d/b/c", "s/1/x", "s/1/y", "s/2/x", "s/2/y", "s/3/x", "é/x", "x",
];

const FILTERS: [&str; 32] = [
    "a", "a/b", "a/b/c", "a/+", "a/#", "a/b/#", "a/b/+", "+/b", "+/+", "+/b/c", "#", "+", "b/#",
    "b/b/c", "c/d/e/+", "c/d/#", "c/+/e/f", "/", "/+", "+/", "a//b", "a/+/b", "$d/#", "$d/+",
    "s/1/+", "s/+/x", "s/2/#", "+/1/y", "é/+", "x/#", "r/#", "r/+",
];

/// The constants of one run.
pub struct Plan {
    /// The number everything follows from.
    pub seed: u64,
    /// How many shards.
    pub shards: u16,
    /// Batches per mailbox queue.
    pub mailbox_capacity: usize,
    /// How slow and broken the network is.
    pub faults: Faults,
    /// The clients.
    pub profiles: Vec<Profile>,
    /// Of 100 operations, how many freeze a shard for ten seconds, if none was lately.
    pub freeze_percent: u64,
    /// Publish more to a frozen shard than mail may hold, so that publishers are paused.
    pub flood: bool,
    /// Of 100 publishes, how many are volleys: enough at once for turns to be paced.
    pub volley_percent: u64,
    /// Client operations before the end.
    pub operations: usize,
    /// `--queue-bytes`.
    pub queue_bytes: usize,
    /// Queues are so small that messages are dropped.
    pub lossy: bool,
    /// Print every event.
    pub trace: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        let mut chance = Chance::new(seed ^ 0x5EED);
        let shards = u16::try_from(seed % 8 + 1).expect("1 to 8");
        let lossy = chance.percent(8);
        let calm = chance.percent(20);
        let faults = Faults {
            short_read_percent: if calm { 0 } else { *chance.pick(&[5, 30, 80]) },
            short_write_percent: if calm { 0 } else { *chance.pick(&[5, 30, 80]) },
            delay_max: Nanos(*chance.pick(&[1_000, 200_000, 5_000_000, 100_000_000])),
            interleave_percent: *chance.pick(&[0, 20, 60]),
            turn_max: Nanos(*chance.pick(&[2_000, 50_000, 1_000_000])),
        };
        let clients = usize::try_from(chance.range(6, 16)).expect("few");
        let mut profiles: Vec<Profile> = (0..clients).map(|_| profile(&mut chance)).collect();
        // Of its own, so that the rest of a seed does not depend on it.
        let mut schemes = Chance::new(seed ^ 0x5C4E);
        for profile in &mut profiles {
            profile.scheme = *schemes.pick(&[Scheme::Mqtt, Scheme::Mqtt, Scheme::Ws]);
        }
        Plan {
            seed,
            shards,
            mailbox_capacity: *chance.pick(&[1, 1, 2, 3, 8, 64]),
            faults,
            profiles,
            freeze_percent: u64::from(chance.percent(30)),
            flood: false,
            operations: 2_000,
            queue_bytes: if lossy { 1_500 } else { 8 << 20 },
            lossy,
            trace: false,
            volley_percent: if lossy { 0 } else { *chance.pick(&[0, 5]) },
        }
    }

    /// A plan with mailboxes of a single batch, in which one shard after the other stands still.
    #[must_use]
    pub fn frozen(seed: u64) -> Plan {
        let plan = Plan::new(seed);
        let profiles = plan.profiles.iter().cloned();
        Plan {
            flood: true,
            // What piles up for one client meanwhile fits its queue, and a slow reader catches up.
            queue_bytes: 1 << 30,
            lossy: false,
            profiles: profiles
                .map(|p| Profile {
                    window_bytes: 1 << 20,
                    ..p
                })
                .collect(),
            shards: u16::try_from(seed % 7 + 2).expect("2 to 8"),
            mailbox_capacity: 1,
            freeze_percent: 50,
            ..plan
        }
    }

    /// The configuration of the shards.
    #[must_use]
    pub fn shard_config(&self) -> ShardConfig {
        let mut chance = Chance::new(self.seed ^ 0xC0F1);
        let [a, b, c, d] = [(); 4].map(|()| chance.draw());
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        let mut levels = PartitionLevels {
            default: *chance.pick(&[1, 2, 3]),
            roots: Vec::new(),
        };
        if chance.percent(30) {
            levels.roots.push(("s".into(), *chance.pick(&[1, 3])));
        }
        ShardConfig {
            shards: self.shards,
            max_packet_size: 1 << 16,
            queue_bytes: self.queue_bytes,
            connect_timeout: Nanos::from_secs(30),
            versions: ringbus::config::Versions::ALL,
            check_payload_format: false,
            queue_messages: usize::MAX,
            queue_policy: ringbus::config::QueuePolicy::DropNewest,
            shared_strategy: ringbus::config::SharedStrategy::RoundRobin,
            session_expiry_max: u32::MAX,
            receive_maximum: *chance.pick(&[1, 4, 100]),
            topic_alias_maximum: *chance.pick(&[0, 2, 8]),
            publish_rate: None,
            response_information: None,
            server_reference: None,
            web: WebConfig {
                compression: self.seed.is_multiple_of(2),
                ..WebConfig::default()
            },
            nats: NatsConfig::default(),
            sn: SnConfig::default(),
            mechanisms: Vec::new(),
            pace_us_max: *chance.pick(&[0, 0, 20, 800]),
            sys_interval: Nanos::ZERO,
            partitioner: Arc::new(Partitioner::new(self.shards, levels, hasher.clone())),
            hasher,
            admission: Arc::new(Admission::new(10_000)),
            retained_quota: Arc::new(RetainedQuota::new(usize::MAX, usize::MAX)),
        }
    }
}

fn profile(chance: &mut Chance) -> Profile {
    let version = *chance.pick(&[Version::V3_1, Version::V3_1_1, Version::V5, Version::V5]);
    let v5 = version.is_v5();
    Profile {
        version,
        clean_session: chance.percent(50),
        expiry_seconds: *chance.pick(&[0, 0, 5, 60, 3600, u32::MAX]),
        keep_alive_seconds: *chance.pick(&[0, 20, 60]),
        receive_maximum: *chance.pick(if v5 {
            &[None, Some(1), Some(3), Some(50)]
        } else {
            &[None, None, None, None]
        }),
        topic_alias_maximum: *chance.pick(if v5 { &[0, 1, 5] } else { &[0, 0, 0] }),
        window_bytes: *chance.pick(&[100, 2_000, 65_536]),
        laziness_percent: *chance.pick(&[0, 10, 50, 90]),
        scheme: Scheme::Mqtt,
    }
}

/// A publication somewhere, at some QoS.
pub(super) fn publication(chance: &mut Chance, v5: bool, lossy: bool) -> Publication {
    // One topic in ten is one of many, so that replays of retained messages take several steps.
    let many = chance.percent(10);
    let topic = match many {
        true => format!("r/{}", chance.below(150)),
        false => (*chance.pick(&TOPICS)).to_owned(),
    };
    let qos = qos(chance);
    let retain = chance.percent(if many { 80 } else { 15 });
    let size = match chance.below(20) {
        0 if retain => 0,
        1 if !lossy => 5_000,
        2 if !lossy => 400,
        _ => usize::try_from(chance.range(4, 60)).expect("small"),
    };
    let expiry_seconds = match chance.below(12) {
        0 if v5 => Some(u32::try_from(chance.range(1, 6)).expect("small")),
        1 if v5 => Some(100_000),
        _ => None,
    };
    Publication {
        topic,
        qos,
        retain,
        size,
        expiry_seconds,
    }
}

/// Small messages to one topic.
pub(super) fn burst(chance: &mut Chance, count: usize) -> Vec<Publication> {
    let topic = *chance.pick(&TOPICS);
    let size_max = *chance.pick(&[60, 300]);
    let mut publication = || Publication {
        topic: topic.to_owned(),
        qos: QoS::AtMostOnce,
        retain: false,
        size: usize::try_from(chance.range(4, size_max)).expect("small"),
        expiry_seconds: None,
    };
    std::iter::repeat_with(&mut publication)
        .take(count)
        .collect()
}

/// Much at once: more than the mail for one shard may hold, to one topic.
pub(super) fn flood(chance: &mut Chance) -> impl Iterator<Item = Publication> + use<> {
    const PACKETS: usize = 90;
    const PAYLOAD_BYTES: usize = 60_000;
    let topic = *chance.pick(&TOPICS);
    std::iter::repeat_with(move || Publication {
        topic: topic.to_owned(),
        qos: QoS::AtMostOnce,
        retain: false,
        size: PAYLOAD_BYTES,
        expiry_seconds: None,
    })
    .take(PACKETS)
}

/// Many small messages at once, to one topic.
pub(super) fn volley(chance: &mut Chance) -> impl Iterator<Item = Publication> + use<> {
    const PACKETS: usize = 60;
    let topic = *chance.pick(&TOPICS);
    std::iter::repeat_with(move || Publication {
        topic: topic.to_owned(),
        qos: QoS::AtMostOnce,
        retain: false,
        size: 4,
        expiry_seconds: None,
    })
    .take(PACKETS)
}

/// A few filters with options.
pub(super) fn subscriptions(chance: &mut Chance, v5: bool) -> Vec<(String, Options)> {
    let identifier =
        (v5 && chance.percent(50)).then(|| u32::try_from(chance.range(1, 300)).expect("small"));
    let mut filters: Vec<(String, Options)> = Vec::new();
    for _ in 0..chance.range(1, 3) {
        let filter = (*chance.pick(&FILTERS)).to_owned();
        let options = Options {
            qos: u8::from(qos(chance)),
            no_local: v5 && chance.percent(20),
            retain_as_published: v5 && chance.percent(30),
            retain_handling: if v5 { *chance.pick(&[0, 0, 1, 2]) } else { 0 },
            identifier,
        };
        if filters.iter().all(|f| f.0 != filter) {
            filters.push((filter, options));
        }
    }
    filters
}

/// A CONNECT of a client like this.
pub(super) fn connect_spec(chance: &mut Chance, profile: &Profile) -> ConnectSpec {
    let v5 = profile.version.is_v5();
    let will = chance.percent(50).then(|| WillSpec {
        topic: (*chance.pick(&TOPICS)).to_owned(),
        qos: u8::from(qos(chance)),
        retain: chance.percent(20),
        delay_seconds: if v5 { *chance.pick(&[0, 0, 1, 4]) } else { 0 },
        size: usize::try_from(chance.range(4, 60)).expect("small"),
    });
    let clean_start = if v5 {
        chance.percent(25)
    } else {
        profile.clean_session
    };
    let expiry_seconds = match (v5, profile.clean_session) {
        (true, _) if profile.expiry_seconds == u32::MAX => None,
        (true, _) => Some(profile.expiry_seconds),
        (false, true) => Some(0),
        (false, false) => None,
    };
    let keep_alive_seconds = profile.keep_alive_seconds;
    ConnectSpec {
        clean_start,
        expiry_seconds,
        will,
        keep_alive_seconds,
    }
}

fn qos(chance: &mut Chance) -> QoS {
    *chance.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}
