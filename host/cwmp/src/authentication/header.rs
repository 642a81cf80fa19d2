//! The grammar of challenges and credentials (RFC 9110 §11.2), as servers and devices bend it.

/// How many schemes and parameters a header may have; what follows is left out.
const PARTS_MAX: usize = 64;

/// A scheme and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    /// As sent, in any case.
    pub(super) scheme: String,
    /// What stands behind the scheme, if it is one word, as Basic has it; without its padding.
    pub(super) token: String,
    parameters: Vec<(String, String)>,
}

impl Credentials {
    /// The first parameter of this name, in any case; quotes are taken off.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// All that a header holds: several schemes, each with parameters, commas missing or too many,
/// values with or without quotes.
pub(super) fn parse(header: &str) -> Vec<Credentials> {
    let mut all: Vec<Credentials> = Vec::new();
    let mut rest = header;
    for _ in 0..PARTS_MAX {
        let part = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let gap = rest.len() - part.len();
        let after_comma = rest.get(..gap).is_some_and(|gap| gap.contains(','));
        let (word, behind) = split_word(part);
        rest = match all.last_mut() {
            _ if part.is_empty() => break,
            // A stray character: neither a word nor a value.
            _ if word.is_empty() => drop_first(part),
            Some(current) => match behind.trim_start().strip_prefix('=') {
                Some(_) if current.is_bare() && !after_comma && is_padding(behind) => {
                    current.token = word.to_owned();
                    behind.trim_start_matches('=')
                }
                Some(value) => {
                    let (value, behind) = split_value(value.trim_start());
                    current.parameters.push((word.to_owned(), value));
                    behind
                }
                None if after_comma => {
                    all.push(Credentials::new(word));
                    behind
                }
                None => {
                    current.extend(word);
                    behind
                }
            },
            None => {
                all.push(Credentials::new(word));
                behind
            }
        };
    }
    all
}

impl Credentials {
    fn new(scheme: &str) -> Credentials {
        Credentials {
            scheme: scheme.to_owned(),
            token: String::new(),
            parameters: Vec::new(),
        }
    }

    /// Nothing but the scheme so far.
    fn is_bare(&self) -> bool {
        self.token.is_empty() && self.parameters.is_empty()
    }

    /// A word with nothing before it but space: the scheme's token, or more of a value that
    /// should have been quoted (`realm=My router`).
    fn extend(&mut self, word: &str) {
        match self.parameters.last_mut() {
            Some((_, value)) => {
                value.push(' ');
                value.push_str(word);
            }
            None => self.token = word.to_owned(),
        }
    }
}

/// Whether these `=` end a word of base64, rather than begin a value.
fn is_padding(text: &str) -> bool {
    let behind = text.trim_start_matches('=');
    let behind_space = behind.trim_start();
    behind.len() < text.len() && (behind_space.is_empty() || behind_space.starts_with(','))
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text
        .find([' ', '\t', '\r', '\n', ',', '=', '"'])
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A value and what follows it. In quotes, `\"` and `\\` lose their backslash; others keep it,
/// because devices forget to escape it (`DOMAIN\user`).
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(
            text.find([' ', '\t', '\r', '\n', ','])
                .unwrap_or(text.len()),
        );
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' if characters.as_str().starts_with(['"', '\\']) => {
                value.extend(characters.next());
            }
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

fn drop_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

/// A quoted string. Control characters, which would end the header, are left out.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().filter(|c| !c.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(header: &str, expected: Expect) {
        let mut lines = String::new();
        for credentials in parse(header) {
            lines.push_str(&credentials.scheme);
            if !credentials.token.is_empty() {
                lines.push_str(&format!(" <{}>", credentials.token));
            }
            for (name, value) in &credentials.parameters {
                lines.push_str(&format!(" {name}={value:?}"));
            }
            lines.push('\n');
        }
        expected.assert_eq(&lines);
    }

    #[test]
    fn several_schemes_in_one_header() {
        check(
            r#"Basic realm="a, b", Digest realm="c", nonce=d,"#,
            expect![[r#"
                Basic realm="a, b"
                Digest realm="c" nonce="d"
            "#]],
        );
        check(
            r#"Digest realm="c",nonce="d",Basic realm="x""#,
            expect![[r#"
            Digest realm="c" nonce="d"
            Basic realm="x"
        "#]],
        );
        check(
            "Negotiate, NTLM TlRM==, Basic realm=x",
            expect![[r#"
                Negotiate
                NTLM <TlRM>
                Basic realm="x"
            "#]],
        );
    }

    #[test]
    fn words_and_values_as_they_come() {
        check(
            r#"digest realm = "a" , nonce="b""#,
            expect![[r#"
                digest realm="a" nonce="b"
            "#]],
        );
        check(
            r#"Digest realm="say \"hi\"", nonce="back\\slash", user="DOM\user""#,
            expect![[r#"
                Digest realm="say \"hi\"" nonce="back\\slash" user="DOM\\user"
            "#]],
        );
        check(
            r#"Digest realm="a" nonce="b""#,
            expect![[r#"
            Digest realm="a" nonce="b"
        "#]],
        );
        check(
            "Digest realm=My router, nonce=b",
            expect![[r#"
            Digest realm="My router" nonce="b"
        "#]],
        );
        check(
            "Digest, realm=a,,\r\n nonce=b",
            expect![[r#"
            Digest realm="a" nonce="b"
        "#]],
        );
        check(
            r#"Digest realm="", opaque=, nonce="never ends"#,
            expect![[r#"
                Digest realm="" opaque="" nonce="never ends"
            "#]],
        );
        check(
            "Basic dXNlcjpwYXNz",
            expect![[r#"
            Basic <dXNlcjpwYXNz>
        "#]],
        );
        check(
            "Basic dXNlcjpwYXM=",
            expect![[r#"
                Basic <dXNlcjpwYXM>
            "#]],
        );
        check(
            "Basic dXNlcjpwYQ==",
            expect![[r#"
                Basic <dXNlcjpwYQ>
            "#]],
        );
    }

    #[test]
    fn nonsense() {
        check("", expect![""]);
        check(" , ,", expect![""]);
        check("=", expect![""]);
        check("\"\"\"", expect![""]);
        check(
            "= = a=b",
            expect![[r#"
                a <b>
            "#]],
        );
    }
}
