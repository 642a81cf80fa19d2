//! Why a text is no query: where, what was expected, what came.

use std::fmt;

/// Characters of a query that are shown on each side of the position.
const SHOWN_CHARS: usize = 60;

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// Characters before the place.
    pub position: usize,
    /// What would have been right there.
    pub expected: String,
    /// What stands there.
    pub got: String,
    /// The whole text.
    text: String,
}

impl QueryError {
    pub(super) fn new(
        position: usize,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> QueryError {
        QueryError {
            position,
            expected: expected.into(),
            got: got.into(),
            text: String::new(),
        }
    }

    pub(super) fn of(mut self, text: &str) -> QueryError {
        text.clone_into(&mut self.text);
        self
    }

    /// The text around the place, and below it a caret that points there.
    pub fn caret(&self) -> String {
        let from = self.position.saturating_sub(SHOWN_CHARS);
        let line: String = self
            .text
            .chars()
            .skip(from)
            .take(2 * SHOWN_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("{line}\n{}^", " ".repeat(self.position - from))
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at character {} of the query: expected {}, got {}",
            self.position + 1,
            self.expected,
            self.got
        )
    }
}

impl std::error::Error for QueryError {}
