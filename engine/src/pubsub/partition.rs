//! Which shard owns a topic: a keyed hash of its first levels, scaled to the shards.

use crate::base::ShardId;
use crate::config::PartitionLevels;
use crate::pubsub::slash::nth_slash;
use ahash::RandomState;
use ringbus_protocols::topic::TopicFilter;

/// The owners of a topic filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owners {
    /// The filter is narrow: every topic it matches belongs to this shard.
    One(ShardId),
    /// The filter is broad: topics it matches may belong to any shard.
    All,
}

/// The map from topics to owners, the same on every shard of a process.
#[derive(Clone, Debug)]
pub struct Partitioner {
    shards: u16,
    levels: PartitionLevels,
    hasher: RandomState,
}

impl Partitioner {
    /// A partitioner over `shards` shards by the first levels of topics.
    ///
    /// The hasher must be keyed: a stranger who knows the map can aim at one shard.
    ///
    /// # Panics
    /// If there are no shards or a number of levels is 0; a validated configuration has neither.
    pub fn new(shards: u16, levels: PartitionLevels, hasher: RandomState) -> Partitioner {
        assert!(shards > 0, "somebody must own topics");
        assert!(
            levels.default > 0,
            "0 levels would give every topic to one shard"
        );
        assert!(
            levels.roots.iter().all(|(_, levels)| *levels > 0),
            "likewise below a root"
        );
        Partitioner {
            shards,
            levels,
            hasher,
        }
    }

    /// The number of shards.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard that owns a topic: its retained message and its part of every matching filter.
    #[inline]
    pub fn owner(&self, topic: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        self.owner_of_prefix(self.prefix(topic))
    }

    /// The shards that need a filter to see every topic it matches.
    ///
    /// A shared filter, `$share/name/filter`, is placed by its inner filter [MQTT5-4.8.2-1].
    pub fn owners(&self, filter: &TopicFilter<'_>) -> Owners {
        let filter = unshared(filter.as_str());
        if self.shards == 1 {
            return Owners::One(ShardId(0));
        }
        let prefix = self.prefix(filter);
        let wild = |level: &str| level == "+" || level == "#";
        if prefix.split('/').any(wild) {
            return Owners::All;
        }
        Owners::One(self.owner_of_prefix(prefix))
    }

    /// The prefix of a topic, or of a filter whose first level is literal, that chooses the owner.
    pub fn prefix<'a>(&self, topic: &'a str) -> &'a str {
        let levels = self.levels_of(topic);
        match nth_slash(topic.as_bytes(), levels) {
            Some(end) => &topic[..end],
            None => topic,
        }
    }

    fn levels_of(&self, topic: &str) -> u8 {
        let PartitionLevels { default, roots } = &self.levels;
        if roots.is_empty() {
            return *default;
        }
        let root = topic.split('/').next().unwrap_or(topic);
        let own = roots.iter().find(|(own, _)| &**own == root);
        own.map_or(*default, |(_, levels)| *levels)
    }

    #[inline]
    fn owner_of_prefix(&self, prefix: &str) -> ShardId {
        // The upper half scaled to the shards: a multiplication where a remainder is a division.
        let scaled = (self.hasher.hash_one(prefix) >> 32) * u64::from(self.shards);
        let owner = scaled >> 32;
        ShardId(u16::try_from(owner).expect("scaled to the number of shards"))
    }
}

/// The filter inside a shared one; others as they are.
fn unshared(filter: &str) -> &str {
    let inner = filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'));
    inner.map_or(filter, |(_, inner)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringbus_protocols::topic::TopicName;

    fn partitioner(shards: u16, default: u8, roots: &[(&str, u8)]) -> Partitioner {
        let roots = roots
            .iter()
            .map(|(root, levels)| ((*root).into(), *levels))
            .collect();
        let levels = PartitionLevels { default, roots };
        Partitioner::new(shards, levels, RandomState::with_seeds(5, 6, 7, 8))
    }

    fn owners(partitioner: &Partitioner, filter: &str) -> Owners {
        partitioner.owners(&TopicFilter::parse(filter).expect("a valid filter"))
    }

    #[test]
    fn a_filter_is_narrow_when_its_first_levels_are_literal() {
        let two = partitioner(64, 2, &[]);
        for narrow in ["a/b/#", "a/b/+", "a/b/c", "a", "a/b", "$share/g/a/b/#"] {
            assert!(matches!(owners(&two, narrow), Owners::One(_)), "{narrow}");
        }
        for broad in ["#", "+", "a/#", "a/+", "a/+/c", "+/b/c", "$share/g/a/#"] {
            assert_eq!(owners(&two, broad), Owners::All, "{broad}");
        }
        assert_eq!(owners(&two, "$share/g/a/b/#"), owners(&two, "a/b/#"));
        assert_eq!(owners(&two, "a/b/#"), Owners::One(two.owner("a/b/x/y")));
        assert_eq!(owners(&two, "a/b/#"), Owners::One(two.owner("a/b")));
    }

    #[test]
    fn one_shard_owns_everything() {
        let one = partitioner(1, 2, &[("x", 4)]);
        assert_eq!(owners(&one, "#"), Owners::One(ShardId(0)));
        assert_eq!(one.owner("x/y"), ShardId(0));
    }

    #[test]
    fn a_root_has_its_own_levels() {
        let sparkplug = partitioner(64, 2, &[("spBv1.0", 4)]);
        assert_eq!(
            sparkplug.prefix("spBv1.0/group/NDATA/node/device"),
            "spBv1.0/group/NDATA/node"
        );
        assert_eq!(sparkplug.prefix("other/group/NDATA/node"), "other/group");
        assert_eq!(owners(&sparkplug, "spBv1.0/group/+/node/#"), Owners::All);
        assert!(matches!(
            owners(&sparkplug, "spBv1.0/group/NDATA/node/#"),
            Owners::One(_)
        ));
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["", "a", "b", "$x", "r"])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Wildcards of a filter are filled in at random; the topic's owner is among the filter's.
        #[test]
        fn a_topic_belongs_to_the_owner_of_each_narrow_filter_that_matches_it(
            shards in 1u16..=64,
            levels in 1u8..=4,
            parts in prop::collection::vec((level(), level(), any::<bool>()), 1..6),
            tail in prop::collection::vec(level(), 0..3),
            many in any::<bool>(),
        ) {
            let partitioner = partitioner(shards, levels, &[("r", 3)]);
            let mut topic: Vec<&str> = parts.iter().map(|(_, topic, _)| *topic).collect();
            let mut filter: Vec<&str> = parts
                .iter()
                .map(|(_, topic, wild)| if *wild { "+" } else { *topic })
                .collect();
            if many {
                topic.extend(tail);
                filter.push("#");
            }
            let (topic, filter) = (topic.join("/"), filter.join("/"));
            prop_assume!(!topic.is_empty() && !filter.is_empty());
            let parsed = TopicFilter::parse(&filter).expect("valid");
            prop_assume!(parsed.matches(&TopicName::parse(&topic).expect("valid")));
            if let Owners::One(owner) = partitioner.owners(&parsed) {
                prop_assert_eq!(owner, partitioner.owner(&topic), "{} {}", filter, topic);
            }
            let shared = format!("$share/group/{filter}");
            let shared = TopicFilter::parse(&shared).expect("valid");
            prop_assert_eq!(partitioner.owners(&shared), partitioner.owners(&parsed));
        }
    }
}
