//! Ways to wake a device, and the choice among them.
//!
//! The choice is a plugin's (`decide`); trying it (`wake`, in the order of `plan`, at the pace of
//! `pace`) and remembering how it went (`history`, judged by `health`) is the host's, as is telling
//! the device what its mode needs (`configure`) and trying again what was given up (`probe`).

pub mod configure;
pub mod decide;
pub mod facts;
pub mod guard;
pub mod health;
pub mod history;
pub mod http;
pub mod outcome;
pub mod pace;
pub mod plan;
pub mod probe;
pub mod short_inform;
pub mod stun;
pub mod supports;
pub mod tally;
pub mod udp;
pub mod wake;
pub mod xmpp;
