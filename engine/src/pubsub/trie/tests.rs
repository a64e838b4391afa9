use super::*;
use proptest::prelude::*;
use ringbus_protocols::topic::TopicName;
use std::collections::BTreeMap;

fn trie() -> Trie {
    Trie::new(RandomState::with_seeds(1, 2, 3, 4))
}

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).expect("the test's filters are valid")
}

fn matching<'a>(trie: &'a Trie, topic: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    trie.matches(topic, trie.hash(topic), &mut found);
    let mut filters: Vec<&str> = found.iter().map(|slot| trie.filter(*slot)).collect();
    filters.sort_unstable();
    filters
}

fn with(filters: &[&str]) -> Trie {
    let mut trie = trie();
    for text in filters {
        trie.insert(&filter(text));
    }
    trie
}

#[test]
fn mqtt5_4_7_1_2_many_matches_its_parent_and_all_below() {
    let trie = with(&["sport/tennis/#", "sport/#", "#", "sport/tennis/+/#"]);
    assert_eq!(
        matching(&trie, "sport/tennis"),
        ["#", "sport/#", "sport/tennis/#"]
    );
    assert_eq!(
        matching(&trie, "sport/tennis/a/b"),
        ["#", "sport/#", "sport/tennis/#", "sport/tennis/+/#"]
    );
    assert_eq!(matching(&trie, "sport"), ["#", "sport/#"]);
}

#[test]
fn mqtt5_4_7_1_3_plus_matches_one_level_even_an_empty_one() {
    let trie = with(&["+", "+/+", "/+", "sport/+", "a//b", "a/+/b"]);
    assert_eq!(matching(&trie, "/finance"), ["+/+", "/+"]);
    assert_eq!(matching(&trie, "sport/"), ["+/+", "sport/+"]);
    assert_eq!(matching(&trie, "sport"), ["+"]);
    assert_eq!(matching(&trie, "a//b"), ["a/+/b", "a//b"]);
}

#[test]
fn mqtt5_4_7_2_1_dollar_topics_match_no_leading_wildcard() {
    let trie = with(&["#", "+/monitor/Clients", "$SYS/#", "$SYS/monitor/+", "+/#"]);
    assert_eq!(
        matching(&trie, "$SYS/monitor/Clients"),
        ["$SYS/#", "$SYS/monitor/+"]
    );
    assert_eq!(
        matching(&trie, "SYS/monitor/Clients"),
        ["#", "+/#", "+/monitor/Clients"]
    );
    assert_eq!(matching(&trie, "a/$SYS"), ["#", "+/#"]);
}

#[test]
fn an_insert_is_new_once_and_slots_are_reused() {
    let mut trie = trie();
    let (slot, new) = trie.insert(&filter("a/+"));
    assert!(new);
    assert_eq!(trie.insert(&filter("a/+")), (slot, false));
    assert_eq!(trie.get("a/+"), Some(slot));
    trie.remove(slot);
    assert_eq!(trie.get("a/+"), None);
    let (other, new) = trie.insert(&filter("b"));
    assert!(new);
    assert_eq!(other, slot, "the free slot is used first");
    assert_eq!(matching(&trie, "a/b"), [""; 0]);
}

#[test]
#[should_panic(expected = "removed once")]
fn removing_twice_is_our_bug() {
    let mut trie = trie();
    let (slot, _) = trie.insert(&filter("a"));
    trie.insert(&filter("b"));
    trie.remove(slot);
    trie.remove(slot);
}

/// All 2^12 filters of 12 levels of `a` or `+`: the walk visits each node of the trie once.
#[test]
fn every_mix_of_plus_is_found_once() {
    let levels = 12;
    let mut trie = trie();
    for mix in 0u32..1 << levels {
        let text: Vec<&str> = (0..levels)
            .map(|bit| if mix >> bit & 1 == 1 { "+" } else { "a" })
            .collect();
        trie.insert(&filter(&text.join("/")));
    }
    let topic = vec!["a"; levels].join("/");
    assert_eq!(matching(&trie, &topic).len(), 1 << levels);
    assert_eq!(matching(&trie, "a/a/b").len(), 0);
}

/// Few level texts, so that filters overlap, among them empty ones, `$` and non-ASCII.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "ab", "é", "$S", "x y"])
}

fn topic_text() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![2 => level().boxed(), 1 => Just("+").boxed()];
    (prop::collection::vec(part, 0..5), any::<bool>())
        .prop_map(|(mut levels, many)| {
            if many || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(String),
    /// Removes one of those present, by position.
    Remove(prop::sample::Index),
    Match(String),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => filter_text().prop_map(Operation::Insert),
        1 => topic_text().prop_map(Operation::Insert),
        2 => any::<prop::sample::Index>().prop_map(Operation::Remove),
        3 => topic_text().prop_map(Operation::Match),
    ]
}

/// The filters that match, by the definition.
fn oracle(model: &BTreeMap<String, Slot>, topic: &str) -> Vec<String> {
    let topic = TopicName::parse(topic).expect("the strategy makes valid topics");
    model
        .keys()
        .filter(|text| filter(text).matches(&topic))
        .cloned()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn agrees_with_the_definition(operations in prop::collection::vec(operation(), 1..80)) {
        let mut trie = trie();
        let mut model: BTreeMap<String, Slot> = BTreeMap::new();
        for operation in operations {
            match operation {
                Operation::Insert(text) => {
                    let (slot, new) = trie.insert(&filter(&text));
                    prop_assert_eq!(new, !model.contains_key(&text));
                    prop_assert_eq!(*model.entry(text).or_insert(slot), slot);
                }
                Operation::Remove(index) if !model.is_empty() => {
                    let text = index.get(&model.keys().cloned().collect::<Vec<_>>()).clone();
                    trie.remove(model.remove(&text).expect("it is present"));
                    prop_assert_eq!(trie.get(&text), None);
                }
                Operation::Remove(_) => {}
                Operation::Match(topic) => {
                    prop_assert_eq!(matching(&trie, &topic), oracle(&model, &topic));
                }
            }
            prop_assert_eq!(trie.len(), model.len());
            let dense = model.values().all(|slot| slot.index() < 80);
            prop_assert!(dense, "slots stay dense by reuse");
        }
        for (text, slot) in model {
            prop_assert_eq!(trie.filter(slot), &text);
            trie.remove(slot);
        }
        prop_assert_eq!(trie.heap_bytes(), 0, "an empty trie holds no memory");
    }
}

/// Steps, not time: a walk looks at each node whose prefix matches once, so six filters cost at most
/// six nodes a level, in the deepest topic there can be as in a short one.
#[test]
fn the_steps_of_a_walk_are_linear_in_levels() {
    for levels in [16, 2_048, 32_768] {
        let topic = "a/".repeat(levels - 1) + "a";
        let filters = [
            "a/+/".repeat(levels / 2 - 1) + "a/a",
            "+/".repeat(levels - 2) + "#",
            "+/".repeat(levels - 1) + "+",
            "#".to_owned(),
            "a/+/#".to_owned(),
            "+/+/+/#".to_owned(),
        ];
        let trie = with(&filters.each_ref().map(String::as_str));
        let mut found = Vec::new();
        trie.matches(&topic, trie.hash(&topic), &mut found);
        assert_eq!(found.len(), filters.len());
        let steps = trie.branches.visited();
        assert!(
            steps <= filters.len() * levels,
            "{steps} for {levels} levels"
        );
        assert!(steps >= levels, "{steps} for {levels} levels");
    }
}
