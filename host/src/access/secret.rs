//! Tokens and cookies: random texts of which only a hash is kept.
//!
//! SHA-256 without salt or stretching is enough: they hold more than 256 random bits, so whoever
//! has the hash has no list of likely ones to try. Passwords are another matter (`password.rs`).

use rand::RngExt;
use sha2::{Digest, Sha256};

/// Random letters and digits, 5.95 bits each: 256 bits.
const RANDOM_CHARS: usize = 43;
/// Hexadecimal digits of the CRC-32 that ends a token.
const CHECK_CHARS: usize = 8;
/// Characters that can be mistaken for each other are left out where people type.
const TYPED: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Of a one-time password: 4.95 bits each, 99 bits.
const ONE_TIME_CHARS: usize = 20;

/// What an API token begins with, so that people and secret scanners know it.
pub const TOKEN_PREFIX: &str = "pb_";

/// The SHA-256 of a token or a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    /// Of this text.
    pub(super) fn of(text: &str) -> Hash {
        Hash(Sha256::digest(text).into())
    }

    /// Reads 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Hash> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(place * 2..place * 2 + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Hash(bytes))
    }

    /// In the same time whatever they hold.
    pub(super) fn is(&self, other: &Hash) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

/// A new API token: `pb_`, 43 random letters and digits, and a checksum that tells a token that
/// was cut off or mistyped from one that is not known.
pub(super) fn token() -> String {
    let random = format!("{TOKEN_PREFIX}{}", letters(RANDOM_CHARS));
    let check = crc32fast::hash(random.as_bytes());
    format!("{random}{check:08x}")
}

/// Whether a text is a token that was made here, or one like it.
pub(super) fn is_token(text: &str) -> bool {
    let Some(random) = text.len().checked_sub(CHECK_CHARS) else {
        return false;
    };
    let Some((random, check)) = text.split_at_checked(random) else {
        return false;
    };
    random.len() == TOKEN_PREFIX.len() + RANDOM_CHARS
        && random.starts_with(TOKEN_PREFIX)
        && check == format!("{:08x}", crc32fast::hash(random.as_bytes()))
}

/// A new value of a cookie.
pub(super) fn cookie() -> String {
    letters(RANDOM_CHARS)
}

/// A new id: no secret, but nobody else's.
pub(super) fn id() -> String {
    letters(12).to_ascii_lowercase()
}

/// A password to be changed at the first login, in groups of five.
pub(super) fn one_time_password() -> String {
    let mut random = rand::rng();
    let mut text = String::new();
    for place in 0..ONE_TIME_CHARS {
        if place > 0 && place % 5 == 0 {
            text.push('-');
        }
        let one = TYPED.get(random.random_range(0..TYPED.len()));
        text.push(char::from(one.copied().unwrap_or(b'x')));
    }
    text
}

fn letters(count: usize) -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_form() {
        let token = token();
        assert_eq!(token.len(), 54);
        assert!(is_token(&token), "{token}");
        let (first, last) = (&token[..53], &token[1..]);
        let swapped = token.replace("pb_", "bp_");
        let other = format!("{}0{}", &token[..20], &token[21..]);
        let changed = if other == token { String::new() } else { other };
        for wrong in ["", "pb_", "é", first, last, &swapped, &changed] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_hash_as_text() {
        let hash = Hash::of("abc");
        let text = hash.to_string();
        assert!(text.starts_with("ba7816bf8f01cfea"), "{text}");
        assert_eq!(Hash::parse(&text), Some(hash));
        assert!(hash.is(&Hash::of("abc")) && !hash.is(&Hash::of("abd")));
        for wrong in ["", "ba78", &text[1..], &text.replace('b', "x")] {
            assert_eq!(Hash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_time_passwords_are_for_people() {
        let password = one_time_password();
        assert_eq!(password.len(), 23);
        assert!(!password.contains(['0', 'o', '1', 'l', 'i']), "{password}");
        assert_ne!(password, one_time_password());
    }
}
