//! The cookies of one session, kept and sent back the way this device does it.

use crate::{Oddities, Oddity};

#[derive(Debug, Default)]
pub(crate) struct CookieJar(Vec<(String, String)>);

impl CookieJar {
    /// Takes a Set-Cookie header.
    pub(crate) fn take(&mut self, set_cookie: &str, oddities: Oddities) {
        let mut parts = set_cookie.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let at_root = parts.any(|part| part.trim().eq_ignore_ascii_case("path=/"));
        if oddities.has(Oddity::CookieIgnored)
            || (oddities.has(Oddity::CookieNeedsPath) && !at_root)
        {
            return;
        }
        let (name, value) = (name.trim(), value.trim().to_owned());
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The Cookie header; `None`: there is nothing to say.
    pub(crate) fn header(&self, oddities: Oddities) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        if oddities.has(Oddity::CookieVersioned) {
            let pairs = self
                .0
                .iter()
                .map(|(name, value)| format!("{name}={value};$Path=/"));
            return Some(format!(
                "$Version=\"0\"; {}",
                pairs.collect::<Vec<_>>().join("; ")
            ));
        }
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        Some(pairs.collect::<Vec<_>>().join("; "))
    }
}
