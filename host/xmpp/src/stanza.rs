//! Writing stanzas: as text, in the namespace of the stream they go to.

use crate::ns;

/// Opens a stream. `attributes` as they stand, with a blank before each.
pub fn header(namespace: &str, attributes: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='{}'{attributes}>",
        ns::STREAM
    )
}

/// Ends a stream with an error (RFC 6120 §4.9).
pub fn stream_error(condition: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='{}'/></stream:error></stream:stream>",
        ns::STREAM_ERRORS
    )
}

/// An `iq`; empty attributes are left out, the payload goes in as it stands.
pub fn iq(kind: &str, id: &str, from: &str, to: &str, payload: &str) -> String {
    let mut out = format!("<iq type='{kind}'");
    for (name, value) in [("id", id), ("from", from), ("to", to)] {
        if !value.is_empty() {
            out.push_str(&format!(" {name}='{}'", escaped(value)));
        }
    }
    if payload.is_empty() {
        out.push_str("/>");
    } else {
        out.push('>');
        out.push_str(payload);
        out.push_str("</iq>");
    }
    out
}

/// The `error` of a stanza: its type (`cancel`, `auth`, `modify`) and condition.
pub fn error(class: &str, condition: &str) -> String {
    format!(
        "<error type='{class}'><{condition} xmlns='{}'/></error>",
        ns::STANZAS
    )
}

/// Text for an element or an attribute in single or double quotes. What XML cannot carry is
/// left out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(character))),
            '\0'..'\u{20}' | '\u{FFFE}' | '\u{FFFF}' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_xml() {
        assert_eq!(
            iq("result", "a'b", "", "d@e/<f>", ""),
            "<iq type='result' id='a&apos;b' to='d@e/&lt;f&gt;'/>"
        );
        assert_eq!(
            iq("set", "1", "", "", "<x/>"),
            "<iq type='set' id='1'><x/></iq>"
        );
        assert_eq!(escaped("\u{0}a\n\u{FFFF}"), "a&#10;");
    }
}
