//! Ways to wake a device, and the choice among them.
//!
//! The choice is a plugin's (`decide`); trying it and remembering how it went is the host's
//! (`wake`). Of the ways this version has the direct HTTP connection request and the short
//! periodic Inform; HTTP proxy, XMPP and STUN are offered to the policy as not configured.

pub mod decide;
pub mod guard;
pub mod http;
pub mod wake;
