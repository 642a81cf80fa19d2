//! How a flow says that it did not succeed.

use std::fmt;

use crate::bindings::session;

/// What `run` returns; `Result` alone is `Result<(), Error>`.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// One sentence for the operator, shown as the device's fault. Made by `?` from a session's error and from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with a text of one's own.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        Self(match error {
            session::Error::Fault(fault) => describe_fault(&fault),
            session::Error::Ended => "the session ended before the flow did".into(),
            session::Error::Refused(why) => format!("the host refused: {why}"),
        })
    }
}

fn describe_fault(fault: &crate::bindings::types::Fault) -> String {
    let mut text = format!(
        "the device answered with fault {}: {}",
        fault.code, fault.text
    );
    for parameter in &fault.parameters {
        text.push_str(&format!(
            "; {}: {} {}",
            parameter.path, parameter.code, parameter.text
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::{Fault, ParameterFault};

    #[test]
    fn a_fault_names_its_parameters() {
        let fault = Fault {
            code: 9003,
            text: "Invalid arguments".into(),
            parameters: vec![ParameterFault {
                path: "Device.X".into(),
                code: 9007,
                text: "Invalid parameter value".into(),
            }],
        };
        assert_eq!(
            Error::from(session::Error::Fault(fault)).to_string(),
            "the device answered with fault 9003: Invalid arguments; Device.X: 9007 Invalid parameter value"
        );
    }
}
