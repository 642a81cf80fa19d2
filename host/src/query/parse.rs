//! The grammar.
//!
//! ```text
//! any        = all { "or" all }
//! all        = one { [ "and" ] one }
//! one        = "not" one | "(" any ")" | condition
//! condition  = field operator value
//!            | field "contains" text
//!            | field "in" "(" value { "," value } ")"
//!            | "has" "(" field ")"
//!            | "age" "(" field ")" operator age
//!            | word
//! ```

use winnow::combinator::{alt, delimited, opt, peek, preceded, repeat, separated};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::{Stateful, Stream, TokenSlice};
use winnow::token::one_of;

use super::lex::{self, Token, TokenKind};
use super::value::{Age, Number, Pattern, Value};
use super::{Field, Kind, Node, QueryError, Vocabulary};

/// Characters of a query.
pub const QUERY_CHARS_MAX: usize = 16_384;
/// Brackets and `not`s within each other.
pub const DEPTH_MAX: usize = 32;
/// Conditions of a query.
pub const CONDITIONS_MAX: usize = 256;
/// Values of one `in`.
pub const VALUES_MAX: usize = 1_000;
/// Characters of what came that an error shows.
const GOT_CHARS_MAX: usize = 40;

type Tokens<'t> = Stateful<TokenSlice<'t, Token>, State>;
type Parsed<T> = ModalResult<T, QueryError>;

#[derive(Debug, Clone)]
struct State {
    vocabulary: &'static Vocabulary,
    /// Characters of the whole text.
    end: usize,
    depth: usize,
    conditions: usize,
}

impl ParserError<Tokens<'_>> for QueryError {
    type Inner = QueryError;

    fn from_input(input: &Tokens<'_>) -> QueryError {
        error(input, "the end, `and` or `or`")
    }

    fn into_inner(self) -> Result<QueryError, QueryError> {
        Ok(self)
    }
}

pub(super) fn parse(text: &str, vocabulary: &'static Vocabulary) -> Result<Node, QueryError> {
    let characters = text.chars().count();
    if characters > QUERY_CHARS_MAX {
        let expected = format!("a query of at most {QUERY_CHARS_MAX} characters");
        return Err(QueryError::new(0, expected, format!("{characters}")).of(text));
    }
    let tokens = lex::tokens(text).map_err(|error| error.of(text))?;
    if tokens.is_empty() {
        return Ok(Node::All);
    }
    let input = Stateful {
        input: TokenSlice::new(&tokens),
        state: State {
            vocabulary,
            end: text.trim_end().chars().count(),
            depth: 0,
            conditions: 0,
        },
    };
    let parsed = any_of.parse(input);
    parsed.map_err(|error| error.into_inner().of(text))
}

fn any_of(input: &mut Tokens<'_>) -> Parsed<Node> {
    let all: Vec<Node> = separated(1.., all_of, keyword("or")).parse_next(input)?;
    Ok(one_or(all, Node::Or))
}

fn all_of(input: &mut Tokens<'_>) -> Parsed<Node> {
    let first = one(input)?;
    let next = alt((
        preceded(keyword("and"), one),
        preceded(peek(begins_condition), one),
    ));
    let others: Vec<Node> = repeat(0.., next).parse_next(input)?;
    Ok(one_or(
        std::iter::once(first).chain(others).collect(),
        Node::And,
    ))
}

fn one_or(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            several(nodes)
        }
        None => Node::All,
    }
}

/// What comes after a condition, without `and` between.
fn begins_condition(input: &mut Tokens<'_>) -> Parsed<()> {
    let begins = |token: &Token| match token.kind {
        TokenKind::Word => !is_keyword(token, "or") && !is_keyword(token, "and"),
        TokenKind::Quoted(_) | TokenKind::Open => true,
        TokenKind::Operator(_) | TokenKind::Close | TokenKind::Comma => false,
    };
    one_of(begins).void().parse_next(input)
}

fn one(input: &mut Tokens<'_>) -> Parsed<Node> {
    if opt(keyword("not")).parse_next(input)?.is_some() {
        return Ok(Node::Not(Box::new(deeper(input, one)?)));
    }
    if opt(kind(TokenKind::Open)).parse_next(input)?.is_some() {
        let node = deeper(input, any_of)?;
        close(input)?;
        return Ok(node);
    }
    condition(input)
}

fn deeper<'t>(
    input: &mut Tokens<'t>,
    parser: impl FnOnce(&mut Tokens<'t>) -> Parsed<Node>,
) -> Parsed<Node> {
    input.state.depth += 1;
    if input.state.depth > DEPTH_MAX {
        return Err(wrong(
            input,
            format!("at most {DEPTH_MAX} brackets and `not`s within each other"),
        ));
    }
    let node = parser(input)?;
    input.state.depth -= 1;
    Ok(node)
}

fn condition(input: &mut Tokens<'_>) -> Parsed<Node> {
    input.state.conditions += 1;
    if input.state.conditions > CONDITIONS_MAX {
        return Err(wrong(input, format!("at most {CONDITIONS_MAX} conditions")));
    }
    let (first, second) = (input.input.first(), input.input.get(1));
    let is_called = |name| {
        first.is_some_and(|token| is_keyword(token, name))
            && second.is_some_and(|token| token.kind == TokenKind::Open)
    };
    if is_called("has") {
        return called(input).map(Node::Has);
    }
    if is_called("age") {
        return age(input);
    }
    let is_compared = second.is_some_and(|token| {
        matches!(token.kind, TokenKind::Operator(_))
            || is_keyword(token, "in")
            || is_keyword(token, "contains")
    });
    match first {
        Some(token) if token.kind == TokenKind::Word && is_compared => compared(input),
        Some(token) if ["and", "or"].iter().any(|word| is_keyword(token, word)) => {
            Err(wrong(input, "a condition"))
        }
        Some(_) => {
            let pattern = text(input, "a condition")?;
            Ok(Node::Word(pattern))
        }
        None => Err(wrong(input, "a condition")),
    }
}

/// `has(FIELD)`, `age(FIELD)`: the field.
fn called(input: &mut Tokens<'_>) -> Parsed<Field> {
    input.next_token();
    input.next_token();
    let field = field(input)?;
    close(input)?;
    Ok(field)
}

fn age(input: &mut Tokens<'_>) -> Parsed<Node> {
    let mut at = input.clone();
    let field = called(input)?;
    if field.kind() != Kind::Time && field.path().is_none() {
        at.next_token();
        at.next_token();
        return Err(wrong(&at, "a field that is a time, or a parameter's path"));
    }
    let expected = "one of < <= > >=";
    let operator = match input.input.first().map(|token| &token.kind) {
        Some(TokenKind::Operator(operator)) if operator.is_order() => *operator,
        _ => return Err(wrong(input, expected)),
    };
    input.next_token();
    let token = input.input.first();
    let age = token.filter(|token| token.kind == TokenKind::Word);
    match age.and_then(|token| Age::parse(&token.text)) {
        Some(age) => {
            input.next_token();
            Ok(Node::Age {
                field,
                operator,
                age,
            })
        }
        None => Err(wrong(input, "an age (90s, 30m, 2h, 1d12h, 2w)")),
    }
}

fn compared(input: &mut Tokens<'_>) -> Parsed<Node> {
    let field = field(input)?;
    if opt(keyword("in")).parse_next(input)?.is_some() {
        return in_list(input, field);
    }
    let is_text = field.kind() == Kind::Text;
    let is_ordered = matches!(field.kind(), Kind::Text | Kind::Number | Kind::Time);
    let is_contains = input
        .input
        .first()
        .is_some_and(|token| is_keyword(token, "contains"));
    if is_contains {
        if !is_text {
            return Err(wrong(input, "one of = != < <= > >="));
        }
        input.next_token();
        let pattern = text(input, "a text")?;
        return Ok(Node::Contains { field, pattern });
    }
    let operator = match input.input.first().map(|token| &token.kind) {
        Some(TokenKind::Operator(operator)) if is_ordered || !operator.is_order() => *operator,
        _ => return Err(wrong(input, "= or !=")),
    };
    input.next_token();
    let before = input.clone();
    let value = value(input, &field)?;
    if let Value::Text(pattern) = &value
        && operator.is_order()
        && pattern.as_literal().is_none()
    {
        return Err(wrong(&before, "a text without `*`, which is for = and !="));
    }
    Ok(Node::Is {
        field,
        operator,
        value,
    })
}

fn in_list(input: &mut Tokens<'_>, field: Field) -> Parsed<Node> {
    let open = |input: &mut Tokens<'_>| {
        let open = kind(TokenKind::Open).parse_next(input);
        open.map_err(|_| wrong(input, "( and values, with commas between"))
    };
    let values = separated(
        1..=VALUES_MAX,
        |input: &mut Tokens<'_>| value(input, &field),
        kind(TokenKind::Comma),
    );
    let values: Vec<Value> = delimited(open, values, close).parse_next(input)?;
    Ok(Node::In { field, values })
}

fn field(input: &mut Tokens<'_>) -> Parsed<Field> {
    let vocabulary = input.state.vocabulary;
    let word = input
        .input
        .first()
        .filter(|token| token.kind == TokenKind::Word);
    match word.and_then(|token| vocabulary.field(&token.text)) {
        Some(field) => {
            input.next_token();
            Ok(field)
        }
        None => Err(wrong(input, vocabulary.expected())),
    }
}

fn value(input: &mut Tokens<'_>, field: &Field) -> Parsed<Value> {
    let token = input.input.first();
    let token = token.filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Quoted(_)));
    let literal = token.and_then(|token| match &token.kind {
        TokenKind::Quoted(pattern) => pattern.as_literal(),
        _ => Some(token.text.as_str()),
    });
    let (value, expected) = match field.kind() {
        Kind::Text => {
            let is_number =
                field.path().is_some() && token.is_some_and(|token| token.kind == TokenKind::Word);
            let number = literal.filter(|_| is_number).and_then(Number::parse);
            match number {
                Some(number) => (Some(Value::Number(number)), String::new()),
                None => return text(input, "a value").map(Value::Text),
            }
        }
        Kind::Word(words) => (
            literal
                .filter(|word| words.contains(word))
                .map(|word| Value::Text(Pattern::literal(word))),
            format!("one of {}", words.join(", ")),
        ),
        Kind::Number => (
            literal.and_then(Number::parse).map(Value::Number),
            "a number".into(),
        ),
        Kind::Time => (
            literal.and_then(time).map(Value::Time),
            "a time (2026-01-31T12:00:00Z) or a day (2026-01-31)".into(),
        ),
        Kind::Flag => (
            literal.and_then(|word| word.parse().ok()).map(Value::Flag),
            "true or false".into(),
        ),
    };
    match value {
        Some(value) => {
            input.next_token();
            Ok(value)
        }
        None => Err(wrong(input, expected)),
    }
}

/// A time, or the beginning of a day (UTC).
fn time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let start = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(start.timestamp().as_second())
}

/// A text with or without quotes.
fn text(input: &mut Tokens<'_>, expected: &str) -> Parsed<Pattern> {
    let pattern = match input.input.first() {
        Some(Token {
            kind: TokenKind::Quoted(pattern),
            ..
        }) => Some(pattern.clone()),
        Some(Token {
            kind: TokenKind::Word,
            text,
            ..
        }) => Some(Pattern::of(text.split('*').map(str::to_owned).collect())),
        _ => None,
    };
    match pattern {
        Some(pattern) => {
            input.next_token();
            Ok(pattern)
        }
        None => Err(wrong(input, expected)),
    }
}

fn close(input: &mut Tokens<'_>) -> Parsed<()> {
    let closed = kind(TokenKind::Close).parse_next(input);
    closed.map_err(|_| wrong(input, ")"))
}

fn kind<'t>(wanted: TokenKind) -> impl Parser<Tokens<'t>, (), ErrMode<QueryError>> {
    one_of(move |token: &Token| token.kind == wanted).void()
}

fn keyword<'t>(word: &'static str) -> impl Parser<Tokens<'t>, (), ErrMode<QueryError>> {
    one_of(move |token: &Token| is_keyword(token, word)).void()
}

fn is_keyword(token: &Token, word: &str) -> bool {
    token.kind == TokenKind::Word && token.text.eq_ignore_ascii_case(word)
}

fn wrong(input: &Tokens<'_>, expected: impl Into<String>) -> ErrMode<QueryError> {
    ErrMode::Cut(error(input, expected))
}

fn error(input: &Tokens<'_>, expected: impl Into<String>) -> QueryError {
    match input.input.first() {
        Some(token) => {
            let mut got: String = token.text.chars().take(GOT_CHARS_MAX).collect();
            if got.len() < token.text.len() {
                got.push('…');
            }
            QueryError::new(token.at, expected, format!("`{got}`"))
        }
        None => QueryError::new(input.state.end, expected, "the end"),
    }
}
