//! The rules of `ARCHITECTURE.md` that a test can hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Lines of a file, tests included.
const LINES_MAX: usize = 600;
/// Longer ones, and why.
const LONGER: [(&str, &str); 0] = [];
/// Drawers that become everybody's.
const DRAWERS: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];
/// Directories that only a developer's machine has.
const MACHINES: [&str; 3] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
];

/// Below the root, with `/` whatever the system.
fn relative(path: &Path) -> String {
    path.strip_prefix(ROOT)
        .unwrap()
        .to_str()
        .unwrap()
        .replace('\\', "/")
}

/// All Rust files of a directory of the project.
fn rust_files(directory: &str) -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&Path::new(ROOT).join(directory), &mut paths);
    paths.sort();
    let read = |path: PathBuf| (relative(&path), std::fs::read_to_string(&path).unwrap());
    let files: Vec<_> = paths.into_iter().map(read).collect();
    assert!(!files.is_empty(), "{directory} has no Rust files");
    files
}

/// The lines that have this word as a word of its own.
fn mentions(word: &str, files: &[(String, String)], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
    };
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !allowed(path)) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| has(line)) {
            found.push(format!("{path}:{}: {}", number + 1, line.trim()));
        }
    }
    found
}

fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn only_the_store_knows_sled_and_only_the_plugins_know_wasmtime() {
    let host = rust_files("host/src");
    // The word is enough for the databases; wasmtime is something that people are told of.
    none(
        mentions("sled", &host, |path| path.starts_with("host/src/store/")),
        "only host/src/store may mention sled",
    );
    none(
        mentions("wasmtime", &host, |path| {
            path.starts_with("host/src/plugins/")
        }),
        "only host/src/plugins may mention wasmtime",
    );
    for package in ["host/cwmp/src", "host/sim/src"] {
        for engine in ["sled", "wasmtime"] {
            none(mentions(engine, &rust_files(package), |_| false), package);
        }
    }
}

#[test]
fn the_api_touches_neither_the_database_nor_the_plugins_engine() {
    let api = rust_files("host/src/api");
    for word in ["sled", "wasmtime", "backend", "wit_bindgen", "bindgen"] {
        none(
            mentions(word, &api, |_| false),
            "host/src/api goes through the store and the plugins",
        );
    }
}

/// Neither sockets nor a clock nor an async runtime, not even through somebody else.
#[test]
fn the_protocol_crate_has_no_tokio_in_its_tree() {
    // As it is when nobody else of the workspace wants more of what it depends on.
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package=cwmp",
            "--edges=normal",
            "--prefix=none",
            "--format={p}",
            "--manifest-path",
        ])
        .arg(Path::new(ROOT).join("Cargo.toml"))
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    let tree: BTreeSet<&str> = names.collect();
    assert!(tree.contains("quick-xml"), "{tree:?}");
    for forbidden in [
        "tokio",
        "mio",
        "socket2",
        "hyper",
        "async-std",
        "smol",
        "futures",
        "rand",
        "getrandom",
    ] {
        assert!(
            !tree.contains(forbidden),
            "cwmp depends on {forbidden}: {tree:?}"
        );
    }
    let sources = rust_files("host/cwmp/src");
    for word in ["SystemTime", "TcpStream", "UdpSocket", "tokio"] {
        none(
            mentions(word, &sources, |path| path.contains("/tests")),
            "host/cwmp does no I/O, reads no clock",
        );
    }
    let manifest = std::fs::read_to_string(Path::new(ROOT).join("host/cwmp/Cargo.toml")).unwrap();
    assert!(!manifest.contains("tokio"), "{manifest}");
}

/// Its feature `component` makes every stanza of tokio-xmpp one of a component's stream.
#[test]
fn nobody_turns_tokio_xmpp_into_a_component() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--workspace",
            "-e",
            "features",
        ])
        .args(["-i", "xmpp-parsers", "--manifest-path"])
        .arg(Path::new(ROOT).join("Cargo.toml"))
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.starts_with("xmpp-parsers v"), "{output:?}");
    assert!(!tree.contains("feature \"component\""), "{tree}");
}

#[test]
fn no_file_is_too_long_to_read_and_no_module_a_drawer() {
    let mut long = Vec::new();
    let mut drawers = Vec::new();
    for directory in [
        "host/src",
        "host/cwmp/src",
        "host/sim/src",
        "host/xmpp/src",
        "plugin-sdk/src",
        "plugins",
        "tests/it",
    ] {
        for (path, text) in rust_files(directory) {
            let lines = text.lines().count();
            let reason = LONGER.iter().find(|(longer, _)| *longer == path);
            match (lines > LINES_MAX, reason) {
                (true, None) => long.push(format!("{path}: {lines} lines")),
                (false, Some(_)) => {
                    long.push(format!("{path}: {lines} lines, no exception is needed"))
                }
                _ => {}
            }
            let mut parts = path.trim_end_matches(".rs").split('/');
            if parts.any(|part| DRAWERS.contains(&part)) {
                drawers.push(path);
            }
        }
    }
    none(long, "files of at most 600 lines");
    none(drawers, "modules are named after what they are about");
}

#[test]
fn every_row_of_the_quirk_table_has_its_test() {
    let table = std::fs::read_to_string(Path::new(ROOT).join("docs/quirks.md")).unwrap();
    let sources: String = ["host", "tests"]
        .iter()
        .flat_map(|directory| rust_files(directory))
        .map(|(_, text)| text)
        .collect();
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let row = cells[0].trim();
        if !is_row(row) {
            continue;
        }
        rows.push(row);
        let tests: Vec<&str> = cells[cells.len() - 1]
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        if tests.is_empty() {
            wrong.push(format!("{row} names no test"));
        }
        for test in tests {
            if !names(test).any(|named| named == row) {
                wrong.push(format!("{row}: {test} does not begin with its row"));
            }
            if !sources.contains(&format!("fn {test}(")) {
                wrong.push(format!("{row}: there is no {test}"));
            }
        }
    }
    none(wrong, "each row of docs/quirks.md has a test named by it");
    let all = [("B", 14), ("E", 16), ("R", 28)];
    let all = all
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")));
    assert_eq!(rows, all.collect::<Vec<_>>());
}

/// `B7`.
fn is_row(cell: &str) -> bool {
    let mut letters = cell.chars();
    matches!(letters.next(), Some('B' | 'E' | 'R'))
        && !cell[1..].is_empty()
        && letters.all(|letter| letter.is_ascii_digit())
}

/// The rows that a test's name begins with: `e5_e06_numbers` → `E5`, `E6`.
fn names(test: &str) -> impl Iterator<Item = String> {
    let parts = test.split('_').map(|part| {
        let number = part.get(1..)?.parse::<u32>().ok()?;
        let letter = part.get(..1).filter(|letter| "ber".contains(letter))?;
        Some(format!("{}{number}", letter.to_uppercase()))
    });
    parts.map_while(|row| row).collect::<Vec<_>>().into_iter()
}

#[test]
fn no_path_of_a_developers_machine_is_kept() {
    let output = Command::new("git")
        .args(["-C", ROOT, "ls-files", "-z"])
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("skipped: this is no git checkout");
        return;
    };
    let mut found = Vec::new();
    let listed = String::from_utf8(output.stdout).unwrap();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // Binary files, and those that are deleted but not committed.
        let Ok(text) = std::fs::read_to_string(Path::new(ROOT).join(path)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if MACHINES.iter().any(|machine| begins_a_path(line, machine)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    none(found, "no absolute path of a developer's machine");
}

/// Whether the directory stands there as the beginning of a path (`src/work/` has another).
fn begins_a_path(line: &str, directory: &str) -> bool {
    let in_a_path = |c: char| c.is_alphanumeric() || "_-.}*)$>".contains(c);
    line.match_indices(directory)
        .any(|(at, _)| !line[..at].ends_with(in_a_path))
}
