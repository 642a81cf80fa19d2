use super::*;

#[test]
fn the_example_has_every_setting_with_its_default() {
    let example = include_str!("../../../examples/patchbay.toml");
    let parsed: Config = toml::from_str(example).unwrap();
    assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    // A setting that is missing in the example is not one that it shows.
    let table: toml::Table = toml::from_str(example).unwrap();
    let keys = |name: &str| table[name].as_table().unwrap().len();
    assert_eq!(
        [
            "cwmp",
            "stun",
            "api",
            "store",
            "plugins",
            "files",
            "instance",
            "traces",
            "xmpp",
            "log",
            "metrics",
            "telemetry",
            "backup",
            "shutdown"
        ]
        .map(keys),
        [13, 7, 5, 3, 5, 7, 17, 4, 17, 4, 0, 2, 2, 1]
    );
}

#[test]
fn what_is_shown_can_be_read_again_and_has_no_secret() {
    let shown = Config::default().shown().unwrap();
    let read: Config = toml::from_str(&shown).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
    let secrets = r#"
        [api]
        token = "hidden-hidden-hidden"
        [xmpp]
        secret = "hidden"
        [instance.http_proxy]
        address = "proxy:3128"
        password = "hidden"
        [[instance.device_authentication.factory_credentials]]
        username = "seen"
        password = "hidden"
        [instances.acme.http_proxy]
        address = "proxy:3128"
        password = "hidden"
    "#;
    let config: Config = toml::from_str(secrets).unwrap();
    let shown = config.shown().unwrap();
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(shown.matches("********").count(), 5, "{shown}");
    assert!(shown.contains("seen"), "{shown}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "[cwmp]\nbody_byte_max = 1\nsessions_max = 0\nlisten = [\n  \"nowhere\",\n]\n\n\
                [store]\ncache_bytes = \"much\"\n[log]\nfilter = \"a=b=c\"\nformat = \"xml\"\n";
    let told = mistakes::read(text).unwrap_err();
    let at = |part: &str| {
        told.find(part)
            .unwrap_or_else(|| panic!("{part:?} is not in\n{told}"))
    };
    let places = [
        at("line 2"),
        at("line 3: cwmp.sessions_max = 0: expected 1 to"),
        at("line 5"),
        at("line 9"),
        at("line 11: log.filter"),
        at("line 12"),
    ];
    assert!(places.is_sorted(), "{told}");
    // Also where a key has dots.
    let told = mistakes::read("[instances.a]\nwaking.waiting_max = 0\n[cwmp]\nsessions_max = 0\n");
    let told = told.unwrap_err();
    assert!(
        told.contains("line 2: instances.a.waking.waiting_max = 0") && told.contains("line 4: "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
    // Nothing can be said of what is no TOML beyond its first mistake.
    assert!(
        mistakes::read("a = \nb = 1\n")
            .unwrap_err()
            .contains("line 1")
    );
    // A setting that the file does not have is told without a line.
    let pair = "[cwmp]\nproxy_protocol = \"required\"\n";
    assert!(mistakes::read(pair).unwrap_err().starts_with("line 2"));
}

#[test]
fn errors_name_line_and_expected_value() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = |text: &str, parts: &[&str]| {
        std::fs::write(file.path(), text).unwrap();
        let error = Config::load(file.path()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    check(
        "[cwmp]\nbody_byte_max = 1\n",
        &["line 2", "body_byte_max", "body_bytes_max"],
    );
    check(
        "[cwmp]\nbody_bytes_max = 1\n",
        &["cwmp.body_bytes_max = 1", "64 KiB"],
    );
    check(
        "[instances.acme]\nhosts = ['a:1']",
        &["line 2", "instances.acme.hosts", "without scheme and port"],
    );
    check(
        "[instances.Acme]",
        &["line 1", "instances.Acme", "a letter first"],
    );
    let authentication = |setting: &str| format!("[instance.device_authentication]\n{setting}\n");
    check(
        &authentication("schemes = ['basic', 'digest-md5', 'basic']"),
        &["line 2", "schemes = 3 of them", "each scheme once"],
    );
    check(
        &authentication(&format!("realm = '{}'", "a".repeat(129))),
        &["line 2", "realm = 129 characters", "at most 128"],
    );
    let long = "x".repeat(257);
    check(
        &authentication(&format!(
            "factory_credentials = [{{ password = '{long}' }}]"
        )),
        &["factory_credentials = 1 of them", "at most 256 characters"],
    );
    let codes: String = (0..1_001).map(|n| format!("c{n} = ['t']\n")).collect();
    check(
        &format!("[instance.provisioning_codes]\n{codes}"),
        &["provisioning_codes = 1001", "at most 1000"],
    );
    check("[instances.default]", &["in [instance]"]);
    check("[api]\ntoken = \"short\"\n", &["api.token", "at least 16"]);
    check(
        "[api]\nsession_seconds_max = 60\n",
        &[
            "api.session_idle_seconds_max = 3600",
            "api.session_seconds_max",
        ],
    );
    let oidc = "[api.oidc]\nissuer = \"ISSUER\"\nclient_id = \"acs\"\nroles = [{ value = \"a\", role = \"admin\" }]\n";
    check(
        &oidc.replace("ISSUER", "http://login.example.net"),
        &["api.oidc.issuer", "http://login.example.net", "https"],
    );
    check(
        &oidc.replace("ISSUER", "https://login.example.net"),
        &["api.url", "sends people back"],
    );
    check(
        "[api.oidc]\nissuer = \"https://login.example.net\"\n",
        &["line 1", "client_id"],
    );
    check(
        "[cwmp]\ntrusted_proxies = [\"x\"]\n",
        &["line 2", "10.0.0.0/8"],
    );
    check(
        "[stun]\nlisten = [\"192.0.2.1:3478\"]\nsecond_listen = [\"192.0.2.2:3478\"]\n",
        &["stun.second_listen = 192.0.2.2:3478", "another port"],
    );
    check(
        "[instance.short_inform]\nlease = true\nidle_seconds = 5\n",
        &["instance.short_inform.idle_seconds = 5", "short interval"],
    );
    check("[stun]\nlisten = []\n", &["stun.listen", "stun.enabled"]);
    check(
        "[stun]\nkeepalive_seconds_max = 10\n",
        &["stun.keepalive_seconds_min = 20"],
    );
    check(
        "[cwmp]\n\nproxy_protocol = \"on\"\n",
        &["line 3", "`off`", "`optional`", "`required`"],
    );
    check(
        "[cwmp]\nproxy_protocol = \"required\"\n",
        &["cwmp.proxy_protocol = required", "cwmp.trusted_proxies"],
    );
    check(
        "[instance]\nconnection_request_from = [\"192.0.2.300\"]\n",
        &["line 2", "IP address"],
    );
    check(
        "[instance]\nconnection_request_from = [\"192.0.2.1\", \"192.0.2.2\"]\n",
        &[
            "[192.0.2.1, 192.0.2.2]",
            "one address of this host of each family",
        ],
    );
    check(
        "[instance.http_proxy]\naddress = \"http://proxy:3128\"\n",
        &["line 2", "expected host:port", "http://proxy:3128"],
    );
    check(
        "[instance.http_proxy]\nport = 3128\n",
        &["line 2", "port", "`address`"],
    );
    check(
        "[instance.http_proxy]\naddress = \"proxy:3128\"\nusername = \"acs\"\n",
        &[
            "instance.http_proxy.username = \"acs\"",
            "username and password, or neither",
        ],
    );
}
