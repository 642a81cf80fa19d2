//! Mistakes in a configuration, as whoever made them hears of them.

use std::io::Write;

use super::served::{patchbay, run};

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
        // Of instances: the setting's full name, as it stands in the file.
        (
            "[instances.acme]\nhosts = [\"http://a/\"]\n",
            &[
                "line 2: instances.acme.hosts = [\"http://a/\"]",
                "without scheme and port",
            ],
        ),
        (
            "[instances.acme]\nwaking = { at_once_max = 0 }\n[instances.b]\nlistn = []\n",
            &["line 2", "line 4", "unknown field `listn`"],
        ),
        (
            "[instances.acme]\nconnection_request_seconds_max = 0\n\n[instances.acme.waking]\nwaiting_max = 0\n",
            &[
                "line 2",
                "line 5: instances.acme.waking.waiting_max = 0: expected",
            ],
        ),
        (
            "\n[instances.Acme]\n",
            &[
                "line 2: instances.Acme: expected a name of 1 to 32",
                "got \"Acme\"",
            ],
        ),
        (
            "[instances.default]\nstun = false\n",
            &["line 1: instances.default: expected the settings of default in [instance]"],
        ),
        (
            "[instances.a]\nhosts = [\"x\"]\n[instances.b]\nstun = true\nhosts = [\"X\"]\n",
            &[
                "line 5: instances.b.hosts: expected names that no other instance has",
                "got X, which is of [instances.a] too",
            ],
        ),
        (
            "[instance]\nlisten = [\"127.0.0.1:1\"]\n[instances.b]\nlisten_tls = [\"127.0.0.1:1\"]\n[cwmp.tls]\ncertificate = \"c\"\nkey = \"k\"\n",
            &[
                "line 4: instances.b.listen_tls",
                "got 127.0.0.1:1, which is of [instance] too",
            ],
        ),
        (
            "[instances.a]\n[[instances.a.device_authentication.factory_credentials]]\npassword = \"\"\n",
            &[
                "line 2: instances.a.device_authentication.factory_credentials",
                "a password",
            ],
        ),
        (
            "[instances.a.http_proxy]\nusername = \"u\"\n",
            &["line 1", "missing field `address`"],
        ),
        ("instances = 3\n", &["line 1", "expected a map"]),
        // What is missing has the line of its table.
        (
            "[webhooks]\nallow = [\"10.0.0.0/99\"]\n[xmpp]\nmode = \"component\"\n",
            &["line 2", "10.0.0.0/99", "line 3: xmpp.domain", "a domain"],
        ),
        (
            "[cwmp.tls]\nlisten = [\"127.0.0.1:1\"]\n",
            &["line 2: cwmp.tls.listen", "certificate and key beside it"],
        ),
        (
            "[api]\nurl = \"acs\"\n[api.oidc]\nissuer = \"https://i.example\"\n",
            &["line 3", "missing field `client_id`"],
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

/// A value of the environment is told as that, not as a line of the file.
#[test]
fn mistakes_of_the_environment() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[api]\ntoken = \"long-enough-for-a-token\"\n")
        .unwrap();
    let output = std::process::Command::new(patchbay())
        .args(["config", "check", file.path().to_str().unwrap()])
        .env("PATCHBAY_API_TOKEN", "short")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{told}");
    let expected = "PATCHBAY_API_TOKEN in the environment: api.token = a text of 5 characters";
    assert!(told.contains(expected) && !told.contains("line"), "{told}");
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
