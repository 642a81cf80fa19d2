//! The query language of the host: no text makes it panic, and what is printed is parsed to the same. The module is
//! taken as it is: the host that it belongs to is too large to be built with coverage.

#![no_main]

#[path = "../../../src/query/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the host uses more of it"
)]
mod query;

/// What the module uses of the host.
mod device {
    pub type UnixTime = i64;
}

use libfuzzer_sys::fuzz_target;
use query::{Datum, Field, Query, Subject};

/// Has the same values whatever it is asked for.
struct Thing<'a>(&'a str);

impl Subject for Thing<'_> {
    fn any(&self, _: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let value = self.0;
        let number = value.len() as i64;
        let data = [
            Datum::Text(value),
            Datum::Number(number),
            Datum::Time(number),
            Datum::Flag(number % 2 == 0),
            Datum::Parameter {
                value,
                read_at: i64::MIN,
            },
            Datum::Hidden,
        ];
        Some(data.into_iter().any(test))
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        Some(test(self.0))
    }
}

/// Of which nothing is at hand.
struct Unknown;

impl Subject for Unknown {
    fn any(&self, _: &Field, _: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        None
    }

    fn any_identifying(&self, _: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        None
    }
}

fuzz_target!(|text: &str| {
    let query = match Query::parse(text) {
        Ok(query) => query,
        Err(error) => {
            assert!(error.position <= text.chars().count(), "{error}");
            error.caret();
            return;
        }
    };
    let printed = query.to_string();
    assert_eq!(Query::parse(&printed).as_ref(), Ok(&query), "{printed:?}");
    query.paths();
    // What is known stays so, whatever else comes to be known.
    let known = query.judge(&Thing(text), i64::MAX);
    assert!(known.is_some());
    let unknown = query.judge(&Unknown, 0);
    assert!(unknown.is_none() || query.is_all());
    let both = query.clone().and(query.clone()).or(query.clone());
    assert_eq!(both.judge(&Thing(text), i64::MAX), known);
});
