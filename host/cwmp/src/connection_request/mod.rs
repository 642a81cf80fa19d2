//! The pure halves of waking a device that has no HTTP connection to be called on (TR-069 Annex G).

pub mod udp;

pub use udp::{NoUdpRequest, SignedUdpRequest, UdpRefusal, UdpRequest};
