//! WWW-Authenticate and Authorization headers: the first byte chooses which.

#![no_main]

use cwmp::authentication::{Authorization, Challenge, parse_challenges};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, header)) = bytes.split_first() else {
        return;
    };
    let Ok(header) = std::str::from_utf8(header) else {
        return;
    };
    if first % 2 == 0 {
        if let Ok(Authorization::Digest(answer)) = Authorization::parse(header) {
            answer.verify("POST", "secret");
            answer.count();
        }
        return;
    }
    let challenges = parse_challenges([header]);
    let Some(challenge) = Challenge::first_digest(&challenges) else {
        return;
    };
    // What we answer to any challenge is an answer that we would take.
    let answer = challenge.respond("GET", "/x", "user", "secret", "cnonce", 1);
    assert!(!answer.chars().any(char::is_control), "{answer:?}");
    match Authorization::parse(&answer) {
        Ok(Authorization::Digest(read)) => assert_eq!(read.username, "user"),
        other => panic!("{answer:?}: {other:?}"),
    }
});
