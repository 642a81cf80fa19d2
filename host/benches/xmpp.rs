//! What an idle XMPP connection costs the embedded server in memory: `cargo bench --bench xmpp`.
//!
//! The server is a process of its own, so that its memory can be told. Devices log in one after
//! the other, 64 at a time, and then keep silent.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use patchbay::device::{UnixTime, XmppAccount};
use patchbay::nat::xmpp::account;
use patchbay::nat::xmpp::limits::Admission;
use patchbay::nat::xmpp::server::{Accounts, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names the certificate's file: this process is the server.
const SERVER: &str = "PATCHBAY_XMPP_BENCH";
const DOMAIN: &str = "bench.example";
const PASSWORD: &str = "of-all-devices";
const DEVICES: usize = 5_000;
/// Logins at a time.
const LOGINS: usize = 64;
/// What is left of logins has to go before memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match std::env::var(SERVER) {
        Ok(certificate) => runtime.block_on(serve(&certificate)),
        Err(_) => runtime.block_on(measure()),
    }
}

/// Everybody has the same password.
struct Everybody(XmppAccount);

impl Accounts for Everybody {
    fn find(&self, _username: &str) -> Option<XmppAccount> {
        Some(self.0.clone())
    }

    fn went_online(&self, _username: &str, _resource: &str) {}

    fn went_offline(&self, _username: &str) {}

    fn now(&self) -> UnixTime {
        0
    }
}

/// Certificate and key lie in one file.
async fn serve(certificate: &str) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(certificate)?)?;
    let mut everybody = XmppAccount {
        salt: account::new_salt(),
        ..XmppAccount::default()
    };
    let keys = account::derive(&everybody.salt, PASSWORD);
    account::promise(&mut everybody, keys);
    account::answered(&mut everybody, true);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let settings = Settings {
        domain: DOMAIN.into(),
        acs: format!("acs@{DOMAIN}"),
        tls_required: false,
        plain_without_tls: true,
        login_time_max: Duration::from_secs(60),
        keep_alive: Duration::from_secs(300),
    };
    let all = usize::MAX;
    let server = Server::new(
        settings,
        Some(Arc::new(move || acceptor.clone())),
        Admission::new(all, all, all),
        Arc::new(Everybody(everybody)),
    );
    let (_stop, stopped) = watch::channel(false);
    let mut serving = tokio::task::JoinSet::new();
    for direct_tls in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let server = Arc::clone(&server);
        serving.spawn(server.serve(listener, direct_tls, stopped.clone()));
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

async fn measure() -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![DOMAIN.to_owned()])?;
    let file = tempfile::NamedTempFile::new()?;
    let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(file.path(), pem)?;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    println!("{DEVICES} idle connections; memory of the server that is its own");
    for tls in [false, true] {
        let mut server = Command::new(std::env::current_exe()?)
            .env(SERVER, file.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let result = one(&mut server, tls.then_some(&connector)).await;
        server.kill()?;
        server.wait()?;
        result?;
    }
    Ok(())
}

async fn one(
    server: &mut std::process::Child,
    connector: Option<&TlsConnector>,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(server.stdout.take().context("no output")?).lines();
    let mut address = || -> anyhow::Result<SocketAddr> {
        let line = lines.next().context("the server has ended")??;
        Ok(line.parse()?)
    };
    let (plain, tls) = (address()?, address()?);
    // What the first connections bring with them is no cost of each.
    let mut kept = connect(0..LOGINS, plain, tls, connector).await?;
    tokio::time::sleep(SETTLE).await;
    let before = memory(server.id())?;
    let began = Instant::now();
    kept.extend(connect(LOGINS..LOGINS + DEVICES, plain, tls, connector).await?);
    let took = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let after = memory(server.id())?;
    let each = after.saturating_sub(before) as f64 / DEVICES as f64;
    let kind = if connector.is_some() { "TLS" } else { "plain" };
    println!(
        "{kind:>6}: {each:.1} KiB each ({before} to {after} KiB), {:.0} logins/s",
        DEVICES as f64 / took
    );
    drop(kept);
    Ok(())
}

/// A connection, kept.
type Kept = Box<dyn std::any::Any + Send>;

async fn connect(
    numbers: std::ops::Range<usize>,
    plain: SocketAddr,
    tls: SocketAddr,
    connector: Option<&TlsConnector>,
) -> anyhow::Result<Vec<Kept>> {
    let turns = Arc::new(Semaphore::new(LOGINS));
    let mut logins = tokio::task::JoinSet::new();
    for number in numbers {
        let (turns, connector) = (Arc::clone(&turns), connector.cloned());
        logins.spawn(async move {
            let _turn = turns.acquire().await?;
            let kept: Kept = match connector {
                None => {
                    let mut stream = TcpStream::connect(plain).await?;
                    login(&mut stream, number).await?;
                    Box::new(stream)
                }
                Some(connector) => {
                    let tcp = TcpStream::connect(tls).await?;
                    let name = ServerName::try_from(DOMAIN)?;
                    let mut stream = connector.connect(name, tcp).await?;
                    login(&mut stream, number).await?;
                    Box::new(stream)
                }
            };
            anyhow::Ok(kept)
        });
    }
    let mut kept = Vec::new();
    while let Some(login) = logins.join_next().await {
        kept.push(login??);
    }
    Ok(kept)
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    number: usize,
) -> anyhow::Result<()> {
    let header = format!(
        "<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let plain = STANDARD.encode(format!("\0bench{number}\0{PASSWORD}"));
    let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
    let bind = "urn:ietf:params:xml:ns:xmpp-bind";
    for (text, answer) in [
        (header.clone(), "</stream:features>"),
        (
            format!("<auth xmlns='{sasl}' mechanism='PLAIN'>{plain}</auth>"),
            "</success>",
        ),
        (header, "</stream:features>"),
        (
            format!(
                "<iq type='set' id='1'><bind xmlns='{bind}'><resource>wan</resource></bind></iq>"
            ),
            "</iq>",
        ),
        ("<presence/>".to_owned(), ""),
    ] {
        stream.write_all(text.as_bytes()).await?;
        let mut read = String::new();
        while !read.contains(answer) {
            let mut bytes = [0; 2048];
            let count = stream.read(&mut bytes).await?;
            anyhow::ensure!(count > 0, "closed after {read:?}");
            let bytes = bytes.get(..count).unwrap_or_default();
            read += &String::from_utf8_lossy(bytes);
        }
    }
    Ok(())
}

/// KiB.
fn memory(process: u32) -> anyhow::Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("no Pss_Anon")?.parse()?)
}
