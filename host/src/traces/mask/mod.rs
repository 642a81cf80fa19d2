//! Passwords and keys never reach the disk: what of a session is hidden before it is kept.
//!
//! Everything else stays byte for byte. Two steps: secrets are found where they must stand
//! (`xml.rs`, `text.rs`), then those that were found are hidden wherever they stand once more,
//! because devices quote what they were given in the texts of their faults.

mod text;
mod xml;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::lex::unescaped;
use text::Known;

pub(super) use text::{header, target};

/// What stands in place of a secret.
const MASK: &[u8] = b"***";

/// The masks of one session.
#[derive(Debug, Default)]
pub(super) struct Masks {
    known: Known,
}

impl Masks {
    /// Looks for secrets in a message, so that they are hidden everywhere.
    pub(super) fn learn(&mut self, body: &[u8]) {
        let body = readable(body);
        for range in xml::secrets(&body) {
            let secret = body.get(range).unwrap_or_default();
            self.known.add(secret);
            self.known.add(unescaped(secret).as_bytes());
        }
    }

    /// A message without its secrets; `None` if they cannot be looked for in it.
    pub(super) fn body(&self, body: &[u8]) -> Option<Vec<u8>> {
        if is_packed(body) {
            return None;
        }
        let body = readable(body);
        let mut out = Vec::with_capacity(body.len());
        let mut done = 0;
        for range in xml::secrets(&body) {
            out.extend_from_slice(body.get(done..range.start).unwrap_or_default());
            out.extend_from_slice(MASK);
            done = range.end;
        }
        out.extend_from_slice(body.get(done..).unwrap_or_default());
        let out = text::urls(&out);
        let mut masked = Vec::with_capacity(out.len());
        let mut done = 0;
        for range in xml::texts(&out) {
            masked.extend_from_slice(out.get(done..range.start).unwrap_or_default());
            done = range.end;
            masked.extend(self.known.hide(out.get(range).unwrap_or_default().to_vec()));
        }
        masked.extend_from_slice(out.get(done..).unwrap_or_default());
        Some(masked)
    }

    /// A text without the secrets that are known.
    pub(super) fn quoted(&self, text: &str) -> String {
        let out = self.known.hide(text.as_bytes().to_vec());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A text for people without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let lines = text::lines(text);
        let out = self.known.hide(text::urls(lines.as_bytes()));
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The XML inside an RPC, or a whole message, without its secrets: for what is shown of tasks.
pub fn xml(text: &str) -> String {
    let masks = Masks::default();
    let masked = masks.body(text.as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&masked).into_owned()
}

/// A text for people without what it says of secrets: for logs and what is told of devices.
pub fn text(text: &str) -> String {
    Masks::default().text(text)
}

/// A URL without user information and signatures: for logs and what is shown of tasks.
pub fn url(url: &str) -> String {
    String::from_utf8_lossy(&text::urls(url.as_bytes())).into_owned()
}

/// UTF-16 as UTF-8: no search for ASCII names finds them in it.
fn readable(body: &[u8]) -> Cow<'_, [u8]> {
    let wide: fn([u8; 2]) -> u16 = match body {
        [0xFE, 0xFF, ..] | [0, b'<', ..] => u16::from_be_bytes,
        [0xFF, 0xFE, ..] | [b'<', 0, ..] => u16::from_le_bytes,
        _ => return Cow::Borrowed(body),
    };
    let (pairs, _) = body.as_chunks();
    let text = char::decode_utf16(pairs.iter().map(|pair| wide(*pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>();
    Cow::Owned(text.into_bytes())
}

/// Compressed, or something else that is no text.
fn is_packed(body: &[u8]) -> bool {
    const CONTROLS_PART_MAX: usize = 16;
    let begin = body.get(..body.len().min(1024)).unwrap_or_default();
    if readable(body).len() != body.len() {
        return false;
    }
    let controls = begin
        .iter()
        .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    body.starts_with(&[0x1F, 0x8B]) || controls.count() * CONTROLS_PART_MAX > begin.len()
}
