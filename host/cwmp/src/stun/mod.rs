//! STUN as TR-069 Annex G has it: the classic messages of RFC 3489 with two attributes of its own.
//!
//! Only binding messages: a [`Message`] is read of any bytes, a [`Request`] and an [`Answer`] are
//! written. Devices write attributes with and without padding, pad texts with blanks or NULs, and
//! step through answers without a thought of padding; reading allows for the first two, and every
//! attribute that is written has a length that is a multiple of four.

mod address;
mod integrity;
mod message;
mod write;

#[cfg(test)]
mod tests;

pub use integrity::Flavour;
pub use message::{Change, Kind, Message, Unreadable};
pub use write::{Answer, Binding, Request};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 20;
/// A datagram that is longer is no binding message.
pub const MESSAGE_BYTES_MAX: usize = 1280;
/// CONNECTION-REQUEST-BINDING's value, with its final blank (Annex G.2.1.3).
pub const CONNECTION_REQUEST_BINDING: &[u8; 20] = b"dslforum.org/TR-111 ";
/// Where RFC 5389 and 8489 have these bytes, RFC 3489 has the first of 16 random ones.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// What belongs together: chosen by the client, repeated in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 16]);

impl TransactionId {
    /// It begins with the magic cookie: its sender may know RFC 5389, and not only RFC 3489.
    pub fn has_cookie(&self) -> bool {
        self.0.starts_with(&MAGIC_COOKIE)
    }
}

/// Attribute types.
mod attribute {
    pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
    pub(super) const RESPONSE_ADDRESS: u16 = 0x0002;
    pub(super) const CHANGE_REQUEST: u16 = 0x0003;
    pub(super) const SOURCE_ADDRESS: u16 = 0x0004;
    pub(super) const CHANGED_ADDRESS: u16 = 0x0005;
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const PASSWORD: u16 = 0x0007;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub(super) const REFLECTED_FROM: u16 = 0x000B;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const CONNECTION_REQUEST_BINDING: u16 = 0xC001;
    pub(super) const BINDING_CHANGE: u16 = 0xC002;
    /// From here on an attribute may be ignored by who does not know it.
    pub(super) const OPTIONAL: u16 = 0x8000;
}

/// Without the blanks and NULs that devices fill texts up with.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, 0 | b' '));
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}
