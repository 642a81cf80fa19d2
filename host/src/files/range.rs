//! Which part of a file a request wants, and whether it wants any: ranges and conditions of
//! HTTP (RFC 9110 §13 and §14).

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::device::UnixTime;

/// What a GET or HEAD is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// 200 and all of it.
    Whole,
    /// 206 and these bytes.
    Part(Range<u64>),
    /// 416: there are no such bytes.
    NotThere,
    /// 304: the client has it already.
    NotModified,
}

/// Reads the conditions and the range of a request. A Range header that cannot be read, or
/// that names several parts, is answered with the whole file, as §14.2 allows.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, modified: UnixTime, size: u64) -> Wanted {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // If-Modified-Since counts only where there is no If-None-Match.
    let unchanged = match text(header::IF_NONE_MATCH) {
        Some(tags) => tags.split(',').any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
        }),
        None => text(header::IF_MODIFIED_SINCE)
            .and_then(date)
            .is_some_and(|since| modified <= since),
    };
    if unchanged {
        return Wanted::NotModified;
    }
    let Some(range) = text(header::RANGE) else {
        return Wanted::Whole;
    };
    let same = text(header::IF_RANGE).is_none_or(|condition| {
        condition.trim() == etag || date(condition).is_some_and(|at| at == modified)
    });
    if same {
        part(range, size).unwrap_or(Wanted::Whole)
    } else {
        Wanted::Whole
    }
}

/// `bytes=0-99`, `bytes=100-`, `bytes=-100`.
fn part(range: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let wanted = match (first.trim(), last.trim()) {
        ("", "") => return None,
        ("", suffix) => {
            let length: u64 = suffix.parse().ok()?;
            size.saturating_sub(length)..size
        }
        (first, "") => first.parse().ok()?..size,
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if wanted.start < wanted.end {
        Wanted::Part(wanted)
    } else {
        Wanted::NotThere
    })
}

/// A time as HTTP writes it.
pub(super) fn http_date(at: UnixTime) -> String {
    let since = Duration::from_secs(u64::try_from(at).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

fn date(text: &str) -> Option<UnixTime> {
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    UnixTime::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: &str = "\"abc\"";
    const MODIFIED: UnixTime = 784_111_777;

    fn check(headers: &[(HeaderName, &str)], expected: Wanted) {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        assert_eq!(wanted(&map, TAG, MODIFIED, 1000), expected, "{headers:?}");
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("Bytes = 900-", Wanted::Part(900..1000)),
            ("bytes=-100", Wanted::Part(900..1000)),
            ("bytes=-5000", Wanted::Part(0..1000)),
            ("bytes=990-2000", Wanted::Part(990..1000)),
            ("bytes=1000-", Wanted::NotThere),
            ("bytes=2000-3000", Wanted::NotThere),
            ("bytes=-0", Wanted::NotThere),
            ("bytes=0-99,200-299", Wanted::Whole),
            ("bytes=9-1", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
            ("bytes=0-18446744073709551615", Wanted::Part(0..1000)),
        ] {
            check(&[(header::RANGE, range)], expected);
        }
    }

    #[test]
    fn conditions() {
        let date = http_date(MODIFIED);
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
        let earlier = http_date(MODIFIED - 1);
        let (none, since) = (header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE);
        check(&[(none.clone(), TAG)], Wanted::NotModified);
        check(&[(none.clone(), "W/\"abc\"")], Wanted::NotModified);
        check(&[(none.clone(), "\"x\", \"abc\"")], Wanted::NotModified);
        check(&[(none.clone(), "*")], Wanted::NotModified);
        check(&[(since.clone(), &date)], Wanted::NotModified);
        check(&[(since.clone(), &earlier)], Wanted::Whole);
        check(&[(since.clone(), "nonsense")], Wanted::Whole);
        check(&[(none, "\"x\""), (since, &date)], Wanted::Whole);
        let range = (header::RANGE, "bytes=0-1");
        for (condition, expected) in [
            (TAG, Wanted::Part(0..2)),
            (date.as_str(), Wanted::Part(0..2)),
            ("\"x\"", Wanted::Whole),
            (earlier.as_str(), Wanted::Whole),
        ] {
            check(&[range.clone(), (header::IF_RANGE, condition)], expected);
        }
    }

    proptest! {
        #[test]
        fn no_range_leaves_the_file(range in "(bytes=)?[0-9,-]{0,30}", size in any::<u64>()) {
            if let Some(Wanted::Part(part)) = part(&range, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
