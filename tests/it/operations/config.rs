//! Mistakes in a configuration, as whoever made them hears of them.

use std::io::Write;

use super::served::run;

fn check(text: &str) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let output = run(&["config", "check", file.path().to_str().unwrap()]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_table_of_mistakes() {
    for (text, expected) in [
        (
            "[cwmp]\nlisten = []\n",
            &["line 2", "cwmp.listen", "at least one address"][..],
        ),
        (
            "[cwmp]\nlisten = [\"7547\"]\n",
            &["line 2", "socket address"],
        ),
        (
            "[cwmp]\nlistn = []\n",
            &["line 2", "unknown field `listn`", "`listen`"],
        ),
        ("[cwmpp]\n", &["line 1", "unknown field `cwmpp`"]),
        ("[store]\ncache_bytes = -1\n", &["line 2", "-1", "u64"]),
        (
            "\n[traces]\nkeep = \"some\"\n",
            &["line 3", "`none`", "`eventful`", "`all`"],
        ),
        (
            "[log]\nfilter = \"\"\n",
            &["line 2", "log.filter", "a level"],
        ),
        (
            "[log]\nslow_session_seconds = -1\n",
            &["line 2", "0 (none) to 86400 seconds"],
        ),
        (
            "[telemetry]\notlp_endpoint = \"collector:4318\"\n",
            &["line 2", "http://127.0.0.1:4318"],
        ),
        (
            "[telemetry]\nsampled_percent = 200\n",
            &["line 2", "0 to 100"],
        ),
        (
            "[backup]\nkept = 0\n",
            &["line 2", "backup.kept = 0", "1 to 10000"],
        ),
        (
            "[shutdown]\ndrain_seconds = 7200\n",
            &["line 2", "0 to 3600 seconds"],
        ),
        ("[metrics]\nlisten = 9547\n", &["line 2", "socket address"]),
        ("[cwmp\n", &["line 1"]),
        (
            "[cwmp]\nbody_bytes_max = 1\n[backup]\nkept = 0\nevery = 3\n",
            &[
                "line 2: cwmp.body_bytes_max = 1: expected 64 KiB",
                "line 4: backup.kept",
                "line 5",
                "every_hours",
            ],
        ),
    ] {
        let (is_good, told) = check(text);
        assert!(!is_good, "{text}");
        for part in expected {
            assert!(told.contains(part), "{text}\n{told}\nlacks {part:?}");
        }
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn the_shipped_configuration_is_one() {
    let (is_good, told) = check(include_str!("../../../examples/patchbay.toml"));
    assert!(is_good, "{told}");
    let (is_good, told) = check("");
    assert!(is_good, "{told}");
}

#[test]
fn secrets_are_not_shown() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "[api]\ntoken = \"hidden-hidden-hidden\"\n[xmpp]\nsecret = \"hidden\"\n";
    file.write_all(text.as_bytes()).unwrap();
    let output = run(&["config", "show", file.path().to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(shown.contains("token = \"********\""), "{shown}");
    assert!(shown.contains("idle_seconds_max = 120"), "{shown}");
}
