//! RPCs without a type of their own, as those of vendors; and RPCs as their XML.

use quick_xml::NsReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};

use crate::error::quoted;
use crate::write::{Writer, is_forbidden, is_name};
use crate::xml::{DEPTH_LEVELS_MAX, Reader};
use crate::{Error, Request, Response};

/// What the envelope declares, so that raw XML may use its prefixes.
const WRAPPER: &str =
    "<x xmlns:soap-env='e' xmlns:soap-enc='c' xmlns:xsd='d' xmlns:xsi='i' xmlns:cwmp='w'>";

/// An RPC or response without a type of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRpc {
    /// The local name of the method element.
    pub method: String,
    /// The XML inside the method element, as sent.
    pub xml: String,
}

impl RawRpc {
    /// An RPC that can be sent: `method` is a name without a prefix, `xml` is well-formed
    /// content with no prefixes but its own and those of the envelope (`cwmp`, `soap-env`,
    /// `soap-enc`, `xsd`, `xsi`).
    ///
    /// # Errors
    ///
    /// [`Error::Raw`] where it is not.
    pub fn checked(method: &str, xml: &str) -> Result<RawRpc, Error> {
        let raw = RawRpc {
            method: method.to_owned(),
            xml: xml.to_owned(),
        };
        raw.check()?;
        Ok(raw)
    }

    /// Reads the content as that of `parse`d type. `None` if it cannot be.
    fn read<T>(&self, parse: impl FnOnce(&str, &mut Reader<'_>) -> Result<T, Error>) -> Option<T> {
        let document = format!("{WRAPPER}{}</x>", self.xml);
        let mut xml = Reader::new(&document);
        xml.child().ok()??;
        parse(&self.method, &mut xml).ok()
    }

    /// What [`RawRpc::checked`] checks.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fail = |reason: &str, position: u64| Error::Raw {
            method: quoted(&self.method),
            reason: quoted(reason),
            position: position.saturating_sub(WRAPPER.len() as u64),
        };
        if !is_name(&self.method) {
            return Err(fail("the method is no XML name", 0));
        }
        let document = format!("{WRAPPER}{}</x>", self.xml);
        let mut events = NsReader::from_str(&document);
        events.config_mut().enable_all_checks(true);
        let mut depth = 0_usize;
        loop {
            let event = events
                .read_event()
                .map_err(|error| fail(&error.to_string(), events.error_position()))?;
            let here = events.buffer_position();
            let unsound = match &event {
                Event::Start(tag) | Event::Empty(tag) => check_tag(&events, tag),
                Event::Text(text) => check_text(text),
                Event::CData(text) => check_characters(text),
                Event::Comment(text) => check_characters(text),
                Event::GeneralRef(reference) => check_reference(reference),
                Event::End(_) if depth == 1 && here < document.len() as u64 => {
                    Some("an end tag without a start tag")
                }
                Event::End(_) => None,
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                    Some("only elements and text can be sent")
                }
                Event::Eof => return Ok(()),
            };
            match event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if let Some(reason) = unsound {
                return Err(fail(reason, here));
            }
            if depth > DEPTH_LEVELS_MAX {
                return Err(fail("too many levels of elements", here));
            }
        }
    }

    pub(crate) fn parse(method: &str, xml: &mut Reader<'_>) -> Result<RawRpc, Error> {
        Ok(RawRpc {
            method: method.to_owned(),
            xml: xml.inner()?.to_owned(),
        })
    }
}

impl Request {
    /// Its name and the XML inside it.
    pub fn to_raw(&self) -> RawRpc {
        let mut out = Writer::with_capacity(0);
        self.write(&mut out);
        RawRpc {
            method: self.method().to_owned(),
            xml: out.into_string(),
        }
    }

    /// The request that this is, if it would be written in the very same words; what somebody
    /// wrote in another way (with other elements, in another order) stays as it is.
    pub fn from_raw(raw: RawRpc) -> Request {
        match raw.read(Request::parse) {
            Some(request) if request.to_raw() == raw => request,
            _ => Request::Other(raw),
        }
    }
}

impl Response {
    /// Its name and the XML inside it.
    pub fn to_raw(&self) -> RawRpc {
        let mut out = Writer::with_capacity(0);
        self.write(&mut out);
        RawRpc {
            method: self.method().to_owned(),
            xml: out.into_string(),
        }
    }

    /// The response that this is.
    pub fn from_raw(raw: RawRpc) -> Response {
        let response = raw.read(Response::parse);
        response.unwrap_or(Response::Other(raw))
    }
}

/// The first thing that is wrong with a tag.
fn check_tag(events: &NsReader<&[u8]>, tag: &BytesStart<'_>) -> Option<&'static str> {
    const UNDECLARED: &str = "an undeclared prefix";
    if !is_qualified_name(tag.name()) {
        return Some("an element without a proper name");
    }
    if let (ResolveResult::Unknown(_), _) = events.resolver().resolve_element(tag.name()) {
        return Some(UNDECLARED);
    }
    // quick-xml lets `a="1"b="2"` pass.
    let raw = tag.attributes_raw();
    let mut attributes_end = 0;
    for attribute in tag.attributes() {
        let Ok(attribute) = attribute else {
            return Some("a malformed attribute");
        };
        let start = raw.len().min(offset_in(raw, attribute.key.into_inner()));
        let between = raw.get(attributes_end..start).unwrap_or_default();
        if !between.ends_with([' ', '\t', '\r', '\n']) {
            return Some("no space before an attribute");
        }
        attributes_end = start;
        if !is_qualified_name(attribute.key) {
            return Some("an attribute without a proper name");
        }
        let resolved = events.resolver().resolve_attribute(attribute.key);
        if let (ResolveResult::Unknown(_), _) = resolved
            && attribute.key.as_namespace_binding().is_none()
        {
            return Some(UNDECLARED);
        }
        match quick_xml::escape::unescape(&attribute.value) {
            Ok(value) if !attribute.value.contains('<') && !value.contains(is_forbidden) => {}
            _ => return Some("a malformed attribute value"),
        }
    }
    None
}

/// Where a part of `whole` begins in it.
fn offset_in(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

fn is_qualified_name(name: QName<'_>) -> bool {
    name.into_inner().splitn(2, ':').all(is_name)
}

fn check_text(text: &str) -> Option<&'static str> {
    if text.contains("]]>") {
        return Some("]]> in text");
    }
    check_characters(text)
}

fn check_characters(text: &str) -> Option<&'static str> {
    text.contains(is_forbidden)
        .then_some("a character that XML cannot carry")
}

fn check_reference(reference: &BytesRef<'_>) -> Option<&'static str> {
    let known = match &**reference {
        "amp" | "lt" | "gt" | "quot" | "apos" => true,
        _ => matches!(reference.resolve_char_ref(), Ok(Some(c)) if !is_forbidden(c)),
    };
    (!known).then_some("an unknown reference")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;
    use expect_test::{Expect, expect};

    #[test]
    fn request() {
        check(
            "<cwmp:X_EXAMPLE_Do><A xsi:type='xsd:int'> 1 </A><B/></cwmp:X_EXAMPLE_Do>",
            expect![[r#"
                Request(
                    Other(
                        RawRpc {
                            method: "X_EXAMPLE_Do",
                            xml: "<A xsi:type='xsd:int'> 1 </A><B/>",
                        },
                    ),
                )
                <cwmp:X_EXAMPLE_Do>
                <A xsi:type='xsd:int'> 1 </A>
                <B/></cwmp:X_EXAMPLE_Do>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:X_EXAMPLE_DoResponse><Done>1</Done></cwmp:X_EXAMPLE_DoResponse>",
            expect![[r#"
                Response(
                    Other(
                        RawRpc {
                            method: "X_EXAMPLE_DoResponse",
                            xml: "<Done>1</Done>",
                        },
                    ),
                )
                <cwmp:X_EXAMPLE_DoResponse>
                <Done>1</Done>
                </cwmp:X_EXAMPLE_DoResponse>
            "#]],
        );
    }

    #[test]
    fn well_formed_content_is_sendable() {
        for xml in [
            "",
            " <A xsi:type='xsd:int' b=\"2\">1 &amp; &#65;</A><!-- c --> ",
            "<a:A xmlns:a='u'><a:B a:c='1'/></a:A>",
            "<A><![CDATA[<]]></A>",
        ] {
            let raw = RawRpc::checked("X_A", xml).unwrap();
            assert_eq!(raw.xml, xml);
        }
    }

    /// One line for each piece of XML: what is wrong with it.
    fn refused(method: &str, pieces: &[&str], expected: Expect) {
        let line = |xml: &&str| match RawRpc::checked(method, xml) {
            Ok(_) => format!("{xml:?} can be sent\n"),
            Err(Error::Raw {
                reason, position, ..
            }) => format!("{xml:?}: {reason} at {position}\n"),
            Err(other) => format!("{other}\n"),
        };
        expected.assert_eq(&pieces.iter().map(line).collect::<String>());
    }

    #[test]
    fn tags_must_match() {
        refused(
            "X_A",
            &[
                "<A>",
                "</A>",
                "</x><x>",
                "</x>",
                "<A></B>",
                &"<A>".repeat(70),
            ],
            expect![[r#"
                "<A>": ill-formed document: expected `</A>`, but `</x>` was found at 3
                "</A>": ill-formed document: expected `</x>`, but `</A>` was found at 0
                "</x><x>": an end tag without a start tag at 4
                "</x>": an end tag without a start tag at 4
                "<A></B>": ill-formed document: expected `</A>`, but `</B>` was found at 3
                "<A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A><A>": too many levels of elements at 192
            "#]],
        );
    }

    #[test]
    fn names_must_be_names() {
        refused(
            "X A",
            &[""],
            expect![[r#"
                "": the method is no XML name at 0
            "#]],
        );
        refused(
            "cwmp:A",
            &[""],
            expect![[r#"
                "": the method is no XML name at 0
            "#]],
        );
        refused(
            "",
            &[""],
            expect![[r#"
                "": the method is no XML name at 0
            "#]],
        );
        refused(
            "X_A",
            &["<1/>", "< A/>", "<a:b:c/>", "<b:A/>", "<A b:c='1'/>"],
            expect![[r#"
                "<1/>": an element without a proper name at 4
                "< A/>": an element without a proper name at 5
                "<a:b:c/>": an element without a proper name at 8
                "<b:A/>": an undeclared prefix at 6
                "<A b:c='1'/>": an undeclared prefix at 12
            "#]],
        );
    }

    #[test]
    fn attributes_must_be_proper() {
        refused(
            "X_A",
            &[
                "<A b=1/>",
                "<A b/>",
                "<A b='1'b2='2'/>",
                "<A b='1' b='2'/>",
                "<A b='<'/>",
                "<A b='&x;'/>",
                "<A b='\u{1}'/>",
            ],
            expect![[r#"
                "<A b=1/>": a malformed attribute at 8
                "<A b/>": a malformed attribute at 6
                "<A b='1'b2='2'/>": no space before an attribute at 16
                "<A b='1' b='2'/>": a malformed attribute at 16
                "<A b='<'/>": a malformed attribute value at 10
                "<A b='&x;'/>": a malformed attribute value at 12
                "<A b='\u{1}'/>": a malformed attribute value at 10
            "#]],
        );
    }

    #[test]
    fn text_must_be_proper() {
        refused(
            "X_A",
            &[
                "AT&T",
                "&nbsp;",
                "&#1;",
                "\u{1}",
                "]]>",
                "<?php ?>",
                "<!DOCTYPE a>",
                "<!-- a -- b -->",
            ],
            expect![[r#"
                "AT&T": ill-formed document: entity or character reference not closed: `;` not found before end of input at 2
                "&nbsp;": an unknown reference at 6
                "&#1;": an unknown reference at 4
                "\u{1}": a character that XML cannot carry at 1
                "]]>": ]]> in text at 3
                "<?php ?>": only elements and text can be sent at 8
                "<!DOCTYPE a>": only elements and text can be sent at 12
                "<!-- a -- b -->": ill-formed document: forbidden string `--` was found in a comment at 7
            "#]],
        );
    }
}
