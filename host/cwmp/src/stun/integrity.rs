//! MESSAGE-INTEGRITY: an HMAC-SHA1 over all that stands before it.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::HEADER_BYTES;

/// Bytes of the HMAC.
pub(super) const INTEGRITY_BYTES: usize = 20;
/// Bytes of the attribute, with its own head.
pub(super) const ATTRIBUTE_BYTES: usize = 4 + INTEGRITY_BYTES;
/// RFC 3489 hashes a multiple of so many bytes.
const BLOCK_BYTES: usize = 64;

/// How the text for MESSAGE-INTEGRITY is made. Devices mix them, whatever else they send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// RFC 3489 §11.2.8: filled up with zeros to a multiple of 64 bytes.
    Padded,
    /// RFC 5389 §15.4: as it stands.
    Unpadded,
}

/// The HMAC of `text`, which is a message up to its MESSAGE-INTEGRITY. The length in the header
/// is taken to end with that attribute, whatever follows it.
pub(super) fn hmac(text: &[u8], key: &[u8], flavour: Flavour) -> [u8; INTEGRITY_BYTES] {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
        // An HMAC takes keys of any length.
        return [0; INTEGRITY_BYTES];
    };
    let length = (text.len() + ATTRIBUTE_BYTES).saturating_sub(HEADER_BYTES);
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    mac.update(text.get(..2).unwrap_or_default());
    mac.update(&length);
    mac.update(text.get(4..).unwrap_or_default());
    if flavour == Flavour::Padded {
        let missing = text.len().next_multiple_of(BLOCK_BYTES) - text.len();
        mac.update([0; BLOCK_BYTES].get(..missing).unwrap_or_default());
    }
    mac.finalize().into_bytes().into()
}
