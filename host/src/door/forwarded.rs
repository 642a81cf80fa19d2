//! `Forwarded` (RFC 7239): which proxy took a request from whom.
//!
//! Read from the right, because what stands left was written by those farther away: an open quote
//! in the client's part cannot swallow what the proxy has added.

use std::net::IpAddr;

use http::{HeaderMap, header};

use super::peer::address;

/// One proxy's word. Of parameters that cannot be read nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// Whom it took the request from; `None`: it does not tell (`unknown`, `_hidden`).
    pub(super) client: Option<IpAddr>,
    /// `http` or `https`, lower-case.
    pub(super) proto: Option<String>,
    /// The Host that the client has sent.
    pub(super) host: Option<String>,
}

/// All hops, the nearest proxy's first.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Hop> {
    let values = headers.get_all(header::FORWARDED).iter().rev();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',').map(hop))
}

/// Repeated parameters contradict each other: such a hop says nothing.
fn hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    let mut seen: [bool; 3] = [false; 3];
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let value = unquoted(value.trim());
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "for" => 0,
            "proto" => 1,
            "host" => 2,
            _ => continue,
        };
        if let Some(seen) = seen.get_mut(place)
            && std::mem::replace(seen, true)
        {
            return Hop::default();
        }
        match place {
            0 => hop.client = address(&value),
            1 => hop.proto = Some(value.to_ascii_lowercase()),
            _ => hop.host = Some(value),
        }
    }
    hop
}

/// The parts between separators that stand outside of quotes, the last first.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut in_quotes = false;
        for (place, character) in text.char_indices().rev() {
            let before = text.get(..place).unwrap_or_default();
            if character == '"' && !is_escaped(before) {
                in_quotes = !in_quotes;
            } else if character == separator && !in_quotes {
                rest = Some(before);
                return text.get(place + 1..);
            }
        }
        rest = None;
        Some(text)
    })
}

/// Whether what follows has an odd number of backslashes before it.
fn is_escaped(before: &str) -> bool {
    let backslashes = before.bytes().rev().take_while(|byte| *byte == b'\\');
    backslashes.count() % 2 == 1
}

fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: &[(Option<&str>, Option<&str>, Option<&str>)]) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::FORWARDED, value.parse().unwrap());
        }
        let found: Vec<_> = hops(&headers)
            .map(|hop| (hop.client.map(|c| c.to_string()), hop.proto, hop.host))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(client, proto, host)| {
                (
                    client.map(str::to_owned),
                    proto.map(str::to_owned),
                    host.map(str::to_owned),
                )
            })
            .collect();
        assert_eq!(found, expected, "{values:?}");
    }

    #[test]
    fn as_the_standard_writes_it() {
        check(
            &["for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com"],
            &[
                (Some("198.51.100.17"), Some("http"), Some("example.com")),
                (Some("192.0.2.43"), None, None),
            ],
        );
        check(
            &[r#"For="[2001:db8:cafe::17]:4711" ; Proto=HTTPS ; host="acs.example:7547""#],
            &[(
                Some("2001:db8:cafe::17"),
                Some("https"),
                Some("acs.example:7547"),
            )],
        );
        check(
            &[r#"for="192.0.2.43:47011",for="[2001:db8::1]""#],
            &[
                (Some("2001:db8::1"), None, None),
                (Some("192.0.2.43"), None, None),
            ],
        );
        for hidden in [
            "for=unknown",
            "for=_gazonk",
            r#"for="_a:80""#,
            "proto=http",
            "for=",
            "for",
        ] {
            check(&[hidden], &[(None, hidden.strip_prefix("proto="), None)]);
        }
        check(
            &["for=192.0.2.1", "for=192.0.2.2"],
            &[
                (Some("192.0.2.2"), None, None),
                (Some("192.0.2.1"), None, None),
            ],
        );
        check(
            &[r#"for="\1\92.0.2.1""#],
            &[(Some("192.0.2.1"), None, None)],
        );
    }

    #[test]
    fn what_a_client_writes_does_not_reach_what_its_proxy_adds() {
        for junk in [
            r#"for="6.6.6.6"#,
            r#"for="\"#,
            r#"""""#,
            r#"for="a;b,c"#,
            ";;;,,,",
            "for=6.6.6.6;for=7.7.7.7",
            r#"for=6.6.6.6;host=""#,
        ] {
            let value = format!("{junk}, for=192.0.2.9;proto=https");
            let mut headers = HeaderMap::new();
            headers.insert(header::FORWARDED, value.parse().unwrap());
            let nearest = hops(&headers).next().unwrap();
            assert_eq!(nearest.client.unwrap().to_string(), "192.0.2.9", "{value}");
        }
        check(&["for=6.6.6.6;for=7.7.7.7"], &[(None, None, None)]);
        check(
            &[r#"for="192.0.2.1, for=192.0.2.2"#],
            &[
                // The quote that is never closed stands in the first.
                (Some("192.0.2.2"), None, None),
                (None, None, None),
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn no_value_panics(value in "[ -~]{0,200}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::FORWARDED, value.parse().unwrap());
            proptest::prop_assert!(hops(&headers).count() <= value.len() + 1);
        }
    }
}
