//! Writing XML: the strict dialect that all devices take.

use crate::{DateTime, XsdType};

pub(crate) struct Writer {
    out: String,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Writer {
        Writer {
            out: String::with_capacity(bytes),
        }
    }

    pub(crate) fn into_string(self) -> String {
        self.out
    }

    /// Markup, as it is.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    pub(crate) fn open(&mut self, name: &str) {
        self.raw("<");
        self.raw(name);
        self.raw(">");
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// Text, escaped. What XML 1.0 cannot carry even as a reference is left out.
    pub(crate) fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(needs_care) {
            let (plain, special) = rest.split_at(at);
            self.raw(plain);
            let mut characters = special.chars();
            match characters.next() {
                Some('<') => self.raw("&lt;"),
                Some('>') => self.raw("&gt;"),
                Some('&') => self.raw("&amp;"),
                Some('\r') => self.raw("&#13;"),
                _ => {}
            }
            rest = characters.as_str();
        }
        self.raw(rest);
    }

    /// `<name>text</name>`.
    pub(crate) fn element(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    pub(crate) fn unsigned(&mut self, name: &str, number: u32) {
        self.element(name, &number.to_string());
    }

    /// `0` and `1`: some devices do not know `true`, all know these.
    pub(crate) fn boolean(&mut self, name: &str, yes: bool) {
        self.element(name, if yes { "1" } else { "0" });
    }

    /// An empty dateTime is none; it is written as the Unknown Time.
    pub(crate) fn date_time(&mut self, name: &str, time: &DateTime) {
        if time.0.is_empty() {
            self.element(name, &DateTime::unknown().0);
        } else {
            self.element(name, &time.0);
        }
    }

    /// A SOAP array with its exact count.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        member_type: &str,
        members: &[T],
        mut write: impl FnMut(&mut Writer, &T),
    ) {
        self.raw("<");
        self.raw(name);
        self.raw(" soap-enc:arrayType=\"");
        self.raw(member_type);
        self.raw("[");
        self.raw(&members.len().to_string());
        self.raw("]\">");
        for member in members {
            write(self, member);
        }
        self.close(name);
    }

    pub(crate) fn strings(&mut self, name: &str, strings: &[String]) {
        self.list(name, "xsd:string", strings, |out, string| {
            out.element("string", string);
        });
    }

    /// `<Value xsi:type="…">`.
    pub(crate) fn value(&mut self, value: &str, xsd_type: &XsdType) {
        self.raw("<Value xsi:type=\"");
        match xsd_type.as_str() {
            // The one type of TR-069 that SOAP has and XML Schema has not.
            "base64" => self.raw("soap-enc:base64"),
            name => {
                self.raw("xsd:");
                self.raw(if is_name(name) { name } else { "string" });
            }
        }
        self.raw("\">");
        self.text(value);
        self.close("Value");
    }
}

fn needs_care(character: char) -> bool {
    matches!(character, '<' | '>' | '&' | '\r') || is_forbidden(character)
}

/// Whether XML 1.0 cannot carry this character, not even as a reference (§2.2).
pub(crate) fn is_forbidden(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0'..'\u{20}' | '\u{FFFE}' | '\u{FFFF}' => true,
        _ => false,
    }
}

/// Whether this can name an element without a prefix (an NCName, of ASCII only).
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_the_impossible_left_out() {
        let mut out = Writer::with_capacity(0);
        out.text("a<b>&\"c'\r\n\t\0\u{1}\u{FFFE}\u{FFFF}é]]>");
        assert_eq!(out.into_string(), "a&lt;b&gt;&amp;\"c'&#13;\n\té]]&gt;");
    }

    #[test]
    fn a_type_that_cannot_be_written_is_a_string() {
        let mut out = Writer::with_capacity(0);
        out.value("1", &XsdType::new("unsignedInt"));
        out.value("YQ==", &XsdType::new("SOAP-ENC:base64"));
        out.value("{}", &XsdType::new("xsd:json"));
        out.value("", &XsdType::new("\"><x/>"));
        assert_eq!(
            out.into_string(),
            "<Value xsi:type=\"xsd:unsignedInt\">1</Value>\
             <Value xsi:type=\"soap-enc:base64\">YQ==</Value>\
             <Value xsi:type=\"xsd:json\">{}</Value>\
             <Value xsi:type=\"xsd:string\"></Value>"
        );
    }
}
