//! Which devices a plugin is for.

use crate::device::Summary;

/// All given patterns must fit. `*` stands for any text, `?` for one character, and upper
/// and lower case are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DeviceMatch {
    pub(super) manufacturer: Option<String>,
    pub(super) oui: Option<String>,
    pub(super) product_class: Option<String>,
    pub(super) software_version: Option<String>,
    pub(super) hardware_version: Option<String>,
}

/// How much must be known of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// An empty field fits only patterns that fit the empty text.
    Strict,
    /// A field that is empty is not known and fits any pattern.
    Loose,
}

impl DeviceMatch {
    pub(super) fn fits(&self, device: &Summary, strictness: Strictness) -> bool {
        self.fields(device).into_iter().all(|(_, pattern, value)| {
            pattern.is_none_or(|pattern| {
                (strictness == Strictness::Loose && value.is_empty()) || glob(pattern, value)
            })
        })
    }

    fn fields<'a>(&'a self, device: &'a Summary) -> [(&'static str, Option<&'a str>, &'a str); 5] {
        [
            (
                "manufacturer",
                self.manufacturer.as_deref(),
                &device.manufacturer,
            ),
            ("oui", self.oui.as_deref(), &device.oui),
            (
                "product class",
                self.product_class.as_deref(),
                &device.product_class,
            ),
            (
                "software",
                self.software_version.as_deref(),
                &device.software_version,
            ),
            (
                "hardware",
                self.hardware_version.as_deref(),
                &device.hardware_version,
            ),
        ]
    }
}

/// For people: `manufacturer ZTE*, product class F6*`.
impl std::fmt::Display for DeviceMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nothing = Summary::default();
        let mut separator = "";
        for (name, pattern, _) in self.fields(&nothing) {
            if let Some(pattern) = pattern {
                write!(f, "{separator}{name} {pattern}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("any device")
        } else {
            Ok(())
        }
    }
}

/// Whether one of the matches fits; no matches fit any device.
pub(super) fn any_fits(matches: &[DeviceMatch], device: &Summary, strictness: Strictness) -> bool {
    matches.is_empty() || matches.iter().any(|one| one.fits(device, strictness))
}

/// Whether a pattern of `*` (any text) and `?` (one character) fits a text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when a guess about the last `*` was wrong.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (pattern.next(), text.clone().next()) {
            (Some('*'), _) => retry = Some((pattern.clone(), text.clone())),
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted.eq_ignore_ascii_case(&found) => {
                text.next();
            }
            _ => {
                let Some((after, mut from)) = retry.take() else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                text = from.clone();
                retry = Some((after, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("ZTE*", "zte corporation", true),
            ("ZTE", "ZTE ", false),
            ("F6?0", "F680", true),
            ("F6?0", "F60", false),
            ("*.1.*", "a.1.b", true),
            ("*.1.*", "a.2.1", false),
            ("a*b*c", "aXXbYYbZc", true),
            ("a*b*c", "aXXbYYbZ", false),
            ("?", "é", true),
            ("*é", "café", true),
            ("x", "", false),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn an_unknown_field_fits_only_loosely() {
        let zte = DeviceMatch {
            manufacturer: Some("ZTE*".into()),
            ..DeviceMatch::default()
        };
        let unknown = Summary::default();
        assert!(!zte.fits(&unknown, Strictness::Strict));
        assert!(zte.fits(&unknown, Strictness::Loose));
        let other = Summary {
            manufacturer: "Huawei".into(),
            ..Summary::default()
        };
        assert!(!zte.fits(&other, Strictness::Loose));
        assert_eq!(zte.to_string(), "manufacturer ZTE*");
    }
}
