//! The walls of the architecture: a module imports only from the layers below it, and what must
//! not do I/O does not name it. The order is read from ARCHITECTURE.md, so the map cannot lie.

use ringbus_tests::sources::{root, rust_files};
use std::fs;

/// Modules that get time, chance and bytes as arguments.
const SANS_IO: [&str; 4] = ["mailbox", "pubsub", "session", "shard"];

/// What such a module must not name.
const FORBIDDEN: [&str; 9] = [
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "thread_rng",
    "io_uring::",
    "libc::",
    "socket2::",
];

/// The layers of the engine, lowest first, each with the modules it consists of.
fn layers() -> Vec<Vec<String>> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let line = map
        .lines()
        .find(|line| line.trim_start().starts_with("base <"))
        .expect("ARCHITECTURE.md has a line `base < …`");
    let modules = |layer: &str| {
        layer
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect()
    };
    line.split('<').map(modules).collect()
}

fn height(layers: &[Vec<String>], module: &str) -> Option<usize> {
    layers
        .iter()
        .position(|layer| layer.iter().any(|name| name == module))
}

/// Modules that a source text names through `crate::`, in order of appearance.
fn imports(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .map(without_comment)
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if is_word {
            continue; // `ringbus_crate::`, `$crate::` has no word before it and counts
        }
        let rest = code[at + "crate::".len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads_of_group(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first names in `{a::b, c::{d, e}, f}`, given what follows the brace.
fn heads_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.extend(head(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(head(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// What is wrong with one file of a module.
fn violations(layers: &[Vec<String>], module: &str, source: &str) -> Vec<String> {
    let Some(own) = height(layers, module) else {
        return vec![format!("module {module} is in no layer")];
    };
    let mut wrong = Vec::new();
    for import in imports(source) {
        // Names that are no layer are items of the crate root, such as macros.
        if height(layers, &import).is_some_and(|other| other > own) {
            wrong.push(format!(
                "{module} imports crate::{import}, which is above it"
            ));
        }
    }
    if SANS_IO.contains(&module) {
        for line in source.lines().map(without_comment) {
            for name in FORBIDDEN.iter().filter(|name| line.contains(*name)) {
                wrong.push(format!("{module} names {name}: {}", line.trim()));
            }
        }
    }
    wrong
}

#[test]
fn engine_modules_import_only_from_lower_layers() {
    let (source, layers) = (root().join("engine/src"), layers());
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let inside = file.strip_prefix(&source).expect("found inside");
        let first = inside
            .components()
            .next()
            .expect("not empty")
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue; // the crate root names everything
        }
        let text = fs::read_to_string(&file).expect("readable");
        let lines = violations(&layers, module, &text);
        wrong.extend(
            lines
                .into_iter()
                .map(|line| format!("{}: {line}", inside.display())),
        );
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn an_upward_import_is_found() {
    let layers = layers();
    for source in [
        "use crate::shard::Shard;",
        "use crate::{base::ids, shard::{Shard, Effects}};",
        "fn f() { let _ = crate::server::run(); }",
        "use crate::{\n    base::ids,\n    io,\n};",
    ] {
        assert_eq!(violations(&layers, "pubsub", source).len(), 1, "{source}");
        assert!(violations(&layers, "main", source).is_empty(), "{source}");
    }
    for source in [
        "use crate::base::ids;",
        "// use crate::shard::Shard;",
        "use other_crate::io;",
    ] {
        assert!(violations(&layers, "pubsub", source).is_empty(), "{source}");
    }
    assert_eq!(violations(&layers, "unheard_of", "").len(), 1);
}

#[test]
fn a_clock_or_socket_in_a_sans_io_module_is_found() {
    let layers = layers();
    for source in ["let now = Instant::now();", "use std::net::TcpStream;"] {
        assert_eq!(violations(&layers, "shard", source).len(), 1, "{source}");
        assert!(violations(&layers, "io", source).is_empty(), "{source}");
    }
}

/// The names in a section of a Cargo.toml.
fn dependencies(manifest: &str, section: &str) -> Vec<String> {
    let header = format!("[{section}]");
    manifest
        .lines()
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_downwards() {
    let of = |folder: &str| {
        let path = root().join(folder).join("Cargo.toml");
        dependencies(
            &fs::read_to_string(path).expect("a manifest"),
            "dependencies",
        )
    };
    let ours = |names: Vec<String>| {
        let mut names: Vec<_> = names
            .into_iter()
            .filter(|n| n.starts_with("ringbus"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(ours(of("protocols")), Vec::<String>::new());
    assert_eq!(ours(of("bench")), ["ringbus-protocols"]);
    assert_eq!(ours(of("engine")), ["ringbus-bench", "ringbus-protocols"]);
    // The codec is pure bytes: nothing that could open a socket or read a clock.
    assert_eq!(of("protocols"), ["flate2", "httparse", "sha1", "simdutf8"]);
}

#[test]
fn the_codec_forbids_unsafe_code() {
    let path = root().join("protocols/src/lib.rs");
    let source = fs::read_to_string(path).expect("protocols/src/lib.rs");
    assert!(source.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn the_test_command_runs_every_test() {
    let command = fs::read_to_string(root().join("tests/run")).expect("tests/run");
    let tests = fs::read_dir(root().join("tests/tests")).expect("tests/tests");
    let names: Vec<String> = tests
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    let words = command.split(|c: char| c.is_whitespace() || c == ';');
    let words: Vec<&str> = words.collect();
    for name in names {
        let runs = |pair: &[&str]| pair[0] == "--test" && pair[1] == name;
        assert!(words.windows(2).any(runs), "tests/run has no --test {name}");
    }
}
