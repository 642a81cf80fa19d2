//! STUN clients that nobody here wrote, from Debian's packages.

use std::net::SocketAddr;
use std::process::Command;

use crate::harness::{Host, Setup};

/// With two addresses and two ports, as clients want them that tell kinds of NAT apart.
async fn start() -> (Host, SocketAddr) {
    let host = Setup::new()
        .stun()
        .config(|config| config.stun.second_listen = vec!["127.0.0.2:0".parse().unwrap()])
        .start()
        .await;
    let address = host.acs.config.stun.listen[0];
    (host, address)
}

/// Runs a peer; what it printed.
async fn run(program: &'static str, package: &str, arguments: Vec<String>) -> String {
    let run = move || Command::new(program).args(&arguments).output();
    let output = match tokio::task::spawn_blocking(run).await.unwrap() {
        Ok(output) => output,
        Err(error) => panic!("{program}: {error}; tests/run installs the package {package}"),
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    stdout + &String::from_utf8_lossy(&output.stderr)
}

/// Classic STUN: it asks for answers from the other address and the other port.
#[tokio::test]
async fn the_client_of_vovida_sees_an_open_network() {
    let (host, address) = start().await;
    let printed = run("stun", "stun-client", vec![address.to_string()]).await;
    assert!(printed.contains("Primary: Open"), "{printed}");
    let counters = &host.acs.stun.counters;
    assert!(counters.answered.get() >= 3);
    assert_eq!(
        (counters.garbage.get(), counters.unknown_attributes.get()),
        (0, 0)
    );
    host.stop().await;
}

/// RFC 5389 and later.
#[tokio::test]
async fn the_client_of_coturn_sees_its_own_address() {
    let (host, address) = start().await;
    let arguments = vec![
        "-p".into(),
        address.port().to_string(),
        address.ip().to_string(),
    ];
    let printed = run("turnutils_stunclient", "coturn", arguments).await;
    assert!(
        printed.contains("UDP reflexive addr: 127.0.0.1:"),
        "{printed}"
    );
    assert_eq!(host.acs.stun.counters.garbage.get(), 0);
    host.stop().await;
}
