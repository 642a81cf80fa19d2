//! The XMPP account of a device: its name, and the keys that prove its password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use subtle::ConstantTimeEq;
use xmpp::scram::{Hash, ITERATIONS, Keys};

use crate::device::{XmppAccount, XmppKeys};

/// Bytes of a salt.
const SALT_BYTES: usize = 16;
/// Characters of a password.
const PASSWORD_CHARS: usize = 24;
/// Of these. Nothing that has to be escaped anywhere, nor `0`, `O`, `1`, `l`, `I`.
const PASSWORD_ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Passwords whose answer was lost, of one device: it has the last one, or some before it.
const PENDING_MAX: usize = 4;

/// The user name of a device's account ([`crate::device::DeviceKey::account`]). A JID has no upper
/// case, so that of the account is written as a dot before the letter: `00AABB-Box-1` →
/// `00.a.a.b.b-.box-1`.
pub fn username(account: &str) -> String {
    let mut out = String::with_capacity(account.len() + 8);
    for character in account.chars() {
        if character.is_ascii_uppercase() {
            out.push('.');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// The account with this user name; `None`: no device's.
pub fn of_username(username: &str) -> Option<String> {
    let mut out = String::with_capacity(username.len());
    let mut characters = username.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => out.push(
                characters
                    .next()
                    .filter(char::is_ascii_lowercase)?
                    .to_ascii_uppercase(),
            ),
            'a'..='z' | '0'..='9' | '_' | '~' | '-' | '+' => out.push(character),
            // Some clients write their name as they were told, others do not.
            _ => return None,
        }
    }
    Some(out)
}

/// A password for a device.
pub fn new_password() -> String {
    let mut random = rand::rng();
    (0..PASSWORD_CHARS)
        .filter_map(|_| PASSWORD_ALPHABET.get(random.random_range(0..PASSWORD_ALPHABET.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

/// A salt, for an account that has none.
pub fn new_salt() -> String {
    let salt: [u8; SALT_BYTES] = rand::random();
    STANDARD.encode(salt)
}

/// The keys of a password. Takes milliseconds of computing.
pub fn derive(salt: &str, password: &str) -> XmppKeys {
    let salt = STANDARD.decode(salt).unwrap_or_default();
    let keys = |hash| {
        let keys = Keys::derive(hash, password, &salt, ITERATIONS);
        [STANDARD.encode(keys.stored), STANDARD.encode(keys.server)]
    };
    XmppKeys {
        sha1: keys(Hash::Sha1),
        sha256: keys(Hash::Sha256),
    }
}

/// The device is about to be given the password of these keys.
pub fn promise(account: &mut XmppAccount, keys: XmppKeys) {
    if account.pending_keys.len() >= PENDING_MAX {
        account.pending_keys.remove(0);
    }
    account.pending_keys.push(keys);
}

/// The device has answered: it has the last password, or has refused it.
pub fn answered(account: &mut XmppAccount, taken: bool) {
    let last = account.pending_keys.pop();
    if taken && last.is_some() {
        account.keys = last;
        // Whichever of them it had taken before, it has this one now.
        account.pending_keys.clear();
    }
}

/// The salt of the account's keys.
pub fn salt(account: &XmppAccount) -> Vec<u8> {
    STANDARD.decode(&account.salt).unwrap_or_default()
}

/// The keys that a login may prove, those in force last.
pub fn keys(account: &XmppAccount, hash: Hash) -> Vec<Keys> {
    let all = account.pending_keys.iter().rev().chain(&account.keys);
    all.filter_map(|keys| {
        let [stored, server] = match hash {
            Hash::Sha1 => &keys.sha1,
            Hash::Sha256 => &keys.sha256,
        };
        Some(Keys {
            stored: STANDARD.decode(stored).ok()?,
            server: STANDARD.decode(server).ok()?,
        })
    })
    .collect()
}

/// Whether this is the password of the account. Takes a millisecond or two of computing, also
/// for an account that has no keys: nobody learns by the time whether it has.
pub fn has_password(account: &XmppAccount, password: &str) -> bool {
    let given = Keys::derive(Hash::Sha256, password, &salt(account), ITERATIONS);
    let keys = keys(account, Hash::Sha256);
    let found = keys.iter().map(|keys| keys.stored.ct_eq(&given.stored));
    found
        .fold(subtle::Choice::from(0), |any, same| any | same)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_device() {
        for id in ["00AABB-Box-1", "4C5E0C-hAP~20lite-~2F~2E", "-"] {
            let name = username(id);
            assert_eq!(name, name.to_lowercase());
            assert_eq!(of_username(&name).as_deref(), Some(id));
        }
        assert_eq!(username("00AABB-Box-1"), "00.a.a.b.b-.box-1");
        for nobody in ["a.", ".1", "A", "a@b", "ä", "a b"] {
            assert_eq!(of_username(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_password_counts_from_its_promise_on() {
        let mut account = XmppAccount {
            salt: new_salt(),
            ..XmppAccount::default()
        };
        let promise = |account: &mut XmppAccount, password| {
            let keys = derive(&account.salt, password);
            super::promise(account, keys);
        };
        promise(&mut account, "first");
        assert!(has_password(&account, "first"), "the answer may be lost");
        answered(&mut account, true);
        promise(&mut account, "second");
        assert!(has_password(&account, "first") && has_password(&account, "second"));
        answered(&mut account, false);
        assert!(has_password(&account, "first") && !has_password(&account, "second"));
        promise(&mut account, "third");
        answered(&mut account, true);
        assert!(has_password(&account, "third") && !has_password(&account, "first"));
        assert_eq!(keys(&account, Hash::Sha1).len(), 1);
        assert!(!has_password(&XmppAccount::default(), ""));
        assert_eq!(new_password().len(), PASSWORD_CHARS);
        assert_ne!(new_password(), new_password());
    }
}
