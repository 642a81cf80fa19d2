//! What holds for all messages.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use quick_xml::NsReader;
use quick_xml::events::Event as XmlEvent;

use crate::testing::arbitrary::{Make, tame, wild};
use crate::write::is_forbidden;
use crate::*;

fn assert_well_formed(xml: &str) {
    assert!(!xml.contains(is_forbidden), "{xml:?}");
    let mut events = NsReader::from_str(xml);
    events.config_mut().enable_all_checks(true);
    loop {
        match events.read_event().unwrap() {
            XmlEvent::Start(tag) | XmlEvent::Empty(tag) => {
                assert!(tag.attributes().all(|attribute| attribute.is_ok()), "{xml}");
            }
            XmlEvent::Eof => return,
            _ => {}
        }
    }
}

/// Something that happens to bytes on their way.
#[derive(Debug, Clone)]
enum Accident {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

fn accident() -> impl Strategy<Value = Accident> {
    let byte = || prop_oneof![any::<u8>(), select(b"<>&;/\"'=!?[]-: x".to_vec())];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Accident::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Accident::Insert(at, byte)),
        any::<Index>().prop_map(Accident::Remove),
        any::<Index>().prop_map(Accident::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Accident::Repeat(from, to)),
    ]
}

fn happen(accident: &Accident, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match accident {
        Accident::Replace(at, byte) => bytes[at.index(len)] = *byte,
        Accident::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Accident::Remove(at) => drop(bytes.remove(at.index(len))),
        Accident::Cut(at) => bytes.truncate(at.index(len)),
        Accident::Repeat(from, to) => {
            let (from, to) = (from.index(len), to.index(len));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, part);
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in Make { texts: tame }.message()) {
        let xml = message.to_xml();
        assert_well_formed(&xml);
        let again = Message::parse(xml.as_bytes()).unwrap();
        prop_assert_eq!(again.version.namespace(), message.version.namespace());
        prop_assert_eq!(again.header, message.header);
        prop_assert_eq!(again.body, message.body);
    }

    #[test]
    fn whatever_is_written_is_well_formed(message in Make { texts: wild }.message()) {
        let xml = message.to_xml();
        assert_well_formed(&xml);
        let again = Message::parse(xml.as_bytes()).unwrap();
        prop_assert_eq!(again.body.name(), message.body.name());
    }

    #[test]
    fn no_accident_panics(
        message in Make { texts: tame }.message(),
        accidents in prop::collection::vec(accident(), 1..8),
    ) {
        let mut bytes = message.to_xml().into_bytes();
        for accident in &accidents {
            happen(accident, &mut bytes);
            if let Err(error) = Message::parse(&bytes) {
                prop_assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), charset in ".{0,10}") {
        let _ = Message::parse(&bytes);
        let _ = Message::parse_with_charset(&bytes, Some(&charset));
    }

    #[test]
    fn no_markup_panics(
        pieces in prop::collection::vec(select(vec![
            "<?xml version='1.0' encoding='latin1'?>", "<e:Envelope", " xmlns:e='x'", " a=b", ">",
            "/>", "<", "</", "<Body>", "</Body>", "<Header>", "<ID/>", "<Inform>", "<Event>", "<a>",
            "</a>", "&", "&amp;", "&#x1F600;", "&#xD800;", "<![CDATA[", "]]>", "<!--", "-->",
            "<!DOCTYPE", "x", "\u{e9}", "<Fault>", "<ParameterList>", "<Value xsi:type='", "'>",
        ]), 0..40)
    ) {
        let text = pieces.concat();
        let _ = Message::parse(text.as_bytes());
        let _ = Message::parse(format!("<Envelope><Body>{text}").as_bytes());
        let _ = RawRpc::checked("X", &text);
    }

    /// What is a path says the same of itself in every way.
    #[test]
    fn paths(
        text in prop_oneof![
            ".{0,40}",
            prop::collection::vec(
                select(vec!["Device", ".", "1", "*", "[", "]", "[a]", "[7]", "X_", "\u{e9}", " ", "<"]),
                0..12,
            ).prop_map(|pieces| pieces.concat()),
        ],
        other in ".{0,20}",
    ) {
        let _ = path::Wanted::parse([text.as_str(), other.as_str()])
            .map(|wanted| (wanted.names(), wanted.includes(&other)));
        if let Ok(path) = Path::parse(&text) {
            path.matches(&other);
            prop_assert!(path.has_wildcard() || path.matches(&text), "{}", path);
            prop_assert_eq!(path.has_wildcard(), text.contains('*'));
            prop_assert!(text.starts_with(path.before_wildcard()));
            prop_assert!(path.root().is_none_or(|root| text.starts_with(root)));
            let mut levels = path.segments().count();
            let mut above = path.parent();
            while let Some(parent) = above {
                levels -= 1;
                prop_assert_eq!(parent.segments().count(), levels);
                prop_assert!(parent.is_partial());
                prop_assert_eq!(Path::parse(parent.as_str()), Ok(parent));
                prop_assert!(path.has_wildcard() || parent.matches(&text));
                above = parent.parent();
            }
            prop_assert_eq!(levels, 0);
        }
    }

    #[test]
    fn rpcs_are_read_back_from_their_xml(message in Make { texts: tame }.message()) {
        match message.body {
            Body::Request(request) => {
                prop_assert_eq!(Request::from_raw(request.to_raw()), request);
            }
            Body::Response(response) => {
                prop_assert_eq!(Response::from_raw(response.to_raw()), response);
            }
            Body::Fault(_) => {}
        }
    }

    #[test]
    fn any_event_code_is_some_event(code in ".{0,20}") {
        let kind = EventKind::new(&code);
        let again = kind.to_string();
        prop_assert_eq!(EventKind::new(&again), kind);
    }

    #[test]
    fn times_never_panic(text in ".{0,30}", seconds in any::<i64>()) {
        DateTime(text).to_unix();
        let time = DateTime::from_unix(seconds);
        prop_assert!(time == DateTime::unknown() || time.to_unix() == Some(seconds));
    }
}
