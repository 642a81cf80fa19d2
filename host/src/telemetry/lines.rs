//! Lines of the log: for people `TIME LEVEL message field=value …`, for machines one flat JSON object. The fields of
//! the spans around come after the line's own, and none twice. To standard error, a line at once.

use std::fmt::{Debug, Write as _};
use std::io::{IsTerminal, Write as _};

use serde_json::{Map, Number, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Writes lines.
pub(super) struct Lines {
    format: LogFormat,
    colours: bool,
}

impl Lines {
    pub(super) fn new(format: LogFormat) -> Lines {
        Lines {
            format,
            colours: std::io::stderr().is_terminal(),
        }
    }
}

/// The fields of a line or of a span, in their order.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, Shown)>,
}

/// A value as it is shown.
#[derive(Debug, Clone)]
enum Shown {
    /// In quotes.
    Text(String),
    /// As it shows itself.
    Word(String),
    Number(Number),
    Flag(bool),
}

impl Fields {
    fn put(&mut self, field: &Field, value: Shown) {
        let name = field.name();
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
    }

    /// Those of a span around, unless the line has said it.
    fn inherit(&mut self, span: &Fields) {
        for (name, value) in &span.values {
            if !self.values.iter().any(|(known, _)| known == name) {
                self.values.push((name, value.clone()));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            // Of lines that came by way of the crate `log`: where in the source they stand.
            name if name.starts_with("log.") => {}
            _ => self.put(field, Shown::Word(text)),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name if name.starts_with("log.") => {}
            _ => self.put(field, Shown::Text(value.to_owned())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            self.put(field, Shown::Number(value.into()));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Shown::Number(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let shown = match Number::from_f64(value) {
            Some(number) => Shown::Number(number),
            None => Shown::Word(value.to_string()),
        };
        self.put(field, shown);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Shown::Flag(value));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let line = self.line(jiff::Timestamp::now(), event, &context);
        // There is nowhere to say that it cannot be written.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

impl Lines {
    fn line<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        at: jiff::Timestamp,
        event: &Event<'_>,
        context: &Context<'_, S>,
    ) -> String {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                fields.inherit(known);
            }
        }
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        match self.format {
            LogFormat::Text => text(at, level, fields, self.colours),
            LogFormat::Json => json(at, level, target, fields),
        }
    }
}

fn text(at: jiff::Timestamp, level: Level, fields: Fields, colours: bool) -> String {
    let mut line = format!("{at:.3} ");
    let _ = match colours {
        true => write!(line, "\x1b[{}m{level:>5}\x1b[0m ", colour(level)),
        false => write!(line, "{level:>5} "),
    };
    one_line(&mut line, &fields.message);
    for (name, value) in fields.values {
        let _ = write!(line, " {name}=");
        match value {
            Shown::Text(text) => {
                let _ = write!(line, "{text:?}");
            }
            Shown::Word(word) => one_line(&mut line, &word),
            Shown::Number(number) => {
                let _ = write!(line, "{number}");
            }
            Shown::Flag(flag) => {
                let _ = write!(line, "{flag}");
            }
        }
    }
    line.push('\n');
    line
}

fn json(at: jiff::Timestamp, level: Level, target: &str, fields: Fields) -> String {
    let mut object = Map::new();
    object.insert("time".into(), format!("{at:.6}").into());
    object.insert("level".into(), level.as_str().into());
    object.insert("message".into(), fields.message.into());
    object.insert("target".into(), target.into());
    for (name, value) in fields.values {
        let value = match value {
            Shown::Text(text) | Shown::Word(text) => Value::String(text),
            Shown::Number(number) => Value::Number(number),
            Shown::Flag(flag) => Value::Bool(flag),
        };
        object.insert(name.to_owned(), value);
    }
    format!("{}\n", Value::Object(object))
}

/// What a device has said must not make a line of its own, nor colour the terminal.
fn one_line(line: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;
    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// As [`Lines`], into memory.
    struct Kept(Lines, Arc<Mutex<String>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
            self.0.on_new_span(attributes, id, context);
        }

        fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
            self.0.on_record(id, values, context);
        }

        fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
            let line = self.0.line(jiff::Timestamp::UNIX_EPOCH, event, &context);
            self.1.lock().push_str(&line);
        }
    }

    fn lines(format: LogFormat) -> String {
        let kept = Arc::new(Mutex::new(String::new()));
        let colours = false;
        let layer = Kept(Lines { format, colours }, Arc::clone(&kept));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let none = tracing::field::Empty;
            let span = tracing::error_span!("session", session = "s-1", device = none);
            let _entered = span.enter();
            tracing::info!("before");
            span.record("device", tracing::field::display("default/a"));
            tracing::warn!(device = "b", rpcs = 3, share = 0.5, done = true, "its\nown");
            tracing::error!(text = %"two\nlines\x1b[31m", quoted = "a \"b\"", "said");
        });
        kept.lock().clone()
    }

    #[test]
    fn for_people() {
        expect![[r#"
            1970-01-01T00:00:00.000Z  INFO before session="s-1"
            1970-01-01T00:00:00.000Z  WARN its\nown device="b" rpcs=3 share=0.5 done=true session="s-1"
            1970-01-01T00:00:00.000Z ERROR said text=two\nlines\u{1b}[31m quoted="a \"b\"" session="s-1" device=default/a
        "#]]
        .assert_eq(&lines(LogFormat::Text));
    }

    #[test]
    fn for_machines() {
        let lines = lines(LogFormat::Json);
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["session"], "s-1");
        assert_eq!(lines[1]["device"], "b");
        assert_eq!(
            (&lines[1]["rpcs"], &lines[1]["done"]),
            (&3.into(), &true.into())
        );
        assert_eq!(lines[2]["device"], "default/a");
        assert_eq!(lines[2]["text"], "two\nlines\x1b[31m");
        assert_eq!(lines[2]["level"], "ERROR");
    }
}
