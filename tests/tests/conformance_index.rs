//! Which test proves which statement of the specifications. Tests cite statements as
//! `[MQTT5-x.y.z-n]` and `[MQTT311-x.y.z-n]` in their documentation or body; this collects the
//! citations into docs/conformance.md, and fails when that page is not what they say.

use ringbus_tests::sources::{root, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Where tests are. This file is not read: its tests cite for show.
const SOURCES: [&str; 6] = [
    "tests/tests",
    "tests/src",
    "engine/src",
    "engine/tests",
    "protocols/src",
    "protocols/tests",
];
const OWN_NAME: &str = "conformance_index.rs";
const PAGE: &str = "docs/conformance.md";
const REWRITE: &str =
    "RINGBUS_CONFORMANCE=write cargo test -p ringbus-tests --test conformance_index";

/// The prefix of citations, the title, and the list of statements.
const SPECIFICATIONS: [(&str, &str, &str); 2] = [
    ("MQTT311", "MQTT 3.1.1", "tests/conformance/mqtt311.tsv"),
    ("MQTT5", "MQTT 5.0", "tests/conformance/mqtt5.tsv"),
];

/// Statements that bind the server and that no test can ask for, at most.
const EXCUSED_MAX: usize = 10;

const INTRODUCTION: &str = "\
# Conformance

Every numbered statement of MQTT 3.1.1 and MQTT 5.0, whom it binds, what it is about in our words,
and the tests that ask this broker for it. The specifications decide what a statement means; the
words here only help to find it. Where it misprints a number, the number here is the one that was
meant: 3.1.2-7, 3.3.1-1 and 3.8.3-4 of 3.1.1, and 4.2.0-1 of 5.0.

Every statement that binds the server has a test, but for at most EXCUSED, which say why there is
nothing to test. A test stands here because its documentation or its body cites the statement:
somebody held the two beside each other. It may ask for a part of what the statement says, and of
one that binds both sides it asks for the server's part, or for what the codec takes and refuses. A
statement about a server that does not serve something is asked by showing that it is served. That a
test can fail is shown for the simulation only, in [tests/bugs/](../tests/bugs/).

The page is made from the lists in [tests/conformance/](../tests/conformance/) and the citations in
the tests. After a change of either:

    COMMAND

| last column | |
|---|---|
| a test | it asks for the statement, or for a part of it |
| **open** | no test that says so |
| *client* | it binds the client alone, and no test asks what the server does if it is broken |
| other words | why there is nothing to test |
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binds {
    Server,
    Client,
    Both,
}

#[derive(Debug, PartialEq, Eq)]
struct Statement {
    /// As it is cited, without brackets.
    id: String,
    binds: Binds,
    words: String,
    /// Why no test can ask for it.
    why_not: Option<String>,
}

/// A test function: its name, and its text with documentation and attributes.
#[derive(Debug, PartialEq, Eq)]
struct Test {
    name: String,
    text: String,
}

/// Statement to tests, each as a Markdown link.
type Proofs = BTreeMap<String, BTreeSet<String>>;

/// Statements that bind the server: all, and of these with a test, with a reason, and neither.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    all: usize,
    tested: usize,
    excused: usize,
    open: usize,
}

#[test]
fn the_page_is_what_the_tests_cite() {
    let lists = SPECIFICATIONS.map(|(prefix, _, path)| statements(prefix, &read(path)));
    let proofs = proofs();
    let wrong = problems(&lists, &proofs);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let (page, path) = (page(&lists, &proofs), root().join(PAGE));
    if std::env::var("RINGBUS_CONFORMANCE").is_ok_and(|order| order == "write") {
        fs::write(&path, &page).expect("the page is in the checkout");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{PAGE} is stale; to write it anew: {REWRITE}");
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The statements of a list: a header, then id, whom it binds, our words and maybe why not.
fn statements(prefix: &str, list: &str) -> Vec<Statement> {
    let lines = list.lines().skip(1);
    let parse = |line| statement(prefix, line).unwrap_or_else(|| panic!("not a statement: {line}"));
    lines.map(parse).collect()
}

fn statement(prefix: &str, line: &str) -> Option<Statement> {
    let fields: Vec<&str> = line.split('\t').collect();
    let (&[id, binds, words], rest) = fields.split_first_chunk()?;
    let binds = match binds {
        "server" => Binds::Server,
        "client" => Binds::Client,
        "both" => Binds::Both,
        _ => return None,
    };
    let number = id.strip_prefix("MQTT-").filter(|text| is_number(text))?;
    let is_complete = !words.is_empty() && rest.len() <= 1 && !line.contains('|');
    is_complete.then(|| Statement {
        id: format!("{prefix}-{number}"),
        binds,
        words: words.to_owned(),
        why_not: rest.first().map(|&why| why.to_owned()),
    })
}

/// Whether a text is like `3.8.3-5`.
fn is_number(text: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('-').is_some_and(|(section, number)| {
        section.split('.').count() == 3 && section.split('.').all(is_digits) && is_digits(number)
    })
}

/// What is cited, without brackets. A citation of a section, such as `[MQTT5-4.7]`, is none.
fn citations(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (prefix, _, _) in SPECIFICATIONS {
        let start = format!("[{prefix}-");
        for piece in text.split(start.as_str()).skip(1) {
            let number = piece.split(']').next().unwrap_or_default();
            if number.contains('-') && number.starts_with(|c: char| c.is_ascii_digit()) {
                found.insert(format!("{prefix}-{number}"));
            }
        }
    }
    found
}

/// The tests of a source text, as rustfmt indents them: the end has the indent of the start.
fn tests(source: &str) -> Vec<Test> {
    let lines: Vec<&str> = source.lines().collect();
    let attributes = (0..lines.len()).filter(|&at| lines[at].trim() == "#[test]");
    attributes.filter_map(|at| test(&lines, at)).collect()
}

/// The test whose attribute is at a line.
fn test(lines: &[&str], attribute: usize) -> Option<Test> {
    let indent = &lines[attribute][..lines[attribute].len() - "#[test]".len()];
    let is_above = |line: &&&str| ["//", "#["].iter().any(|s| line.trim().starts_with(s));
    let above = lines[..attribute].iter().rev().take_while(is_above).count();
    let (start, end) = (format!("{indent}fn "), format!("{indent}}}"));
    let below = &lines[attribute..];
    let name = below.iter().find_map(|line| line.strip_prefix(&start))?;
    let last = attribute + below.iter().position(|line| **line == end)?;
    Some(Test {
        name: name.split('(').next()?.to_owned(),
        text: lines[attribute - above..=last].join("\n"),
    })
}

fn proofs() -> Proofs {
    let mut proofs = Proofs::new();
    for file in SOURCES
        .iter()
        .flat_map(|path| rust_files(&root().join(path)))
        .filter(|path| !path.ends_with(OWN_NAME))
    {
        let source = fs::read_to_string(&file).expect("readable");
        let place = file.strip_prefix(root()).expect("found inside").display();
        for test in tests(&source) {
            for id in citations(&test.text) {
                let link = format!("[`{}`](../{place})", test.name);
                proofs.entry(id).or_default().insert(link);
            }
        }
    }
    proofs
}

/// Statements listed twice, citations of what is not listed, and excuses beside a test.
fn problems(lists: &[Vec<Statement>], proofs: &Proofs) -> Vec<String> {
    let (mut wrong, mut known) = (Vec::new(), BTreeSet::new());
    for statement in lists.iter().flatten() {
        let id = &statement.id;
        if !known.insert(id) {
            wrong.push(format!("{id} is listed twice"));
        }
        if statement.why_not.is_some() && proofs.contains_key(id) {
            wrong.push(format!("{id} has a test and a reason to have none"));
        }
    }
    for (id, tests) in proofs.iter().filter(|(id, _)| !known.contains(id)) {
        wrong.push(format!("{id} is in no list, and cited by {tests:?}"));
    }
    wrong
}

fn page(lists: &[Vec<Statement>], proofs: &Proofs) -> String {
    let introduction = INTRODUCTION.replace("EXCUSED", &EXCUSED_MAX.to_string());
    let mut page = introduction.replace("COMMAND", REWRITE);
    for ((_, title, _), list) in SPECIFICATIONS.iter().zip(lists) {
        page += &format!("\n## {title}\n\n| statement | binds | is about | test |\n");
        page += "|---|---|---|---|\n";
        for statement in list {
            page += &row(statement, proofs.get(&statement.id));
        }
    }
    page + &summary(lists, proofs)
}

fn row(statement: &Statement, tests: Option<&BTreeSet<String>>) -> String {
    let binds = match statement.binds {
        Binds::Server => "server",
        Binds::Client => "client",
        Binds::Both => "both",
    };
    let last = match (tests, &statement.why_not) {
        (Some(tests), _) => Vec::from_iter(tests.iter().map(String::as_str)).join(", "),
        (None, Some(why)) => why.clone(),
        (None, None) if statement.binds == Binds::Client => "*client*".to_owned(),
        (None, None) => "**open**".to_owned(),
    };
    format!(
        "| {} | {binds} | {} | {last} |\n",
        statement.id, statement.words
    )
}

fn counts(list: &[Statement], proofs: &Proofs) -> Counts {
    let mut counts = Counts::default();
    for statement in list.iter().filter(|one| one.binds != Binds::Client) {
        counts.all += 1;
        if proofs.contains_key(&statement.id) {
            counts.tested += 1;
        } else if statement.why_not.is_some() {
            counts.excused += 1;
        } else {
            counts.open += 1;
        }
    }
    counts
}

fn summary(lists: &[Vec<Statement>], proofs: &Proofs) -> String {
    let mut text = "\n## Counts\n\n\
         | | statements | bind the server | of these with a test | nothing to test | open |\n\
         |---|---|---|---|---|---|\n"
        .to_owned();
    for ((_, title, _), list) in SPECIFICATIONS.iter().zip(lists) {
        let Counts {
            all,
            tested,
            excused,
            open,
        } = counts(list, proofs);
        let listed = list.len();
        text += &format!("| {title} | {listed} | {all} | {tested} | {excused} | {open} |\n");
    }
    text
}

#[test]
fn nothing_that_binds_the_server_is_open_and_little_is_excused() {
    let lists = SPECIFICATIONS.map(|(prefix, _, path)| statements(prefix, &read(path)));
    let proofs = proofs();
    let counts = lists.map(|list| counts(&list, &proofs));
    assert_eq!(counts.iter().map(|one| one.open).sum::<usize>(), 0);
    let excused: usize = counts.iter().map(|one| one.excused).sum();
    assert!(excused <= EXCUSED_MAX, "{excused} are excused");
}

#[test]
fn the_lists_have_every_statement() {
    let lengths = SPECIFICATIONS.map(|(prefix, _, path)| statements(prefix, &read(path)).len());
    assert_eq!(lengths, [141, 251]);
}

#[test]
fn a_line_is_a_statement_or_refused() {
    let found = statement("MQTT5", "MQTT-3.8.3-5\tboth\tsome words").expect("a statement");
    assert_eq!(
        (found.id.as_str(), found.binds),
        ("MQTT5-3.8.3-5", Binds::Both)
    );
    assert_eq!((found.words.as_str(), found.why_not), ("some words", None));
    let excused = statement("MQTT5", "MQTT-6.0.0-4\tserver\twords\tnone").expect("a statement");
    assert_eq!(excused.why_not.as_deref(), Some("none"));
    for bad in [
        "",
        "MQTT-3.8.3-5\tboth",
        "MQTT-3.8.3-5\tboth\t",
        "MQTT-3.8.3-5\tbroker\twords",
        "MQTT-3.8-5\tboth\twords",
        "MQTT-3.8.3\tboth\twords",
        "MQTT5-3.8.3-5\tboth\twords",
        "MQTT-3.8.3-5\tboth\twords\twhy\tmore",
        "MQTT-3.8.3-5\tboth\twords|words",
    ] {
        assert_eq!(statement("MQTT5", bad), None, "{bad:?}");
    }
}

#[test]
fn citations_are_of_statements_not_of_sections() {
    let text = "`[MQTT5-3.1.0-1]` and [MQTT311-4.7.2-1], [MQTT5-4.7] [MQTT5-3.1.2.11] [RFC6455 5.5.1] [MQTT5-x.y.z-n]";
    let found: Vec<_> = citations(text).into_iter().collect();
    assert_eq!(found, ["MQTT311-4.7.2-1", "MQTT5-3.1.0-1"]);
    // What looks like one is one, so that a slip is found.
    assert!(citations("[MQTT5-3.1-0-1]").contains("MQTT5-3.1-0-1"));
}

#[test]
fn tests_come_with_their_documentation_and_body_only() {
    let source = "\
/// [MQTT5-1.1.1-1]
fn helper() {}

/// [MQTT5-1.1.1-2]
#[test]
#[ignore]
fn one() {
    // [MQTT5-1.1.1-3]
}

// [MQTT5-1.1.1-4]

proptest! {
    /// [MQTT5-1.1.1-5]
    #[test]
    fn two(bytes in any()) {
        if bytes {
        }
        // [MQTT5-1.1.1-6]
    }
}
";
    let found = tests(source);
    let cited = |test: &Test| Vec::from_iter(citations(&test.text));
    assert_eq!([&found[0].name, &found[1].name], ["one", "two"]);
    assert_eq!(cited(&found[0]), ["MQTT5-1.1.1-2", "MQTT5-1.1.1-3"]);
    assert_eq!(cited(&found[1]), ["MQTT5-1.1.1-5", "MQTT5-1.1.1-6"]);
    assert_eq!(found.len(), 2);
}

/// Three statements, a test of the first and a reason for the second.
fn example() -> (Vec<Statement>, Proofs) {
    let list = "id\tbinds\twords\twhy_not\nMQTT-1.1.1-1\tboth\ta\nMQTT-1.1.1-2\tserver\tb\tno\n\
                MQTT-1.1.1-3\tserver\tc\nMQTT-1.1.1-4\tclient\td\n";
    let tests = BTreeSet::from(["one".to_owned(), "two".to_owned()]);
    let proofs = Proofs::from([("MQTT5-1.1.1-1".to_owned(), tests)]);
    (statements("MQTT5", list), proofs)
}

#[test]
fn rows_and_counts_say_what_is_proved() {
    let (list, proofs) = example();
    let rows: Vec<_> = list
        .iter()
        .map(|one| row(one, proofs.get(&one.id)))
        .collect();
    assert_eq!(rows[0], "| MQTT5-1.1.1-1 | both | a | one, two |\n");
    assert_eq!(rows[1], "| MQTT5-1.1.1-2 | server | b | no |\n");
    assert_eq!(rows[2], "| MQTT5-1.1.1-3 | server | c | **open** |\n");
    assert_eq!(rows[3], "| MQTT5-1.1.1-4 | client | d | *client* |\n");
    let wanted = Counts {
        all: 3,
        tested: 1,
        excused: 1,
        open: 1,
    };
    assert_eq!(counts(&list, &proofs), wanted);
}

#[test]
fn slips_in_lists_and_citations_are_found() {
    let (list, mut proofs) = example();
    assert_eq!(problems(&[list], &proofs), [] as [String; 0]);
    let (list, again) = (example().0, example().0);
    assert_eq!(problems(&[list, again], &proofs).len(), 4);
    for id in ["MQTT5-1.1.1-5", "MQTT5-1.1.1-2"] {
        proofs.insert(id.to_owned(), BTreeSet::new());
    }
    assert_eq!(problems(&[example().0], &proofs).len(), 2);
}
