//! What strangers send much of, and what it costs: the host is a process of its own, whose memory can be told from
//! everybody else's.

mod child;
mod stun;
mod xmpp;
