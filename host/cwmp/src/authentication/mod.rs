//! The pure halves of HTTP authentication, of devices at the ACS and of the ACS at devices:
//! header lines and values in, header lines and verdicts out.

mod digest;
mod header;

pub use digest::{
    Algorithm, Authorization, BadAuthorization, Challenge, DigestChallenge, DigestResponse, Qop,
    parse_challenges,
};
