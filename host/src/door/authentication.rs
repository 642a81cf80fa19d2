//! Whether a device is who it says it is.
//!
//! Asked at the Inform only. The session that it begins goes on for whoever has its cookie (128
//! random bits) and comes from the same address over the same kind of connection; from elsewhere
//! the message has to show credentials again.
//!
//! A Digest's `uri` is not compared with the request's target: proxies change one of the two,
//! there is nothing but the ACS to ask for, and a proof is good once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cwmp::DeviceId;
use cwmp::authentication::{
    Algorithm, Authorization, DigestChallenge, DigestResponse, Nonce, Nonces, Qop, names_device,
};
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::Open;
use super::answer::Refusal;
use super::attempts::{Attempts, client};
use super::receive::Post;
use super::refusals::Why;
use super::replays::Replays;
use crate::Acs;
use crate::config::{DeviceAuthentication, FactoryCredentials, Require, Scheme};
use crate::conversation::Caller;
use crate::device::{Credentials, DeviceKey, Login, Summary};
use crate::store::DeviceCell;

/// Failed logins of one device from anywhere, per minute. Where the device was last seen, it is
/// not made to wait for what others do in its name.
const DEVICE_FAILURES_PER_MINUTE_MAX: u32 = 10;
/// What a client that is not let in reads: the reason is the operator's to know.
const CLOSED: &str = "expected the credentials of this device";

/// By what a device has shown who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nobody asked.
    NotAsked,
    /// By its certificate.
    Certificate,
    /// By credentials of its own.
    Own(Credentials),
    /// By credentials that it shares with others: it is to be given its own.
    Factory(Credentials),
}

/// What the door has to remember to tell devices from others.
#[derive(Debug)]
pub struct Doorkeeper {
    nonces: Nonces,
    number: AtomicU32,
    replays: Mutex<Replays>,
    /// Those of one instance wait for nothing that happens in another.
    clients: Attempts<(Arc<str>, IpAddr)>,
    devices: Attempts<DeviceKey>,
}

impl Default for Doorkeeper {
    /// With a secret of its own: nonces made before are stale.
    fn default() -> Doorkeeper {
        Doorkeeper {
            nonces: Nonces::new(rand::random()),
            number: AtomicU32::new(rand::random()),
            replays: Mutex::default(),
            clients: Attempts::new(),
            devices: Attempts::new(),
        }
    }
}

/// Who is to be let in: what the device says of itself, and what is known of it.
struct Claim<'a> {
    device: &'a DeviceKey,
    id: DeviceId,
    login: Login,
    /// Where it was seen last.
    address: String,
}

impl<'a> Claim<'a> {
    /// `told`: what it says of itself; `cell`: of the device, if it is known.
    fn new(device: &'a DeviceKey, told: &Summary, cell: Option<&Arc<DeviceCell>>) -> Claim<'a> {
        let (login, address) = cell
            .map(|cell| {
                let locked = cell.lock();
                let known = locked.summary();
                (known.login.clone(), known.peer_address.clone())
            })
            .unwrap_or_default();
        Claim {
            device,
            id: DeviceId {
                manufacturer: told.manufacturer.clone(),
                oui: told.oui.clone(),
                product_class: told.product_class.clone(),
                serial_number: told.serial_number.clone(),
            },
            login,
            address,
        }
    }
}

/// What can be said before anybody looks up who it is: there is nothing to let it in by, or it
/// has failed too often.
pub(super) fn glance(post: &Post<'_>, id: &DeviceId) -> Result<(), Refusal> {
    let policy = policy(post);
    if policy.require == Require::None {
        return Ok(());
    }
    let shows_certificate =
        policy.require.takes_certificate() && post.connection.certificate.is_some();
    if shows_certificate || !policy.require.takes_password() {
        return Ok(());
    }
    let device = crate::device::device_id(id);
    if !post.headers.contains_key(header::AUTHORIZATION) {
        return Err(unasked(post).of(device));
    }
    let waits = &post.acs.doorkeeper.clients;
    let client = (Arc::clone(&post.instance.name), client(post.peer.address));
    match waits.wait(&client, policy.failures_per_minute_max, post.now.instant) {
        Some(wait) => Err(too_many(wait, "this address").of(device)),
        None => Ok(()),
    }
}

/// An empty POST of nobody's: clients that are told to use Digest (libcurl) ask for the challenge
/// before they send anything.
pub(super) fn asked_for_challenge(post: &Post<'_>) -> Result<(), Refusal> {
    if policy(post).require.takes_password() && !post.headers.contains_key(header::AUTHORIZATION) {
        return Err(unasked(post));
    }
    Ok(())
}

/// Whether the device of an Inform is let in, and by what; durable before it is answered.
pub(super) async fn let_in(post: &Post<'_>, caller: &Caller) -> Result<Proof, Refusal> {
    if policy(post).require == Require::None {
        return Ok(Proof::NotAsked);
    }
    let claim = Claim::new(caller.device(), caller.summary(), caller.known());
    let proof = check(post, &claim)?;
    if let Some(cell) = caller.known() {
        settle(post.acs, cell, &proof).await;
    }
    Ok(proof)
}

/// Whether a device is let in, and by what.
fn check(post: &Post<'_>, claim: &Claim<'_>) -> Result<Proof, Refusal> {
    let policy = policy(post);
    let of = |refusal: Refusal| refusal.of(claim.device.id.to_string());
    if policy.require.takes_certificate() {
        let shown = post.connection.certificate.as_deref();
        let names = shown.map(|certificate| certificate.names.as_slice());
        let names = names.unwrap_or_default();
        if names.iter().any(|name| names_device(name, &claim.id)) {
            return Ok(Proof::Certificate);
        }
        if !policy.require.takes_password() {
            let (why, got) = match shown {
                Some(_) => (Why::WrongDevice, format!("that of {}", names.join(", "))),
                None => (Why::NoCredentials, "none".to_owned()),
            };
            let reason = format!("expected the certificate of this device, got {got}");
            return Err(of(Refusal::new(StatusCode::FORBIDDEN, why, reason)));
        }
    }
    let is_elsewhere = claim.address != post.peer.address.to_string();
    let waits = &post.acs.doorkeeper.devices;
    let most = DEVICE_FAILURES_PER_MINUTE_MAX;
    if is_elsewhere && let Some(wait) = waits.wait(claim.device, most, post.now.instant) {
        return Err(of(too_many(wait, "this device")));
    }
    match password(post, policy, claim) {
        Ok(proof) => {
            let (address, device) = (post.peer.address, &*claim.device.id);
            post.acs
                .refusals
                .came_back(&post.instance.name, address, device);
            Ok(proof)
        }
        Err(refusal) => Err(of(refusal)),
    }
}

/// Whether a message may go on with this session.
pub(super) fn goes_on(post: &Post<'_>, open: &Open) -> Result<(), Refusal> {
    if policy(post).require == Require::None || open.came_from(post.peer) {
        return Ok(());
    }
    let found = post.acs.store.device(open.device());
    let Some(cell) = found.ok().flatten() else {
        return Err(unasked(post));
    };
    let told = cell.lock().summary().clone();
    let claim = Claim::new(open.device(), &told, Some(&cell));
    glance(post, &claim.id)?;
    check(post, &claim).map(drop)
}

/// What a login changes: the credentials that the device has shown are those that it has.
async fn settle(acs: &Acs, cell: &Arc<DeviceCell>, proof: &Proof) {
    let Proof::Own(shown) = proof else { return };
    let changed = {
        let mut device = cell.lock();
        let login = &device.summary().login;
        let is_settled = login.has_shown_own && login.credentials.as_ref() == Some(shown);
        !is_settled && device.summary_mut(|summary| summary.login.shown(shown))
    };
    if changed && let Err(error) = acs.store.persist(cell).await {
        tracing::error!(device = %cell.key(), %error, "cannot keep how the device logs in");
    }
}

fn policy<'p>(post: &'p Post<'_>) -> &'p DeviceAuthentication {
    &post.instance.settings.device_authentication
}

/// It has shown nothing yet: it is asked.
fn unasked(post: &Post<'_>) -> Refusal {
    let reason = "asked for credentials, and has not come back with them since";
    challenge(post, Why::NoCredentials, reason.to_owned(), false)
}

fn password(
    post: &Post<'_>,
    policy: &DeviceAuthentication,
    claim: &Claim<'_>,
) -> Result<Proof, Refusal> {
    let shown = post.headers.get(header::AUTHORIZATION);
    let Some(shown) = shown else {
        return Err(unasked(post));
    };
    // What is no text is no header that can be read, and says so.
    let authorization = Authorization::parse(&String::from_utf8_lossy(shown.as_bytes()));
    let asked_again =
        |reason: &str| challenge(post, Why::WrongCredentials, reason.to_owned(), false);
    let (username, found) = match &authorization {
        Err(error) => return Err(failed(post, claim, error.to_string(), None)),
        Ok(Authorization::Basic { username, password }) => {
            if !offered(post, policy).any(|scheme| scheme == Scheme::Basic) {
                let reason = "Basic is not taken here, or only over TLS";
                return Err(asked_again(reason).by(username));
            }
            let is_right = |known: &Credentials| {
                let name = known.username.as_bytes().ct_eq(username.as_bytes());
                let password = known.password.as_bytes().ct_eq(password.as_bytes());
                bool::from(name & password)
            };
            (username, find(policy, claim, username, is_right))
        }
        Ok(Authorization::Digest(digest)) => {
            if let Err(reason) = fits(policy, digest) {
                return Err(asked_again(reason).by(&digest.username));
            }
            let is_right = |known: &Credentials| {
                let name = known.username.as_bytes().ct_eq(digest.username.as_bytes());
                bool::from(name) && digest.verify("POST", &known.password)
            };
            let found = find(policy, claim, &digest.username, is_right);
            if matches!(found, Found::Taken(_)) && !is_first_use(post, digest) {
                let reason = "the nonce is too old, or was used before";
                let stale = challenge(post, Why::NoCredentials, reason.to_owned(), true);
                return Err(stale.by(&digest.username));
            }
            (&digest.username, found)
        }
    };
    match found {
        Found::Taken(proof) => Ok(proof),
        Found::Spent => {
            let reason = "the factory credentials are not taken any more: the device has shown \
                credentials of its own. If it was reset, forget them (DELETE \
                /v1/devices/ID/credentials)";
            let refusal = challenge(post, Why::FactorySpent, reason.to_owned(), false);
            Err(refusal.by(username))
        }
        Found::Nothing => {
            let reason = mismatch(claim, username);
            Err(failed(post, claim, reason, Some(username)))
        }
    }
}

/// What credentials turned out to be.
enum Found {
    Taken(Proof),
    /// Right, but the device has some of its own.
    Spent,
    Nothing,
}

/// Looks for right credentials among all that the device may show.
fn find(
    policy: &DeviceAuthentication,
    claim: &Claim<'_>,
    username: &str,
    is_right: impl Fn(&Credentials) -> bool,
) -> Found {
    let login = &claim.login;
    let own = login.credentials.iter().chain(&login.pending_credentials);
    let own = own.filter(|credentials| !credentials.password.is_empty());
    for credentials in own {
        if is_right(credentials) {
            // It was cut off between its new user name and its new password.
            let mut factory = policy.factory_credentials.iter();
            let is_shared = factory.any(|factory| factory.password == credentials.password);
            let proof = if is_shared {
                Proof::Factory
            } else {
                Proof::Own
            };
            return Found::Taken(proof(credentials.clone()));
        }
    }
    let factory = policy.factory_credentials.iter();
    let mut factory = factory.filter_map(|factory| factory_for(factory, &claim.id, username));
    match factory.find(|credentials| is_right(credentials)) {
        Some(_) if login.has_shown_own => Found::Spent,
        Some(credentials) => Found::Taken(Proof::Factory(credentials)),
        None => Found::Nothing,
    }
}

/// The factory credentials as this device may show them, if it may.
fn factory_for(factory: &FactoryCredentials, id: &DeviceId, username: &str) -> Option<Credentials> {
    let is = |wanted: &Option<String>, said: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.trim().eq_ignore_ascii_case(said.trim()))
    };
    let is_for = is(&factory.manufacturer, &id.manufacturer)
        && is(&factory.oui, &id.oui)
        && is(&factory.product_class, &id.product_class);
    let username = match &factory.username {
        Some(shared) => shared.clone(),
        None if names_device(username, id) => username.to_owned(),
        None => return None,
    };
    is_for.then(|| Credentials {
        username,
        password: factory.password.clone(),
    })
}

/// Whether a Digest is one of those that were asked for.
fn fits(policy: &DeviceAuthentication, digest: &DigestResponse) -> Result<(), &'static str> {
    let scheme = match digest.algorithm.unwrap_or(Algorithm::Md5) {
        Algorithm::Md5 | Algorithm::Md5Sess => Scheme::DigestMd5,
        Algorithm::Sha256 | Algorithm::Sha256Sess => Scheme::DigestSha256,
    };
    match digest.qop {
        _ if !policy.schemes.contains(&scheme) => Err("Digest of an algorithm that is not taken"),
        Some(Qop::Auth) => Ok(()),
        Some(Qop::AuthInt) => Err("Digest with qop auth-int, which is not offered"),
        None if policy.digest_without_qop => Ok(()),
        None => Err("Digest without qop, which is not taken (digest_without_qop)"),
    }
}

/// Whether the nonce of a right Digest is ours and new enough, and the Digest not seen before.
fn is_first_use(post: &Post<'_>, digest: &DigestResponse) -> bool {
    let keeper = &post.acs.doorkeeper;
    let digits = digest.response.get(..32).unwrap_or_default();
    let Ok(proof) = u128::from_str_radix(digits, 16) else {
        return false;
    };
    keeper.nonces.read(&digest.nonce).is_some_and(|nonce| {
        let mut replays = keeper.replays.lock();
        replays.take(proof, nonce.issued, seconds(post))
    })
}

fn seconds(post: &Post<'_>) -> u32 {
    u32::try_from(post.now.unix).unwrap_or_default()
}

/// Why credentials are wrong, for the operator.
fn mismatch(claim: &Claim<'_>, username: &str) -> String {
    let login = &claim.login;
    let mut own = login.credentials.iter().chain(&login.pending_credentials);
    match login
        .credentials
        .as_ref()
        .or(login.pending_credentials.first())
    {
        None => "the device has no credentials of its own, and no factory credentials are these"
            .to_owned(),
        Some(_) if own.any(|own| own.username == username) => "the password is wrong".to_owned(),
        Some(known) => format!(
            "the user name is not that of the device, which is {:?}",
            known.username
        ),
    }
}

fn failed(
    post: &Post<'_>,
    claim: &Claim<'_>,
    reason: String,
    username: Option<&String>,
) -> Refusal {
    let keeper = &post.acs.doorkeeper;
    let now = post.now.instant;
    let client = (Arc::clone(&post.instance.name), client(post.peer.address));
    let policy = policy(post);
    keeper
        .clients
        .failed(client, policy.failures_per_minute_max, now);
    let most = DEVICE_FAILURES_PER_MINUTE_MAX;
    keeper.devices.failed(claim.device.clone(), most, now);
    let is_other = username.is_some_and(|username| {
        let own = claim.login.credentials.as_ref();
        own.is_some_and(|own| own.username != *username)
    });
    let why = if is_other {
        Why::WrongDevice
    } else {
        Why::WrongCredentials
    };
    let refusal = challenge(post, why, reason, false);
    match username {
        Some(username) => refusal.by(username),
        None => refusal,
    }
}

fn too_many(wait: std::time::Duration, whose: &str) -> Refusal {
    let seconds = wait.as_secs() + 1;
    let reason = format!("too many failed logins of {whose}: expected none for {seconds} s");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Refusal::new(status, Why::TooManyFailures, reason)
        .with(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// The schemes that this client is asked for.
fn offered(post: &Post<'_>, policy: &DeviceAuthentication) -> impl Iterator<Item = Scheme> {
    let takes_basic = post.peer.tls || policy.basic_without_tls;
    let schemes = policy.schemes.iter().copied();
    schemes.filter(move |scheme| *scheme != Scheme::Basic || takes_basic)
}

/// 401, one challenge per header: devices read no further than the first comma.
fn challenge(post: &Post<'_>, why: Why, reason: String, stale: bool) -> Refusal {
    let policy = policy(post);
    let keeper = &post.acs.doorkeeper;
    let nonce = keeper.nonces.issue(Nonce {
        issued: seconds(post),
        number: keeper.number.fetch_add(1, Ordering::Relaxed),
    });
    let digest = |algorithm| {
        let mut challenge = DigestChallenge::new(&policy.realm, &nonce, algorithm);
        challenge.stale = stale;
        challenge.to_header()
    };
    let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, why, reason).told(CLOSED);
    for scheme in offered(post, policy) {
        let value = match scheme {
            Scheme::DigestSha256 => digest(Algorithm::Sha256),
            Scheme::DigestMd5 => digest(Algorithm::Md5),
            Scheme::Basic => cwmp::authentication::basic_challenge(&policy.realm),
        };
        if let Ok(value) = HeaderValue::from_str(&value) {
            refusal = refusal.with(header::WWW_AUTHENTICATE, value);
        }
    }
    if refusal.headers.is_empty() {
        let reason = "expected TLS: passwords are asked for as Basic, and only over TLS";
        return Refusal::new(StatusCode::FORBIDDEN, why, reason);
    }
    refusal
}
