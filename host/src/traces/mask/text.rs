//! Secrets in text that is no XML: URLs, HTTP headers, lines of a diff, and those that are known
//! from elsewhere in the same session.

use crate::secrets::is_secret;

use super::MASK;

/// Longer ones are looked for anywhere, those of at least [`BOUNDED_BYTES_MIN`] as whole words.
const ANYWHERE_BYTES_MIN: usize = 8;
const BOUNDED_BYTES_MIN: usize = 4;
/// Parts of the names of a query's parameters that hold a signature or a credential.
const QUERY_SECRETS: [&str; 10] = [
    "session",
    "sig",
    "token",
    "pass",
    "pwd",
    "secret",
    "auth",
    "hmac",
    "credential",
    "key",
];

/// Shorter ones are the id of a task, which is a right only with a password.
const TICKET_BYTES_MIN: usize = 32;

/// Hides user information and signatures of all URLs in a text.
pub(super) fn urls(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"://") {
        let (before, url) = rest.split_at(at + 3);
        out.extend_from_slice(before);
        let length = url.iter().take_while(|byte| in_url(**byte)).count();
        let (url, after) = url.split_at(length);
        one_url(url, &mut out);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// The path and query of a request, without signatures.
pub(in super::super) fn target(target: &str) -> String {
    let mut out = Vec::with_capacity(target.len());
    one_url(target.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn in_url(byte: u8) -> bool {
    !(byte.is_ascii_whitespace() || byte.is_ascii_control() || b"\"'<>".contains(&byte))
}

/// What follows `://`.
fn one_url(url: &[u8], out: &mut Vec<u8>) {
    let path = url.iter().position(|byte| b"/?#".contains(byte));
    let authority = path.and_then(|end| url.get(..end)).unwrap_or(url);
    // A password may hold what should have been encoded; a port is a number.
    let odd = memchr::memchr(b':', authority)
        .and_then(|colon| authority.get(colon + 1..))
        .is_some_and(|port| !port.iter().all(u8::is_ascii_digit));
    let at = match memchr::memrchr(b'@', authority) {
        Some(at) => Some(at),
        None if odd => memchr::memrchr(b'@', url),
        None => None,
    };
    let mut rest = url;
    if let Some(at) = at {
        out.extend_from_slice(MASK);
        rest = url.get(at..).unwrap_or_default();
    }
    let end = memchr::memchr(b'?', rest).unwrap_or(rest.len());
    let (path, query) = rest.split_at(end);
    path_parts(path, out);
    let mut pieces = query.split_inclusive(|byte| b"?&;#".contains(byte));
    pieces.by_ref().for_each(|piece| query_part(piece, out));
}

/// A path; the right to fetch a file stands in it as `/files/<ticket>/<name>`.
fn path_parts(path: &[u8], out: &mut Vec<u8>) {
    let mut after_files = false;
    for part in path.split_inclusive(|byte| *byte == b'/') {
        let (name, slash) = match part.strip_suffix(b"/") {
            Some(name) => (name, &b"/"[..]),
            None => (part, &b""[..]),
        };
        let is_ticket = after_files && name.len() >= TICKET_BYTES_MIN;
        out.extend_from_slice(if is_ticket { MASK } else { name });
        out.extend_from_slice(slash);
        after_files = name == b"files";
    }
}

/// `name=value`, with what separates it from the next.
fn query_part(piece: &[u8], out: &mut Vec<u8>) {
    let end = piece
        .iter()
        .rposition(|byte| !b"?&;#".contains(byte))
        .map_or(0, |last| last + 1);
    let (part, separator) = piece.split_at(end);
    match memchr::memchr(b'=', part) {
        Some(equals) if is_query_secret(part.get(..equals).unwrap_or_default()) => {
            out.extend_from_slice(part.get(..=equals).unwrap_or_default());
            if equals + 1 < part.len() {
                out.extend_from_slice(MASK);
            }
        }
        _ => out.extend_from_slice(part),
    }
    out.extend_from_slice(separator);
}

fn is_query_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    QUERY_SECRETS
        .iter()
        .any(|word| memchr::memmem::find(&name, word.as_bytes()).is_some())
}

/// A header's value: of credentials the scheme stays, of a cookie the names.
pub(in super::super) fn header(name: &str, value: &str) -> String {
    const MASKED: &str = "***";
    match name {
        "authorization" | "proxy-authorization" => match value.split_once(' ') {
            Some((scheme, parameters)) if scheme.eq_ignore_ascii_case("digest") => {
                format!("{scheme} {}", digest(parameters))
            }
            Some((scheme, _)) => format!("{scheme} {MASKED}"),
            None => MASKED.to_owned(),
        },
        "cookie" | "set-cookie" | "cookie2" | "set-cookie2" => {
            let parts = value.split(';').map(|part| match part.split_once('=') {
                Some((name, _)) if is_cookie_attribute(name.trim()) => part.to_owned(),
                Some((name, value)) if !value.trim().is_empty() => format!("{name}={MASKED}"),
                Some(_) => part.to_owned(),
                None if is_cookie_attribute(part.trim()) || part.trim().is_empty() => {
                    part.to_owned()
                }
                None => MASKED.to_owned(),
            });
            parts.collect::<Vec<_>>().join(";")
        }
        // Headers of a vendor's own.
        name if is_secret(&name.replace('-', "")) => MASKED.to_owned(),
        _ => String::from_utf8_lossy(&urls(value.as_bytes())).into_owned(),
    }
}

/// All but what a password could be guessed with.
fn digest(parameters: &str) -> String {
    let parts = parameters.split(',').map(|part| {
        let name = part.split('=').next().unwrap_or_default();
        let open = [
            "username",
            "realm",
            "uri",
            "algorithm",
            "qop",
            "nc",
            "opaque",
            "stale",
        ];
        if open.contains(&name.trim().to_ascii_lowercase().as_str()) {
            part.to_owned()
        } else {
            format!("{name}=\"***\"")
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

fn is_cookie_attribute(name: &str) -> bool {
    let known = [
        "path", "domain", "expires", "max-age", "version", "samesite", "secure", "httponly",
    ];
    name.starts_with('$') || known.contains(&name.to_ascii_lowercase().as_str())
}

/// Lines for people, such as `PATH "before" → "after"`: nothing stands behind a secret's name.
pub(super) fn lines(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let mut at = 0;
        for word in line.split_inclusive(|c: char| c.is_whitespace() || ":=\"'`,;()<>".contains(c))
        {
            at += word.len();
            let name =
                word.trim_end_matches(|c: char| c.is_whitespace() || ":=\"'`,;()<>".contains(c));
            let path = name.contains('.') && !name.contains("..");
            let assigned = word.ends_with([':', '=', '>']) || line.get(at..).is_some_and(assigns);
            if (path || assigned) && is_secret(name) {
                let rest = line.get(at..).unwrap_or_default();
                let end = if rest.ends_with('\n') { "\n" } else { "" };
                let value = if rest.trim().is_empty() {
                    rest.trim_end_matches('\n')
                } else {
                    "***"
                };
                let gap = if word.ends_with([' ', '"']) || value.is_empty() {
                    ""
                } else {
                    " "
                };
                return format!("{}{gap}{value}{end}", line.get(..at).unwrap_or_default());
            }
        }
        line.to_owned()
    });
    lines.collect()
}

/// Whether a value follows.
fn assigns(rest: &str) -> bool {
    rest.trim_start().starts_with(['"', '=', ':', '→'])
}

/// Secrets that were found somewhere in a session.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The longest first.
    secrets: Vec<Vec<u8>>,
}

impl Known {
    pub(super) fn add(&mut self, secret: &[u8]) {
        let secret = secret.trim_ascii();
        if secret.len() < BOUNDED_BYTES_MIN || self.secrets.iter().any(|known| known == secret) {
            return;
        }
        let longer = |known: &Vec<u8>| known.len() >= secret.len();
        let at = self
            .secrets
            .iter()
            .take_while(|known| longer(known))
            .count();
        self.secrets.insert(at, secret.to_vec());
    }

    /// Hides them in a text.
    pub(super) fn hide(&self, text: Vec<u8>) -> Vec<u8> {
        self.secrets
            .iter()
            .fold(text, |text, secret| replace(text, secret))
    }
}

fn replace(text: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let Some(first) = memchr::memmem::find(&text, secret) else {
        return text;
    };
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    let mut next = Some(first);
    while let Some(at) = next {
        let end = at + secret.len();
        let is_word = |at: Option<usize>| {
            at.and_then(|at| text.get(at))
                .is_some_and(u8::is_ascii_alphanumeric)
        };
        let whole = secret.len() >= ANYWHERE_BYTES_MIN
            || !(is_word(at.checked_sub(1)) || is_word(Some(end)));
        out.extend_from_slice(text.get(done..at).unwrap_or_default());
        out.extend_from_slice(if whole { MASK } else { secret });
        done = end;
        let rest = text.get(done..).unwrap_or_default();
        next = memchr::memmem::find(rest, secret).map(|at| done + at);
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_all_but_their_secrets() {
        let masked = |text: &str| String::from_utf8(urls(text.as_bytes())).unwrap();
        for (url, expected) in [
            ("http://u:p@h/x", "http://***@h/x"),
            (
                "a ftp://u@h b https://h:1/p c",
                "a ftp://***@h b https://h:1/p c",
            ),
            ("http://u:p@q@h:80/", "http://***@h:80/"),
            ("http://u:p/w@h/", "http://***@h/"),
            ("http://h:80/a@b", "http://h:80/a@b"),
            (
                "http://h/f?id=1&amp;sig=abc&amp;x=2",
                "http://h/f?id=1&amp;sig=***&amp;x=2",
            ),
            (
                "https://h/f?X-Amz-Signature=ff&Expires=3#access_token=t",
                "https://h/f?X-Amz-Signature=***&Expires=3#access_token=***",
            ),
            ("<u>http://u:p@h</u>", "<u>http://***@h</u>"),
            (
                "http://h/files/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/a.bin",
                "http://h/files/***/a.bin",
            ),
            ("http://h/files/t-1f/a.bin?x", "http://h/files/t-1f/a.bin?x"),
            ("http://h/?token=", "http://h/?token="),
            ("://", "://"),
        ] {
            assert_eq!(masked(url), expected);
        }
    }

    #[test]
    fn headers_keep_what_helps() {
        for (name, value, expected) in [
            ("authorization", "Basic dTpw", "Basic ***"),
            ("authorization", "junk", "***"),
            (
                "authorization",
                "Digest username=\"u\", nonce=\"n\", response=\"r\", qop=auth",
                "Digest username=\"u\", nonce=\"***\", response=\"***\", qop=auth",
            ),
            (
                "cookie",
                "$Version=\"0\"; ID=218_X;$Path=/; other=",
                "$Version=\"0\"; ID=***;$Path=/; other=",
            ),
            (
                "set-cookie",
                "s=abc; Path=/; HttpOnly",
                "s=***; Path=/; HttpOnly",
            ),
            ("cookie", "abc", "***"),
            ("x-api-key", "k", "***"),
            ("soapaction", "", ""),
            ("referer", "http://u:p@h/", "http://***@h/"),
        ] {
            assert_eq!(header(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn lines_end_behind_the_name_of_a_secret() {
        for (line, expected) in [
            ("Device.A.Password \"a\" → \"b\"", "Device.A.Password ***"),
            ("Password: x", "Password: ***"),
            ("Device.A.Name \"a\" → \"b\"", "Device.A.Name \"a\" → \"b\""),
            ("a\nDevice.A.PIN=1\nb", "a\nDevice.A.PIN= ***\nb"),
            ("the password of the device", "the password of the device"),
            ("given up after 3 RPCs", "given up after 3 RPCs"),
        ] {
            assert_eq!(lines(line), expected);
        }
    }

    #[test]
    fn known_secrets_are_hidden_where_they_stand_again() {
        let mut known = Known::default();
        for secret in ["hunter22hunter", "1234", "abc", " padded-secret "] {
            known.add(secret.as_bytes());
        }
        let hide = |text: &str| String::from_utf8(known.hide(text.into())).unwrap();
        assert_eq!(
            hide("invalid 'hunter22hunter' 1234 12345 abc xpadded-secretx"),
            "invalid '***' *** 12345 abc x***x"
        );
    }
}
