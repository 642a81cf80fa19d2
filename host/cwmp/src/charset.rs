//! Bytes to text. TR-069 §3.4.1 says UTF-8; devices say ISO-8859-1, or say nothing and send it,
//! or say one thing and send another.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far into a message its XML declaration may reach, in bytes.
const DECLARATION_BYTES_MAX: usize = 200;

/// The text of a message.
///
/// A byte order mark decides. Without one, what is valid UTF-8 is that, whatever is said of it:
/// Latin-1 text that happens to be valid UTF-8 is rarer by far than a device that names the wrong
/// encoding. Only where an encoding of several bytes per character is named (GBK, Shift_JIS, …)
/// is it tried first. Then come the encoding of the XML declaration, that of the Content-Type
/// (`charset`) and, because some characters are better than no message, windows-1252.
pub(crate) fn decode<'b>(bytes: &'b [u8], charset: Option<&str>) -> Cow<'b, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let marked = bytes.get(mark..).unwrap_or_default();
        if encoding == UTF_8
            && let Ok(text) = std::str::from_utf8(marked)
        {
            return Cow::Borrowed(text);
        }
        let encoding = if encoding == UTF_8 {
            WINDOWS_1252
        } else {
            encoding
        };
        return encoding.decode_without_bom_handling(marked).0;
    }
    // An XML message begins with `<`: a zero beside it is half a character.
    match bytes {
        [b'<', 0, ..] => return UTF_16LE.decode_without_bom_handling(bytes).0,
        [0, b'<', ..] => return UTF_16BE.decode_without_bom_handling(bytes).0,
        _ => {}
    }
    let utf8 = std::str::from_utf8(bytes).ok();
    let named = [declared(bytes), charset.map(str::as_bytes)].map(named);
    let tried = named.into_iter().flatten();
    for encoding in tried {
        if utf8.is_some() && (encoding.is_single_byte() || bytes.is_ascii()) {
            continue;
        }
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        if let Some(text) = text {
            return text;
        }
    }
    match utf8 {
        Some(text) => Cow::Borrowed(text),
        None => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// The encoding of this name, unless the name says nothing: UTF-8 is tried anyway, and what were
/// UTF-16 has been seen by its zeros.
fn named(label: Option<&[u8]>) -> Option<&'static Encoding> {
    let label = label?.trim_ascii();
    if label.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    let label = label
        .strip_prefix(b"\"")
        .and_then(|label| label.strip_suffix(b"\""))
        .unwrap_or(label);
    let encoding = Encoding::for_label_no_replacement(label).or_else(|| {
        // As devices spell it.
        label
            .eq_ignore_ascii_case(b"latin-1")
            .then_some(WINDOWS_1252)
    })?;
    let says_something = encoding != UTF_8 && encoding.is_ascii_compatible();
    says_something.then_some(encoding)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], charset: Option<&str>, text: &str) {
        assert_eq!(decode(bytes, charset), text, "{charset:?}");
    }

    #[test]
    fn utf8_without_a_word_about_it() {
        check("<a>é</a>".as_bytes(), None, "<a>é</a>");
        check("<a>é</a>".as_bytes(), Some("\"utf-8\""), "<a>é</a>");
        check(b"\xEF\xBB\xBF<a/>", None, "<a/>");
        check(b"\xEF\xBB\xBF<a>\xE9</a>", None, "<a>é</a>");
    }

    #[test]
    fn latin1_by_header_by_declaration_and_unsaid() {
        let declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
        let text = "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>";
        check(declared, None, text);
        check(declared, Some("utf-8"), text);
        check(b"<a>\xE9</a>", Some("ISO-8859-1"), "<a>é</a>");
        check(b"<a>\xE9</a>", None, "<a>é</a>");
        check(b"<a>\x80\x93</a>", Some("\"Windows-1252\""), "<a>€“</a>");
    }

    #[test]
    fn a_name_that_lies() {
        // Said to be Latin-1, and UTF-8.
        check(b"<a>\xC3\xA9</a>", Some("ISO-8859-1"), "<a>é</a>");
        check(
            b"<?xml version='1.0' encoding='latin1'?><a>\xC3\xA9</a>",
            None,
            "<?xml version='1.0' encoding='latin1'?><a>é</a>",
        );
        // Said to be UTF-8, and something else, which the header knows.
        check(
            b"<?xml version='1.0' encoding='UTF-8'?><a>\xE9</a>",
            None,
            "<?xml version='1.0' encoding='UTF-8'?><a>é</a>",
        );
        check(
            b"<?xml version='1.0' encoding='UTF-8'?><a>\xCF</a>",
            Some("windows-1251"),
            "<?xml version='1.0' encoding='UTF-8'?><a>П</a>",
        );
        // Said to be UTF-16 in a text that shows it is not.
        check(
            b"<?xml version='1.0' encoding='UTF-16'?><a/>",
            None,
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
        );
        check(b"<a>\xC3\xA9</a>", Some("x-unheard-of"), "<a>é</a>");
        check(b"<a>\xE9</a>", Some("x-unheard-of"), "<a>é</a>");
    }

    #[test]
    fn encodings_of_several_bytes() {
        // These two characters of GBK are valid UTF-8 by chance.
        check(b"<a>\xC1\xAA\xCD\xA8</a>", Some("GBK"), "<a>联通</a>");
        check(b"<a>\xD6\xD0</a>", Some("gb2312"), "<a>中</a>");
        // Said to be Korean, and no EUC-KR.
        check("<a>…</a>".as_bytes(), Some("EUC-KR"), "<a>…</a>");
    }

    #[test]
    fn utf16_with_and_without_a_mark() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>é</a>";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        check(&little, None, text);
        check(&big, Some("utf-8"), text);
        check(&[b"\xFF\xFE", &*little].concat(), None, text);
        check(&[b"\xFE\xFF", &*big].concat(), None, text);
    }
}
