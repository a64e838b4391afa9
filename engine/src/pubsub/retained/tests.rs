use super::*;
use proptest::prelude::*;
use ringbus_protocols::topic::TopicName;
use std::cell::Cell;

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).expect("the test's filters are valid")
}

fn with(topics: &[&str]) -> Retained<usize> {
    let mut retained = Retained::new();
    for (value, topic) in topics.iter().enumerate() {
        assert_eq!(retained.insert(topic, value), None, "{topic} once");
    }
    retained
}

/// All matches, by cursors of `limit` topics each, and how many cursors it took.
fn walk(retained: &Retained<usize>, text: &str, limit: usize) -> (Vec<String>, usize) {
    let mut topics = Vec::new();
    let mut last = None;
    for calls in 1.. {
        let next = retained.after(&filter(text), last.as_deref(), limit, |topic, _| {
            topics.push(topic.to_owned());
        });
        match next {
            None => return (topics, calls),
            next => {
                assert!(next > last, "the cursor moves on: {last:?} {next:?}");
                last = next;
            }
        }
    }
    unreachable!("the loop ends by return")
}

#[test]
fn insert_replaces_and_remove_takes_out() {
    let mut retained = with(&["a", "b"]);
    assert_eq!(retained.insert("a", 7), Some(0));
    assert_eq!(retained.get("a"), Some(&7));
    assert_eq!(retained.len(), 2);
    assert_eq!(retained.remove("a"), Some(7));
    assert_eq!(retained.remove("a"), None);
    assert_eq!(retained.remove("b"), Some(1));
    assert!(retained.is_empty());
}

#[test]
fn matches_come_in_order_whatever_sorts_between_them() {
    let retained = with(&[
        "a", "a-b", "a-b/c", "a/b", "a/b/c", "a/b-/c", "ab", "b/b/c", "$a/b",
    ]);
    assert_eq!(walk(&retained, "a/#", 1).0, ["a", "a/b", "a/b-/c", "a/b/c"]);
    assert_eq!(walk(&retained, "a/+", 9).0, ["a/b"]);
    assert_eq!(walk(&retained, "+/b/c", 2).0, ["a/b/c", "b/b/c"]);
    assert_eq!(walk(&retained, "$a/#", 2).0, ["$a/b"]);
    assert_eq!(walk(&retained, "#", 100).0.len(), 8, "all but the $-topic");
    assert_eq!(walk(&retained, "a/b", 1).0, ["a/b"]);
}

#[test]
fn a_call_looks_at_no_more_than_its_limit() {
    let topics: Vec<String> = (0..1_000).map(|n| format!("t/{n}")).collect();
    let retained = with(&topics.iter().map(String::as_str).collect::<Vec<_>>());
    // No topic has a third level, and each must be looked at.
    let (found, calls) = walk(&retained, "t/+/x", 10);
    assert_eq!(found, [""; 0]);
    assert_eq!(calls, 100);
}

#[test]
fn subtrees_that_cannot_match_are_skipped() {
    let mut retained = Retained::new();
    for site in 0..100 {
        for sensor in 0..100 {
            retained.insert(&format!("site{site:02}/sensors/{sensor}"), 0);
        }
        retained.insert(&format!("site{site:02}/state"), 0);
    }
    let (found, calls) = walk(&retained, "+/state", 1);
    assert_eq!(found.len(), 100);
    assert!(
        calls <= 201,
        "one skip and one match a site, not {calls} of 10,100 topics"
    );
    assert_eq!(
        walk(&retained, "site42/#", 1_000).1,
        1,
        "a literal prefix is sought"
    );
    assert_eq!(walk(&retained, "site42/+/x", 1_000).0.len(), 0);
}

#[test]
fn a_cursor_goes_on_where_its_topic_was_removed() {
    let mut retained = with(&["a/1", "a/2", "a/3", "a/4"]);
    let seen = Cell::new(0);
    let next = retained.after(&filter("a/+"), None, 2, |_, _| seen.set(seen.get() + 1));
    assert_eq!((next.as_deref(), seen.get()), (Some("a/2"), 2));
    retained.remove("a/2");
    retained.insert("a/0", 0);
    retained.insert("a/35", 0);
    let mut rest = Vec::new();
    let next = retained.after(&filter("a/+"), next.as_deref(), 9, |topic, _| {
        rest.push(topic.to_owned());
    });
    assert_eq!(
        (next, rest),
        (None, vec!["a/3".into(), "a/35".into(), "a/4".into()])
    );
}

fn topic_text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "a-", "a0", "b", "é", "$"]);
    prop::collection::vec(level, 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter_text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "a-", "b", "$", "+", "+", "+"]);
    (prop::collection::vec(level, 0..4), any::<bool>())
        .prop_map(|(mut levels, many)| {
            if many || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn agrees_with_the_definition(
        topics in prop::collection::btree_set(topic_text(), 0..60),
        text in filter_text(),
        limit in 1usize..8,
    ) {
        let retained = with(&topics.iter().map(String::as_str).collect::<Vec<_>>());
        let expected: Vec<&String> = topics
            .iter()
            .filter(|topic| filter(&text).matches(&TopicName::parse(topic).expect("valid")))
            .collect();
        let (found, calls) = walk(&retained, &text, limit);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        prop_assert!(calls <= topics.len() / limit + 1);
    }
}
