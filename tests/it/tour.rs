//! The README's five minutes and the pages under `docs/`, run as they stand there, each in a demonstration of its
//! own: each command, and each line of output it promises.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::free_port;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What marks a line of output that the README promises.
const PROMISE: &str = "# → ";
/// What ends the output of one block.
const END: &str = "--- end of block ---";
/// Of the demonstration.
const DEVICES: u64 = 15;
const READY_MAX: Duration = Duration::from_secs(60);

/// A code block of a page: whether it starts the demonstration, and its text.
fn blocks(page: &str) -> Vec<(bool, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in page.lines() {
        match (line.trim_end(), &mut block) {
            ("```sh demo", None) => block = Some((true, String::new())),
            ("```sh", None) => block = Some((false, String::new())),
            ("```", Some(_)) => blocks.extend(block.take()),
            (line, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

fn binary() -> PathBuf {
    match std::env::var_os("PATCHBAY_BIN") {
        Some(binary) => Path::new(ROOT).join(binary),
        None => panic!("PATCHBAY_BIN names no patchbay binary: run these tests with tests/run"),
    }
}

/// Ends the demonstration even when a check fails.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(page: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(page))
        .unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// How the README starts the demonstration, and what it tells the reader to type before anything else.
fn readme() -> (String, String, Vec<String>) {
    let (demos, commands): (Vec<_>, Vec<_>) = blocks(&read("README.md"))
        .into_iter()
        .partition(|(demo, _)| *demo);
    assert_eq!(demos.len(), 1, "one block starts the demonstration");
    let mut commands = commands.into_iter().map(|(_, block)| block);
    let shorthands = commands.next().unwrap_or_default();
    (demos[0].1.clone(), shorthands, commands.collect())
}

#[test]
fn the_five_minutes_of_the_readme() {
    let (_, _, commands) = readme();
    assert!(
        commands.len() >= 6,
        "the tour lost its commands: {commands:?}"
    );
    run(&commands);
}

/// A page of `docs/` begins where the README's reader is: the demonstration runs, the shorthands are known. Whoever
/// writes one runs it alone: `PATCHBAY_PAGE=stun.md`.
#[test]
fn every_page_of_the_docs() {
    let mut pages: Vec<String> = std::fs::read_dir(Path::new(ROOT).join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.sort();
    if let Ok(only) = std::env::var("PATCHBAY_PAGE") {
        pages.retain(|page| *page == only);
    }
    assert!(!pages.is_empty(), "docs/ has no such page");
    for page in pages {
        let commands: Vec<String> = blocks(&read(&format!("docs/{page}")))
            .into_iter()
            .map(|(demo, block)| {
                assert!(!demo, "{page}: only the README starts the demonstration");
                block
            })
            .collect();
        if !commands.is_empty() {
            println!("docs/{page}");
            run(&commands);
        }
    }
}

/// Starts the demonstration and types the commands; panics with the block whose output is not as promised.
fn run(commands: &[String]) {
    let (start, shorthands, _) = readme();
    let directory = tempfile::tempdir().unwrap();
    let (cwmp, api) = (free_port(), free_port());
    let adapt = |text: &str| {
        text.replace("cargo run --quiet --release --", binary().to_str().unwrap())
            .replace("cargo run --release --", binary().to_str().unwrap())
            .replace(":7557", &format!(":{api}"))
            .replace(":7547", &format!(":{cwmp}"))
    };

    // Where the reader is in the source tree, this test is in a directory of its own.
    let start = format!(
        "exec {} --cwmp 127.0.0.1:{cwmp} --api 127.0.0.1:{api}",
        adapt(&start).trim()
    );
    let demo = Command::new("bash")
        .args(["-c", &start])
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn();
    let mut demo = Demo(demo.unwrap());
    ready(&mut demo.0, api);

    let mut shell = Command::new("bash")
        .arg("-e")
        .current_dir(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap()).lines();
    for block in std::iter::once(&shorthands).chain(commands) {
        writeln!(input, "{}\necho; echo '{END}'", adapt(block)).unwrap();
        let mut came = String::new();
        loop {
            match output.next() {
                Some(line) => {
                    let line = line.unwrap();
                    if line == END {
                        break;
                    }
                    came.push_str(&line);
                    came.push('\n');
                }
                None => panic!("this block failed:\n{block}\nits output:\n{came}"),
            }
        }
        for promise in block.lines().filter_map(|line| line.strip_prefix(PROMISE)) {
            assert!(
                came.contains(promise),
                "{promise:?} is not in the output of\n{block}\nbut:\n{came}"
            );
        }
    }
    drop(input);
    assert!(shell.wait().unwrap().success());

    // Ctrl-C ends it cleanly.
    let interrupted = Command::new("kill")
        .args(["-INT", &demo.0.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let deadline = Instant::now() + READY_MAX;
    let status = loop {
        if let Some(status) = demo.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the demonstration does not stop");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}

/// Waits until all devices have had their first session.
fn ready(demo: &mut Child, api: u16) {
    let deadline = Instant::now() + READY_MAX;
    let probe = format!(
        "curl --silent --header 'Authorization: Bearer demo-token-for-loopback' http://127.0.0.1:{api}/v1/status"
    );
    loop {
        let answer = Command::new("bash").args(["-c", &probe]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        let counted = |count: &serde_json::Value| count.as_u64() >= Some(DEVICES);
        if counted(&status["devices"]) && counted(&status["counters"]["sessions_done"]) {
            return;
        }
        assert!(
            demo.try_wait().unwrap().is_none(),
            "the demonstration ended"
        );
        assert!(
            Instant::now() < deadline,
            "the devices do not come: {status}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
