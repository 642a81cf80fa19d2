//! Values as the device reports them → as they should be.

use patchbay_plugin::Parameter;
use patchbay_plugin::device::wildcard;
use profile_format::ValueRule;

/// Digits behind the point after a multiplication.
const DECIMALS: usize = 6;

/// The first rule that fits a value is the one.
pub(crate) fn correct(rules: &[ValueRule], parameters: &mut [Parameter]) {
    for parameter in parameters {
        if let Some(rule) = rules.iter().find(|rule| fits(rule, parameter)) {
            apply(rule, parameter);
        }
    }
}

fn fits(rule: &ValueRule, parameter: &Parameter) -> bool {
    let pattern = |pattern: &Option<String>, text: &str| {
        pattern
            .as_deref()
            .is_none_or(|pattern| wildcard(pattern, text))
    };
    pattern(&rule.path, &parameter.path)
        && rule
            .r#type
            .as_ref()
            .is_none_or(|name| *name == parameter.xsd_type)
        && pattern(&rule.is, &parameter.value)
}

fn apply(rule: &ValueRule, parameter: &mut Parameter) {
    let value = &mut parameter.value;
    if let Some(text) = &rule.becomes {
        value.clone_from(text);
    }
    if let Some(end) = &rule.before
        && let Some((before, _)) = value.split_once(end.as_str())
    {
        *value = before.to_owned();
    }
    if let Some(unit) = &rule.unit
        && let Some(number) = value.trim_end().strip_suffix(unit.as_str())
    {
        *value = number.trim_end().to_owned();
    }
    if let Some(factor) = rule.multiply
        && let Ok(number) = value.trim().parse::<f64>()
    {
        *value = decimal(number * factor);
    }
    if rule.boolean
        && let Some(yes) = boolean(value)
    {
        *value = (if yes { "1" } else { "0" }).to_owned();
        parameter.xsd_type = "boolean".to_owned();
    }
    if rule.date_time {
        *value = date_time(value);
    }
    if let Some(name) = &rule.r#as {
        parameter.xsd_type.clone_from(name);
    }
}

/// Without an exponent and without zeros at its end.
fn decimal(number: f64) -> String {
    let text = format!("{number:.DECIMALS$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| text.trim().eq_ignore_ascii_case(word))
    };
    if is(&["1", "true", "yes", "on", "enable", "enabled", "up"]) {
        Some(true)
    } else if is(&["0", "false", "no", "off", "disable", "disabled", "down", ""]) {
        Some(false)
    } else {
        None
    }
}

/// What is no time stays as it is.
fn date_time(text: &str) -> String {
    let trimmed = text.trim();
    let Some((date, time)) = trimmed.split_once(['T', ' ']) else {
        return text.to_owned();
    };
    let mut time = time.trim().to_owned();
    while time.contains("::") {
        time = time.replace("::", ":");
    }
    let is_date =
        date.len() == "2000-01-01".len() && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let clock = time.get(..8).unwrap_or_default();
    let is_clock =
        clock.split(':').count() == 3 && clock.bytes().all(|b| b.is_ascii_digit() || b == b':');
    if !is_date || !is_clock {
        return text.to_owned();
    }
    let zone = time.get(8..).unwrap_or_default();
    let has_zone = zone.contains(['Z', 'z', '+', '-']);
    format!("{date}T{time}{}", if has_zone { "" } else { "Z" })
}

#[cfg(test)]
mod tests {
    use patchbay_plugin::value::{string, typed};

    use super::*;
    use crate::tests::written;

    fn check(rules: &str, before: Parameter, value: &str, xsd_type: &str) {
        let mut parameters = [before];
        correct(&written(rules).values, &mut parameters);
        assert_eq!(parameters[0].value, value, "{rules}");
        assert_eq!(parameters[0].xsd_type, xsd_type, "{rules}");
    }

    #[test]
    fn null_in_brackets_is_nothing() {
        let rules = "[[values]]\ntype = 'string'\nis = '(null)'\nbecomes = ''";
        check(rules, string("A", "(null)"), "", "string");
        check(rules, string("A", "(null) x"), "(null) x", "string");
        check(rules, typed("A", "(null)", "int"), "(null)", "int");
    }

    #[test]
    fn the_beginning_of_a_value() {
        let rules = "[[values]]\npath = '*.HardwareVersion'\nbefore = ' ('";
        check(
            rules,
            string("X.HardwareVersion", "Box 7170 ( ) 29.05"),
            "Box 7170",
            "string",
        );
        check(rules, string("X.HardwareVersion", "Box"), "Box", "string");
    }

    #[test]
    fn units() {
        let rules = "[[values]]\npath = '*.RXPower'\nunit = 'dBm'\nmultiply = 0.001\nas = 'string'";
        check(
            rules,
            typed("X.RXPower", "-21300", "int"),
            "-21.3",
            "string",
        );
        check(rules, string("X.RXPower", "-19500 dBm"), "-19.5", "string");
        check(rules, string("X.RXPower", "N/A"), "N/A", "string");
        check(rules, string("X.RXPower", "0.0000001"), "0", "string");
        check(rules, string("X.TXPower", "-21300"), "-21300", "string");
    }

    #[test]
    fn booleans() {
        let rules = "[[values]]\npath = '*.Enable'\nboolean = true";
        check(rules, string("X.Enable", "TRUE"), "1", "boolean");
        check(rules, string("X.Enable", ""), "0", "boolean");
        check(rules, string("X.Enable", "maybe"), "maybe", "string");
    }

    #[test]
    fn times() {
        let rules = "[[values]]\npath = '*Time'\ndate_time = true\nas = 'dateTime'";
        for (before, after) in [
            ("2019-03-05T11:54::14", "2019-03-05T11:54:14Z"),
            ("2019-03-05 11:54:14", "2019-03-05T11:54:14Z"),
            ("2019-03-05T11:54:14.120", "2019-03-05T11:54:14.120Z"),
            ("2019-03-05T11:54:14+02:00", "2019-03-05T11:54:14+02:00"),
            ("never", "never"),
            ("", ""),
        ] {
            check(rules, string("LastTime", before), after, "dateTime");
        }
    }

    #[test]
    fn the_first_rule_that_fits_is_the_one() {
        let rules = "[[values]]\npath = 'A'\nbecomes = '1'\n[[values]]\npath = '*'\nbecomes = '2'";
        check(rules, string("A", "x"), "1", "string");
        check(rules, string("B", "x"), "2", "string");
    }
}
