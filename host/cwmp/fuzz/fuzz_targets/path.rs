//! Parameter paths, patterns and event codes.

#![no_main]

use cwmp::{EventKind, Path, path::Wanted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let kind = EventKind::new(text);
    assert_eq!(EventKind::new(&kind.to_string()), kind);
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(wanted) = Wanted::parse([one, other]) {
        wanted.names();
        wanted.includes(other);
    }
    let Ok(path) = Path::parse(one) else {
        return;
    };
    path.matches(other);
    assert!(path.has_wildcard() || path.matches(one));
    assert!(one.starts_with(path.before_wildcard()));
    let mut above = path.parent();
    while let Some(parent) = above {
        assert_eq!(Path::parse(parent.as_str()), Ok(parent));
        above = parent.parent();
    }
});
