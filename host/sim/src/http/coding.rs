//! Compressed bodies, as this device makes them.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use crate::{Oddities, Oddity};

/// The name of the coding and the body in it; `None`: it is sent as it is.
pub(crate) fn pack(body: &[u8], oddities: Oddities) -> Option<(&'static str, Vec<u8>)> {
    if body.is_empty() {
        return None;
    }
    let level = Compression::fast();
    if oddities.has(Oddity::GzipBody) {
        let mut encoder = GzEncoder::new(Vec::new(), level);
        encoder.write_all(body).ok()?;
        return Some(("gzip", encoder.finish().ok()?));
    }
    if oddities.has(Oddity::RawDeflateBody) {
        let mut encoder = DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(body).ok()?;
        return Some(("deflate", encoder.finish().ok()?));
    }
    None
}
