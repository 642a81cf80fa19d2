//! Which session a POST belongs to.

use std::sync::Arc;

use http::header;

use super::receive::Post;
use super::{Found, Open, Token, by_url, cookie};

/// Which session a request belongs to.
pub(super) enum Whose {
    /// A session under way.
    Open(Token, Arc<Open>),
    /// A session that has ended a moment ago.
    Ended,
    /// It has a cookie of ours that stands for nothing.
    Stranger,
    /// It has no cookie, and its connection no session.
    Nobody,
}

/// By cookie; without one by the URL that the device was redirected to; by connection only when
/// the connection is the device's own.
pub(super) fn find(post: &Post<'_>) -> Whose {
    let mut whose = Whose::Nobody;
    let is_here = |open: &Open| *open.device().instance == *post.instance.name;
    for token in cookie::tokens(post.headers) {
        match post.acs.sessions.find(token) {
            Found::Open(open) if is_here(&open) => {
                keeps_cookies(post, &open);
                return Whose::Open(token, open);
            }
            Found::Ended => whose = Whose::Ended,
            // A session of another instance is none here.
            Found::Open(_) | Found::Unknown if matches!(whose, Whose::Nobody) => {
                whose = Whose::Stranger;
            }
            Found::Open(_) | Found::Unknown => {}
        }
    }
    if !matches!(whose, Whose::Nobody) {
        return whose;
    }
    let by_url = by_url::token(post.uri);
    let own = by_url.or_else(|| own_connection(post));
    match own.map(|token| (token, post.acs.sessions.find(token))) {
        Some((token, Found::Open(open))) if is_here(&open) => Whose::Open(token, open),
        Some((_, Found::Ended)) => Whose::Ended,
        Some((_, Found::Open(_) | Found::Unknown)) | None => Whose::Nobody,
    }
}

/// The session of a connection that carries one device. A proxy's may carry several, whether or
/// not the operator has named it.
fn own_connection(post: &Post<'_>) -> Option<Token> {
    let is_forwarded = post.headers.contains_key(header::VIA)
        || post.headers.contains_key(header::FORWARDED)
        || post.headers.contains_key("x-forwarded-for");
    if post.peer.through_proxy || is_forwarded {
        return None;
    }
    post.connection.session()
}

/// A device that was redirected to a URL for its session, and keeps cookies after all.
fn keeps_cookies(post: &Post<'_>, open: &Open) {
    if by_url::token(post.uri).is_some()
        && let Ok(Some(cell)) = post.acs.store.device(open.device())
    {
        by_url::learn(post.acs, &cell, false);
    }
}
