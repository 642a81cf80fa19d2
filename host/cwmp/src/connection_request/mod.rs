//! The pure halves of waking a device (TR-069 §3.2.2): values in, header lines and bytes out.

pub mod digest;
mod header;

pub use digest::{
    Algorithm, Authorization, BadAuthorization, Challenge, DigestChallenge, DigestResponse, Qop,
    parse_challenges,
};
