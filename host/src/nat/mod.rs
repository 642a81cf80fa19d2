//! Ways to wake a device, and the choice among them.
//!
//! The choice is a plugin's (`decide`); trying it and remembering how it went is the host's
//! (`wake`), as is telling the device what its mode needs (`configure`).

pub mod configure;
pub mod decide;
pub mod guard;
pub mod http;
pub mod outcome;
pub mod short_inform;
pub mod stun;
pub mod supports;
pub mod udp;
pub mod wake;
pub mod xmpp;
