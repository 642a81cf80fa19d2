//! Reading XML: a cursor over quick-xml that knows elements, their children and their text,
//! by local name only.
//!
//! Whoever is given an element by [`Reader::child`] consumes it: by its `child`ren until there
//! are no more, by one of the functions that read its text, or by [`Reader::skip`].

use std::borrow::Cow;
use std::mem;

use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::quoted;
use crate::{DateTime, Error, value};

/// How large a message may be. The door has a lower, configurable limit; this one is for those
/// who come another way.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How deep elements may be nested. CWMP's own messages need 9 levels.
pub(crate) const DEPTH_LEVELS_MAX: usize = 64;

/// White space in XML. Other Unicode spaces are content.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

pub(crate) struct Reader<'x> {
    events: quick_xml::Reader<&'x [u8]>,
    source: &'x str,
    depth: usize,
    /// The element just entered was `<a/>`: it has neither children nor text nor an end.
    in_empty: bool,
}

/// A start tag.
pub(crate) struct Element<'x>(BytesStart<'x>);

impl Element<'_> {
    /// Without its prefix.
    pub(crate) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// All that stands between `<` and `>`.
    pub(crate) fn tag(&self) -> &str {
        &self.0
    }

    /// The raw value of the attribute of this local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0
            .attributes()
            .with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.local_name().into_inner() == name)
            .map(|attribute| attribute.value)
    }
}

impl<'x> Reader<'x> {
    pub(crate) fn new(source: &'x str) -> Reader<'x> {
        let mut events = quick_xml::Reader::from_str(source);
        // "AT&T" in a value is no reason to lose the message.
        events.config_mut().allow_dangling_amp = true;
        Reader {
            events,
            source,
            depth: 0,
            in_empty: false,
        }
    }

    /// Byte offset behind what was read last.
    pub(crate) fn position(&self) -> u64 {
        self.events.buffer_position()
    }

    /// The next child of the element at hand (before the root: the root), or `None` at its end.
    pub(crate) fn child(&mut self) -> Result<Option<Element<'x>>, Error> {
        if mem::take(&mut self.in_empty) {
            return Ok(None);
        }
        loop {
            match self.event()? {
                Event::Start(tag) => {
                    self.enter()?;
                    return Ok(Some(Element(tag)));
                }
                Event::Empty(tag) => {
                    self.in_empty = true;
                    return Ok(Some(Element(tag)));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    /// The element's text, CDATA and references resolved; elements inside are left out.
    pub(crate) fn text(&mut self) -> Result<Cow<'x, str>, Error> {
        let mut text = Cow::Borrowed("");
        if mem::take(&mut self.in_empty) {
            return Ok(text);
        }
        loop {
            let part = match self.event()? {
                Event::Text(part) => part.xml10_content(),
                Event::CData(part) => part.xml10_content(),
                Event::GeneralRef(reference) => resolve(&reference),
                Event::Start(_) => {
                    self.enter()?;
                    self.skip()?;
                    continue;
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(text);
                }
                _ => continue,
            };
            if text.is_empty() {
                text = part;
            } else {
                text.to_mut().push_str(&part);
            }
        }
    }

    /// Passes over the element.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        self.inner().map(|_| ())
    }

    /// The element's inner XML, as it stands.
    pub(crate) fn inner(&mut self) -> Result<&'x str, Error> {
        if mem::take(&mut self.in_empty) {
            return Ok("");
        }
        let outer = self.depth.saturating_sub(1);
        let start = self.position();
        loop {
            let end = self.position();
            match self.event()? {
                Event::Start(_) => self.enter()?,
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == outer {
                        return Ok(self.slice(start, end));
                    }
                }
                _ => {}
            }
        }
    }

    /// The text of an element that holds a value: as it stands, spaces too.
    pub(crate) fn string(&mut self) -> Result<String, Error> {
        self.text().map(Cow::into_owned)
    }

    /// The text of an element that holds a name: white space around it is layout.
    pub(crate) fn name(&mut self) -> Result<String, Error> {
        let text = self.text()?;
        let name = text.trim_matches(SPACE);
        if name.len() == text.len() {
            Ok(text.into_owned())
        } else {
            Ok(name.to_owned())
        }
    }

    /// An unsignedInt; 0 where there is none.
    pub(crate) fn unsigned(&mut self) -> Result<u32, Error> {
        Ok(value::unsigned(&self.text()?).unwrap_or_default())
    }

    /// An int; 0 where there is none.
    pub(crate) fn int(&mut self) -> Result<i32, Error> {
        Ok(value::int(&self.text()?).unwrap_or_default())
    }

    /// A fault code: the digits at the start of the text ("9000 - Method not supported").
    pub(crate) fn code(&mut self) -> Result<u32, Error> {
        let text = self.text()?;
        let digits = text.trim_matches(SPACE);
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next();
        Ok(digits.and_then(value::unsigned).unwrap_or_default())
    }

    /// A boolean; false where there is none.
    pub(crate) fn boolean(&mut self) -> Result<bool, Error> {
        Ok(value::boolean(&self.text()?).unwrap_or_default())
    }

    /// A dateTime, or what the device sent in its place.
    pub(crate) fn date_time(&mut self) -> Result<DateTime, Error> {
        self.name().map(DateTime)
    }

    /// A SOAP array: its members' names are without meaning (SOAP 1.1 §5.4.2), its count often wrong.
    pub(crate) fn list<T>(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut members = Vec::new();
        while self.child()?.is_some() {
            members.push(member(self)?);
        }
        Ok(members)
    }

    /// Passes over the rest of the element at hand.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        while self.child()?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    fn event(&mut self) -> Result<Event<'x>, Error> {
        match self.events.read_event() {
            Ok(Event::Eof) => Err(self.end_of_document()),
            Ok(Event::DocType(_)) => Err(Error::DocType {
                position: self.position(),
            }),
            Ok(event) => Ok(event),
            Err(error) => Err(Error::Xml {
                position: self.events.error_position(),
                reason: quoted(&error.to_string()),
            }),
        }
    }

    #[cold]
    fn end_of_document(&self) -> Error {
        let position = self.position();
        if self.depth == 0 {
            Error::NotCwmp {
                expected: "a SOAP Envelope",
                got: "no XML element".to_owned(),
                position,
            }
        } else {
            Error::Xml {
                position,
                reason: "the document ends inside an element".to_owned(),
            }
        }
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_LEVELS_MAX {
            return Err(Error::TooLarge {
                unit: "levels of elements",
                max: DEPTH_LEVELS_MAX,
            });
        }
        Ok(())
    }

    fn slice(&self, start: u64, end: u64) -> &'x str {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        self.source.get(start..end).unwrap_or_default()
    }
}

/// What `&…;` stands for. What XML does not know, or forbids, stays as it was written.
fn resolve<'x>(reference: &BytesRef<'x>) -> Cow<'x, str> {
    match &**reference {
        "amp" => Cow::Borrowed("&"),
        "lt" => Cow::Borrowed("<"),
        "gt" => Cow::Borrowed(">"),
        "quot" => Cow::Borrowed("\""),
        "apos" => Cow::Borrowed("'"),
        name => match reference.resolve_char_ref() {
            Ok(Some(character)) => Cow::Owned(character.to_string()),
            _ => Cow::Owned(format!("&{name};")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// The text of the root element.
    fn check(source: &str, expected: Expect) {
        let mut xml = Reader::new(source);
        let text = xml
            .child()
            .and_then(|_| xml.text())
            .map_err(|error| error.to_string());
        expected.assert_eq(&format!("{text:?}"));
    }

    #[test]
    fn text_is_put_together() {
        check("<a/>", expect![[r#"Ok("")"#]]);
        check("<a> b </a >", expect![[r#"Ok(" b ")"#]]);
        check(
            "<a>1 &lt; 2 &#x41;&#66;</a>",
            expect![[r#"Ok("1 < 2 AB")"#]],
        );
        check("<a>x<![CDATA[<&y]]>z</a>", expect![[r#"Ok("x<&yz")"#]]);
        check("<a>x<!-- no -->y<?no?>z</a>", expect![[r#"Ok("xyz")"#]]);
        check("<a>x<b>no<c/></b>y</a>", expect![[r#"Ok("xy")"#]]);
        check("<a>x\r\ny\rz</a>", expect![[r#"Ok("x\ny\nz")"#]]);
    }

    #[test]
    fn what_xml_forbids_in_text_is_kept() {
        check(
            "<a>AT&T &nbsp; &#0; a&b;</a>",
            expect![[r#"Ok("AT&T &nbsp; &#0; a&b;")"#]],
        );
        check("<a>\u{1}\u{0}\u{8}</a>", expect![[r#"Ok("\u{1}\0\u{8}")"#]]);
    }

    #[test]
    fn errors_say_where() {
        check(
            "<a>b",
            expect![[
                r#"Err("not well-formed XML at byte 4: the document ends inside an element")"#
            ]],
        );
        check(
            "<a>b</c>",
            expect![[
                r#"Err("not well-formed XML at byte 4: ill-formed document: expected `</a>`, but `</c>` was found")"#
            ]],
        );
        check(
            "<a b",
            expect![[
                r#"Err("not well-formed XML at byte 0: syntax error: tag not closed: `>` not found before end of input")"#
            ]],
        );
        check(
            "",
            expect![[
                r#"Err("no CWMP message: expected a SOAP Envelope, got no XML element at byte 0")"#
            ]],
        );
        check(
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            expect![[r#"Err("a DOCTYPE at byte 30, which SOAP forbids")"#]],
        );
        check(
            &"<a>".repeat(100),
            expect![[r#"Err("too large: more than 64 levels of elements")"#]],
        );
    }

    #[test]
    fn inner_xml_is_cut_out() {
        let mut xml = Reader::new("<a> <b c='d'>e</b ><f/> </a >");
        xml.child().unwrap();
        assert_eq!(xml.inner().unwrap(), " <b c='d'>e</b ><f/> ");
    }
}
