//! The pure halves of waking a device: its URL (TR-069 §3.2.2), stanzas (Annex K) and datagrams
//! (Annex G), values in, bytes out.

pub mod udp;
pub mod url;
pub mod xmpp;

pub use udp::{NoUdpRequest, SignedUdpRequest, UdpRefusal, UdpRequest};
pub use url::{CallbackUrl, UrlError};
pub use xmpp::{XmppAnswer, XmppRequest, XmppVerdict};
