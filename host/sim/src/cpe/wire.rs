//! The envelope as this device writes it, oddities and all.
//!
//! `cwmp` writes only what is right, so what is wrong is cut into its text.

use cwmp::{Body, Message, Request};

use crate::{Oddities, Oddity};

pub(super) fn to_bytes(message: &Message, oddities: Oddities) -> Vec<u8> {
    let mut xml = message.to_xml();
    if oddities.has(Oddity::WrongArrayCounts) {
        xml = with_wrong_counts(&xml);
    }
    if let Body::Request(Request::Inform(_)) = message.body {
        if oddities.has(Oddity::MaxEnvelopes2) {
            xml = xml.replace("<MaxEnvelopes>1<", "<MaxEnvelopes>2<");
        }
        if oddities.has(Oddity::NoMoreRequests) {
            xml = with_no_more_requests(&xml);
        }
    }
    if oddities.has(Oddity::NoHeader) {
        xml = without_header(&xml);
    }
    xml.into_bytes()
}

/// Where the SOAP header element is: from its `<` to behind its `>`, whatever its prefix.
fn header_span(xml: &str) -> Option<(usize, usize)> {
    let name = xml.find(":Header>").or_else(|| xml.find(":Header "))?;
    let from = xml.get(..name)?.rfind('<')?;
    let end = xml.rfind(":Header>")? + ":Header>".len();
    (end > name).then_some((from, end))
}

fn without_header(xml: &str) -> String {
    match header_span(xml).map(|(from, to)| (xml.get(..from), xml.get(to..))) {
        Some((Some(before), Some(after))) => format!("{before}{after}"),
        _ => xml.to_owned(),
    }
}

fn with_no_more_requests(xml: &str) -> String {
    const ELEMENT: &str = "<cwmp:NoMoreRequests>0</cwmp:NoMoreRequests>";
    let end_tag = header_span(xml).and_then(|(_, to)| xml.get(..to)?.rfind("</"));
    match end_tag.map(|at| (xml.get(..at), xml.get(at..))) {
        Some((Some(before), Some(after))) => format!("{before}{ELEMENT}{after}"),
        _ => xml.to_owned(),
    }
}

/// One more than there are, in each `arrayType="…[n]"`.
fn with_wrong_counts(xml: &str) -> String {
    let mut out = String::with_capacity(xml.len() + 16);
    let mut rest = xml;
    while let Some((before, from)) = rest.split_once("arrayType=\"") {
        out.push_str(before);
        out.push_str("arrayType=\"");
        let Some((array_type, after)) = from.split_once('"') else {
            rest = from;
            break;
        };
        let count = array_type
            .split_once('[')
            .and_then(|(name, count)| Some((name, count.strip_suffix(']')?.parse::<u32>().ok()?)));
        match count {
            Some((name, count)) => out.push_str(&format!("{name}[{}]", count + 1)),
            None => out.push_str(array_type),
        }
        out.push('"');
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = concat!(
        "<e:Envelope><e:Header><cwmp:ID>1</cwmp:ID></e:Header>",
        r#"<e:Body><Event soap-enc:arrayType="cwmp:EventStruct[9]"/></e:Body></e:Envelope>"#
    );

    #[test]
    fn the_header_is_cut_out() {
        assert!(without_header(XML).starts_with("<e:Envelope><e:Body>"));
    }

    #[test]
    fn no_more_requests_is_in_the_header() {
        assert!(
            with_no_more_requests(XML)
                .contains("</cwmp:ID><cwmp:NoMoreRequests>0</cwmp:NoMoreRequests></e:Header>")
        );
    }

    #[test]
    fn counts_are_wrong_by_one() {
        assert!(with_wrong_counts(XML).contains("EventStruct[10]"));
    }
}
