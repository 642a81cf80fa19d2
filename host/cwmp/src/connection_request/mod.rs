//! The pure halves of waking a device without HTTP: stanzas (TR-069 Annex K) and datagrams
//! (Annex G), values in, bytes out.

pub mod udp;
pub mod xmpp;

pub use udp::{NoUdpRequest, SignedUdpRequest, UdpRefusal, UdpRequest};
pub use xmpp::{XmppAnswer, XmppRequest, XmppVerdict};
