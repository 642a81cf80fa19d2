//! TLS for devices. The certificate's files are looked at every second, and read again when they
//! have changed; a connection keeps what it began with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;

use super::Certificate;
use crate::clock::Clock;
use crate::config;
use crate::device::UnixTime;

/// Handshakes at once: they are what costs. More wait their turn, within their time.
const HANDSHAKES_MAX: usize = 128;
/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A certificate that ends sooner is warned of, once a day.
const WARNED_BEFORE_SECONDS: i64 = 14 * 86_400;
const DAY_POLLS: u64 = 86_400;

/// The TLS side of the door.
pub struct Tls {
    files: Files,
    time: Duration,
    loaded: ArcSwap<Loaded>,
    handshakes: Semaphore,
}

/// Where it comes from.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What the files say.
struct Loaded {
    config: Arc<ServerConfig>,
    certificate: Certificate,
    stamps: Stamps,
}

/// When the files were written, and how large they are.
type Stamps = Vec<Option<(SystemTime, u64)>>;

/// Why TLS cannot be had with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: expected {expected}, got {got}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        got: String,
    },
}

impl Tls {
    /// Reads the files of `[cwmp.tls]`, or of another section; `None`: it names none.
    pub fn load(config: &config::Tls) -> Result<Option<Tls>, TlsError> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Ok(None);
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: config.client_ca.clone(),
        };
        let loaded = files.load()?;
        Ok(Some(Tls {
            files,
            time: Duration::from_secs(config.handshake_seconds_max),
            loaded: ArcSwap::from_pointee(loaded),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
        }))
    }

    /// The certificate that devices are shown now.
    pub fn certificate(&self) -> Certificate {
        self.loaded.load().certificate.clone()
    }

    /// For connections that begin now.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.loaded.load().config))
    }

    /// Says in the log which certificate is shown, and whether it ends soon.
    pub fn log(&self, now: UnixTime) {
        let loaded = self.loaded.load();
        let names = loaded.certificate.names.join(", ");
        let until = jiff::Timestamp::from_second(loaded.certificate.valid_until)
            .map(|time| time.to_string())
            .unwrap_or_default();
        let file = self.files.certificate.display();
        let left = loaded.certificate.valid_until - now;
        if left < 0 {
            tracing::error!(%file, names, until, "the TLS certificate has expired");
        } else if left < WARNED_BEFORE_SECONDS {
            let days = left / 86_400;
            tracing::warn!(%file, names, until, days, "the TLS certificate ends soon");
        } else {
            tracing::info!(%file, names, until, "TLS certificate");
        }
    }

    /// Shakes hands. The client's certificate is there if it showed one that a client CA has
    /// signed; with another one there is no connection.
    ///
    /// # Errors
    /// What is to be told of the client.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, Option<Arc<Certificate>>), String> {
        let handshake = async {
            let _turn = self.handshakes.acquire().await;
            self.acceptor().accept(stream).await
        };
        let stream = match tokio::time::timeout(self.time, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(reason(&error)),
            Err(_) => {
                let seconds = self.time.as_secs();
                return Err(format!("expected a TLS handshake within {seconds} s"));
            }
        };
        let (_, connection) = stream.get_ref();
        let certificate = match connection.peer_certificates().and_then(<[_]>::first) {
            Some(der) => Some(Arc::new(Certificate::read(der)?)),
            None => None,
        };
        Ok((stream, certificate))
    }

    /// Reads the files now.
    ///
    /// # Errors
    /// Why not; what was read before stays in force.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.loaded.store(Arc::new(self.files.load()?));
        Ok(())
    }

    /// Looks at the files again and again. A file that is broken leaves in force what was read
    /// before.
    pub(crate) async fn watch(&self, clock: Clock) {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What was seen the time before: files that are being written are left alone.
        let mut seen = self.loaded.load().stamps.clone();
        let mut refused: Option<Stamps> = None;
        for poll in 1u64.. {
            interval.tick().await;
            let before = std::mem::replace(&mut seen, self.files.stamps());
            if seen != self.loaded.load().stamps
                && seen == before
                && refused.as_ref() != Some(&seen)
            {
                match self.files.load() {
                    Ok(loaded) => {
                        self.loaded.store(Arc::new(loaded));
                        self.log(clock.unix());
                    }
                    Err(error) => {
                        tracing::error!(%error, "the TLS certificate stays as it was");
                        refused = Some(seen.clone());
                    }
                }
            }
            if poll % DAY_POLLS == 0 {
                self.log(clock.unix());
            }
        }
    }
}

impl Files {
    fn stamps(&self) -> Stamps {
        let files = [&self.certificate, &self.key].into_iter();
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        files.chain(&self.client_ca).map(stamp).collect()
    }

    fn load(&self) -> Result<Loaded, TlsError> {
        // Before the files are read: what changes while they are is seen the next time.
        let stamps = self.stamps();
        let chain = certificates(&self.certificate)?;
        let key_pem = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|error| content(&self.key, "a private key (PEM)", error))?;
        let certificate = match chain.first() {
            Some(first) => Certificate::read(first)
                .map_err(|error| content(&self.certificate, "a certificate", error))?,
            None => return Err(content(&self.certificate, "a certificate", "none")),
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| content(&self.certificate, "TLS 1.2 and 1.3", error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| content(path, "certificates of authorities", error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| content(path, "certificates of authorities", error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| content(&self.key, "the key of the certificate", error))?;
        config.ticketer = ring::Ticketer::new()
            .map_err(|error| content(&self.key, "a source of randomness", error))?;
        Ok(Loaded {
            config: Arc::new(config),
            certificate,
            stamps,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(content(path, "certificates (PEM)", "none")),
        Err(error) => Err(content(path, "certificates (PEM)", error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn content(path: &Path, expected: &'static str, got: impl ToString) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        expected,
        got: got.to_string(),
    }
}

/// Why a handshake failed, in words that help.
fn reason(error: &std::io::Error) -> String {
    use rustls::{AlertDescription as Alert, Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "expected TLS, got something else: perhaps plain HTTP".to_owned()
        }
        Some(Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::CertificateExpired),
        )) => format!("the client does not trust the certificate of this server ({alert:?})"),
        Some(Error::InvalidCertificate(why)) => {
            format!("the client's certificate is not valid here: {why}")
        }
        Some(error) => format!("the TLS handshake failed: {error}"),
        None => {
            format!(
                "the client gave up the TLS handshake: does it trust the certificate? ({error})"
            )
        }
    }
}
