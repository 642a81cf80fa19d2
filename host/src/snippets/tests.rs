use super::*;

fn config(toml: &str) -> Config {
    toml::from_str(toml).unwrap()
}

fn named() -> Config {
    config("[instance]\nacs_url = 'http://acs.example.net:7547/'")
}

fn choices(list: &[(&str, &str)]) -> Choices {
    let pairs = list
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    pairs.collect()
}

#[track_caller]
fn printed(kind: Kind, config: &Config, list: &[(&str, &str)]) -> String {
    kind.print(config, Links::of(config, ""), &choices(list))
        .unwrap()
}

#[track_caller]
fn refused(kind: Kind, config: &Config, list: &[(&str, &str)], expected: &str) {
    let error = kind
        .print(config, Links::of(config, ""), &choices(list))
        .unwrap_err()
        .to_string();
    assert_eq!(error, expected);
}

#[test]
fn names_are_found_again() {
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.name()), Ok(kind));
    }
    let error = Kind::named("apache").unwrap_err().to_string();
    assert_eq!(
        error,
        "expected one of nginx, squid, kea-dhcp4, kea-dhcp6, isc-dhcpd, isc-dhcpd6, mikrotik, easycwmp, got \"apache\""
    );
}

#[test]
fn no_address_is_made_up() {
    let wildcard = Config::default();
    for kind in Kind::ALL {
        let option = match kind {
            Kind::Squid => continue,
            Kind::Nginx => "upstream",
            _ => "acs_url",
        };
        let expected = format!(
            "cwmp.listen is [::]:7547, every address of this machine: instance.acs_url or the option {option} tells it"
        );
        refused(kind, &wildcard, &[], &expected);
    }
    refused(
        Kind::Nginx,
        &config("[cwmp.tls]\nlisten = ['[::]:7548']"),
        &[("tls", "yes")],
        "cwmp.tls.listen is [::]:7548, every address of this machine: cwmp.tls.listen or the option upstream tells it",
    );
    refused(
        Kind::Squid,
        &named(),
        &[],
        "the system chooses where connection requests come from: instance.connection_request_from or the option senders tells it",
    );
}

#[test]
fn who_may_use_the_proxy() {
    let from = config("[instance]\nconnection_request_from = ['192.0.2.1', '2001:db8::1']");
    let text = printed(Kind::Squid, &from, &[]);
    assert!(
        text.contains("acl acs src 192.0.2.1 2001:db8::1\n"),
        "{text}"
    );
    let text = printed(Kind::Squid, &from, &[("senders", "192.0.2.7,10.0.0.0/8")]);
    assert!(
        text.contains("acl acs src 192.0.2.7 10.0.0.0/8\n"),
        "{text}"
    );
}

/// An address that is listened on is enough, and a choice goes before it.
#[test]
fn where_the_address_comes_from() {
    let listening = config("[cwmp]\nlisten = ['192.0.2.1:7547']");
    let text = printed(Kind::Easycwmp, &listening, &[]);
    assert!(text.contains("url='http://192.0.2.1:7547/'"), "{text}");
    let chosen = [("acs_url", "https://other.example/")];
    let text = printed(Kind::Easycwmp, &listening, &chosen);
    assert!(text.contains("url='https://other.example/'"), "{text}");
    let text = printed(Kind::Nginx, &named(), &[]);
    assert!(text.contains("server acs.example.net:7547;"), "{text}");
}

#[test]
fn nothing_breaks_out_of_a_value() {
    for value in [
        "", "a'b", "a\"b", "a;b", "a b", "a\nb", "a{b", "a\\b", "$a", "`a`",
    ] {
        let error = Kind::Easycwmp
            .print(
                &named(),
                Links::of(&named(), ""),
                &choices(&[("interface", value)]),
            )
            .unwrap_err();
        assert!(
            matches!(
                error,
                SnippetError::Value {
                    name: "interface",
                    ..
                }
            ),
            "{error}"
        );
    }
    refused(
        Kind::Easycwmp,
        &named(),
        &[("interfaces", "eth1")],
        "easycwmp has the options acs_url, provisioning_code, interface, not \"interfaces\"",
    );
    for (kind, name, value, part) in [
        (Kind::Nginx, "listen", "65536", "a port"),
        (Kind::Nginx, "tls", "maybe", "yes or no"),
        (Kind::Nginx, "upstream", "acs", "host:port"),
        (
            Kind::Squid,
            "senders",
            "acs.example.net",
            "addresses or networks",
        ),
        (Kind::IscDhcpd, "subnet", "192.0.2.0/24", "option pool"),
        (
            Kind::KeaDhcp4,
            "pool",
            "192.0.2.1-192.0.2.9",
            "option subnet",
        ),
        (Kind::Mikrotik, "server", "dhcp1", "option pool"),
    ] {
        let error = kind
            .print(
                &named(),
                Links::of(&named(), ""),
                &choices(&[(name, value)]),
            )
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    for subnet in ["2001:db8::/64", "192.0.2.0/33", "192.0.2.0/x", "x/24"] {
        let list = [("subnet", subnet), ("pool", "192.0.2.1-192.0.2.9")];
        let error = Kind::IscDhcpd
            .print(&named(), Links::of(&named(), ""), &choices(&list))
            .unwrap_err()
            .to_string();
        assert!(error.contains("a network of the right family"), "{error}");
    }
}

#[test]
fn options_of_dhcp_as_bytes() {
    let text = printed(
        Kind::Mikrotik,
        &config("[instance]\nacs_url = 'http://a/'"),
        &[
            ("server", "dhcp1"),
            ("pool", "pool1"),
            ("provisioning_code", "gold"),
        ],
    );
    // 1, 9 bytes, http://a/, 2, 4 bytes, gold.
    assert!(
        text.contains("value=0x0109687474703a2f2f612f0204676f6c64 "),
        "{text}"
    );
    assert!(
        text.contains("periodic-inform-interval=14400s provisioning-code=\"gold\""),
        "{text}"
    );
    let text = printed(
        Kind::IscDhcpd,
        &config("[instance]\nacs_url = 'http://a/'"),
        &[],
    );
    // 3561, 11 bytes, 11, 9 bytes, http://a/.
    assert!(
        text.contains("00:00:0d:e9:0b:0b:09:68:74:74:70:3a:2f:2f:61:2f;"),
        "{text}"
    );
    let long = format!("http://{}/", "a".repeat(247));
    let error = Kind::KeaDhcp4
        .print(
            &named(),
            Links::of(&named(), ""),
            &choices(&[("acs_url", &long)]),
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            SnippetError::Value {
                name: "acs_url",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_whole_network() {
    let list = [
        ("subnet", "192.0.2.128/25"),
        ("pool", "192.0.2.130-192.0.2.140"),
    ];
    let text = printed(Kind::IscDhcpd, &named(), &list);
    assert!(
        text.ends_with(
            "subnet 192.0.2.128 netmask 255.255.255.128 {\n  range 192.0.2.130 192.0.2.140;\n}\n"
        ),
        "{text}"
    );
    let list = [("subnet", "0.0.0.0/0"), ("pool", "192.0.2.1-192.0.2.2")];
    let text = printed(Kind::IscDhcpd, &named(), &list);
    assert!(text.contains("netmask 0.0.0.0 "), "{text}");
}
