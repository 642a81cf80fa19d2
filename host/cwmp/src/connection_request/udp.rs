//! The UDP connection request (TR-069 Annex G.2.2.3): one datagram that looks like an HTTP GET,
//! signed, and never answered. Both halves: the ACS writes it, a device reads and checks it.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// A longer datagram is no connection request.
const DATAGRAM_BYTES_MAX: usize = 1024;

/// What a UDP connection request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpRequest {
    /// `ts`: the time. A device takes none that is not newer than the last it took.
    pub timestamp: u64,
    /// `id`: another one in each request, the same in copies of one.
    pub id: u32,
    /// `un`: ConnectionRequestUsername.
    pub username: String,
    /// `cn`: anything random.
    pub nonce: String,
}

/// A UDP connection request as it came, not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUdpRequest {
    /// What it says.
    pub request: UdpRequest,
    /// `sig` as sent.
    pub signature: String,
}

/// Why a datagram is no UDP connection request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UDP connection request (GET http://…?ts=…&id=…&un=…&cn=…&sig=…), got {0}")]
pub struct NoUdpRequest(&'static str);

/// Why a device does not take a UDP connection request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UdpRefusal {
    /// For somebody else.
    #[error("another user name")]
    Username,
    /// With another password, or changed on its way.
    #[error("a wrong signature")]
    Signature,
    /// A copy, or replayed.
    #[error("not newer than the last one, or with its id")]
    Old,
}

impl UdpRequest {
    /// The datagram for the device at `authority` (`192.0.2.7:30303`), signed with its
    /// ConnectionRequestPassword.
    pub fn to_datagram(&self, authority: &str, password: &str) -> String {
        let UdpRequest {
            timestamp,
            id,
            nonce,
            ..
        } = self;
        let (username, signature) = (escaped(&self.username), self.signature(password));
        format!(
            "GET http://{authority}?ts={timestamp}&id={id}&un={username}&cn={nonce}&sig={signature} HTTP/1.1\r\n\
             Host: {authority}\r\n\r\n"
        )
    }

    /// HMAC-SHA1 of ts, id, un and cn without anything between, in lower-case hexadecimal.
    pub fn signature(&self, password: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(password.as_bytes()) else {
            // An HMAC takes keys of any length.
            return String::new();
        };
        let UdpRequest {
            timestamp,
            id,
            username,
            nonce,
        } = self;
        mac.update(format!("{timestamp}{id}{username}{nonce}").as_bytes());
        let bytes = mac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl SignedUdpRequest {
    /// Reads a datagram; what stands before the `?` does not matter.
    pub fn parse(datagram: &[u8]) -> Result<SignedUdpRequest, NoUdpRequest> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(NoUdpRequest("too many bytes"));
        }
        let text = std::str::from_utf8(datagram).map_err(|_| NoUdpRequest("no text"))?;
        let mut words = text.lines().next().unwrap_or_default().split(' ');
        let (Some("GET"), Some(target)) = (words.next(), words.next()) else {
            return Err(NoUdpRequest("no GET"));
        };
        let (_, query) = target.split_once('?').ok_or(NoUdpRequest("no query"))?;
        let value = |name: &str| {
            let found = query.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == name).then_some(value)
            });
            found.ok_or(NoUdpRequest("a query that lacks one of its values"))
        };
        let not_number = |_| NoUdpRequest("a ts or id that is no number");
        Ok(SignedUdpRequest {
            request: UdpRequest {
                timestamp: value("ts")?.parse().map_err(not_number)?,
                id: value("id")?.parse().map_err(not_number)?,
                username: unescaped(value("un")?).ok_or(NoUdpRequest("a broken un"))?,
                nonce: value("cn")?.to_owned(),
            },
            signature: value("sig")?.to_owned(),
        })
    }

    /// What a device with these credentials says to it. `last`: `ts` and `id` of the last request
    /// that it took.
    pub fn check(
        &self,
        username: &str,
        password: &str,
        last: Option<(u64, u32)>,
    ) -> Result<(), UdpRefusal> {
        let request = &self.request;
        if request.username != username {
            return Err(UdpRefusal::Username);
        }
        let expected = request.signature(password);
        let got = self.signature.to_ascii_lowercase();
        if !bool::from(expected.as_bytes().ct_eq(got.as_bytes())) {
            return Err(UdpRefusal::Signature);
        }
        match last {
            Some((timestamp, id)) if request.timestamp <= timestamp || request.id == id => {
                Err(UdpRefusal::Old)
            }
            _ => Ok(()),
        }
    }
}

/// Percent-encodes only what would end the value or the line: devices do not decode.
fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"&?#%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> UdpRequest {
        UdpRequest {
            timestamp: 1_120_673_700,
            id: 1234,
            username: "CPE57689".into(),
            nonce: "XTGRWIPC6D3IPXS3".into(),
        }
    }

    #[test]
    fn written_as_the_standard_has_it() {
        let datagram = example().to_datagram("10.1.1.1:8080", "secret");
        assert_eq!(
            datagram,
            "GET http://10.1.1.1:8080?ts=1120673700&id=1234&un=CPE57689&cn=XTGRWIPC6D3IPXS3\
             &sig=fda44088e52a347ce49d6312521d5621eeb40037 HTTP/1.1\r\nHost: 10.1.1.1:8080\r\n\r\n"
        );
        let read = SignedUdpRequest::parse(datagram.as_bytes()).unwrap();
        assert_eq!(read.request, example());
    }

    #[test]
    fn what_a_device_takes() {
        let check = |query: &str, last| {
            let datagram = format!("GET {query} HTTP/1.1");
            let read = SignedUdpRequest::parse(datagram.as_bytes()).unwrap();
            read.check("CPE57689", "secret", last)
        };
        let query = "http://h:1?ts=1120673700&id=1234&un=CPE57689&cn=XTGRWIPC6D3IPXS3\
                     &sig=FDA44088e52a347ce49d6312521d5621eeb40037";
        assert_eq!(check(query, None), Ok(()));
        assert_eq!(check(&query.replace("h:1?", "h:1/?"), None), Ok(()));
        assert_eq!(check(query, Some((1_120_673_699, 1233))), Ok(()));
        for last in [(1_120_673_700, 1), (1_120_673_701, 1), (1, 1234)] {
            assert_eq!(check(query, Some(last)), Err(UdpRefusal::Old));
        }
        for (from, to, refusal) in [
            ("CPE57689", "CPE57680", UdpRefusal::Username),
            ("ts=1", "ts=2", UdpRefusal::Signature),
            ("cn=X", "cn=Y", UdpRefusal::Signature),
            ("sig=FD", "sig=", UdpRefusal::Signature),
        ] {
            assert_eq!(check(&query.replace(from, to), None), Err(refusal));
        }
    }

    #[test]
    fn what_is_no_request() {
        for datagram in [
            "",
            "POST http://h?ts=1&id=1&un=u&cn=c&sig=s HTTP/1.1",
            "GET http://h/ HTTP/1.1",
            "GET http://h?ts=1&id=1&un=u&cn=c HTTP/1.1",
            "GET http://h?ts=-1&id=1&un=u&cn=c&sig=s HTTP/1.1",
            "GET http://h?ts=1&id=1&un=%&cn=c&sig=s HTTP/1.1",
        ] {
            assert!(
                SignedUdpRequest::parse(datagram.as_bytes()).is_err(),
                "{datagram}"
            );
        }
        assert!(SignedUdpRequest::parse(&[b'G'; 2000]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            timestamp in any::<u64>(), id in any::<u32>(), username in ".{0,40}",
            nonce in "[0-9A-F]{0,20}", password in ".{0,80}",
        ) {
            let request = UdpRequest { timestamp, id, username, nonce };
            let datagram = request.to_datagram("192.0.2.1:7", &password);
            let read = SignedUdpRequest::parse(datagram.as_bytes()).unwrap();
            prop_assert_eq!(&read.request, &request);
            prop_assert_eq!(read.check(&request.username, &password, None), Ok(()));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = SignedUdpRequest::parse(&bytes);
            let mut line = b"GET x?ts=1&id=1&cn=&sig=&un=".to_vec();
            line.extend(bytes);
            if let Ok(read) = SignedUdpRequest::parse(&line) {
                let _ = read.check("u", "p", Some((0, 0)));
            }
        }
    }
}
