//! The XMPP connection request (TR-069 Annex K): a stanza of the ACS, the device's look at it,
//! and what the device answers. Stanzas are text without a namespace of their own: they take
//! the one of the stream that they are written to.

use std::fmt::Write as _;

use crate::Error;
use crate::write::{Writer, is_forbidden};
use crate::xml::Reader;

/// The namespace of `connectionRequest`.
pub const NAMESPACE: &str = "urn:broadband-forum-org:cwmp:xmppConnReq-1-0";

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// A connection request.
#[derive(Clone, PartialEq, Eq)]
pub struct XmppRequest {
    /// Comes back with the answer.
    pub id: String,
    /// The JID of the ACS; may be empty where the server fills it in.
    pub from: String,
    /// The full JID of the device.
    pub to: String,
    /// ConnectionRequestUsername.
    pub username: String,
    /// ConnectionRequestPassword.
    pub password: String,
}

impl std::fmt::Debug for XmppRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XmppRequest")
            .field("id", &self.id)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// An answer to a connection request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmppAnswer {
    /// As in the request.
    pub id: String,
    /// Who answers, as far as the stanza says so.
    pub from: String,
    /// What the answer is.
    pub verdict: XmppVerdict,
}

/// What a device, or the server in its place, says to a connection request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XmppVerdict {
    /// It will open a session.
    Accepted,
    /// Other credentials than it knows.
    WrongCredentials,
    /// It is busy or not online, or does not take requests from this JID.
    Unavailable,
    /// Another error: its condition.
    Other(String),
}

impl XmppRequest {
    /// The stanza.
    pub fn to_xml(&self) -> String {
        let mut out = Writer::with_capacity(384);
        out.raw("<iq type=\"get\"");
        attribute(&mut out, "id", &self.id);
        attribute(&mut out, "from", &self.from);
        attribute(&mut out, "to", &self.to);
        out.raw("><connectionRequest xmlns=\"");
        out.raw(NAMESPACE);
        out.raw("\">");
        out.element("username", &self.username);
        out.element("password", &self.password);
        out.raw("</connectionRequest></iq>");
        out.into_string()
    }

    /// Reads a stanza as a device does; `None`: it is no connection request.
    ///
    /// # Errors
    ///
    /// If it is not well-formed.
    pub fn read(stanza: &str) -> Result<Option<XmppRequest>, Error> {
        let mut xml = Reader::new(stanza);
        let Some(iq) = xml.child()? else {
            return Ok(None);
        };
        let get = |name| iq.attribute(name).map(|value| unescaped(&value));
        if iq.name() != "iq" || get("type").as_deref() != Some("get") {
            return Ok(None);
        }
        let mut request = XmppRequest {
            id: get("id").unwrap_or_default(),
            from: get("from").unwrap_or_default(),
            to: get("to").unwrap_or_default(),
            username: String::new(),
            password: String::new(),
        };
        while let Some(payload) = xml.child()? {
            if payload.name() != "connectionRequest" {
                xml.skip()?;
                continue;
            }
            while let Some(part) = xml.child()? {
                match part.name() {
                    "username" => request.username = xml.string()?,
                    "password" => request.password = xml.string()?,
                    _ => xml.skip()?,
                }
            }
            return Ok(Some(request));
        }
        Ok(None)
    }

    /// The device's answer, in the words of Annex K.
    pub fn answer(&self, verdict: &XmppVerdict) -> String {
        let mut out = Writer::with_capacity(384);
        let (kind, error) = match verdict {
            XmppVerdict::Accepted => ("result", None),
            XmppVerdict::WrongCredentials => ("error", Some(("auth", "not-authorized"))),
            XmppVerdict::Unavailable => ("error", Some(("cancel", "service-unavailable"))),
            XmppVerdict::Other(condition) => ("error", Some(("cancel", condition.as_str()))),
        };
        out.raw("<iq");
        attribute(&mut out, "type", kind);
        attribute(&mut out, "id", &self.id);
        attribute(&mut out, "from", &self.to);
        attribute(&mut out, "to", &self.from);
        match error {
            None => out.raw("/>"),
            Some((class, condition)) => {
                out.raw("><error");
                attribute(&mut out, "type", class);
                out.raw("><");
                out.raw(condition);
                out.raw(" xmlns=\"");
                out.raw(STANZAS);
                out.raw("\"/></error></iq>");
            }
        }
        out.into_string()
    }
}

impl XmppAnswer {
    /// Reads an answer. The id and the type in the start tag are enough: whatever else is
    /// missing or wrong, somebody waits for it. `None`: it is no answer.
    pub fn read(stanza: &str) -> Option<XmppAnswer> {
        let mut xml = Reader::new(stanza);
        let iq = xml.child().ok()??;
        let get = |name| iq.attribute(name).map(|value| unescaped(&value));
        let id = get("id")?;
        if iq.name() != "iq" {
            return None;
        }
        let verdict = match get("type")?.as_str() {
            "result" => XmppVerdict::Accepted,
            "error" => verdict(&mut xml),
            _ => return None,
        };
        Some(XmppAnswer {
            id,
            from: get("from").unwrap_or_default(),
            verdict,
        })
    }
}

/// What an `iq` of type error holds. Some devices misspell the condition (`not-autorized`),
/// give only the `code` of old Jabber, or send the request back beside the error.
fn verdict(xml: &mut Reader<'_>) -> XmppVerdict {
    let (mut code, mut condition) = (String::new(), String::new());
    while let Ok(Some(child)) = xml.child() {
        if child.name() != "error" {
            if xml.skip().is_err() {
                break;
            }
            continue;
        }
        if let Some(value) = child.attribute("code") {
            code = value.into_owned();
        }
        while let Ok(Some(part)) = xml.child() {
            if condition.is_empty() && part.name() != "text" {
                condition = part.name().to_owned();
            }
            if xml.skip().is_err() {
                break;
            }
        }
    }
    match (condition.as_str(), code.as_str()) {
        (name, _) if name.starts_with("not-a") && name.ends_with("ized") => {
            XmppVerdict::WrongCredentials
        }
        ("" | "undefined-condition", "401") => XmppVerdict::WrongCredentials,
        ("service-unavailable" | "recipient-unavailable" | "resource-constraint", _)
        | ("" | "undefined-condition", "503" | "404" | "500") => XmppVerdict::Unavailable,
        ("", "") => XmppVerdict::Other("an error without a condition".to_owned()),
        ("", code) => XmppVerdict::Other(format!("error {code}")),
        (name, _) => XmppVerdict::Other(name.to_owned()),
    }
}

/// ` name="value"`; nothing if the value is empty.
fn attribute(out: &mut Writer, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            other if is_forbidden(other) => {}
            other => escaped.push(other),
        }
    }
    out.raw(" ");
    out.raw(name);
    out.raw("=\"");
    out.raw(&escaped);
    out.raw("\"");
}

/// An attribute's value; one that cannot be resolved stays as it is written.
fn unescaped(value: &str) -> String {
    match quick_xml::escape::unescape(value) {
        Ok(value) => value.into_owned(),
        Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn request() -> XmppRequest {
        XmppRequest {
            id: "cr001".into(),
            from: "acs@example.net/cr".into(),
            to: "cpe@example.net/wan".into(),
            username: "u<1>".into(),
            password: "p&2".into(),
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let written = request().to_xml();
        expect![[r#"<iq type="get" id="cr001" from="acs@example.net/cr" to="cpe@example.net/wan"><connectionRequest xmlns="urn:broadband-forum-org:cwmp:xmppConnReq-1-0"><username>u&lt;1&gt;</username><password>p&amp;2</password></connectionRequest></iq>"#]]
            .assert_eq(&written);
        assert_eq!(XmppRequest::read(&written).unwrap(), Some(request()));
        for no_request in [
            "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq type='set' id='1'><connectionRequest/></iq>",
            "<message/>",
        ] {
            assert_eq!(XmppRequest::read(no_request).unwrap(), None);
        }
        assert!(XmppRequest::read("<iq type='get'><connectionRequest>").is_err());
    }

    #[test]
    fn each_verdict_is_read_as_it_was_written() {
        for verdict in [
            XmppVerdict::Accepted,
            XmppVerdict::WrongCredentials,
            XmppVerdict::Unavailable,
            XmppVerdict::Other("not-acceptable".into()),
        ] {
            let answer = XmppAnswer::read(&request().answer(&verdict)).unwrap();
            assert_eq!(answer.id, "cr001");
            assert_eq!(answer.from, "cpe@example.net/wan");
            assert_eq!(answer.verdict, verdict);
        }
    }

    /// What devices and servers answer, and what is made of it.
    fn check(stanza: &str, expected: Expect) {
        let answer = XmppAnswer::read(stanza)
            .map(|answer| format!("{} {} {:?}", answer.id, answer.from, answer.verdict));
        expected.assert_eq(&answer.unwrap_or_else(|| "no answer".into()));
    }

    #[test]
    fn answers_as_they_come() {
        check("<iq type='result' id='1'/>", expect!["1  Accepted"]);
        check(
            "<c:iq xmlns:c='jabber:client' type='result' id='a&amp;b' from='d@e/f'><x/></c:iq>",
            expect!["a&b d@e/f Accepted"],
        );
        // The condition misspelt, in no namespace, the request sent back before it.
        check(
            "<iq type='error' id='1'><connectionRequest xmlns='x'><username>u</username></connectionRequest>\
             <error type='cancel'><not-autorized/></error></iq>",
            expect!["1  WrongCredentials"],
        );
        check(
            "<iq type='error' id='1'><error type='auth'><text>no</text><not-authorized xmlns='y'/></error></iq>",
            expect!["1  WrongCredentials"],
        );
        check(
            "<iq type='error' id='1'><error code='503' type='cancel'><service-unavailable xmlns='y'/></error></iq>",
            expect!["1  Unavailable"],
        );
        check(
            "<iq type='error' id='1'><error code='503'/></iq>",
            expect!["1  Unavailable"],
        );
        check(
            "<iq type='error' id='1'><error code='401'/></iq>",
            expect!["1  WrongCredentials"],
        );
        check(
            "<iq type='error' id='1'><error code='405'/></iq>",
            expect![[r#"1  Other("error 405")"#]],
        );
        check(
            "<iq type='error' id='1'><error><not-allowed/></error></iq>",
            expect![[r#"1  Other("not-allowed")"#]],
        );
        check(
            "<iq type='error' id='1'/>",
            expect![[r#"1  Other("an error without a condition")"#]],
        );
        // Broken off behind its start tag.
        check(
            "<iq type='error' id='1'><error code='503'",
            expect![[r#"1  Other("an error without a condition")"#]],
        );
        check("<iq type='result' id='1'><x", expect!["1  Accepted"]);
        check("<iq type='result'/>", expect!["no answer"]);
        check("<iq type='get' id='1'/>", expect!["no answer"]);
        check("<message type='error' id='1'/>", expect!["no answer"]);
        check("", expect!["no answer"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(<|iq|>|'|/| |id=|type=|error|connectionRequest|&|[a-z]){0,40}") {
            let _ = XmppAnswer::read(&text);
            let _ = XmppRequest::read(&text);
        }

        #[test]
        fn whatever_is_written_is_read(id in "\\PC{1,20}", to in "\\PC{1,40}", username in "\\PC{0,20}") {
            let request = XmppRequest { id, to, username, ..request() };
            let read = XmppRequest::read(&request.to_xml()).unwrap().unwrap();
            prop_assert_eq!(&read, &request);
            let answer = XmppAnswer::read(&request.answer(&XmppVerdict::Accepted)).unwrap();
            prop_assert_eq!((answer.id, answer.from), (request.id, request.to));
        }
    }
}
