//! SCRAM (RFC 5802, RFC 7677), both halves, without channel binding; and PLAIN (RFC 4616).
//!
//! The server keeps no password: a salt and, for each hash, two keys that were derived from
//! it. Passwords are taken as they are, without SASLprep: those of devices are plain ASCII.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Iterations for keys that are derived here. The passwords are long and random: more would
/// only cost time.
pub const ITERATIONS: u32 = 4096;
/// A server that asks for more is none of ours.
const ITERATIONS_MAX: u32 = 1_000_000;

/// Which hash a SCRAM is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

/// What the server knows of a password, for one hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// StoredKey: to check the client's proof.
    pub stored: Vec<u8>,
    /// ServerKey: to prove itself to the client.
    pub server: Vec<u8>,
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The other side does not speak SCRAM.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The client asks for what was not offered.
    #[error("channel binding was not offered")]
    ChannelBinding,
    /// The proof is wrong: another password.
    #[error("wrong proof")]
    WrongProof,
}

impl Hash {
    /// The name of the mechanism.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    /// The hash of a mechanism.
    pub fn of_mechanism(name: &str) -> Option<Hash> {
        [Hash::Sha1, Hash::Sha256]
            .into_iter()
            .find(|hash| hash.mechanism() == name)
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        // An HMAC takes keys of any length: the other arm cannot be.
        match self {
            Hash::Sha1 => Hmac::<Sha1>::new_from_slice(key)
                .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec()),
            Hash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec()),
        }
        .unwrap_or_default()
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Hash::Sha1 => {
                let mut out = vec![0; 20];
                pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, iterations, &mut out);
                out
            }
            Hash::Sha256 => {
                let mut out = vec![0; 32];
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut out);
                out
            }
        }
    }
}

impl Keys {
    /// Derives the keys of a password. Takes a millisecond or two of computing.
    pub fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Keys {
        let salted = hash.salted(password, salt, iterations);
        let client = hash.hmac(&salted, b"Client Key");
        Keys {
            stored: hash.digest(&client),
            server: hash.hmac(&salted, b"Server Key"),
        }
    }

    /// Whether both are of the same password, in constant time.
    pub fn is_same(&self, other: &Keys) -> bool {
        (self.stored.ct_eq(&other.stored) & self.server.ct_eq(&other.server)).into()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The server's half, after the client's first message.
#[derive(Debug)]
pub struct ClientFirst {
    hash: Hash,
    /// Who wants to log in.
    pub username: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

/// The server's half, waiting for the proof.
#[derive(Debug)]
pub struct Challenged {
    hash: Hash,
    gs2_header: String,
    nonce: String,
    /// Both first messages, with a comma behind each.
    spoken: String,
}

impl ClientFirst {
    /// Reads the client's first message: `n,,n=user,r=nonce`. The flag `y` (the client could
    /// do channel binding) is right too: none was offered.
    pub fn read(hash: Hash, message: &str) -> Result<ClientFirst, ScramError> {
        let mut parts = message.splitn(3, ',');
        let (Some(flag), Some(authorization), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(ScramError::Malformed("expected a GS2 header"));
        };
        match flag {
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed("expected the flag n or y")),
        }
        let mut attributes = bare.split(',');
        let username = attributes
            .next()
            .and_then(|first| first.strip_prefix("n="))
            .ok_or(ScramError::Malformed("expected n="))?;
        let nonce = attributes
            .next()
            .and_then(|second| second.strip_prefix("r="))
            .filter(|nonce| !nonce.is_empty())
            .ok_or(ScramError::Malformed("expected r="))?;
        let username = unescaped(username).ok_or(ScramError::Malformed("a bad escape in n="))?;
        if !authorization.is_empty() {
            let name = authorization.strip_prefix("a=").and_then(unescaped);
            // On behalf of somebody else: nobody may.
            if name.is_none_or(|name| name.split('@').next() != Some(username.as_str())) {
                return Err(ScramError::Malformed("another authorization identity"));
            }
        }
        Ok(ClientFirst {
            hash,
            username,
            gs2_header: format!("{flag},{authorization},"),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }

    /// The server's first message. `nonce`: random, printable, without commas.
    pub fn challenge(self, salt: &[u8], iterations: u32, nonce: &str) -> (Challenged, String) {
        let nonce = format!("{}{nonce}", self.nonce);
        let message = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let challenged = Challenged {
            hash: self.hash,
            gs2_header: self.gs2_header,
            nonce,
            spoken: format!("{},{message},", self.bare),
        };
        (challenged, message)
    }
}

impl Challenged {
    /// Checks the client's final message against each of these keys, in constant time. `Ok`:
    /// the number of the keys and the server's final message.
    pub fn finish(self, message: &str, keys: &[Keys]) -> Result<(usize, String), ScramError> {
        let (spoken, proof) = message
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("expected p="))?;
        let proof = STANDARD
            .decode(proof)
            .map_err(|_| ScramError::Malformed("p= is no base64"))?;
        let mut attributes = spoken.split(',');
        let binding = attributes
            .next()
            .and_then(|first| first.strip_prefix("c="))
            .and_then(|binding| STANDARD.decode(binding).ok());
        if binding.as_deref() != Some(self.gs2_header.as_bytes()) {
            return Err(ScramError::Malformed("c= is not the GS2 header"));
        }
        if attributes
            .next()
            .and_then(|second| second.strip_prefix("r="))
            != Some(self.nonce.as_str())
        {
            return Err(ScramError::Malformed("r= is another nonce"));
        }
        let whole = format!("{}{spoken}", self.spoken);
        for (number, keys) in keys.iter().enumerate() {
            let signature = self.hash.hmac(&keys.stored, whole.as_bytes());
            let client_key = self.hash.digest(&xor(&proof, &signature));
            let right = Choice::from(u8::from(proof.len() == signature.len()))
                & client_key.ct_eq(&keys.stored);
            if right.into() {
                let signature = self.hash.hmac(&keys.server, whole.as_bytes());
                return Ok((number, format!("v={}", STANDARD.encode(signature))));
            }
        }
        Err(ScramError::WrongProof)
    }
}

/// The client's half, before the challenge.
#[derive(Debug)]
pub struct ClientStart {
    hash: Hash,
    bare: String,
    nonce: String,
}

impl ClientStart {
    /// `nonce`: random, printable, without commas.
    pub fn new(hash: Hash, username: &str, nonce: &str) -> (ClientStart, String) {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={username},r={nonce}");
        let message = format!("n,,{bare}");
        let start = ClientStart {
            hash,
            bare,
            nonce: nonce.to_owned(),
        };
        (start, message)
    }

    /// The client's final message, and what the server's must be.
    pub fn respond(self, challenge: &str, password: &str) -> Result<(String, String), ScramError> {
        let get = |name: &str| {
            challenge
                .split(',')
                .find_map(|attribute| attribute.strip_prefix(name))
                .ok_or(ScramError::Malformed("expected r=, s= and i="))
        };
        let nonce = get("r=")?;
        if !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Malformed("r= is another nonce"));
        }
        let salt = STANDARD
            .decode(get("s=")?)
            .map_err(|_| ScramError::Malformed("s= is no base64"))?;
        let iterations = get("i=")?
            .parse()
            .ok()
            .filter(|iterations| (1..=ITERATIONS_MAX).contains(iterations))
            .ok_or(ScramError::Malformed("i= out of range"))?;
        let hash = self.hash;
        let salted = hash.salted(password, &salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let whole = format!("{},{challenge},{without_proof}", self.bare);
        let signature = hash.hmac(&hash.digest(&client_key), whole.as_bytes());
        let proof = STANDARD.encode(xor(&client_key, &signature));
        let server_key = hash.hmac(&salted, b"Server Key");
        let expected = hash.hmac(&server_key, whole.as_bytes());
        Ok((
            format!("{without_proof},p={proof}"),
            format!("v={}", STANDARD.encode(expected)),
        ))
    }
}

/// User name and password of a PLAIN message: `authorization NUL user NUL password`.
pub fn plain(message: &str) -> Option<(&str, &str)> {
    let mut parts = message.split('\0');
    let (_, username, password) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !username.is_empty()).then_some((username, password))
}

/// `=2C` is a comma, `=3D` an equals sign, and nothing else may be escaped (RFC 5802 §5.1).
fn unescaped(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut parts = name.split('=');
    out.push_str(parts.next()?);
    for part in parts {
        let (character, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        out.push(character);
        out.push_str(rest);
    }
    (!out.is_empty()).then_some(out)
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn salt(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    /// The examples of RFC 5802 §5 and RFC 7677 §3, both halves.
    #[test]
    fn the_examples_of_the_standards() {
        for (hash, client_nonce, server_nonce, salt64, client_final, server_final) in [
            (
                Hash::Sha1,
                "fyko+d2lbbFgONRv9qkxdawL",
                "3rfcNHYJY1ZVvWVs7j",
                "QSXCR+Q6sek8bf92",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                Hash::Sha256,
                "rOprNGfwEbeRWgbNEkqO",
                "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                "W22ZaJ0SNY7soEsUEjb6gQ==",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let (client, first) = ClientStart::new(hash, "user", client_nonce);
            assert_eq!(first, format!("n,,n=user,r={client_nonce}"));
            let server = ClientFirst::read(hash, &first).unwrap();
            assert_eq!(server.username, "user");
            let (server, challenge) = server.challenge(&salt(salt64), 4096, server_nonce);
            assert_eq!(
                challenge,
                format!("r={client_nonce}{server_nonce},s={salt64},i=4096")
            );
            let (last, expected) = client.respond(&challenge, "pencil").unwrap();
            assert_eq!(
                (last.as_str(), expected.as_str()),
                (client_final, server_final)
            );
            let keys = |password| Keys::derive(hash, password, &salt(salt64), 4096);
            let answer = server.finish(&last, &[keys("other"), keys("pencil")]);
            assert_eq!(answer, Ok((1, server_final.to_owned())));
        }
    }

    #[test]
    fn what_the_server_refuses() {
        let read = |message| ClientFirst::read(Hash::Sha1, message).map(|first| first.username);
        assert_eq!(read("n,,n=a=2Cb=3Dc,r=x"), Ok("a,b=c".into()));
        assert_eq!(read("y,,n=a,r=x"), Ok("a".into()));
        assert_eq!(read("n,a=a,n=a,r=x"), Ok("a".into()));
        assert_eq!(read("n,a=a@b.example,n=a,r=x"), Ok("a".into()));
        for (message, error) in [
            ("p=tls-unique,,n=a,r=x", ScramError::ChannelBinding),
            (
                "n,a=b,n=a,r=x",
                ScramError::Malformed("another authorization identity"),
            ),
            (
                "n,,n=a=2cb,r=x",
                ScramError::Malformed("a bad escape in n="),
            ),
            ("n,,n=a=", ScramError::Malformed("expected r=")),
            ("n,,n=,r=x", ScramError::Malformed("a bad escape in n=")),
            ("n,,m=x,n=a,r=x", ScramError::Malformed("expected n=")),
            ("", ScramError::Malformed("expected a GS2 header")),
            (
                "x,,n=a,r=x",
                ScramError::Malformed("expected the flag n or y"),
            ),
        ] {
            assert_eq!(read(message), Err(error), "{message}");
        }
        let keys = Keys::derive(Hash::Sha1, "right", b"salt", 1);
        let challenged = || {
            let first = ClientFirst::read(Hash::Sha1, "n,,n=a,r=x").unwrap();
            first.challenge(b"salt", 1, "y").0
        };
        for (message, error) in [
            ("c=biws,r=xy,p=AAAA", ScramError::WrongProof),
            ("c=biws,r=xy,p=", ScramError::WrongProof),
            (
                "c=eSws,r=xy,p=AAAA",
                ScramError::Malformed("c= is not the GS2 header"),
            ),
            (
                "c=biws,r=xz,p=AAAA",
                ScramError::Malformed("r= is another nonce"),
            ),
            ("c=biws,r=xy", ScramError::Malformed("expected p=")),
        ] {
            assert_eq!(
                challenged().finish(message, std::slice::from_ref(&keys)),
                Err(error)
            );
        }
        assert_eq!(
            challenged().finish("c=biws,r=xy,p=AAAA", &[]),
            Err(ScramError::WrongProof)
        );
    }

    #[test]
    fn plain_messages() {
        assert_eq!(plain("\0user\0pass"), Some(("user", "pass")));
        assert_eq!(plain("user@b\0user\0"), Some(("user", "")));
        assert_eq!(plain("\0\0pass"), None);
        assert_eq!(plain("user\0pass"), None);
        assert_eq!(plain("\0a\0b\0c"), None);
    }

    proptest! {
        #[test]
        fn never_panics(first in "[nypac=,r\\PC]{0,40}", last in "[cr=,p\\PC]{0,40}") {
            let _ = ClientFirst::read(Hash::Sha1, &first);
            let challenged = ClientFirst::read(Hash::Sha1, "n,,n=a,r=x").unwrap();
            let _ = challenged.challenge(b"s", 1, "y").0.finish(&last, &[]);
            let (client, _) = ClientStart::new(Hash::Sha1, "a", "x");
            let _ = client.respond(&first, "p");
        }
    }
}
