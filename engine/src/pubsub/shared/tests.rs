//! Groups and the shards that their messages go to.

use super::{Attempt, Elsewhere, Groups, Members};
use crate::base::{Key, ShardId};
use crate::config::SharedStrategy;
use crate::pubsub::{PublisherId, Slot};

const GROUP: &str = "$share/g/a";

fn key(index: u32) -> Key {
    Key {
        index,
        generation: 0,
    }
}

/// A group with so many connected members and members in all on each shard.
fn groups(homes: &[(u32, u32)]) -> (Groups, Key) {
    let mut groups = Groups::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    for (at, &(online, all)) in homes.iter().enumerate() {
        let shard = ShardId(u16::try_from(at).unwrap());
        groups.attach(GROUP, Slot(7), shard, key(9));
        let inflight = 0;
        let members = Members {
            online,
            all,
            inflight,
        };
        groups.update(shard, key(9), members, &mut Vec::new());
    }
    let group = groups.of(Slot(7))[0];
    (groups, group)
}

/// How many of `messages` go to each shard.
fn counts(homes: &[(u32, u32)], strategy: SharedStrategy, messages: u64) -> Vec<u32> {
    let (mut groups, group) = groups(homes);
    let mut counts = vec![0; homes.len()];
    for message in 0..messages {
        let publisher = PublisherId::from_bits(message.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let attempt = Attempt::default();
        let chance = publisher.to_bits().rotate_left(17);
        let next = groups.next(group, strategy, publisher, attempt, chance);
        counts[next.expect("members are connected").0.index()] += 1;
    }
    counts
}

#[test]
fn round_robin_gives_each_shard_what_its_members_are() {
    let homes = [(3, 3), (0, 5), (1, 2), (6, 6)];
    assert_eq!(
        counts(&homes, SharedStrategy::RoundRobin, 100),
        [30, 0, 10, 60]
    );
    // And mixes them: no shard waits for longer than a round.
    let (mut groups, group) = groups(&[(1, 1), (1, 1)]);
    let mut next = || {
        let publisher = PublisherId::default();
        let attempt = Attempt::default();
        groups.next(group, SharedStrategy::RoundRobin, publisher, attempt, 0)
    };
    let (first, second) = (next(), next());
    assert_ne!(first, second);
    assert_eq!((first, second), (next(), next()));
}

#[test]
fn chance_and_the_publisher_choose_by_weight() {
    for strategy in [SharedStrategy::Random, SharedStrategy::HashClient] {
        let counts = counts(&[(1, 1), (0, 1), (3, 3)], strategy, 4_000);
        assert_eq!(counts[1], 0);
        assert!((800..1_200).contains(&counts[0]), "{strategy:?} {counts:?}");
    }
    let (mut groups, group) = groups(&[(1, 1), (3, 3)]);
    let publisher = PublisherId::from_bits(12_345);
    let mut next = |chance| {
        let attempt = Attempt::default();
        groups.next(
            group,
            SharedStrategy::HashClient,
            publisher,
            attempt,
            chance,
        )
    };
    let first = next(1);
    assert!(
        (2..50).all(|chance| next(chance) == first),
        "one publisher, one member"
    );
}

#[test]
fn sticky_stays_until_its_shard_refuses() {
    assert_eq!(
        counts(&[(0, 1), (1, 1), (3, 3)], SharedStrategy::Sticky, 50),
        [0, 50, 0]
    );
    let (mut groups, group) = groups(&[(1, 1), (1, 1)]);
    let mut attempt = Attempt::default();
    attempt.refuse(ShardId(0));
    let mut next = |attempt| {
        let publisher = PublisherId::default();
        groups.next(group, SharedStrategy::Sticky, publisher, attempt, 0)
    };
    assert_eq!(next(attempt), Some((ShardId(1), key(9))));
    assert_eq!(next(Attempt::default()), Some((ShardId(1), key(9))));
}

#[test]
fn least_inflight_goes_where_members_have_least_to_do() {
    let (mut groups, group) = groups(&[(2, 2), (1, 1)]);
    let busy = Members {
        online: 2,
        all: 2,
        inflight: 8,
    };
    groups.update(ShardId(0), key(9), busy, &mut Vec::new());
    let mut shards = Vec::new();
    for _ in 0..8 {
        let publisher = PublisherId::default();
        let attempt = Attempt::default();
        let next = groups.next(group, SharedStrategy::LeastInflight, publisher, attempt, 0);
        shards.push(next.unwrap().0.0);
    }
    // The lone member catches up with four each, then both shards share by their members.
    assert_eq!(shards[..4], [1, 1, 1, 1]);
    assert_eq!(
        shards[4..].iter().filter(|&&shard| shard == 0).count(),
        2,
        "{shards:?}"
    );
}

#[test]
fn a_message_is_tried_with_the_connected_first_then_with_all_and_then_no_more() {
    let (mut groups, group) = groups(&[(1, 1), (0, 2), (1, 1)]);
    let mut next = |attempt| {
        let publisher = PublisherId::default();
        groups.next(group, SharedStrategy::RoundRobin, publisher, attempt, 0)
    };
    let mut first_round = Attempt::default();
    let mut last_round = Attempt::last();
    for attempt in [&mut first_round, &mut last_round] {
        let mut tried = Vec::new();
        while let Some((shard, _)) = next(*attempt) {
            tried.push(shard.0);
            attempt.refuse(shard);
        }
        tried.sort_unstable();
        let all = if attempt.is_last {
            &[0, 1, 2][..]
        } else {
            &[0, 2]
        };
        assert_eq!(tried, all);
    }
}

#[test]
fn shards_learn_whether_others_have_connected_members() {
    let (mut groups, _) = groups(&[(0, 1), (0, 1), (0, 1)]);
    let mut update = |shard, online| {
        let mut changed = Vec::new();
        let all = 1;
        let inflight = 0;
        let members = Members {
            online,
            all,
            inflight,
        };
        groups.update(ShardId(shard), key(9), members, &mut changed);
        let told = |change: &Elsewhere| (change.home.0, change.online);
        changed.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(update(0, 1), [(1, true), (2, true)]);
    assert_eq!(update(1, 1), [(0, true)]);
    assert_eq!(update(0, 0), [(1, false)]);
    assert_eq!(update(1, 0), [(0, false), (2, false)]);
    assert_eq!(update(1, 0), []);
}

#[test]
fn the_last_shard_takes_the_group_and_the_last_group_the_filter() {
    let (mut groups, group) = groups(&[(1, 1), (1, 1)]);
    groups.attach("$share/other/a", Slot(7), ShardId(0), key(1));
    assert_eq!(groups.of(Slot(7)).len(), 2);
    assert_eq!(groups.attachments(), 3);
    assert_eq!(groups.detach(ShardId(0), key(9)), None);
    assert_eq!(groups.detach(ShardId(1), key(9)), None);
    let publisher = PublisherId::default();
    let attempt = Attempt::last();
    let next = groups.next(group, SharedStrategy::RoundRobin, publisher, attempt, 0);
    assert_eq!(next, None, "a stale key finds no group");
    // Nobody is attached: what arrives late changes nothing.
    groups.update(ShardId(0), key(9), Members::default(), &mut Vec::new());
    assert_eq!(groups.detach(ShardId(0), key(1)), Some(Slot(7)));
    assert!(groups.is_empty());
}
