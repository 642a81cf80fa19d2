//! Every vendor's surprise is a small test. Identities are made up; the numbers (E1, R12, …)
//! are those of the catalogue of quirks that the project keeps.

mod bytes;
mod envelope;
mod values;

use expect_test::{Expect, expect};

use crate::testing::{check, envelope};
use crate::*;

fn inform(xml: &str) -> Inform {
    let message = Message::parse(xml.as_bytes()).unwrap();
    match message.body {
        Body::Request(Request::Inform(inform)) => *inform,
        other => panic!("{other:?}"),
    }
}

fn read(bytes: &[u8], expected: Expect) {
    let line = match Message::parse(bytes) {
        Ok(message) => {
            let id = message.header.id.as_deref().unwrap_or("-");
            format!("{} {} #{id}", message.version, message.body.name())
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&line);
}
