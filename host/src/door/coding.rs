//! Compressed messages (TR-069 §3.4.7): the codings of a request's Content-Encoding, undone.
//!
//! Limits count what comes out. A small body that grows without end is noticed while it grows.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// Codings on top of each other.
const CODINGS_MAX: usize = 3;
/// Up to this size, in bytes, it does not matter how much smaller a message was before.
const UNSUSPICIOUS_BYTES: usize = 1 << 20;
/// How many times larger than its body a message above that may be. XML of a device's whole
/// tree comes to 50.
const RATIO_MAX: usize = 250;
/// A compressed body larger than this is undone beside the reactor.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Read at a time.
const STEP_BYTES: usize = 32 << 10;

/// What the door understands, as an answer to those who send something else names it.
pub(super) const UNDERSTOOD: &str = "gzip, deflate";

/// One content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// zlib (RFC 9110 §8.4.1.2), or raw deflate, which some take it for.
    Deflate,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CodingError {
    /// A coding that the door does not know, or too many of them.
    Unknown(String),
    /// It is larger than the limit, in bytes.
    TooLarge(usize),
    /// It grows as no honest message does.
    Bomb {
        /// Bytes that came.
        from: usize,
    },
    /// It is not what its header says.
    Broken(&'static str, String),
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
        }
    }
}

/// The codings of a request in the order in which they were applied.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<Coding>, CodingError> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for name in value.split(',').map(str::trim) {
            let coding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" | "x-deflate" => Coding::Deflate,
                _ => return Err(CodingError::Unknown(format!("{name:?}"))),
            };
            if codings.len() >= CODINGS_MAX {
                return Err(CodingError::Unknown(format!("more than {CODINGS_MAX}")));
            }
            codings.push(coding);
        }
    }
    Ok(codings)
}

/// The message in a body, at most `bytes_max` large.
pub(super) async fn undo(
    codings: Vec<Coding>,
    body: Bytes,
    bytes_max: usize,
) -> Result<Bytes, CodingError> {
    // No body at all is an empty POST, whatever its headers say.
    if codings.is_empty() || body.is_empty() {
        return Ok(body);
    }
    if body.len() <= INLINE_BYTES_MAX {
        return undo_all(&codings, body, bytes_max);
    }
    let undone = tokio::task::spawn_blocking(move || undo_all(&codings, body, bytes_max)).await;
    undone.unwrap_or_else(|error| Err(CodingError::Broken("a coding", error.to_string())))
}

fn undo_all(codings: &[Coding], body: Bytes, bytes_max: usize) -> Result<Bytes, CodingError> {
    let from = body.len();
    codings.iter().rev().try_fold(body, |body, coding| {
        let undone = match coding {
            Coding::Gzip => read(MultiGzDecoder::new(&*body), from, bytes_max),
            Coding::Deflate if is_zlib(&body) => read(ZlibDecoder::new(&*body), from, bytes_max),
            Coding::Deflate => read(DeflateDecoder::new(&*body), from, bytes_max),
        };
        undone
            .map_err(|stop| stop.in_coding(*coding))
            .map(Bytes::from)
    })
}

/// RFC 1950 §2.2: the method is 8 and the first two bytes are a multiple of 31. A raw deflate
/// stream of XML does not begin like that.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0F == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

enum Stop {
    TooLarge(usize),
    Bomb(usize),
    Broken(std::io::Error),
}

impl Stop {
    fn in_coding(self, coding: Coding) -> CodingError {
        match self {
            Stop::TooLarge(max) => CodingError::TooLarge(max),
            Stop::Bomb(from) => CodingError::Bomb { from },
            Stop::Broken(error) => CodingError::Broken(coding.name(), error.to_string()),
        }
    }
}

fn read(mut decoder: impl Read, from: usize, bytes_max: usize) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::with_capacity(from.saturating_mul(4).min(bytes_max));
    loop {
        let step = decoder
            .by_ref()
            .take(STEP_BYTES as u64)
            .read_to_end(&mut out)
            .map_err(Stop::Broken)?;
        if out.len() > bytes_max {
            return Err(Stop::TooLarge(bytes_max));
        }
        if out.len() > UNSUSPICIOUS_BYTES && out.len() / from > RATIO_MAX {
            return Err(Stop::Bomb(from));
        }
        if step == 0 {
            return Ok(out);
        }
    }
}

impl std::fmt::Display for CodingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CodingError::Unknown(got) => write!(
                f,
                "expected content-encoding {UNDERSTOOD} or none, got {got}"
            ),
            CodingError::TooLarge(max) => {
                write!(f, "expected a message of at most {max} bytes, got more")
            }
            CodingError::Bomb { from } => write!(
                f,
                "expected a message, got {from} bytes that grow more than {RATIO_MAX} times"
            ),
            CodingError::Broken(coding, why) => {
                write!(f, "expected content-encoding {coding}: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn undone(header: &str, body: Vec<u8>, max: usize) -> Result<Vec<u8>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, header.parse().unwrap());
        let codings = of(&headers).map_err(|error| error.to_string())?;
        let bytes = undo_all(&codings, body.into(), max).map_err(|error| error.to_string())?;
        Ok(bytes.to_vec())
    }

    #[test]
    fn every_coding_and_some_on_top_of_each_other() {
        let text = b"<Envelope>text</Envelope>".repeat(50);
        for (header, body) in [
            ("gzip", gzip(&text)),
            ("X-GZIP", gzip(&text)),
            ("deflate", zlib(&text)),
            ("deflate", raw(&text)),
            ("identity", text.clone()),
            ("deflate, gzip", gzip(&zlib(&text))),
            ("gzip,identity, gzip", gzip(&gzip(&text))),
        ] {
            assert_eq!(undone(header, body, 1 << 20).unwrap(), text, "{header}");
        }
    }

    #[test]
    fn what_is_refused() {
        let error = |header: &str, body: Vec<u8>, max| undone(header, body, max).unwrap_err();
        let zeros = vec![0; 3 << 20];
        assert_eq!(
            error("gzip", gzip(&zeros), 1 << 20),
            "expected a message of at most 1048576 bytes, got more"
        );
        assert!(error("gzip", gzip(&zeros), 1 << 30).contains("grow more than 250 times"));
        assert!(error("gzip,gzip", gzip(&gzip(&zeros)), 1 << 30).contains("grow more"));
        assert!(error("gzip", b"<Envelope/>".to_vec(), 100).contains("content-encoding gzip"));
        let cut = gzip(b"<Envelope>text</Envelope>");
        assert!(error("gzip", cut[..cut.len() - 9].to_vec(), 100).contains("gzip"));
        assert!(error("br", Vec::new(), 100).contains("gzip, deflate or none, got \"br\""));
        assert!(error("gzip,gzip,gzip,gzip", Vec::new(), 100).contains("more than 3"));
    }
}
