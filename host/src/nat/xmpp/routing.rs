//! What becomes of a stanza of a device that has logged in. It can talk to the server and to
//! the ACS, and to nobody else.

use cwmp::connection_request::XmppAnswer;
use xmpp::{Element, Jid, ns, stanza};

/// Who a stream belongs to, and who else there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties<'p> {
    /// The domain that is served.
    pub(super) domain: &'p str,
    /// The bare JID of the ACS.
    pub(super) acs: &'p str,
    /// The bare JID of the device.
    pub(super) device: &'p str,
}

/// What to do with a stanza.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Routed {
    /// Write this back.
    Reply(String),
    /// The answer to a connection request.
    Answer(XmppAnswer),
    /// Write this back, and count it: the device wanted to talk to somebody else.
    Refused(String),
    /// Nothing: presence, messages, answers to nothing.
    Nothing,
}

/// Decides.
pub(super) fn route(element: &Element, parties: Parties<'_>) -> Routed {
    let get = |name: &'static str| element.attr(name).unwrap_or_default();
    let (id, to, kind) = (get("id"), get("to"), get("type"));
    let address = Jid::parse(to);
    let is = |other: &str| match (address, Jid::parse(other)) {
        (Some(to), Some(other)) => to.is_same_bare(&other),
        _ => false,
    };
    let to_server = to.is_empty() || is(parties.domain) || is(parties.device);
    let to_elsewhere = !to_server && !is(parties.acs);
    let refusal = |name: &str| {
        let error = stanza::error("cancel", "service-unavailable");
        let xml = stanza::iq("error", id, to, "", &error);
        match name {
            "iq" => xml,
            name => xml.replacen("<iq", &format!("<{name}"), 1).replacen(
                "</iq>",
                &format!("</{name}>"),
                1,
            ),
        }
    };
    match (element.name(), kind) {
        (name @ ("iq" | "message" | "presence"), kind) if to_elsewhere => {
            // An error is never answered (RFC 6120 §8.3.1), a result is owed to nobody.
            if matches!(kind, "error" | "result") {
                Routed::Refused(String::new())
            } else {
                Routed::Refused(refusal(name))
            }
        }
        ("iq", "result" | "error") => {
            let mut xml = Vec::new();
            let written = element.write_to(&mut xml).is_ok();
            let text = String::from_utf8(xml).unwrap_or_default();
            match XmppAnswer::read(&text) {
                Some(answer) if written => Routed::Answer(answer),
                _ => Routed::Nothing,
            }
        }
        ("iq", "get" | "set") if to_server => {
            let payload = element.children().next();
            let is_payload = |name, namespace| payload.is_some_and(|p| p.is(name, namespace));
            if is_payload("ping", ns::PING) || is_payload("session", ns::SESSION) {
                Routed::Reply(stanza::iq("result", id, to, "", ""))
            } else if is_payload("query", ns::ROSTER) && kind == "get" {
                let roster = format!("<query xmlns='{}'/>", ns::ROSTER);
                Routed::Reply(stanza::iq("result", id, to, "", &roster))
            } else if is_payload("bind", ns::BIND) {
                let error = stanza::error("cancel", "not-allowed");
                Routed::Reply(stanza::iq("error", id, to, "", &error))
            } else {
                Routed::Reply(refusal("iq"))
            }
        }
        ("iq", _) => Routed::Reply(refusal("iq")),
        _ => Routed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cwmp::connection_request::XmppVerdict;
    use expect_test::{Expect, expect};

    fn check(stanza: &str, expected: Expect) {
        let element: Element = stanza
            .replacen(' ', " xmlns='jabber:client' ", 1)
            .parse()
            .unwrap();
        let parties = Parties {
            domain: "acs.example",
            acs: "acs@acs.example",
            device: "cpe1@acs.example",
        };
        expected.assert_eq(&match route(&element, parties) {
            Routed::Reply(xml) => format!("reply {xml}"),
            Routed::Refused(xml) => format!("refused {xml}"),
            Routed::Answer(answer) => format!("answer {} {:?}", answer.id, answer.verdict),
            Routed::Nothing => "nothing".into(),
        });
    }

    #[test]
    fn to_the_server() {
        check(
            "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
            expect!["reply <iq type='result' id='1'/>"],
        );
        check(
            "<iq type='get' id='1' to='ACS.example'><ping xmlns='urn:xmpp:ping'/></iq>",
            expect!["reply <iq type='result' id='1' from='ACS.example'/>"],
        );
        check(
            "<iq type='get' id='1' to='cpe1@acs.example'><query xmlns='jabber:iq:roster'/></iq>",
            expect![
                "reply <iq type='result' id='1' from='cpe1@acs.example'><query xmlns='jabber:iq:roster'/></iq>"
            ],
        );
        check(
            "<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
            expect!["reply <iq type='result' id='1'/>"],
        );
        check(
            "<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            expect![
                "reply <iq type='error' id='1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ],
        );
        check("<presence />", expect!["nothing"]);
        check("<whatever />", expect!["nothing"]);
    }

    #[test]
    fn to_the_acs() {
        let answer = |verdict: XmppVerdict| format!("answer cr1 {verdict:?}");
        assert_eq!(answer(XmppVerdict::Accepted), "answer cr1 Accepted");
        check(
            "<iq type='result' id='cr1' to='acs@acs.example/patchbay'/>",
            expect!["answer cr1 Accepted"],
        );
        check(
            "<iq type='result' id='cr1'/>",
            expect!["answer cr1 Accepted"],
        );
        check(
            "<iq type='error' id='cr1'><connectionRequest xmlns='x'/><error code='401'><not-autorized/></error></iq>",
            expect!["answer cr1 WrongCredentials"],
        );
        check(
            "<iq type='get' id='1' to='acs@acs.example'><ping xmlns='urn:xmpp:ping'/></iq>",
            expect![
                "reply <iq type='error' id='1' from='acs@acs.example'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ],
        );
        check(
            "<message to='acs@acs.example'><body>hello</body></message>",
            expect!["nothing"],
        );
    }

    #[test]
    fn to_anybody_else() {
        check(
            "<iq type='get' id='1' to='cpe2@acs.example/wan'><connectionRequest xmlns='x'/></iq>",
            expect![
                "refused <iq type='error' id='1' from='cpe2@acs.example/wan'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ],
        );
        check(
            "<iq type='result' id='cr1' to='cpe2@acs.example/wan'/>",
            expect!["refused "],
        );
        check(
            "<message to='cpe2@other.example'/>",
            expect![
                "refused <message type='error' from='cpe2@other.example'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
            ],
        );
    }
}
