//! Values as the device takes them.

use cwmp::ParameterValue;

use crate::plugins::{BooleanWords, Overrides};

/// Writes a value the way most devices, or this one, take it.
pub(super) fn literal(parameter: &mut ParameterValue, overrides: &Overrides) {
    match parameter.xsd_type.as_str() {
        "boolean" => {
            if let Some(value) = cwmp::value::boolean(&parameter.value) {
                parameter.value = match (overrides.boolean_words, value) {
                    (BooleanWords::Digits, true) => "1",
                    (BooleanWords::Digits, false) => "0",
                    (BooleanWords::Words, true) => "true",
                    (BooleanWords::Words, false) => "false",
                }
                .to_owned();
            }
        }
        "dateTime" => date_time(&mut parameter.value, overrides.date_time_milliseconds),
        _ => {}
    }
}

/// With or without the fraction of a second.
fn date_time(value: &mut String, milliseconds: bool) {
    let Some(seconds_end) = value.find('T').map(|t| t + "T00:00:00".len()) else {
        return;
    };
    let Some(rest) = value.get(seconds_end..) else {
        return;
    };
    let zone = rest
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())
        .to_owned();
    let has_fraction = zone.len() < rest.len();
    if has_fraction == milliseconds {
        return;
    }
    value.truncate(seconds_end);
    if milliseconds {
        value.push_str(".000");
    }
    value.push_str(&zone);
}
