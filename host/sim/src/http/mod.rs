//! The thin HTTP/1.1 client of a device. Its own, because a device does things that no HTTP
//! client of quality would do.

mod auth;
pub(crate) mod coding;
mod connection;
mod cookies;
mod cut;
mod url;

pub(crate) use auth::Login;
pub use connection::{Connection, Framing, HttpError, HttpResponse};
pub(crate) use connection::{header_list, read_head};
pub(crate) use cookies::CookieJar;
pub use cut::Cuts;
pub use url::Url;
