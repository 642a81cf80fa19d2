//! Reading any binding message, a device's or a server's.

use std::net::SocketAddr;

use subtle::ConstantTimeEq;

use super::integrity::{self, Flavour, INTEGRITY_BYTES};
use super::{HEADER_BYTES, MESSAGE_BYTES_MAX, TransactionId, address, attribute, trimmed};

/// Unknown attributes that are told of: more than that is no honest mistake.
const UNKNOWN_MAX: usize = 8;

/// Message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `0x0001`
    Request,
    /// `0x0101`
    Response,
    /// `0x0111`
    Error,
    /// Anything else, such as the Shared Secret Request, which Annex G has no use for.
    Other(u16),
}

impl From<u16> for Kind {
    fn from(number: u16) -> Kind {
        match number {
            0x0001 => Kind::Request,
            0x0101 => Kind::Response,
            0x0111 => Kind::Error,
            other => Kind::Other(other),
        }
    }
}

/// What CHANGE-REQUEST asks for: an answer from elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// From the other address.
    pub address: bool,
    /// From the other port.
    pub port: bool,
}

/// A binding message. Of an attribute that comes twice the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: Kind,
    /// Which request it belongs to.
    pub id: TransactionId,
    /// USERNAME without the blanks and NULs at its end.
    pub username: Option<&'a [u8]>,
    /// CHANGE-REQUEST.
    pub change: Change,
    /// RESPONSE-ADDRESS.
    pub response_address: Option<SocketAddr>,
    /// MAPPED-ADDRESS.
    pub mapped_address: Option<SocketAddr>,
    /// SOURCE-ADDRESS.
    pub source_address: Option<SocketAddr>,
    /// CHANGED-ADDRESS.
    pub changed_address: Option<SocketAddr>,
    /// REFLECTED-FROM.
    pub reflected_from: Option<SocketAddr>,
    /// XOR-MAPPED-ADDRESS, plain.
    pub xor_mapped_address: Option<SocketAddr>,
    /// ERROR-CODE: its number, 100 to 699.
    pub error_code: Option<u16>,
    /// CONNECTION-REQUEST-BINDING with its proper value.
    pub connection_request_binding: bool,
    /// BINDING-CHANGE.
    pub binding_change: bool,
    /// There are attributes of RFC 3489 or Annex G that later RFCs do not have.
    pub is_classic: bool,
    /// Mandatory attributes that nobody knows, in their order.
    pub unknown: Vec<u16>,
    integrity: Option<Integrity<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Integrity<'a> {
    /// All before the attribute.
    text: &'a [u8],
    value: &'a [u8; INTEGRITY_BYTES],
}

/// Why bytes are no binding message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Too short or too long, or its first bits are not zero.
    #[error("expected a STUN message of {HEADER_BYTES} to {MESSAGE_BYTES_MAX} bytes, got {0}")]
    NotStun(usize),
    /// The header's length is another one.
    #[error("expected {expected} bytes after the STUN header, got {got}")]
    Length {
        /// As the header says.
        expected: usize,
        /// As they came.
        got: usize,
    },
    /// An attribute reaches beyond the end, or is no attribute of its type.
    #[error("expected an attribute at byte {0} of the STUN message")]
    Attribute(usize),
}

impl<'a> Message<'a> {
    /// Reads a datagram: with padding between attributes, and if that does not add up, without
    /// (many devices write a CONNECTION-REQUEST-BINDING of 19 bytes and the next right after it).
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Unreadable> {
        let not_stun = Unreadable::NotStun(bytes.len());
        let (head, body) = bytes.split_first_chunk::<4>().ok_or(not_stun)?;
        let (id, body) = body.split_first_chunk::<16>().ok_or(not_stun)?;
        let [type_high, type_low, length_high, length_low] = *head;
        if bytes.len() > MESSAGE_BYTES_MAX || type_high & 0xC0 != 0 {
            return Err(not_stun);
        }
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if length != body.len() {
            return Err(Unreadable::Length {
                expected: length,
                got: body.len(),
            });
        }
        let empty = Message {
            kind: u16::from_be_bytes([type_high, type_low]).into(),
            id: TransactionId(*id),
            username: None,
            change: Change::default(),
            response_address: None,
            mapped_address: None,
            source_address: None,
            changed_address: None,
            reflected_from: None,
            xor_mapped_address: None,
            error_code: None,
            connection_request_binding: false,
            binding_change: false,
            is_classic: false,
            unknown: Vec::new(),
            integrity: None,
        };
        match empty.clone().attributes(bytes, true) {
            Err(error) => empty.attributes(bytes, false).map_err(|_| error),
            read => read,
        }
    }

    /// It has a MESSAGE-INTEGRITY, right or wrong.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// The flavour with which this key makes its MESSAGE-INTEGRITY; `None`: with none.
    pub fn verify(&self, key: &[u8]) -> Option<Flavour> {
        let integrity = self.integrity.as_ref()?;
        [Flavour::Padded, Flavour::Unpadded]
            .into_iter()
            .find(|flavour| {
                let expected = integrity::hmac(integrity.text, key, *flavour);
                bool::from(expected.ct_eq(integrity.value))
            })
    }

    fn attributes(mut self, bytes: &'a [u8], padded: bool) -> Result<Message<'a>, Unreadable> {
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let bad = Unreadable::Attribute(at);
            let rest = bytes.get(at..).ok_or(bad)?;
            let (head, rest) = rest.split_first_chunk::<4>().ok_or(bad)?;
            let [type_high, type_low, length_high, length_low] = *head;
            let number = u16::from_be_bytes([type_high, type_low]);
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            let value = rest.get(..length).ok_or(bad)?;
            let text = bytes.get(..at).ok_or(bad)?;
            // What stands behind MESSAGE-INTEGRITY is not covered by it.
            if self.integrity.is_none() {
                self.attribute(number, value, text).ok_or(bad)?;
            }
            at += 4 + if padded {
                length.next_multiple_of(4)
            } else {
                length
            };
        }
        if at == bytes.len() {
            Ok(self)
        } else {
            Err(Unreadable::Attribute(bytes.len()))
        }
    }

    fn attribute(&mut self, number: u16, value: &'a [u8], text: &'a [u8]) -> Option<()> {
        use attribute::*;
        let address = |slot: &mut Option<SocketAddr>| {
            let address = address::read(value)?;
            slot.get_or_insert(address);
            Some(())
        };
        self.is_classic |= matches!(
            number,
            RESPONSE_ADDRESS
                | CHANGE_REQUEST
                | PASSWORD
                | CONNECTION_REQUEST_BINDING
                | BINDING_CHANGE
        );
        match number {
            MAPPED_ADDRESS => address(&mut self.mapped_address)?,
            RESPONSE_ADDRESS => address(&mut self.response_address)?,
            SOURCE_ADDRESS => address(&mut self.source_address)?,
            CHANGED_ADDRESS => address(&mut self.changed_address)?,
            REFLECTED_FROM => address(&mut self.reflected_from)?,
            XOR_MAPPED_ADDRESS => {
                let plain = address::xor(address::read(value)?, &self.id);
                self.xor_mapped_address.get_or_insert(plain);
            }
            CHANGE_REQUEST => {
                let [.., flags] = *<&[u8; 4]>::try_from(value).ok()?;
                self.change = Change {
                    address: flags & 4 != 0,
                    port: flags & 2 != 0,
                };
            }
            USERNAME => {
                self.username.get_or_insert(trimmed(value));
            }
            MESSAGE_INTEGRITY => {
                let value = value.try_into().ok()?;
                self.integrity = Some(Integrity { text, value });
            }
            ERROR_CODE => {
                let [_, _, class, number, ..] = *value else {
                    return None;
                };
                let code = u16::from(class & 7) * 100 + u16::from(number);
                self.error_code.get_or_insert(code);
            }
            CONNECTION_REQUEST_BINDING => {
                self.connection_request_binding |=
                    trimmed(value) == trimmed(super::CONNECTION_REQUEST_BINDING);
            }
            BINDING_CHANGE => self.binding_change = true,
            PASSWORD | UNKNOWN_ATTRIBUTES | REALM | NONCE => {}
            unknown if unknown < OPTIONAL && self.unknown.len() < UNKNOWN_MAX => {
                self.unknown.push(unknown);
            }
            _ => {}
        }
        Some(())
    }
}
