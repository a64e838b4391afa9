//! Subjects and topics are one space: over all shapes of topics, names and filters have one subject
//! and come back from it, and match when their subjects do.

use proptest::prelude::*;
use ringbus_protocols::nats::{headers, subject};
use ringbus_protocols::topic::{TopicFilter, TopicName};

/// What levels are made of: all that has to be escaped, all that looks like an escape, and UTF-8.
fn level(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let part = proptest::sample::select(parts).prop_map(str::to_owned);
    let any = any::<char>().prop_map(|any| any.to_string().replace(['\0', '/', '+', '#'], ""));
    let part = prop_oneof![4 => part, 1 => any];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

const PARTS: &[&str] = &[
    "a", "b", "é", "😀", "%", "%2B", "%23", "%2F", "%25", "%2b", "25", "2B", "2", "B", " ", ".",
    "*", ">", "\x01", "\t", "\r\n", "\x1F", "\x7F", "\u{80}", "$", "$SYS", "\u{FEFF}",
];

fn topic() -> impl Strategy<Value = String> {
    let levels = proptest::collection::vec(level(PARTS), 1..5);
    let topic = levels.prop_map(|levels| levels.join("/"));
    topic.prop_filter("a topic has a character", |topic| !topic.is_empty())
}

/// Filters, most of which have a subject.
fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(PARTS), 1 => Just("+".to_owned())];
    let levels = proptest::collection::vec(level, 1..5);
    (levels, 0..4_usize).prop_filter_map("a filter has a character", |(levels, end)| {
        let end = ["", "", "/+/#", "/#"][end];
        let filter = levels.join("/") + end;
        (!filter.is_empty()).then_some(filter)
    })
}

/// Names and filters of so few levels that they often match.
fn short(wildcards: bool) -> impl Strategy<Value = String> {
    let levels: &[&str] = &["a", "a", "", "%", "%2B", "$a", ".", "*", ">"];
    let level = proptest::sample::select(levels).prop_map(str::to_owned);
    let level = if wildcards {
        prop_oneof![Just("+".to_owned()), level].boxed()
    } else {
        level.boxed()
    };
    let end = proptest::sample::select(if wildcards {
        vec!["", "/+/#"]
    } else {
        vec![""]
    });
    let levels = proptest::collection::vec(level, 1..4);
    let short = (levels, end).prop_map(|(levels, end)| match (levels.join("/"), end) {
        (levels, "/+/#") if levels == "+" => "+/#".to_owned(),
        (levels, end) => levels + end,
    });
    short.prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn subject_of(topic: &str) -> Vec<u8> {
    let mut out = Vec::new();
    subject::put_subject(topic, &mut out);
    out
}

fn pattern_of(filter: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    subject::put_subject_of_filter(filter, &mut out).then_some(out)
}

fn topic_of(subject: &[u8]) -> Option<String> {
    let mut out = "kept".to_owned();
    let put = subject::put_topic(subject, &mut out);
    let topic = out.strip_prefix("kept").expect("appends only").to_owned();
    assert_eq!(put.is_err(), topic.is_empty());
    put.is_ok().then_some(topic)
}

fn filter_of(pattern: &[u8]) -> Option<String> {
    let mut out = "kept".to_owned();
    let put = subject::put_filter(pattern, &mut out);
    let filter = out.strip_prefix("kept").expect("appends only").to_owned();
    assert_eq!(put.is_err(), filter.is_empty());
    put.is_ok().then_some(filter)
}

/// Whether NATS takes it for a subject, and a client can write it on a line.
fn is_literal(subject: &[u8]) -> bool {
    let mut tokens = subject.split(|&byte| byte == b'.');
    tokens.all(|token| {
        let is_printable = |byte: &u8| *byte > b' ' && *byte != 0x7F && !b"*>".contains(byte);
        !token.is_empty() && token.iter().all(is_printable)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_topic_has_one_subject_and_comes_back(topic in topic()) {
        let subject = subject_of(&topic);
        prop_assert!(is_literal(&subject), "{}", subject.escape_ascii());
        prop_assert_eq!(topic_of(&subject), Some(topic.clone()));
        prop_assert_eq!(filter_of(&subject), Some(topic.clone()));
        prop_assert_eq!(pattern_of(&topic), Some(subject));
    }

    #[test]
    fn every_filter_comes_back_or_has_no_subject(filter in filter()) {
        prop_assert!(TopicFilter::parse(&filter).is_ok());
        let is_open = filter.ends_with('#') && !filter.ends_with("+/#");
        let pattern = pattern_of(&filter);
        prop_assert_eq!(pattern.is_none(), is_open);
        if let Some(pattern) = pattern {
            prop_assert_eq!(filter_of(&pattern), Some(filter.clone()));
            let is_exact = TopicFilter::parse(&filter).is_ok_and(|filter| filter.is_exact());
            prop_assert_eq!(topic_of(&pattern).is_some(), is_exact);
        }
    }

    /// No two subjects are one topic.
    #[test]
    fn every_subject_comes_back_or_is_invalid(
        tokens in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(vec![
                    "a", "%", "%25", "%2525", "%252B", "%2B", "%20", "%2E", "%2A", "%3E", "%7F",
                    "%01", "%00", "%80", "%2b", "+", "#", "/", "*", ">", "é", " ", "$", ".", ".",
                ]).prop_map(|token| token.as_bytes().to_vec()),
                proptest::collection::vec(any::<u8>(), 0..3),
            ],
            0..6,
        )
    ) {
        let subject = tokens.concat();
        if let Some(topic) = topic_of(&subject) {
            prop_assert!(TopicName::parse(&topic).is_ok(), "{topic:?}");
            prop_assert_eq!(&subject_of(&topic), &subject);
        }
        if let Some(filter) = filter_of(&subject) {
            prop_assert!(TopicFilter::parse(&filter).is_ok(), "{filter:?}");
            prop_assert_eq!(pattern_of(&filter), Some(subject));
        }
    }

    #[test]
    fn filters_match_when_their_subjects_do(filter in short(true), name in short(false)) {
        let pattern = pattern_of(&filter).expect("no # but after +");
        let topic_filter = TopicFilter::parse(&filter).expect("a filter");
        let topic_name = TopicName::parse(&name).expect("a name");
        let expected = topic_filter.matches(&topic_name);
        prop_assert_eq!(subject::matches(&pattern, &subject_of(&name)), expected);
    }

    #[test]
    fn headers_survive_the_round_trip(
        pairs in proptest::collection::vec(("[!-~é: \r\n]{0,3}", "[ -~é\r\n]{0,3}"), 0..5)
    ) {
        let mut block = Vec::new();
        headers::begin(&mut block);
        let mut kept = Vec::new();
        for (name, value) in &pairs {
            let before = block.len();
            if headers::put(&mut block, name, value) {
                kept.push((name.as_str(), value.as_str()));
            } else {
                prop_assert_eq!(block.len(), before);
            }
        }
        headers::end(&mut block);
        let read: Vec<_> = headers::headers(&block).expect("a block").collect();
        prop_assert_eq!(read, kept);
    }
}
