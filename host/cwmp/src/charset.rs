//! Bytes to text. TR-069 §3.4.1 says UTF-8; devices say ISO-8859-1, or say nothing and send it.

use std::borrow::Cow;

/// How far into a message its XML declaration may reach, in bytes.
const DECLARATION_BYTES_MAX: usize = 200;

/// The text of a message. The byte order mark decides, then the XML declaration, then
/// `charset` (of the Content-Type); what is no UTF-8 in the end is read as Latin-1.
pub(crate) fn decode<'b>(bytes: &'b [u8], charset: Option<&str>) -> Cow<'b, str> {
    if let Some(bytes) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        return utf8_or_latin1(bytes);
    }
    let is_latin1 = match declared(bytes) {
        Some(label) => names_latin1(label),
        None => charset.is_some_and(|label| names_latin1(label.as_bytes())),
    };
    if is_latin1 && !bytes.is_ascii() {
        Cow::Owned(latin1(bytes))
    } else {
        utf8_or_latin1(bytes)
    }
}

fn utf8_or_latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(latin1(bytes)),
    }
}

/// The encoding that the XML declaration names.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.trim_ascii_start();
    if !start.starts_with(b"<?xml") {
        return None;
    }
    let start = start.get(..DECLARATION_BYTES_MAX).unwrap_or(start);
    let declaration = start.split(|byte| *byte == b'>').next()?;
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let mut quoted = declaration
        .get(at..)?
        .split(|byte| matches!(byte, b'"' | b'\''));
    quoted.next();
    quoted.next()
}

fn names_latin1(label: &[u8]) -> bool {
    let label = label
        .trim_ascii()
        .strip_prefix(b"\"")
        .and_then(|label| label.strip_suffix(b"\""))
        .unwrap_or(label)
        .trim_ascii();
    [
        "iso-8859-1",
        "iso8859-1",
        "iso_8859-1",
        "latin1",
        "latin-1",
        "windows-1252",
        "cp1252",
    ]
    .iter()
    .any(|name| label.eq_ignore_ascii_case(name.as_bytes()))
}

/// Latin-1, where 0x80–0x9F are what windows-1252 has there: nobody means the control characters.
fn latin1(bytes: &[u8]) -> String {
    const C1: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž',
        '\u{8F}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}',
        'ž', 'Ÿ',
    ];
    bytes
        .iter()
        .map(|&byte| {
            let c1 = byte.checked_sub(0x80).and_then(|i| C1.get(usize::from(i)));
            c1.copied().unwrap_or(char::from(byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_then_declaration_then_content_type_decide() {
        let latin1_xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
        let cases: [(&[u8], Option<&str>, &str); 9] = [
            (b"\xEF\xBB\xBF<a/>", None, "<a/>"),
            ("<a>é</a>".as_bytes(), None, "<a>é</a>"),
            (b"<a>\xE9</a>", None, "<a>é</a>"),
            (b"<a>\xE9</a>", Some("utf-8"), "<a>é</a>"),
            (b"<a>\xC3\xA9</a>", Some("ISO-8859-1"), "<a>Ã©</a>"),
            (b"<a>\xC3\xA9</a>", Some("\"utf-8\""), "<a>é</a>"),
            (b"<a>\x80\x93</a>", Some("\"Windows-1252\""), "<a>€“</a>"),
            (
                latin1_xml,
                Some("utf-8"),
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>",
            ),
            (
                b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xC3\xA9</a>",
                Some("ISO-8859-1"),
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é</a>",
            ),
        ];
        for (bytes, charset, text) in cases {
            assert_eq!(decode(bytes, charset), text, "{charset:?}");
        }
    }
}
