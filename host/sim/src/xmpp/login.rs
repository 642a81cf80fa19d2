//! From the connection to the resource.

use std::sync::Arc;
use std::time::Duration;

use ::xmpp::scram::{ClientStart, Hash};
use ::xmpp::{Element, Io, Limits, Stream, ns, stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{Settings, Shared};
use crate::Oddity;

/// For all of it.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(20);

/// A stream with a resource, and the full JID on it.
pub(super) async fn login(
    shared: &Shared,
    settings: &Settings,
) -> Result<(Stream<Io>, String), String> {
    match timeout(LOGIN_TIME_MAX, log_in(shared, settings)).await {
        Ok(result) => result,
        Err(_) => Err("too slow".to_owned()),
    }
}

async fn log_in(shared: &Shared, settings: &Settings) -> Result<(Stream<Io>, String), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let tcp = TcpStream::connect((settings.host.as_str(), settings.port))
        .await
        .map_err(|error| text(&error))?;
    let mut stream = Stream::new(Io::Plain(tcp), Limits::KNOWN);
    let mut features = open(&mut stream, &settings.domain).await?;
    if settings.tls {
        if !features.has_child("starttls", ns::TLS) {
            return Err("no TLS is offered".to_owned());
        }
        send(&mut stream, &format!("<starttls xmlns='{}'/>", ns::TLS)).await?;
        let proceed = receive(&mut stream).await?;
        if proceed.name() != "proceed" {
            return Err(format!("expected <proceed/>, got <{}>", proceed.name()));
        }
        let Io::Plain(tcp) = stream.into_io().map_err(|error| text(&error))? else {
            return Err("TLS already".to_owned());
        };
        let name = ServerName::try_from(settings.domain.clone()).map_err(|error| text(&error))?;
        let connector = TlsConnector::from(trusting_anybody()?);
        let tls = connector
            .connect(name, tcp)
            .await
            .map_err(|error| text(&error))?;
        stream = Stream::new(Io::Tls(Box::new(TlsStream::Client(tls))), Limits::KNOWN);
        features = open(&mut stream, &settings.domain).await?;
    }
    authenticate(shared, settings, &mut stream, &features).await?;
    stream.restart();
    open(&mut stream, &settings.domain).await?;
    let mut resource = settings.resource.clone();
    if shared.oddities.has(Oddity::XmppOtherResource) {
        resource = format!("own-{}", shared.random.lock().hex(6));
    }
    let payload = format!(
        "<bind xmlns='{}'><resource>{}</resource></bind>",
        ns::BIND,
        stanza::escaped(&resource)
    );
    send(&mut stream, &stanza::iq("set", "bind", "", "", &payload)).await?;
    let bound = receive(&mut stream).await?;
    let jid = bound
        .get_child("bind", ns::BIND)
        .and_then(|bind| bind.get_child("jid", ns::BIND));
    let jid = jid.ok_or("no resource")?.text();
    send(&mut stream, "<presence/>").await?;
    Ok((stream, jid))
}

/// Opens a stream; the server's features.
async fn open(stream: &mut Stream<Io>, domain: &str) -> Result<Element, String> {
    let attributes = format!(" to='{}' version='1.0'", stanza::escaped(domain));
    send(stream, &stanza::header(ns::CLIENT, &attributes)).await?;
    let header = stream.read_header().await;
    header.map_err(|error| error.to_string())?.ok_or("closed")?;
    receive(stream).await
}

async fn authenticate(
    shared: &Shared,
    settings: &Settings,
    stream: &mut Stream<Io>,
    features: &Element,
) -> Result<(), String> {
    let offered: Vec<String> = features
        .get_child("mechanisms", ns::SASL)
        .map(|list| list.children().map(Element::text).collect())
        .unwrap_or_default();
    let offers = |name: &str| offered.iter().any(|offered| offered == name);
    let Settings {
        username, password, ..
    } = settings;
    let hash = [Hash::Sha256, Hash::Sha1]
        .into_iter()
        .find(|hash| offers(hash.mechanism()));
    let Some(hash) = hash else {
        if !offers("PLAIN") || !stream.io().is_tls() {
            return Err(format!("no mechanism of {offered:?}"));
        }
        let text = STANDARD.encode(format!("\0{username}\0{password}"));
        send(stream, &auth("PLAIN", &text)).await?;
        return succeeded(&receive(stream).await?).map(|_| ());
    };
    let nonce = shared.random.lock().hex(24);
    let (client, first) = ClientStart::new(hash, username, &nonce);
    send(stream, &auth(hash.mechanism(), &STANDARD.encode(first))).await?;
    let challenge = receive(stream).await?;
    if challenge.name() != "challenge" {
        return Err(format!("expected <challenge/>, got <{}>", challenge.name()));
    }
    let (last, expected) = client
        .respond(&decoded(&challenge)?, password)
        .map_err(|error| error.to_string())?;
    let response = format!(
        "<response xmlns='{}'>{}</response>",
        ns::SASL,
        STANDARD.encode(last)
    );
    send(stream, &response).await?;
    if succeeded(&receive(stream).await?)? == expected {
        Ok(())
    } else {
        Err("the server does not know the password".to_owned())
    }
}

fn auth(mechanism: &str, text: &str) -> String {
    format!(
        "<auth xmlns='{}' mechanism='{mechanism}'>{text}</auth>",
        ns::SASL
    )
}

/// What the server says with its success.
fn succeeded(element: &Element) -> Result<String, String> {
    if element.name() == "success" {
        return decoded(element);
    }
    let condition = element.children().next().map_or("", Element::name);
    Err(format!("<{}> {condition}", element.name()))
}

fn decoded(element: &Element) -> Result<String, String> {
    let bytes = STANDARD.decode(element.text().trim());
    bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| "no base64".to_owned())
}

pub(super) async fn send(stream: &mut Stream<Io>, text: &str) -> Result<(), String> {
    stream.write(text).await.map_err(|error| error.to_string())
}

async fn receive(stream: &mut Stream<Io>) -> Result<Element, String> {
    let element = stream.read().await.map_err(|error| error.to_string())?;
    element.ok_or_else(|| "closed".to_owned())
}

/// Most devices look at no certificate.
fn trusting_anybody() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
