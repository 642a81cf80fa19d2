//! What can go wrong, and whose fault it is.

use std::borrow::Cow;

/// How much of a device's words an error repeats, in characters.
const QUOTED_CHARS_MAX: usize = 120;

/// Why a message could not be read, or did not fit into its session.
///
/// `Display` is one line; positions are byte offsets in the message's UTF-8 text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device's message is no well-formed XML.
    #[error("not well-formed XML at byte {position}: {reason}")]
    Xml {
        /// Byte offset.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The device's message has a DOCTYPE, which SOAP forbids (SOAP 1.1 §3).
    #[error("a DOCTYPE at byte {position}, which SOAP forbids")]
    DocType {
        /// Byte offset.
        position: u64,
    },
    /// The device's message is XML, but no CWMP message.
    #[error("no CWMP message: expected {expected}, got {got} at byte {position}")]
    NotCwmp {
        /// What should have been there.
        expected: &'static str,
        /// What was.
        got: String,
        /// Byte offset.
        position: u64,
    },
    /// The device's message is larger than we read.
    #[error("too large: more than {max} {unit}")]
    TooLarge {
        /// `bytes` or `levels of elements`.
        unit: &'static str,
        /// The limit.
        max: usize,
    },
    /// The device sent what this moment of the session has no place for.
    #[error("out of turn: expected {expected}, got {got}")]
    OutOfTurn {
        /// What the session waits for.
        expected: Cow<'static, str>,
        /// What came.
        got: Cow<'static, str>,
    },
    /// The session went beyond one of its [`crate::Limits`].
    #[error("the session is beyond its limit of {max} {unit}")]
    Limit {
        /// `requests of the ACS`, `requests of the device`, `seconds between messages`, ….
        unit: &'static str,
        /// The limit.
        max: u64,
    },
    /// The caller, not the device: a request or answer that cannot be sent now.
    #[error("cannot send {what} now: {reason}")]
    NotNow {
        /// The method's name.
        what: Cow<'static, str>,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// The caller, not the device: a raw RPC that is no well-formed XML.
    #[error("the raw XML of {method:?} cannot be sent: {reason} at byte {position}")]
    Raw {
        /// The method's name as given.
        method: String,
        /// What is wrong.
        reason: String,
        /// Byte offset in the raw XML.
        position: u64,
    },
}

/// Who caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The device broke the protocol or a limit.
    Device,
    /// Whoever asked this crate to send something.
    Caller,
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Error::NotNow { .. } | Error::Raw { .. } => Blame::Caller,
            Error::Xml { .. }
            | Error::DocType { .. }
            | Error::NotCwmp { .. }
            | Error::TooLarge { .. }
            | Error::OutOfTurn { .. }
            | Error::Limit { .. } => Blame::Device,
        }
    }

    /// The message was larger than we read: HTTP 413.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Error::TooLarge { .. })
    }

    /// The message could not be read at all: a repaired copy of its bytes might be.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Error::Xml { .. } | Error::DocType { .. } | Error::NotCwmp { .. }
        )
    }
}

/// What a device said, fit for one line of a log.
pub(crate) fn quoted(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}
