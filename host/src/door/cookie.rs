//! The cookie that names a session.
//!
//! Its name and value are letters and digits only and it has nothing but a path: devices drop
//! what is longer or odder. What they send back is read liberally: RFC 2965 attributes
//! (`$Version="0"`), commas for semicolons, quoted values.

use http::{HeaderMap, header};

/// The cookie's name.
const NAME: &str = "session";

/// What a session cookie holds: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u128);

impl Token {
    /// A token that nobody can guess.
    pub fn random() -> Token {
        Token(rand::random())
    }

    /// Reads what [`Token::to_text`] wrote, in any case.
    pub(super) fn parse(text: &str) -> Option<Token> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_plain
            .then(|| u128::from_str_radix(text, 16).ok().map(Token))
            .flatten()
    }

    /// 32 hexadecimal digits.
    pub(super) fn to_text(self) -> String {
        format!("{:032x}", self.0)
    }

    /// The Set-Cookie header.
    pub fn to_set_cookie(self) -> String {
        format!("{NAME}={:032x}; Path=/", self.0)
    }

    /// A number that spreads evenly.
    pub(super) fn shard(self) -> usize {
        usize::from(self.0.to_le_bytes()[0])
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The beginning is enough to follow a session in the log, and no key to it.
        write!(f, "{:08x}…", self.0 >> 96)
    }
}

/// All session tokens among the cookies of a request; some devices send an old one along.
pub(super) fn tokens(headers: &HeaderMap) -> impl Iterator<Item = Token> {
    headers
        .get_all(header::COOKIE)
        .iter()
        // Bytes that do not belong there are another cookie's affair.
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(|value| value.split([';', ',']))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case(NAME);
            let value = value.trim().trim_matches('"');
            named.then(|| Token::parse(value)).flatten()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_as_devices_send_them() {
        let token = Token::random();
        let text = format!("{:032x}", token.0);
        let found = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            tokens(&headers).collect::<Vec<_>>()
        };
        assert_eq!(found(&format!("session={text}")), [token]);
        assert_eq!(
            found(&format!("$Version=\"0\"; session={text};$Path=/")),
            [token]
        );
        assert_eq!(found(&format!("a=b, session=\"{text}\"")), [token]);
        assert_eq!(found(&format!("Session={}", text.to_uppercase())), [token]);
        assert_eq!(found(&format!("session=old; session={text}")), [token]);
        assert_eq!(found(&format!("x=\u{e9}; session={text}")), [token]);
        assert_eq!(found("session="), []);
        assert_eq!(found("session=+123456789abcdef0123456789abcdef"), []);
        assert_eq!(found("session=zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), []);
    }
}
