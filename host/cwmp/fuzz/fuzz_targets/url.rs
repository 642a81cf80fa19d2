//! ConnectionRequestURLs as devices tell them.

#![no_main]

use cwmp::connection_request::CallbackUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &str| {
    let Ok(parts) = CallbackUrl::parse(url) else {
        return;
    };
    assert!(!parts.host.is_empty() && parts.port != 0);
    assert!(parts.path.starts_with('/'));
    // Nothing of it may end a line of the request.
    for text in [&parts.host, &parts.authority, &parts.path] {
        assert!(
            !text.chars().any(|c| c.is_control() || c == ' '),
            "{text:?}"
        );
    }
    // The path that was added may make it one byte too long.
    if url.len() < 512 {
        let again = CallbackUrl::parse(&format!("http://{}{}", parts.authority, parts.path));
        assert_eq!(again, Ok(parts));
    }
});
