//! What browsers send along by themselves: cookies, and from whose page a request comes.
//!
//! A cookie goes with every request to this host, also with one that somebody else's page has
//! made. So a request that changes something and shows a cookie must come from a page of this host
//! (`Sec-Fetch-Site`, `Origin`), and must have a header that no page of others can set without asking
//! first (CORS, which this host never grants). Tokens are sent by nobody but who has them.

use http::{HeaderMap, header};

use super::Refusal;

/// The header that requests which change something send beside a cookie; any value.
pub const CSRF_HEADER: &str = "x-patchbay";

/// The value of a cookie.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values = headers.get_all(header::COOKIE).iter();
    let pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(key, _)| *key == name);
    named.next().map(|(_, value)| value.trim_matches('"'))
}

/// A Set-Cookie header that scripts cannot read; without `seconds` it goes when the browser ends,
/// with 0 at once.
pub(super) fn set_cookie(
    name: &str,
    value: &str,
    path: &str,
    secure: bool,
    seconds: Option<i64>,
) -> String {
    let age = match seconds {
        Some(seconds) => format!("; Max-Age={seconds}"),
        None => String::new(),
    };
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{age}")
}

/// Whether a browser says that this comes from a page of ours. Other clients say nothing.
///
/// # Errors
/// [`Refusal::OtherSite`] with what came.
pub(super) fn check(headers: &HeaderMap, url: Option<&str>) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return Err(Refusal::OtherSite(format!(
            "expected a request from a page of this host, got Sec-Fetch-Site: {site}"
        )));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_ours = match url {
        Some(url) => origin_of(url).eq_ignore_ascii_case(origin),
        None => host.is_some() && host == text(header::HOST),
    };
    if is_ours {
        return Ok(());
    }
    Err(Refusal::OtherSite(format!(
        "expected a request from a page of this host, got Origin: {origin:?}"
    )))
}

/// Whether the header is there that pages of others cannot set.
///
/// # Errors
/// [`Refusal::OtherSite`] that names it.
pub(super) fn check_header(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(CSRF_HEADER) {
        return Ok(());
    }
    Err(Refusal::OtherSite(
        "expected the header X-Patchbay: 1 beside the cookie, because this changes something"
            .to_owned(),
    ))
}

/// `https://acs.example.net/api` → `https://acs.example.net`
fn origin_of(url: &str) -> &str {
    let path = url.find("://").map_or(0, |scheme| scheme + 3);
    let rest = url.get(path..).unwrap_or_default();
    let end = rest.find('/').map_or(url.len(), |end| path + end);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn cookies() {
        let cookies = headers(&[("cookie", "a=b; one=1"), ("cookie", "two=\"2\"; one=3")]);
        assert_eq!(cookie(&cookies, "one"), Some("1"));
        assert_eq!(cookie(&cookies, "two"), Some("2"));
        assert_eq!(cookie(&cookies, "ne"), None);
        let set = set_cookie("one", "1", "/", true, Some(0));
        assert_eq!(
            set,
            "one=1; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"
        );
    }

    #[test]
    fn whose_page_it_is() {
        let check = |pairs: &[(&'static str, &str)], url: Option<&str>, ours: bool| {
            let mut all = vec![("host", "acs.example:7557")];
            all.extend(pairs);
            assert_eq!(
                check(&headers(&all), url).is_ok(),
                ours,
                "{pairs:?} {url:?}"
            );
        };
        let url = Some("https://acs.example/console");
        check(&[], None, true);
        check(&[("sec-fetch-site", "same-origin")], None, true);
        check(&[("sec-fetch-site", "none")], None, true);
        check(&[("sec-fetch-site", "same-site")], None, false);
        check(&[("sec-fetch-site", "cross-site")], None, false);
        check(&[("origin", "http://acs.example:7557")], None, true);
        check(&[("origin", "http://acs.example")], None, false);
        check(
            &[("origin", "http://acs.example:7557.evil.example")],
            None,
            false,
        );
        check(&[("origin", "null")], None, false);
        check(&[("origin", "https://acs.example")], url, true);
        check(&[("origin", "http://acs.example:7557")], url, false);
        check(
            &[
                ("origin", "http://acs.example:7557"),
                ("sec-fetch-site", "cross-site"),
            ],
            None,
            false,
        );
    }
}
