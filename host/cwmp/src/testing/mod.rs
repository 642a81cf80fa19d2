//! What the tests of all RPCs share.

pub(crate) mod arbitrary;

use expect_test::Expect;

use crate::{Body, Header, Message, Version};

/// An envelope around a body, as a well-behaved device writes it.
pub(crate) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><soap-env:Envelope \
         xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:soap-enc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:cwmp=\"urn:dslforum-org:cwmp-1-2\"><soap-env:Header>\
         <cwmp:ID soap-env:mustUnderstand=\"1\">7</cwmp:ID></soap-env:Header>\
         <soap-env:Body>{body}</soap-env:Body></soap-env:Envelope>"
    )
}

/// What is read of this body, and how that is written. Reading and writing it again changes nothing.
pub(crate) fn check(body: &str, expected: Expect) {
    let message = Message::parse(envelope(body).as_bytes()).unwrap();
    let written = written_body(&message.body);
    expected.assert_eq(&format!("{:#?}\n{written}\n", message.body));
    let again = Message::parse(message.to_xml().as_bytes()).unwrap();
    assert_eq!(again.to_xml(), message.to_xml());
}

/// What an envelope holds in its body.
fn written_body(body: &Body) -> String {
    let message = Message {
        version: Version::V1_2,
        header: Header::default(),
        body: body.clone(),
    };
    let xml = message.to_xml();
    let (_, body) = xml.split_once("<soap-env:Body>").unwrap();
    let (body, _) = body.split_once("</soap-env:Body>").unwrap();
    let mut lines = String::new();
    for piece in body.split_inclusive('>') {
        // A line for each element, an empty one too.
        let ends_an_empty_one = piece.starts_with("</") && lines.ends_with('>') && !was_end(&lines);
        if !lines.is_empty() && piece.starts_with('<') && !ends_an_empty_one {
            lines.push('\n');
        }
        lines.push_str(piece);
    }
    lines
}

/// Whether the last line ends with an end tag.
fn was_end(lines: &str) -> bool {
    lines
        .rsplit('\n')
        .next()
        .is_some_and(|line| line.contains("</"))
}
