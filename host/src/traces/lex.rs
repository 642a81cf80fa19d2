//! Bytes that should be XML → tags and text, whatever is wrong with them.
//!
//! Not a parser: what a device sent is to be masked and shown as it came, also where the parser
//! refused it. Nothing is an error here, and the tokens together are all of the bytes. Comments
//! and CDATA sections are not skipped: their marks are tokens, what is in them is read like
//! everything else, because it may hold a secret too.

use std::borrow::Cow;
use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<name …>`
    Open,
    /// `</name>`
    Close,
    /// `<name …/>`
    Empty,
    /// `<?…>`, `<!…>`, `<!--`, `<![CDATA[`.
    Mark,
    /// What is between them.
    Text,
}

/// A piece of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// Where it is.
    pub(super) range: Range<usize>,
    /// The name without its prefix; of tags only.
    pub(super) name: &'a [u8],
    /// A tag that is not closed by `>`: where what stands in it after the name begins.
    pub(super) broken: Option<usize>,
}

/// The tokens of bytes, in order.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Reads from the beginning.
pub(super) fn tokens(bytes: &[u8]) -> Tokens<'_> {
    tokens_from(bytes, 0)
}

/// Reads from an offset.
pub(super) fn tokens_from(bytes: &[u8], at: usize) -> Tokens<'_> {
    Tokens { bytes, at }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let token = markup(rest, self.at).unwrap_or_else(|| {
            let begins = |at: &usize| *at > 0 && rest.get(*at..).is_some_and(is_markup);
            let next = memchr::memchr_iter(b'<', rest).find(begins);
            let length = next.unwrap_or(rest.len());
            Token {
                kind: Kind::Text,
                range: self.at..self.at + length,
                name: &[],
                broken: None,
            }
        });
        self.at = token.range.end;
        Some(token)
    }
}

fn is_markup(rest: &[u8]) -> bool {
    match rest {
        [b'<', b'/', next, ..] => starts_name(*next),
        [b'<', b'?' | b'!', ..] => true,
        [b'<', next, ..] => starts_name(*next),
        _ => false,
    }
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn in_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || matches!(byte, b':' | b'-' | b'.')
}

/// The tag or mark that `rest` begins with.
fn markup(rest: &[u8], at: usize) -> Option<Token<'_>> {
    if !is_markup(rest) {
        return None;
    }
    let mark = |length: usize| Token {
        kind: Kind::Mark,
        range: at..at + length,
        name: &[],
        broken: None,
    };
    for begin in [&b"<!--"[..], b"<![CDATA["] {
        if rest.starts_with(begin) {
            return Some(mark(begin.len()));
        }
    }
    if rest.starts_with(b"<?") || rest.starts_with(b"<!") {
        let end = memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1);
        return Some(mark(end));
    }
    let close = rest.starts_with(b"</");
    let begin = if close { 2 } else { 1 };
    let named = rest.get(begin..).unwrap_or_default();
    let length = named.iter().take_while(|byte| in_name(**byte)).count();
    let qualified = named.get(..length).unwrap_or_default();
    let after = begin + length;
    // Quotes are not looked at: a missing one must not swallow what follows.
    let end = memchr::memchr2(b'>', b'<', rest.get(after..).unwrap_or_default());
    let (end, broken) = match end.map(|end| after + end) {
        Some(end) if rest.get(end) == Some(&b'>') => (end + 1, None),
        Some(end) => (end, Some(at + after)),
        None => (rest.len(), Some(at + after)),
    };
    let empty = broken.is_none() && end >= 2 && rest.get(end - 2) == Some(&b'/');
    Some(Token {
        kind: match (close, empty) {
            (true, _) => Kind::Close,
            (false, true) => Kind::Empty,
            (false, false) => Kind::Open,
        },
        range: at..at + end,
        name: local(qualified),
        broken,
    })
}

/// A name without its prefix.
fn local(qualified: &[u8]) -> &[u8] {
    let colon = memchr::memrchr(b':', qualified);
    colon
        .and_then(|colon| qualified.get(colon + 1..))
        .unwrap_or(qualified)
}

/// Text with its references resolved; those that nobody knows stay.
pub(super) fn unescaped(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if !text.contains('&') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('&') {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        match reference.find(';').and_then(|end| {
            let character = character(reference.get(1..end)?)?;
            Some((character, reference.get(end + 1..)?))
        }) {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = reference.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// The name of the RPC in an envelope, its response or `Fault`: the first element in the Body.
pub(super) fn message_name(bytes: &[u8]) -> Option<String> {
    let mut in_body = false;
    for token in tokens(bytes) {
        if matches!(token.kind, Kind::Open | Kind::Empty) {
            if in_body {
                return Some(String::from_utf8_lossy(token.name).into_owned());
            }
            in_body = token.name.eq_ignore_ascii_case(b"Body");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(Kind, &str, &str)> {
        let mut at = 0;
        tokens(text.as_bytes())
            .map(|token| {
                assert_eq!(token.range.start, at, "{text}");
                at = token.range.end;
                let name = std::str::from_utf8(token.name).unwrap();
                (token.kind, &text[token.range], name)
            })
            .collect()
    }

    #[test]
    fn broken_markup_is_cut_up_too() {
        use Kind::*;
        assert_eq!(
            pieces("<?xml?><a:B c=\"d\">t &lt; < 3</a:B\n><E/>"),
            [
                (Mark, "<?xml?>", ""),
                (Open, "<a:B c=\"d\">", "B"),
                (Text, "t &lt; < 3", ""),
                (Close, "</a:B\n>", "B"),
                (Empty, "<E/>", "E"),
            ]
        );
        assert_eq!(
            pieces("<Value x<![CDATA[s]]></Value"),
            [
                (Open, "<Value x", "Value"),
                (Mark, "<![CDATA[", ""),
                (Text, "s]]>", ""),
                (Close, "</Value", "Value"),
            ]
        );
        assert_eq!(pieces("<"), [(Text, "<", "")]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn references() {
        let text = |text: &str| unescaped(text.as_bytes()).into_owned();
        assert_eq!(text("a&amp;&#66;&#x43;&lt;"), "a&BC<");
        assert_eq!(text("a & b &nbsp; &#xD800; &"), "a & b &nbsp; &#xD800; &");
    }

    #[test]
    fn names_of_messages() {
        let name = |text: &str| message_name(text.as_bytes());
        assert_eq!(
            name("<s:Envelope><s:Header><c:ID>1</c:ID></s:Header><s:Body>\n <c:Inform>"),
            Some("Inform".into())
        );
        assert_eq!(name("<Body/>"), None);
        assert_eq!(name("junk"), None);
    }
}
