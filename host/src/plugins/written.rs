//! `NAME.profile.toml`: a profile that is written down. The host checks it, so that errors name
//! the line; the shipped component `profile` acts on it.

use profile_format::{Problem, ProfileFile};
use toml::de::{DeTable, DeValue};

use super::operator::{json, line_of};
use super::overrides::Override;

/// The component that acts on such files is called this, and its file `profile.wasm`.
pub(super) const COMPONENT: &str = "profile";
/// `NAME` and this is the name of the file.
pub(super) const ENDING: &str = ".profile.toml";

/// Why a profile cannot run without the component.
pub(super) fn no_component() -> String {
    format!(
        "expected {COMPONENT}.wasm in the same directory: it is shipped with Patchbay, and profiles \
         that are written down run in it"
    )
}

/// A file's text → the settings of the component, as JSON. An error is one line that names the
/// line in the file and what was expected.
pub(super) fn settings(text: &str) -> Result<String, String> {
    let file: ProfileFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let message = error.message().replace('\n', " ");
        line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
    })?;
    checked(&file).map_err(|problem| match line(text, &problem.place) {
        Some(line) => format!("line {line}: {}", problem.what),
        None => problem.what,
    })?;
    let table: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    Ok(json(toml::Value::Table(table)).to_string())
}

fn checked(file: &ProfileFile) -> Result<(), Problem> {
    file.check()?;
    for (name, value) in &file.overrides {
        Override::parse(name, &value.to_string()).map_err(|what| Problem {
            place: vec!["overrides".to_owned(), name.clone()],
            what,
        })?;
    }
    Ok(())
}

/// In which line of the file something stands; `None` for the file as a whole.
pub(super) fn line(text: &str, place: &[String]) -> Option<usize> {
    let (first, rest) = place.split_first()?;
    let root = DeTable::parse(text).ok()?;
    let mut found = root.get_ref().get(first.as_str())?;
    for key in rest {
        found = match found.get_ref() {
            DeValue::Table(table) => table.get(key.as_str())?,
            DeValue::Array(values) => values.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(line_of(text, found.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_overrides_alone() {
        let text = "[[matches]]\nmanufacturer = 'ZTE*'\n[overrides]\nmax-names-per-get = 32\nno-stun = true\n";
        let settings: serde_json::Value = serde_json::from_str(&settings(text).unwrap()).unwrap();
        assert_eq!(settings["overrides"]["max-names-per-get"], 32);
        assert_eq!(settings["matches"][0]["manufacturer"], "ZTE*");
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        let matches = "[[matches]]\noui = '00005E'\n";
        for (text, expected) in [
            (
                "[overrides]\nno-stun = true\n".to_owned(),
                "expected [[matches]]",
            ),
            (
                format!("{matches}[overrides]\nno-stun = true\nmax-names-per-get = 0\n"),
                "line 5: override max-names-per-get is \"0\"; expected a number from 1 on",
            ),
            (
                format!("{matches}[overrides]\nmax-names = 1\n"),
                "line 4: override \"max-names\" is not known; expected one of max-names-per-get",
            ),
            (
                format!("{matches}[overrides]\nno-stun = [1]\n"),
                "line 4: expected a text, a whole number, true or false",
            ),
            (
                format!("{matches}\n[[faults]]\nthen = 'ignore'\n"),
                "line 5: unknown variant `ignore`, expected one of `give-up`, `skip`, `halve`",
            ),
            (
                format!("{matches}[[values]]\nis = 'x'\n[[values]]\nis = 'y'\nbecomes = ''\n"),
                "line 3: expected something to do",
            ),
            (
                format!("{matches}[paths]\n'WiFi.SSID.*' = 'X'\n'WiFi.Radio.1' = 'X.*'\n"),
                "line 5: X.* has more `*`",
            ),
            (
                format!("{matches}[value]\nis = 'x'\n"),
                "line 3: unknown field `value`, expected one of `version`",
            ),
            (format!("{matches}a = \n"), "line 3"),
        ] {
            let error = settings(&text).expect_err(&text);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
