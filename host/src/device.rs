//! What is known of a device: its identity, its parameters with the time each was
//! read, its tags, and how it can be reached.
//!
//! All of it is *readings* (written behind) but the connection-request credentials and the
//! keys of its XMPP account, which are a *promise*: durable before the device is given them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::door::Word;
use crate::instance::DEFAULT_NAME;
use crate::nat::history::Attempted;
pub use crate::nat::history::ModeHistory;
pub use crate::secrets::is_secret;

/// Seconds since the Unix epoch.
pub type UnixTime = i64;

/// The key of a device: unique in the whole host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey {
    /// The instance (tenant) that the device belongs to.
    pub instance: Arc<str>,
    /// `OUI-ProductClass-SerialNumber`, each part escaped; see [`device_id`].
    pub id: Arc<str>,
}

impl std::fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.instance, self.id)
    }
}

/// Stands between the instance and the id in an account's name; part of neither.
const ACCOUNT_SEPARATOR: char = '+';

impl DeviceKey {
    /// Its account's name among those of all instances, for the STUN and XMPP servers: the id,
    /// in other instances than `default` with the instance before it, `acme+00AABB-Box-1`.
    pub fn account(&self) -> Arc<str> {
        if *self.instance == *DEFAULT_NAME {
            return Arc::clone(&self.id);
        }
        format!("{}{ACCOUNT_SEPARATOR}{}", self.instance, self.id).into()
    }

    /// Whose account has this name, if anybody's.
    pub fn of_account(account: &str) -> DeviceKey {
        let (instance, id) = account
            .split_once(ACCOUNT_SEPARATOR)
            .unwrap_or((DEFAULT_NAME, account));
        DeviceKey {
            instance: instance.into(),
            id: id.into(),
        }
    }
}

/// The id of a device in its instance: `OUI-ProductClass-SerialNumber`, or
/// `OUI-SerialNumber` without a product class (TR-069 §3.4.4). The OUI is upper-cased,
/// because some devices change its case between firmwares. Everything but letters, digits
/// and `_` in the parts is written as `~` and two hexadecimal digits: so the id can be split,
/// and stands in a URL and in a shell as it is (`%` would have to be encoded once more).
pub fn device_id(id: &cwmp::DeviceId) -> String {
    let mut out = String::with_capacity(64);
    encode_part(&id.oui.trim().to_ascii_uppercase(), &mut out);
    out.push('-');
    if !id.product_class.trim().is_empty() {
        encode_part(id.product_class.trim(), &mut out);
        out.push('-');
    }
    encode_part(id.serial_number.trim(), &mut out);
    out
}

/// The parts of an id that [`device_id`] made; `None`: it is none.
pub fn parse_device_id(id: &str) -> Option<cwmp::DeviceId> {
    let parts: Option<Vec<String>> = id.split('-').map(decode_part).collect();
    let (oui, product_class, serial_number) = match parts?.as_slice() {
        [oui, serial] => (oui.clone(), String::new(), serial.clone()),
        [oui, class, serial] => (oui.clone(), class.clone(), serial.clone()),
        _ => return None,
    };
    let parsed = cwmp::DeviceId {
        manufacturer: String::new(),
        oui,
        product_class,
        serial_number,
    };
    (!parsed.serial_number.is_empty() && device_id(&parsed) == id).then_some(parsed)
}

fn decode_part(part: &str) -> Option<String> {
    let mut pieces = part.split('~');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A text as it stands in a device's id.
pub fn escaped_part(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    encode_part(part, &mut out);
    out
}

pub(crate) fn encode_part(part: &str, out: &mut String) {
    use std::fmt::Write;
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "~{byte:02X}");
        }
    }
}

/// Which tree the device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataModel {
    /// `InternetGatewayDevice.`
    #[default]
    Tr098,
    /// `Device.`
    Tr181,
}

impl DataModel {
    /// The root object, with its dot.
    pub fn root(self) -> &'static str {
        match self {
            DataModel::Tr098 => "InternetGatewayDevice.",
            DataModel::Tr181 => "Device.",
        }
    }
}

/// A way to reach a device.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A connection request straight to the device's URL.
    DirectHttp,
    /// A connection request through the instance's HTTP proxy.
    HttpProxy,
    /// An XMPP stanza (TR-069 Annex K).
    Xmpp,
    /// A UDP datagram to the binding the STUN server knows (TR-069 Annex G).
    Stun,
    /// No wake-up at all: the device informs every few seconds.
    ShortInform,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 5] = [
        Mode::DirectHttp,
        Mode::HttpProxy,
        Mode::Xmpp,
        Mode::Stun,
        Mode::ShortInform,
    ];

    /// Its name, as the API and the log show it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::DirectHttp => "direct-http",
            Mode::HttpProxy => "http-proxy",
            Mode::Xmpp => "xmpp",
            Mode::Stun => "stun",
            Mode::ShortInform => "short-inform",
        }
    }
}

/// What the NAT policy decided for a device, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatDecision {
    /// Whether the device cannot be called directly.
    pub behind_nat: bool,
    /// The way to reach it.
    pub mode: Mode,
    /// Tried in this order when `mode` does not open a session.
    pub fallbacks: Vec<Mode>,
    /// For the operator.
    pub reason: String,
    /// Which plugin decided (`name version`).
    pub decided_by: String,
    /// When.
    pub decided_at: UnixTime,
    /// A fingerprint of the facts it was decided from; another one means: decide again.
    pub facts: u64,
    /// Those facts, for the operator.
    #[serde(default)]
    pub decided_from: NatFacts,
}

/// What a NAT policy was told of a device and its instance, beside how each mode has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NatFacts {
    /// Where the HTTP request came from, after the trusted proxies' word; may be empty.
    pub peer_address: String,
    /// Whose word that is.
    pub told_by: Word,
    /// The other end of the TCP connection: the device, or a proxy; may be empty.
    pub tcp_peer: String,
    /// It came through a trusted proxy.
    pub through_proxy: bool,
    /// As the device reports it; may be empty.
    pub connection_request_url: String,
    /// The device's own addresses.
    pub wan_addresses: Vec<String>,
    /// As the device reports it; may be empty.
    pub udp_connection_request_address: String,
    /// As the device reports it; may be empty.
    pub jabber_id: String,
    /// The device can XMPP.
    pub supports_xmpp: bool,
    /// The device can STUN.
    pub supports_stun: bool,
    /// The instance has an HTTP proxy near its devices.
    pub proxy_configured: bool,
    /// The instance has XMPP on.
    pub xmpp_enabled: bool,
    /// The instance has STUN on.
    pub stun_enabled: bool,
    /// The mode that was in force.
    pub current: Option<Mode>,
    /// What has no field of its own: `nat-detected` is the device's own NATDetected.
    pub extra: BTreeMap<String, String>,
}

/// Where and how the device takes connection requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionRequest {
    /// `ManagementServer.ConnectionRequestURL` of the last Inform; may be empty.
    pub url: String,
    /// In force on the device, as far as the ACS knows.
    pub credentials: Option<Credentials>,
    /// Durable before the device was asked to take them, in force once it has answered.
    /// All are tried while there are some, the last first: answers may have been lost.
    pub pending_credentials: Vec<Credentials>,
    /// `ts` of the last connection request by UDP: durable before it is sent, because a device
    /// takes none that is not newer (TR-069 Annex G.2.2.3).
    pub udp_timestamp: u64,
}

impl ConnectionRequest {
    /// The credentials that the device may have, the likeliest first: the answer to the last
    /// change of them may have been lost, and then it has some of those before.
    pub fn candidates(&self) -> Vec<Credentials> {
        let pending = self.pending_credentials.iter().rev();
        pending.chain(&self.credentials).cloned().collect()
    }
}

/// How the device shows the ACS who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// Its own, as far as the ACS knows.
    pub credentials: Option<Credentials>,
    /// Durable before the device was asked to take them. Any of them will do: answers may have
    /// been lost.
    pub pending_credentials: Vec<Credentials>,
    /// It has shown some of its own: from then on no factory credentials are taken.
    pub has_shown_own: bool,
}

/// Credentials whose answer was lost, of one device: it has the last ones, or some before them.
const PENDING_CREDENTIALS_MAX: usize = 4;

impl Login {
    /// The device is to be given these.
    pub fn promise(&mut self, credentials: Credentials) {
        if self.pending_credentials.len() >= PENDING_CREDENTIALS_MAX {
            self.pending_credentials.remove(0);
        }
        self.pending_credentials.push(credentials);
    }

    /// It has answered that it took those promised last, or that it did not.
    pub fn answered(&mut self, taken: bool) {
        let answered = self.pending_credentials.pop();
        if taken && answered.is_some() {
            self.credentials = answered;
            // Whichever of them it had taken before, it has these now.
            self.pending_credentials.clear();
        }
    }

    /// It has shown these: it has them. What was promised after them it may still come to take.
    pub fn shown(&mut self, credentials: &Credentials) {
        let place = self
            .pending_credentials
            .iter()
            .position(|p| p == credentials);
        if let Some(place) = place {
            self.pending_credentials.drain(..=place);
        }
        self.credentials = Some(credentials.clone());
        self.has_shown_own = true;
    }
}

/// The XMPP account of a device (TR-069 Annex K) and how far the device has it.
///
/// Its keys are a promise: durable before the device is given the password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct XmppAccount {
    /// Of all its keys, base64; empty: it has none.
    pub salt: String,
    /// Of the password in force on the device, as far as the ACS knows.
    pub keys: Option<XmppKeys>,
    /// Of passwords that the device was asked to take and has not answered.
    pub pending_keys: Vec<XmppKeys>,
    /// The row of `XMPP.Connection.` that is ours, with its dot; empty: none.
    pub connection: String,
    /// A fingerprint of the settings that the device was told, or has refused; `None`: it
    /// has none, or they were taken back.
    pub told: Option<u64>,
    /// A fingerprint of the account whose password the device was told.
    pub told_account: Option<u64>,
    /// Why the device does not take the settings.
    pub refused: Option<String>,
    /// When it did not.
    pub refused_at: UnixTime,
    /// Whether a stream was open, when that was last looked at.
    pub online: bool,
    /// Since when.
    pub online_since: UnixTime,
}

/// What SCRAM derives from a password: StoredKey and ServerKey of each hash, base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XmppKeys {
    /// SCRAM-SHA-1.
    pub sha1: [String; 2],
    /// SCRAM-SHA-256.
    pub sha256: [String; 2],
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password, in clear: digest authentication needs it.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a device was told so that it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The mode that it is for.
    pub mode: Mode,
    /// A fingerprint of all that this mode wants of the device; another one means: tell it again.
    pub wanted: u64,
    /// When.
    pub at: UnixTime,
    /// Why the device did not take it.
    pub error: Option<String>,
    /// How often it was told to inform, in seconds; `None`: as it likes.
    #[serde(default)]
    pub informs_every: Option<u32>,
    /// Modes before it whose settings the device still has, because they are tried again.
    #[serde(default)]
    pub left: BTreeSet<Mode>,
}

/// What a firmware has below `ManagementServer.`, of what matters to how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Management {
    /// Which firmware.
    pub software_version: String,
    /// Names of parameters, with blanks between; `None`: the device would not tell.
    pub names: Option<String>,
    /// Names that it has refused since.
    pub refused: BTreeSet<String>,
}

/// The summary of a device: small, always wanted whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// As the device last named itself.
    pub manufacturer: String,
    /// Six hexadecimal digits, upper-case.
    pub oui: String,
    /// May be empty.
    pub product_class: String,
    /// As sent.
    pub serial_number: String,
    /// `DeviceInfo.SoftwareVersion`.
    pub software_version: String,
    /// `DeviceInfo.HardwareVersion`.
    pub hardware_version: String,
    /// `DeviceInfo.ProvisioningCode`.
    pub provisioning_code: String,
    /// Which tree it speaks.
    pub data_model: DataModel,
    /// `1.0` … `1.4`.
    pub cwmp_version: String,
    /// Set by people and flows, and by its provisioning code.
    pub tags: BTreeSet<String>,
    /// Those that its provisioning code gave.
    pub tags_of_code: BTreeSet<String>,
    /// What people call it; may be empty.
    pub label: String,
    /// What people want to remember of it, the newest last.
    pub notes: Vec<Note>,
    /// It is unknown, and waits for somebody to let it in.
    pub quarantined: bool,
    /// When the first Inform came.
    pub first_contact: UnixTime,
    /// Where the HTTP request of the last session came from, after the trusted proxies' word.
    pub peer_address: String,
    /// It keeps neither cookies nor its connection: its sessions have a URL each.
    pub session_by_url: bool,
    /// How it logs in.
    pub login: Login,
    /// How it takes connection requests.
    pub connection_request: ConnectionRequest,
    /// The mode decided for it.
    pub nat: Option<NatDecision>,
    /// How each mode has done.
    pub nat_history: BTreeMap<Mode, ModeHistory>,
    /// The last attempts to wake it, the newest first.
    pub wake_attempts: Vec<Attempted>,
    /// What it was last told, so that its mode works.
    pub configured: Option<Configured>,
    /// What its firmware has below `ManagementServer.`, once it was asked.
    pub management: Option<Management>,
    /// RPCs the device said it has (GetRPCMethods); empty = never asked.
    pub rpc_methods: Vec<String>,
    /// What the device last told or asked by itself, the newest first.
    pub own_requests: Vec<OwnRequest>,
    /// The file that the device has asked for in the session at hand; not kept.
    #[serde(skip)]
    pub requested_download: Option<cwmp::RequestDownload>,
    /// All sessions are traced until then, whatever `[traces]` says; 0 = as it says.
    pub trace_until: UnixTime,
    /// Its XMPP account.
    pub xmpp: XmppAccount,
}

/// What somebody wants others to know of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Among the notes of the device; never given again while it has notes.
    pub number: u32,
    /// When it was written.
    pub at: UnixTime,
    /// Who wrote it.
    pub by: String,
    /// What it says.
    pub text: String,
}

/// Something that a device told or asked by itself: RequestDownload, Kicked,
/// AutonomousTransferComplete, AutonomousDUStateChangeComplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRequest {
    /// When.
    pub at: UnixTime,
    /// The RPC.
    pub method: String,
    /// What it said, for people.
    pub text: String,
}

/// The times of the device's last contacts: readings that change in every session and are
/// therefore kept apart from the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contacts {
    /// The last Inform of any kind.
    pub last_contact: UnixTime,
    /// The last session in which all logic ran (not the short-inform fast path).
    pub last_full: UnixTime,
}

/// One parameter as the device reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The value's text.
    pub value: Box<str>,
    /// Its XML Schema type.
    pub xsd_type: cwmp::XsdType,
    /// When it was last read or confirmed.
    pub read_at: UnixTime,
    /// Whether it can be set, once GetParameterNames has told.
    pub writable: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let id = |oui: &str, class: &str, serial: &str| {
            device_id(&cwmp::DeviceId {
                oui: oui.into(),
                product_class: class.into(),
                serial_number: serial.into(),
                ..Default::default()
            })
        };
        assert_eq!(id("00AABB", "HG1", "123"), "00AABB-HG1-123");
        assert_eq!(id("3c9066", "", " SR515-50 "), "3C9066-SR515~2D50");
        assert_eq!(
            id("4C5E0C", "hAP lite", "/../x"),
            "4C5E0C-hAP~20lite-~2F~2E~2E~2Fx"
        );
        assert_eq!(id("", "", ""), "-");
    }

    #[test]
    fn ids_are_read_back() {
        for known in [
            "00AABB-HG1-123",
            "3C9066-SR515~2D50",
            "4C5E0C-hAP~20lite-~2Fx",
        ] {
            let parsed = parse_device_id(known).unwrap();
            assert_eq!(device_id(&parsed), known);
        }
        for none in [
            "",
            "a",
            "-",
            "00aabb-1",
            "00AABB-1 2",
            "00AABB-~2",
            "A-B-C-D",
            "A-~FF",
        ] {
            assert_eq!(parse_device_id(none), None, "{none}");
        }
    }
}
