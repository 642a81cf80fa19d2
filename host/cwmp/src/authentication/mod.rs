//! The pure halves of HTTP authentication, of devices at the ACS and of the ACS at devices:
//! header lines and values in, header lines and verdicts out.

mod algorithm;
mod digest;
mod header;
mod names;
mod nonce;

pub use algorithm::{Algorithm, Qop};
pub use digest::{
    Authorization, BadAuthorization, Challenge, DigestChallenge, DigestResponse, basic_challenge,
    parse_challenges,
};
pub use names::{names_device, user_name};
pub use nonce::{Nonce, Nonces};
