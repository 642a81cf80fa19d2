//! Writing: the server's answers, and the requests of a device.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::integrity::{self, ATTRIBUTE_BYTES, Flavour, INTEGRITY_BYTES};
use super::{Change, HEADER_BYTES, TransactionId, address, attribute, trimmed};

/// The server's answer to a binding request. MAPPED-ADDRESS or ERROR-CODE comes first: there are
/// devices that look no further.
#[derive(Debug)]
pub struct Answer {
    writer: Writer,
    id: TransactionId,
}

impl Answer {
    /// `mapped` is where the request came from.
    pub fn success(id: TransactionId, mapped: SocketAddr) -> Answer {
        Answer::new(0x0101, id).address(attribute::MAPPED_ADDRESS, mapped)
    }

    /// A Binding Error Response; the reason is filled up with blanks.
    pub fn error(id: TransactionId, code: u16, reason: &str) -> Answer {
        let (class, number) = (code / 100 % 8, code % 100);
        let mut value = vec![0, 0];
        value.extend([class, number].map(|part| u8::try_from(part).unwrap_or_default()));
        value.extend_from_slice(reason.as_bytes());
        value.resize(value.len().next_multiple_of(4), b' ');
        let mut answer = Answer::new(0x0111, id);
        answer.writer.attribute(attribute::ERROR_CODE, &value);
        answer
    }

    fn new(kind: u16, id: TransactionId) -> Answer {
        let writer = Writer::new(kind, &id, true);
        Answer { writer, id }
    }

    /// SOURCE-ADDRESS: where the answer leaves from.
    #[must_use]
    pub fn source(self, address: SocketAddr) -> Answer {
        self.address(attribute::SOURCE_ADDRESS, address)
    }

    /// CHANGED-ADDRESS: where it would leave from if address and port were to change.
    #[must_use]
    pub fn changed(self, address: SocketAddr) -> Answer {
        self.address(attribute::CHANGED_ADDRESS, address)
    }

    /// REFLECTED-FROM: who asked, if the answer goes to a RESPONSE-ADDRESS.
    #[must_use]
    pub fn reflected_from(self, address: SocketAddr) -> Answer {
        self.address(attribute::REFLECTED_FROM, address)
    }

    /// XOR-MAPPED-ADDRESS, for clients that know RFC 5389.
    #[must_use]
    pub fn xor_mapped(self, mapped: SocketAddr) -> Answer {
        let hidden = address::xor(mapped, &self.id);
        self.address(attribute::XOR_MAPPED_ADDRESS, hidden)
    }

    /// UNKNOWN-ATTRIBUTES; an odd number of them repeats the first (RFC 3489 §11.2.10).
    #[must_use]
    pub fn unknown(mut self, attributes: &[u16]) -> Answer {
        let odd = attributes.len() % 2;
        let listed = attributes.iter().chain(attributes.iter().take(odd));
        let value: Vec<u8> = listed.flat_map(|number| number.to_be_bytes()).collect();
        self.writer.attribute(attribute::UNKNOWN_ATTRIBUTES, &value);
        self
    }

    /// The datagram.
    pub fn finish(self) -> Vec<u8> {
        self.writer.finish()
    }

    /// The datagram, with MESSAGE-INTEGRITY at its end.
    pub fn finish_with_integrity(self, key: &[u8], flavour: Flavour) -> Vec<u8> {
        self.writer.finish_with_integrity(key, flavour)
    }

    fn address(mut self, number: u16, address: SocketAddr) -> Answer {
        self.writer.attribute(number, &address::write(address));
        self
    }
}

/// A device's CONNECTION-REQUEST-BINDING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// By the standard: 20 bytes.
    Standard,
    /// 19 bytes, no blank at the end, and no padding in the whole message.
    Short,
}

/// A binding request as devices write it.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// 16 random bytes.
    pub id: TransactionId,
    /// This is the port that takes connection requests.
    pub binding: Option<Binding>,
    /// The binding is another one since the last request.
    pub binding_change: bool,
    /// CHANGE-REQUEST.
    pub change: Option<Change>,
    /// RESPONSE-ADDRESS: where the answer is to go.
    pub response_address: Option<SocketAddr>,
    /// USERNAME, written as it is.
    pub username: Option<Cow<'a, [u8]>>,
}

impl<'a> Request<'a> {
    /// A plain one.
    pub fn new(id: TransactionId) -> Request<'a> {
        Request {
            id,
            binding: None,
            binding_change: false,
            change: None,
            response_address: None,
            username: None,
        }
    }

    /// The datagram, with MESSAGE-INTEGRITY of this key at its end.
    pub fn to_bytes(&self, integrity: Option<(&[u8], Flavour)>) -> Vec<u8> {
        use attribute::*;
        let mut writer = Writer::new(0x0001, &self.id, self.binding != Some(Binding::Short));
        if let Some(to) = self.response_address {
            writer.attribute(RESPONSE_ADDRESS, &address::write(to));
        }
        if let Some(change) = self.change {
            let flags = u8::from(change.address) << 2 | u8::from(change.port) << 1;
            writer.attribute(CHANGE_REQUEST, &[0, 0, 0, flags]);
        }
        let value = super::CONNECTION_REQUEST_BINDING;
        match self.binding {
            Some(Binding::Standard) => writer.attribute(CONNECTION_REQUEST_BINDING, value),
            Some(Binding::Short) => writer.attribute(CONNECTION_REQUEST_BINDING, trimmed(value)),
            None => {}
        }
        if self.binding_change {
            writer.attribute(BINDING_CHANGE, &[]);
        }
        if let Some(username) = &self.username {
            writer.attribute(USERNAME, username);
        }
        match integrity {
            Some((key, flavour)) => writer.finish_with_integrity(key, flavour),
            None => writer.finish(),
        }
    }
}

#[derive(Debug)]
struct Writer {
    bytes: Vec<u8>,
    padded: bool,
}

impl Writer {
    fn new(kind: u16, id: &TransactionId, padded: bool) -> Writer {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&id.0);
        Writer { bytes, padded }
    }

    fn attribute(&mut self, number: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        if self.padded {
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
    }

    fn finish_with_integrity(mut self, key: &[u8], flavour: Flavour) -> Vec<u8> {
        let value: [u8; INTEGRITY_BYTES] = integrity::hmac(&self.bytes, key, flavour);
        debug_assert_eq!(ATTRIBUTE_BYTES, 4 + value.len());
        self.attribute(attribute::MESSAGE_INTEGRITY, &value);
        self.finish()
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len().saturating_sub(HEADER_BYTES);
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        for (place, byte) in self.bytes.iter_mut().skip(2).zip(length) {
            *place = byte;
        }
        self.bytes
    }
}
