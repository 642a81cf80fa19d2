//! TLS for devices: certificates of our own making, real clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use crate::harness::{Host, Setup, http, inform};
use crate::kept::Kept;

/// An authority that signs what a test asks for.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Signed {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a common name and these URIs.
    pub fn sign(&self, common_name: &str, uris: &[&str]) -> Signed {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        for uri in uris {
            let uri = SanType::URI((*uri).try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        let key = KeyPair::generate().unwrap();
        Signed {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of a host.
pub struct Files {
    pub directory: tempfile::TempDir,
    pub authority: Authority,
}

impl Files {
    pub fn new() -> Files {
        let files = Files {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
        };
        files.put(&files.authority.sign("localhost", &[]));
        std::fs::write(files.path("ca.pem"), files.authority.pem()).unwrap();
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn put(&self, signed: &Signed) {
        std::fs::write(self.path("key.pem"), &signed.key).unwrap();
        std::fs::write(self.path("certificate.pem"), &signed.certificate).unwrap();
    }

    /// A host with these files, that takes clients' certificates of the same authority.
    pub fn setup(&self) -> Setup {
        let [certificate, key, ca] = ["certificate.pem", "key.pem", "ca.pem"].map(|n| self.path(n));
        Setup::new().config(move |config| {
            config.cwmp.tls.certificate = Some(certificate);
            config.cwmp.tls.key = Some(key);
            config.cwmp.tls.client_ca = Some(ca);
            config.cwmp.tls.handshake_seconds_max = 2;
        })
    }

    /// A connection that trusts the authority.
    pub async fn connect(
        &self,
        host: &Host,
        client: Option<&Signed>,
    ) -> std::io::Result<Kept<TlsStream<TcpStream>>> {
        connect(
            host.tls.unwrap(),
            &self.authority.pem(),
            client,
            &version::TLS13,
        )
        .await
    }

    /// TLS on a connection that something was said on before.
    pub async fn over(&self, stream: TcpStream) -> std::io::Result<Kept<TlsStream<TcpStream>>> {
        shake_hands(stream, &self.authority.pem(), None, &version::TLS13).await
    }
}

async fn connect(
    to: SocketAddr,
    authority: &str,
    client: Option<&Signed>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<Kept<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(to).await?;
    shake_hands(stream, authority, client, version).await
}

async fn shake_hands(
    stream: TcpStream,
    authority: &str,
    client: Option<&Signed>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<Kept<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(signed) => {
            let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate.unwrap()], key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Kept(connector.connect(name, stream).await?))
}

/// The certificate that the host shows.
async fn shown(files: &Files, host: &Host) -> Vec<u8> {
    let connection = files.connect(host, None).await.unwrap();
    let (_, connection) = connection.0.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

fn curl(url: &str, ca: &Path, body: &str) -> String {
    let output = std::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--data-binary",
            body,
            "--cacert",
        ])
        .arg(ca)
        .args([
            "--write-out",
            "%{http_code} %{ssl_verify_result}",
            "--output",
            "-",
            url,
        ])
        .output()
        .expect("curl is needed for this test");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_session_over_tls_1_2_and_1_3_beside_plain_http() {
    let files = Files::new();
    let host = files.setup().start().await;
    for version in [&version::TLS12, &version::TLS13] {
        let to = host.tls.unwrap();
        let pem = files.authority.pem();
        let mut device = connect(to, &pem, None, version).await.unwrap();
        assert_eq!(
            device.post(None, &inform("1", &["2 PERIODIC"])).await.0,
            200
        );
        assert_eq!(device.post(None, "").await.0, 204);
    }
    let body = inform("1", &["2 PERIODIC"]);
    assert_eq!(
        http(host.cwmp, "POST", "/", "", body.as_bytes())
            .await
            .status,
        200
    );
    let url = format!("https://localhost:{}/", host.tls.unwrap().port());
    let ca = files.path("ca.pem");
    let answered = tokio::task::spawn_blocking(move || curl(&url, &ca, &body))
        .await
        .unwrap();
    assert!(
        answered.contains("InformResponse") && answered.ends_with("200 0"),
        "{answered}"
    );
    host.stop().await;
}

#[tokio::test]
async fn handshakes_that_fail_are_remembered_with_their_reason() {
    let files = Files::new();
    let host = files.setup().start().await;
    let to = host.tls.unwrap();
    let reason = async |part: &'static str| {
        host.until("/v1/refusals", |r| {
            r["items"][0]["why"] == "tls"
                && r["items"][0]["reason"].as_str().unwrap().contains(part)
        })
        .await
    };
    // Plain HTTP on the port of TLS.
    let mut plain = Kept::open(to).await;
    plain.send(b"POST / HTTP/1.1\r\n\r\n").await;
    reason("plain HTTP").await;
    // A client that does not trust the certificate.
    let other = Authority::new();
    assert!(
        connect(to, &other.pem(), None, &version::TLS13)
            .await
            .is_err()
    );
    reason("does not trust").await;
    // A certificate of somebody else's authority.
    let foreign = other.sign("00AABB-1", &[]);
    let connected = connect(to, &files.authority.pem(), Some(&foreign), &version::TLS12).await;
    assert!(connected.is_err());
    reason("client's certificate").await;
    // A client that says nothing.
    let silent = Kept::open(to).await;
    reason("within 2 s").await;
    drop(silent);
    host.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let files = Files::new();
    let host = files.setup().start().await;
    let first = shown(&files, &host).await;
    let until_other = async |than: &[u8]| {
        let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
        loop {
            let now = shown(&files, &host).await;
            if now != than {
                return now;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "it is not read again"
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let mut kept = files.connect(&host, None).await.unwrap();
    assert_eq!(kept.post(None, &inform("1", &["2 PERIODIC"])).await.0, 200);
    files.put(&files.authority.sign("second", &[]));
    let second = until_other(&first).await;
    // What goes on keeps its connection.
    assert_eq!(kept.post(None, "").await.0, 204);
    // Half of a pair, then the whole: what is broken is never shown.
    let third = files.authority.sign("third", &[]);
    std::fs::write(files.path("certificate.pem"), "broken").unwrap();
    let tls = host.acs.tls.clone().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3_500)).await;
    assert_eq!(shown(&files, &host).await, second);
    assert!(tls.certificate().names.contains(&"second".to_owned()));
    files.put(&third);
    until_other(&second).await;
    assert!(tls.certificate().names.contains(&"third".to_owned()));
    host.stop().await;
}

#[test]
fn files_that_are_wrong_are_named() {
    use patchbay::door::Tls;
    let files = Files::new();
    let other = files.authority.sign("other", &[]);
    let load = || {
        let config = patchbay::config::Tls {
            certificate: Some(files.path("certificate.pem")),
            key: Some(files.path("key.pem")),
            client_ca: Some(files.path("ca.pem")),
            ..Default::default()
        };
        Tls::load(&config).map(drop).unwrap_err().to_string()
    };
    std::fs::write(files.path("key.pem"), &other.key).unwrap();
    assert!(
        load().contains("key.pem: expected the key of the certificate"),
        "{}",
        load()
    );
    std::fs::write(files.path("key.pem"), "no key").unwrap();
    assert!(
        load().contains("key.pem: expected a private key"),
        "{}",
        load()
    );
    files.put(&other);
    std::fs::write(files.path("ca.pem"), "").unwrap();
    assert!(
        load().contains("ca.pem: expected certificates"),
        "{}",
        load()
    );
    std::fs::remove_file(files.path("certificate.pem")).unwrap();
    assert!(
        load().contains("cannot read") && load().contains("certificate.pem"),
        "{}",
        load()
    );
}
