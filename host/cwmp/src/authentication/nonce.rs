//! Nonces that a server knows again without having kept them: a time and a number, signed
//! (RFC 7616 §3.3).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of the signature that go into a nonce: some devices have little room for one.
const SIGNATURE_BYTES: usize = 16;
/// Hexadecimal digits of time and number.
const SAID_DIGITS: usize = 16;

/// Makes nonces, and knows its own.
#[derive(Clone)]
pub struct Nonces(Hmac<Sha256>);

/// What a nonce says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// When it was made, in seconds of Unix time.
    pub issued: u32,
    /// Which of that time it is.
    pub number: u32,
}

impl Nonces {
    /// With a secret that nobody can guess; nonces made with another one are not known.
    pub fn new(secret: [u8; 32]) -> Nonces {
        let (key, empty) = (&secret[..], Hmac::<Sha256>::new(&Default::default()));
        // Any length of key will do.
        Nonces(Hmac::new_from_slice(key).unwrap_or(empty))
    }

    /// 48 hexadecimal digits. `number` makes it another one than those of the same second.
    pub fn issue(&self, nonce: Nonce) -> String {
        let said = format!("{:08x}{:08x}", nonce.issued, nonce.number);
        let signature = self.signature(&said);
        said + &signature
    }

    /// What it says; `None`: it is none of ours.
    pub fn read(&self, text: &str) -> Option<Nonce> {
        let (said, signature) = text.split_at_checked(SAID_DIGITS)?;
        let is_ours: bool = self
            .signature(said)
            .as_bytes()
            .ct_eq(signature.as_bytes())
            .into();
        let (issued, number) = said.split_at_checked(SAID_DIGITS / 2)?;
        is_ours.then_some(Nonce {
            issued: u32::from_str_radix(issued, 16).ok()?,
            number: u32::from_str_radix(number, 16).ok()?,
        })
    }

    fn signature(&self, said: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(said.as_bytes());
        let signature = mac.finalize().into_bytes();
        let digits = signature.iter().take(SIGNATURE_BYTES);
        digits.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_ones_own_are_known() {
        let nonce = Nonce {
            issued: 1_700_000_000,
            number: 7,
        };
        let ours = Nonces::new([1; 32]);
        let text = ours.issue(nonce);
        assert_eq!(text.len(), 48);
        assert_eq!(ours.read(&text), Some(nonce));
        assert_eq!(Nonces::new([2; 32]).read(&text), None);
        assert_eq!(ours.read(&text[..47]), None);
        assert_eq!(ours.read(&format!("{text}0")), None);
        let later = text.replacen("65", "66", 1);
        assert_eq!(ours.read(&later), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read(text in ".{0,60}") {
            prop_assert_eq!(Nonces::new([1; 32]).read(&text), None);
        }
    }
}
