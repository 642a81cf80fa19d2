//! DHCP servers with the printed configuration: they take it, and tell devices, and nobody else, where their ACS is.

use std::path::Path;
use std::process::Command;

use super::{open_directory, run, snippet};

const URL: &str = "http://acs.example.net:7547/";
const TOML: &str = "[instance]\nacs_url = 'http://acs.example.net:7547/'";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/discovery/dhcp.sh");
/// The Broadband Forum.
const ENTERPRISE: u32 = 3561;

/// A server: the kind of its snippet, its program, its package.
const SERVERS: [(&str, &str, &str); 4] = [
    ("isc-dhcpd", "dhcpd", "isc-dhcp-server"),
    ("isc-dhcpd6", "dhcpd6", "isc-dhcp-server"),
    ("kea-dhcp4", "kea-dhcp4", "kea-dhcp4-server"),
    ("kea-dhcp6", "kea-dhcp6", "kea-dhcp6-server"),
];

/// What stands in a configuration of the operator's own.
#[test]
fn servers_take_their_part() {
    for (kind, program, package) in SERVERS {
        for options in [&[][..], &["provisioning_code=gold"]] {
            let (_keep, directory) = open_directory();
            let config = directory.join("config");
            std::fs::write(&config, snippet(kind, TOML, options)).unwrap();
            let mut command = match program {
                "dhcpd" => Command::new("dhcpd"),
                "dhcpd6" => Command::new("dhcpd"),
                kea => Command::new(kea),
            };
            match program {
                "dhcpd" => command.args(["-4", "-t", "-cf"]),
                "dhcpd6" => command.args(["-6", "-t", "-cf"]),
                _ => command.arg("-t"),
            };
            let checked = run(command.arg(&config), package);
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{kind}: {said}");
        }
    }
}

/// What a client of each vendor class was told, by the names of its environment.
fn told(
    kind: &str,
    program: &str,
    options: &[&str],
    classes: &[&str],
) -> Vec<(String, String, String)> {
    let (_keep, directory) = open_directory();
    let network: &[&str] = match kind.ends_with('6') {
        false => &["subnet=192.0.2.0/24", "pool=192.0.2.100-192.0.2.200"],
        true => &["subnet=2001:db8::/64", "pool=2001:db8::100-2001:db8::200"],
    };
    let interface: &[&str] = if kind.starts_with("kea") {
        &["interface=srv0"]
    } else {
        &[]
    };
    let config = directory.join("config");
    let printed = snippet(kind, TOML, &[network, interface, options].concat());
    std::fs::write(&config, printed).unwrap();
    let mut command = Command::new("timeout");
    command
        .args([
            "--signal=KILL",
            "120",
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["bash", SCRIPT, program])
        .arg(&config)
        .args(classes)
        .current_dir(&directory);
    let output = run(&mut command, "isc-dhcp-client, udhcpc, iproute2");
    let log =
        |name: &str| std::fs::read_to_string(Path::new(&directory).join(name)).unwrap_or_default();
    assert!(
        output.status.success(),
        "this takes root, namespaces, iproute2, isc-dhcp-client and udhcpc: {}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        log("server.log"),
        log("client.log"),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (class, rest) = line.split_once('\t').unwrap();
        let (name, value) = rest.split_once('=').unwrap();
        (class.to_owned(), name.to_owned(), value.to_owned())
    };
    text.lines().map(line).collect()
}

fn value<'a>(told: &'a [(String, String, String)], class: &str, name: &str) -> Option<&'a str> {
    let found = told.iter().find(|(c, n, _)| c == class && n == name);
    found.map(|(_, _, value)| value.as_str())
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Codes and texts of an option that holds others.
fn parts(mut bytes: &[u8], wide: bool) -> Vec<(u16, String)> {
    let mut parts = Vec::new();
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_at(if wide { 2 } else { 1 });
        *bytes = rest;
        number
            .iter()
            .fold(0, |sum, byte| sum * 256 + u16::from(*byte))
    };
    while !bytes.is_empty() {
        let (code, length) = (number(&mut bytes), number(&mut bytes));
        let (text, rest) = bytes.split_at(length.into());
        parts.push((code, String::from_utf8(text.to_vec()).unwrap()));
        bytes = rest;
    }
    parts
}

/// The vendor class may stand anywhere in option 60; who says another one, or none, is told nothing.
#[test]
fn a_client_reads_the_url_back() {
    let ours = ["dslforum.org", "Acme HG7 dslforum.org 1.0"];
    let others = ["dslforum-org", "MSFT 5.0", "-"];
    for (kind, program, _) in SERVERS
        .into_iter()
        .filter(|(kind, ..)| !kind.ends_with('6'))
    {
        let told = told(
            kind,
            program,
            &["provisioning_code=gold"],
            &[ours.as_slice(), &others].concat(),
        );
        for class in ours {
            let specific = bytes(
                value(&told, class, "opt43").unwrap_or_else(|| panic!("{kind} {class}: {told:?}")),
            );
            assert_eq!(
                parts(&specific, false),
                [(1, URL.into()), (2, "gold".into())],
                "{kind} {class}"
            );
            let identifying = bytes(value(&told, class, "opt125").unwrap());
            let (enterprise, rest) = identifying.split_at(4);
            assert_eq!(enterprise, ENTERPRISE.to_be_bytes());
            assert_eq!(usize::from(rest[0]), rest.len() - 1);
            assert_eq!(
                parts(&rest[1..], false),
                [(11, URL.into()), (12, "gold".into())],
                "{kind} {class}"
            );
        }
        for class in others {
            assert!(
                value(&told, class, "ip").is_some(),
                "{kind} {class}: {told:?}"
            );
            assert_eq!(value(&told, class, "opt43"), None, "{kind} {class}");
            assert_eq!(value(&told, class, "opt125"), None, "{kind} {class}");
        }
    }
}

#[test]
fn a_client_reads_the_url_back_over_ipv6() {
    for (kind, program, _) in SERVERS.into_iter().filter(|(kind, ..)| kind.ends_with('6')) {
        let classes = ["dslforum.org", "Acme dslforum.org", "MSFT 5.0", "-"];
        let told = told(kind, program, &["provisioning_code=gold"], &classes);
        for (class, is_told) in std::iter::zip(classes, [true, true, false, false]) {
            assert!(
                value(&told, class, "new_ip6_address").is_some(),
                "{kind} {class}: {told:?}"
            );
            let found = value(&told, class, "new_dhcp6_vendor_opts").map(|text| {
                let byte = |part| u8::from_str_radix(part, 16).unwrap();
                text.split(':').map(byte).collect::<Vec<u8>>()
            });
            let Some(found) = found else {
                assert!(!is_told, "{kind} {class}: {told:?}");
                continue;
            };
            let (enterprise, rest) = found.split_at(4);
            assert_eq!(enterprise, ENTERPRISE.to_be_bytes());
            assert_eq!(
                parts(rest, true),
                [(1, URL.into()), (2, "gold".into())],
                "{kind} {class}"
            );
            assert!(is_told, "{kind} {class}");
        }
    }
}
