//! The text of OpenMetrics 1.0, as Prometheus reads it.

use std::fmt::{Display, Write};

use super::{Histogram, Labelled};

/// What the answer says that it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A text in the making: one family of metrics after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Labels and their values.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// A number that only grows. `name` is without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.counters(name, help).sample(&[], value);
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauges(name, help).sample(&[], value);
    }

    /// Numbers that only grow, told apart by labels. `name` is without `_total`.
    pub fn counters<'e>(&'e mut self, name: &'e str, help: &str) -> Family<'e> {
        self.family(name, help, "counter", "_total")
    }

    /// Numbers that go up and down, told apart by labels.
    pub fn gauges<'e>(&'e mut self, name: &'e str, help: &str) -> Family<'e> {
        self.family(name, help, "gauge", "")
    }

    /// What does not change while the host runs. `name` is without `_info`.
    pub fn info(&mut self, name: &str, help: &str, labels: Labels<'_>) {
        self.family(name, help, "info", "_info").sample(labels, 1);
    }

    /// Durations in seconds; `name` ends with `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.histograms(name, help).histogram(&[], histogram);
    }

    /// Durations in seconds, told apart by labels; `name` ends with `_seconds`.
    pub fn histograms<'e>(&'e mut self, name: &'e str, help: &str) -> Family<'e> {
        self.family(name, help, "histogram", "")
    }

    /// Durations in seconds by one label, those that there were.
    pub fn labelled_histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        labelled: &Labelled<Histogram>,
    ) {
        let mut family = self.histograms(name, help);
        for (value, histogram) in labelled.iter() {
            family.histogram(&[(label, value)], histogram);
        }
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }

    fn family<'e>(
        &'e mut self,
        name: &'e str,
        help: &str,
        kind: &str,
        suffix: &'static str,
    ) -> Family<'e> {
        let text = &mut self.text;
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if name.ends_with("_seconds") || name.ends_with("_bytes") {
            let (_, unit) = name.rsplit_once('_').unwrap_or_default();
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {}", escaped(help));
        Family { text, name, suffix }
    }
}

/// The samples of one family.
#[derive(Debug)]
pub struct Family<'e> {
    text: &'e mut String,
    name: &'e str,
    suffix: &'static str,
}

impl Family<'_> {
    /// One number.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let suffix = self.suffix;
        self.line(suffix, labels, None, value);
    }

    /// One histogram; of one without an observation nothing is told.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let (buckets, sum) = histogram.read();
        let count = buckets.last().map_or(0, |(_, count)| *count);
        if count == 0 && !labels.is_empty() {
            return;
        }
        for (bound, count) in buckets {
            let bound = match bound.is_finite() {
                true => format!("{bound:?}"),
                false => "+Inf".to_owned(),
            };
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_count", labels, None, count);
        self.line("_sum", labels, None, sum);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, le: Option<&str>, value: impl Display) {
        let text = &mut *self.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let bound = le.map(|le| ("le", le));
        let mut labels = labels.iter().copied().chain(bound).peekable();
        if labels.peek().is_some() {
            let mut before = '{';
            for (name, value) in labels {
                let _ = write!(text, "{before}{name}=\"{}\"", escaped(value));
                before = ',';
            }
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Backslashes, quotes and line ends as the format wants them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;

    use super::*;

    #[test]
    fn a_text_of_each_kind() {
        let mut out = Exposition::default();
        out.counter("a", "Counts a.", 3);
        let mut gauges = out.gauges("b_bytes", "Bytes \"b\".");
        gauges.sample(&[("of", "x\\y")], 1.5);
        gauges.sample(&[("of", "z\n\"")], 0);
        out.info("build", "Which.", &[("version", "1")]);
        let histogram = Histogram::new(&[1_000, 2_500_000]);
        histogram.observe(Duration::from_millis(1_500));
        out.histogram("c_seconds", "Took.", &histogram);
        let mut none = out.histograms("d_seconds", "Never.");
        none.histogram(&[("of", "x")], &Histogram::new(&[1]));
        expect![[r##"
            # TYPE a counter
            # HELP a Counts a.
            a_total 3
            # TYPE b_bytes gauge
            # UNIT b_bytes bytes
            # HELP b_bytes Bytes \"b\".
            b_bytes{of="x\\y"} 1.5
            b_bytes{of="z\n\""} 0
            # TYPE build info
            # HELP build Which.
            build_info{version="1"} 1
            # TYPE c_seconds histogram
            # UNIT c_seconds seconds
            # HELP c_seconds Took.
            c_seconds_bucket{le="0.001"} 0
            c_seconds_bucket{le="2.5"} 1
            c_seconds_bucket{le="+Inf"} 1
            c_seconds_count 1
            c_seconds_sum 1.5
            # TYPE d_seconds histogram
            # UNIT d_seconds seconds
            # HELP d_seconds Never.
            # EOF
        "##]]
        .assert_eq(&out.finish());
    }
}
