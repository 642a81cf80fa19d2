//! Three network namespaces for a test: the internet with the ACS in it, a router that translates addresses, and the
//! LAN behind it.
//!
//! ```text
//! lan 192.168.77.2 ─── 192.168.77.1 router 198.51.100.1 ─── 198.51.100.2, .3 wan
//! ```
//!
//! Nothing of it touches the machine's own network: the cables are made inside the namespaces, and there is no route
//! out of them.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where the ACS is.
pub const ACS: &str = "198.51.100.2";
/// Another address of the ACS.
pub const ACS_SECOND: &str = "198.51.100.3";
/// The router as the internet sees it.
pub const ROUTER: &str = "198.51.100.1";
/// The device as the LAN sees it.
pub const DEVICE: &str = "192.168.77.2";

/// Names of namespaces are this, the process that made them, a number, and their place.
const PREFIX: &str = "patchbay";
/// Where the kernel keeps how long the router remembers a UDP binding.
const UDP_TIMEOUTS: [&str; 2] = [
    "nf_conntrack_udp_timeout",
    "nf_conntrack_udp_timeout_stream",
];

/// How the router translates UDP (RFC 3489 §5). TCP gets out and nothing of it in, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// Whoever is outside gets in by the mapped port; the mapping never expires.
    FullCone,
    /// One mapping for each port inside; only who was sent to gets in, from the port that was sent to.
    PortRestricted,
    /// A mapping by another port for each destination.
    Symmetric,
    /// UDP is not let through, neither way.
    NoUdp,
}

impl Nat {
    fn rules(self) -> String {
        let random = match self {
            Nat::Symmetric => " fully-random",
            _ => "",
        };
        let inbound = match self {
            Nat::FullCone => format!("iifname \"outside\" udp dport 1024-65535 dnat to {DEVICE}"),
            _ => String::new(),
        };
        let udp = match self {
            Nat::FullCone => "ct status dnat accept",
            Nat::NoUdp => "meta l4proto udp drop",
            _ => "",
        };
        format!(
            "table ip nat {{\n\
             chain inbound {{\n type nat hook prerouting priority -100;\n {inbound}\n }}\n\
             chain outbound {{\n type nat hook postrouting priority 100;\n oifname \"outside\" masquerade{random}\n }}\n\
             }}\n\
             table ip filter {{\n\
             chain cut {{\n }}\n\
             chain through {{\n type filter hook forward priority 0; policy drop;\n jump cut\n {udp}\n \
             ct state established,related accept\n iifname \"inside\" accept\n }}\n\
             }}\n"
        )
    }
}

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Wan,
    Router,
    Lan,
}

/// The namespaces of one test, gone with it.
pub struct Network {
    name: String,
    running: Vec<Child>,
}

/// A program that runs in a network.
#[derive(Debug, Clone, Copy)]
pub struct Program(u32);

impl Network {
    /// Lays the cables. `udp_seconds`: after so much silence the router forgets a UDP binding.
    pub fn new(nat: Nat, udp_seconds: u32) -> Network {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Network {
            name: format!("{PREFIX}-{}-{number}", std::process::id()),
            running: Vec::new(),
        };
        let [wan, router, lan] =
            [Place::Wan, Place::Router, Place::Lan].map(|place| network.namespace(place));
        for namespace in [&wan, &router, &lan] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        let cable = |end: &str, at: &str, other_end: &str, other: &str| {
            let peer = ["type", "veth", "peer", "name", other_end, "netns", other];
            ip(&[["-n", at, "link", "add", end].as_slice(), &peer].concat());
        };
        cable("eth0", &wan, "outside", &router);
        cable("eth0", &lan, "inside", &router);
        let address = |namespace: &str, end: &str, addresses: &[&str]| {
            for address in addresses {
                ip(&[
                    "-n",
                    namespace,
                    "address",
                    "add",
                    &format!("{address}/24"),
                    "dev",
                    end,
                ]);
            }
            ip(&["-n", namespace, "link", "set", end, "up"]);
        };
        address(&wan, "eth0", &[ACS, ACS_SECOND]);
        address(&router, "outside", &[ROUTER]);
        address(&router, "inside", &["192.168.77.1"]);
        address(&lan, "eth0", &[DEVICE]);
        // There is no way back but the router's.
        ip(&["-n", &lan, "route", "add", "default", "via", "192.168.77.1"]);
        network.set("ipv4/ip_forward", 1);
        network.rules(&nat.rules());
        for timeout in UDP_TIMEOUTS {
            network.set(&format!("netfilter/{timeout}"), udp_seconds);
        }
        network
    }

    /// A program that is run there, to be spawned or waited for.
    pub fn command(&self, place: Place, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(place), program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a program until the network is dropped.
    pub fn run(&mut self, mut command: Command) -> Program {
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let program = Program(child.id());
        self.running.push(child);
        program
    }

    /// Ends a program as Ctrl-C does, and waits for its end.
    pub fn end(&mut self, program: Program) {
        let running = self
            .running
            .iter()
            .position(|child| child.id() == program.0);
        let mut child = self.running.swap_remove(running.expect("it runs"));
        let interrupt = Command::new("kill")
            .args(["-INT", &program.0.to_string()])
            .status();
        assert!(interrupt.unwrap().success());
        child.wait().unwrap();
    }

    /// The router drops what matches, in both directions, in place of what it was told to drop before.
    ///
    /// `what` is of nftables, such as `tcp sport 5222`; with `reject with tcp reset` at its end both sides are told.
    pub fn cut(&self, what: &[&str]) {
        let rules: String = what
            .iter()
            .map(|what| match what.contains("reject") {
                true => format!("add rule ip filter cut {what}\n"),
                false => format!("add rule ip filter cut {what} drop\n"),
            })
            .collect();
        self.rules(&format!("flush chain ip filter cut\n{rules}"));
    }

    /// Lets through again what was cut.
    pub fn restore(&self) {
        self.cut(&[]);
    }

    fn rules(&self, rules: &str) {
        let mut nft = self.command(Place::Router, "nft");
        nft.args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut nft = nft.spawn().unwrap();
        nft.stdin
            .take()
            .unwrap()
            .write_all(rules.as_bytes())
            .unwrap();
        let output = nft.wait_with_output().unwrap();
        check(&output, "nft (Debian: apt-get install nftables)");
    }

    /// Sets what the kernel keeps for the router below /proc/sys/net.
    fn set(&self, name: &str, value: u32) {
        let mut shell = self.command(Place::Router, "sh");
        let output = shell
            .args(["-c", &format!("echo {value} > /proc/sys/net/{name}")])
            .output();
        check(&output.unwrap(), name);
    }

    fn namespace(&self, place: Place) -> String {
        format!("{}-{place:?}", self.name).to_lowercase()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        for place in [Place::Wan, Place::Router, Place::Lan] {
            let namespace = self.namespace(place);
            let _ = Command::new("ip")
                .args(["netns", "delete", &namespace])
                .status();
        }
    }
}

/// Removes what processes that were killed have left, and what runs in it.
fn sweep() {
    let listed = ip(&["netns", "list"]);
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let namespace = line.split(' ').next().unwrap_or_default();
        let mut parts = namespace.split('-');
        let (prefix, owner) = (parts.next(), parts.next());
        let Some(owner) = owner.filter(|_| prefix == Some(PREFIX)) else {
            continue;
        };
        if std::fs::exists(format!("/proc/{owner}")).unwrap() {
            continue;
        }
        let inside = ip(&["netns", "pids", namespace]);
        for pid in String::from_utf8_lossy(&inside.stdout).lines() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        ip(&["netns", "delete", namespace]);
    }
}

fn ip(arguments: &[&str]) -> Output {
    let output = match Command::new("ip").args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            panic!("ip: {error}; the NAT laboratory needs iproute2, which tests/run installs")
        }
    };
    check(&output, &format!("ip {}", arguments.join(" ")));
    output
}

#[track_caller]
fn check(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what} failed; the NAT laboratory needs root and network namespaces: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

/// Waits until it is so; what there is then.
#[track_caller]
pub fn until<T: std::fmt::Debug>(
    within: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = std::time::Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return found,
            Err(still) => assert!(std::time::Instant::now() < deadline, "it stays {still}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
