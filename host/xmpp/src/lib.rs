//! What both ends of an XMPP stream (RFC 6120) share: a thin [`Stream`] over any connection,
//! with limits on what a stanza may cost, [`scram`], and the writing of the few stanzas that
//! connection requests (TR-069 Annex K) need.
//!
//! It knows no roster, no messages and no server-to-server streams. Stanzas are read as trees
//! of elements, whatever they hold: what nobody knows is no error here, only what is no XML or
//! over a limit is.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails may panic"
    )
)]

mod stream;

mod io;

pub mod scram;

mod jid;
pub mod stanza;

pub use io::Io;
pub use jid::Jid;
pub use minidom::Element;
pub use stream::{Header, Limits, Stream, StreamError};

/// Namespaces, by what they are of.
pub mod ns {
    /// Stanzas between a client and its server.
    pub const CLIENT: &str = "jabber:client";
    /// Stanzas between a component and its server (XEP-0114).
    pub const COMPONENT: &str = "jabber:component:accept";
    /// The stream itself.
    pub const STREAM: &str = "http://etherx.jabber.org/streams";
    /// The errors that end a stream.
    pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
    /// STARTTLS.
    pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
    /// Login.
    pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// The resource of a client.
    pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
    /// What RFC 3921 clients ask for after bind.
    pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
    /// The errors of stanzas.
    pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// XEP-0199.
    pub const PING: &str = "urn:xmpp:ping";
    /// RFC 6121 §2.
    pub const ROSTER: &str = "jabber:iq:roster";
}
