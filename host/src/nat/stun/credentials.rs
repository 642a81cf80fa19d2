//! The devices' STUN accounts: none is stored. A password follows from the host's secret and the
//! user name, so that there is nothing to look up for a request, nothing to lose but the secret,
//! and nothing to guess.

use std::collections::HashMap;
use std::sync::Arc;

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

/// Bytes of the host's secret.
pub const SECRET_BYTES: usize = 32;
/// Longer user names do not fit into what some devices keep them in.
const USERNAME_BYTES_MAX: usize = 62;
/// Of a longer id, so much of its end stays readable: the serial number is there.
const ID_END_BYTES: usize = 40;
/// A password's characters, hexadecimal: 128 bits.
pub(super) const PASSWORD_BYTES: usize = 32;

/// Makes the accounts, and knows whose they are.
pub(super) struct Issuer {
    /// Keyed with the secret.
    mac: Hmac<Sha256>,
    /// The accounts whose user name is not the account's name itself.
    long: RwLock<HashMap<Box<str>, Arc<str>>>,
}

impl Issuer {
    pub(super) fn new(secret: &[u8; SECRET_BYTES]) -> Issuer {
        // An HMAC's key is filled up with zeros to its block.
        let mut key = Key::<Hmac<Sha256>>::default();
        for (place, byte) in key.iter_mut().zip(secret) {
            *place = *byte;
        }
        Issuer {
            mac: Hmac::new(&key),
            long: RwLock::default(),
        }
    }

    /// STUNUsername of the device with this account ([`crate::device::DeviceKey::account`]): the
    /// same, unless that is too long.
    pub(super) fn username(&self, id: &Arc<str>) -> String {
        if id.len() <= USERNAME_BYTES_MAX {
            return id.to_string();
        }
        let username = shortened(id);
        if !self.long.read().contains_key(username.as_str()) {
            let id = Arc::clone(id);
            self.long.write().insert(username.clone().into(), id);
        }
        username
    }

    pub(super) fn learn(&self, accounts: impl Iterator<Item = Arc<str>>) {
        for account in accounts {
            self.username(&account);
        }
    }

    /// The account with this STUNUsername, if there is one.
    pub(super) fn id(&self, username: &str) -> Option<Arc<str>> {
        if let Some(id) = self.long.read().get(username) {
            return Some(Arc::clone(id));
        }
        (username.len() <= USERNAME_BYTES_MAX).then(|| username.into())
    }

    /// STUNPassword of this user name, whether or not any device has it.
    pub(super) fn password(&self, username: &[u8]) -> [u8; PASSWORD_BYTES] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.mac.clone();
        mac.update(username);
        let bytes = mac.finalize().into_bytes();
        let mut password = [b'0'; PASSWORD_BYTES];
        let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (place, half) in password.iter_mut().zip(halves) {
            *place = DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
        }
        password
    }
}

fn shortened(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let hash: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // An id is ASCII.
    let end = id.get(id.len().saturating_sub(ID_END_BYTES)..);
    format!("{hash}-{}", end.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_names() {
        let issuer = Issuer::new(&[7; SECRET_BYTES]);
        let short: Arc<str> = "00AABB-Box-1".into();
        let long: Arc<str> = format!("00AABB-{}-1", "x".repeat(90)).into();
        assert_eq!(issuer.username(&short), "00AABB-Box-1");
        let username = issuer.username(&long);
        assert!(username.len() <= USERNAME_BYTES_MAX && username.ends_with("xx-1"));
        assert_eq!(issuer.id("00AABB-Box-1").as_deref(), Some("00AABB-Box-1"));
        assert_eq!(issuer.id(&username), Some(Arc::clone(&long)));
        // After a restart it is found again once the ids were shown.
        let again = Issuer::new(&[7; SECRET_BYTES]);
        again.learn([short, Arc::clone(&long)].into_iter());
        assert_eq!(again.id(&username), Some(long));
        assert_eq!(again.id(&"y".repeat(90)), None);
    }

    #[test]
    fn passwords_follow_from_secret_and_name() {
        let issuer = Issuer::new(&[7; SECRET_BYTES]);
        let password = issuer.password(b"a");
        assert!(password.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(password, issuer.password(b"a"));
        assert_ne!(password, issuer.password(b"b"));
        assert_ne!(password, Issuer::new(&[8; SECRET_BYTES]).password(b"a"));
    }
}
