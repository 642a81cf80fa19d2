//! The NAT laboratory: the host and its devices as processes in network namespaces, with a router between them that
//! translates addresses as the routers of the world do, forgets what was silent for seconds, and loses what the test
//! says.
//!
//! It takes root, iproute2 and nftables; without them each of these tests fails and says so.

mod network;
mod parties;
mod proxy;
mod stun;
mod ways;
mod xmpp;
