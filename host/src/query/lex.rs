//! A query's text → its words, quoted texts, operators and brackets.

use winnow::combinator::{alt, dispatch, fail, peek, repeat};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, take_while};

use super::value::Pattern;
use super::{Operator, QueryError};

type Text<'t> = LocatingSlice<&'t str>;
type Lexed<T> = ModalResult<T, Wrong>;

/// A piece of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Characters before it.
    pub(super) at: usize,
    /// As it was written.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// Without quotes: a keyword, a field, a value or what is searched for.
    Word,
    /// In quotes.
    Quoted(Pattern),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

/// Where, in bytes, and what was expected.
#[derive(Debug)]
struct Wrong {
    at: usize,
    expected: &'static str,
}

impl ParserError<Text<'_>> for Wrong {
    type Inner = Wrong;

    fn from_input(input: &Text<'_>) -> Wrong {
        Wrong {
            at: input.current_token_start(),
            expected: "a word, a text in quotes, an operator or a bracket",
        }
    }

    fn into_inner(self) -> Result<Wrong, Wrong> {
        Ok(self)
    }
}

fn wrong(text: &Text<'_>, expected: &'static str) -> ErrMode<Wrong> {
    ErrMode::Cut(Wrong {
        at: text.current_token_start(),
        expected,
    })
}

/// All of them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let characters_before = |byte: usize| text.get(..byte).map_or(0, |text| text.chars().count());
    let spanned = repeat(0.., token.with_span());
    let parsed = (blanks, spanned).parse(LocatingSlice::new(text));
    let ((), tokens): ((), Vec<_>) = parsed.map_err(|error| {
        let Wrong { at, expected } = error.into_inner();
        let got = text.get(at..).and_then(|rest| rest.chars().next());
        let got = got.map_or_else(|| "the end".to_owned(), |c| format!("{c:?}"));
        QueryError::new(characters_before(at), expected, got)
    })?;
    // Positions come in order: each is counted from the one before.
    let (mut at, mut byte) = (0, 0);
    let tokens = tokens.into_iter().map(|(kind, span)| {
        at += text
            .get(byte..span.start)
            .map_or(0, |text| text.chars().count());
        byte = span.start;
        let text = text.get(span).unwrap_or_default().trim_end().to_owned();
        Token { kind, at, text }
    });
    Ok(tokens.collect())
}

fn blanks(text: &mut Text<'_>) -> Lexed<()> {
    take_while(0.., char::is_whitespace).void().parse_next(text)
}

/// One, and the blanks after it.
fn token(text: &mut Text<'_>) -> Lexed<TokenKind> {
    let kind = dispatch! { peek(any);
        '(' => any.value(TokenKind::Open),
        ')' => any.value(TokenKind::Close),
        ',' => any.value(TokenKind::Comma),
        '"' | '\'' => quoted,
        '=' | '!' | '<' | '>' => operator.map(TokenKind::Operator),
        c if is_of_word(c) => take_while(1.., is_of_word).value(TokenKind::Word),
        _ => fail,
    }
    .parse_next(text)?;
    blanks(text)?;
    Ok(kind)
}

fn is_of_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"(),\"=!<>".contains(c)
}

fn operator(text: &mut Text<'_>) -> Lexed<Operator> {
    let known = alt((
        "<=".value(Operator::AtMost),
        ">=".value(Operator::AtLeast),
        "!=".value(Operator::IsNot),
        "=".value(Operator::Is),
        "<".value(Operator::Less),
        ">".value(Operator::Greater),
    ))
    .parse_next(text);
    known.map_err(|_: ErrMode<Wrong>| wrong(text, "one of = != < <= > >="))
}

/// `"…"` or `'…'`, in which `*` is a wildcard and a backslash takes the next character as it is.
fn quoted(text: &mut Text<'_>) -> Lexed<TokenKind> {
    let quote = any.parse_next(text)?;
    let mut pieces = Vec::new();
    let mut piece = String::new();
    loop {
        let mut plain = take_while(0.., |c: char| {
            c != quote && !c.is_control() && !"\\*".contains(c)
        });
        piece.push_str(plain.parse_next(text)?);
        let before = *text;
        match any.parse_next(text) {
            Ok('*') => pieces.push(std::mem::take(&mut piece)),
            Ok('\\') => {
                let mut escaped = any::<_, ErrMode<Wrong>>.verify(|c| "\\*\"'".contains(*c));
                let escaped = escaped.parse_next(text);
                piece.push(escaped.map_err(|_| wrong(text, "one of \\ * \" ' after a backslash"))?);
            }
            Ok(c) if c == quote => break,
            Ok(_) => return Err(wrong(&before, "a text without control characters")),
            Err(ErrMode::<Wrong>::Incomplete(_) | ErrMode::Backtrack(_) | ErrMode::Cut(_)) => {
                return Err(wrong(text, "the quote that ends the text"));
            }
        }
    }
    pieces.push(piece);
    Ok(TokenKind::Quoted(Pattern::of(pieces)))
}
