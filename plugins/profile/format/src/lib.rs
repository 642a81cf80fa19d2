//! `NAME.profile.toml`: a device profile that is written down rather than programmed.
//!
//! The host reads the file, so that its errors have lines, and checks it; the plugin `profile` gets it as JSON, as
//! its settings, and acts on it. Patterns hold `*` for any text and `?` for one character; upper and lower case
//! (ASCII) are the same.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole file. Every table may be missing, but the matches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileFile {
    /// Of the file; what sessions' traces show. `1` if not given.
    pub version: Option<String>,
    /// For people: what it is for, and who says so.
    pub about: String,
    /// Higher goes later and so has the last word: family 0, vendor 100 (if not given), model 200, firmware 300.
    pub priority: Option<i32>,
    /// The devices it is for; one of these is enough.
    pub matches: Vec<DeviceMatch>,
    /// Differences that the host takes care of, by name.
    pub overrides: BTreeMap<String, Scalar>,
    /// Who the device is.
    pub identity: Identity,
    /// Events of Informs.
    pub events: Vec<EventRule>,
    /// Values that the device reports, in Informs and in answers to GetParameterValues.
    pub values: Vec<ValueRule>,
    /// Standard names → the device's own. `*` stands for one segment and is carried over.
    pub paths: BTreeMap<String, String>,
    /// How parameters are set.
    pub sets: Sets,
    /// How files are downloaded.
    pub downloads: Downloads,
    /// Faults that do not mean what they say.
    pub faults: Vec<FaultRule>,
    /// Messages that cannot be read.
    pub repair: Repair,
}

/// All given patterns must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceMatch {
    /// The Inform's Manufacturer.
    pub manufacturer: Option<String>,
    /// The Inform's OUI, six hexadecimal digits.
    pub oui: Option<String>,
    /// The Inform's ProductClass.
    pub product_class: Option<String>,
    /// `DeviceInfo.SoftwareVersion`.
    pub software_version: Option<String>,
    /// `DeviceInfo.HardwareVersion`.
    pub hardware_version: Option<String>,
}

/// The value of an override.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a text, a whole number, true or false")]
pub enum Scalar {
    /// `true`, `false`.
    Boolean(bool),
    /// Whole.
    Number(i64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(yes) => yes.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The fields of the DeviceId that are taken from somewhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The Manufacturer.
    pub manufacturer: Option<Source>,
    /// The OUI.
    pub oui: Option<Source>,
    /// The ProductClass.
    pub product_class: Option<Source>,
    /// The SerialNumber.
    pub serial_number: Option<Source>,
}

/// Where a field of the identity comes from: one of `from` and `text`. A parameter must be one that the device puts
/// into every Inform, else the device would be another one from time to time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// Only where the device's own word fits this; `""` = where there is none.
    pub when: Option<String>,
    /// A pattern for the name of a parameter in the Inform; the first that is not empty counts.
    pub from: Option<String>,
    /// This text.
    pub text: Option<String>,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// A pattern for the event code: `X CT-COM *`; `""` = an event without a code.
    pub is: String,
    /// The code it becomes; without it the event is left out.
    pub becomes: Option<String>,
}

/// What becomes of a value. The conditions that are given must all hold; what is given of the rest is done, in the
/// order it stands here. The first rule that fits a value is the one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValueRule {
    /// A pattern for the parameter's name.
    pub path: Option<String>,
    /// The type that the device gives it, without prefix: `string`, `unsignedInt`, ….
    pub r#type: Option<String>,
    /// A pattern for the value.
    pub is: Option<String>,
    /// The value is this text.
    pub becomes: Option<String>,
    /// Only what stands before this text stays.
    pub before: Option<String>,
    /// A unit behind the number is left out: `dBm`.
    pub unit: Option<String>,
    /// A number is multiplied by this; what is no number stays.
    pub multiply: Option<f64>,
    /// `yes`, `TRUE`, `enabled`, … become `1`; their opposites and the empty text `0`; the type becomes `boolean`.
    pub boolean: bool,
    /// A time is written as ISO 8601 wants it: `T` between date and time, no `::`, a `Z` where no zone is named.
    pub date_time: bool,
    /// The type is this.
    pub r#as: Option<String>,
}

/// How parameters are set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sets {
    /// Patterns of names that are written before the others, in this order.
    pub first: Vec<String>,
    /// Patterns of names that are written after the others, in this order.
    pub last: Vec<String>,
    /// One SetParameterValues for each object.
    pub one_object_each: bool,
}

/// How files are downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Downloads {
    /// The standard's FileType → the vendor's.
    pub file_types: BTreeMap<String, String>,
    /// TargetFileName is never empty: the last part of the URL's path, if there is no other.
    pub target_file_name: bool,
    /// DelaySeconds is at least this.
    pub delay_seconds_min: u32,
    /// User name and password stand in the URL.
    pub credentials_in_url: bool,
}

/// A fault that does not mean what it says. All that is given must fit; the first rule that fits is the one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The method that was asked: `GetParameterValues`.
    pub rpc: Option<String>,
    /// Fault codes; empty = any.
    #[serde(default)]
    pub codes: Vec<u32>,
    /// A pattern for the fault's text.
    pub text: Option<String>,
    /// A pattern that every name in the request fits.
    pub path: Option<String>,
    /// What to do.
    pub then: Then,
}

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It stands, whatever profiles of lower priority would do about it.
    GiveUp,
    /// As if there had been an answer without content.
    Skip,
    /// The same in two halves: names or values that were too many at once.
    Halve,
}

/// Messages that the host cannot read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repair {
    /// A `<` that begins no tag is text.
    pub angle_brackets: bool,
    /// Texts that are replaced, as they stand in the message.
    pub replace: BTreeMap<String, String>,
}

/// What is wrong, and where in the file: `["values", "2", "multiply"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Keys, and numbers in lists from 0 on.
    pub place: Vec<String>,
    /// What was expected, and what is there.
    pub what: String,
}

fn problem(place: &[&str], what: impl Into<String>) -> Problem {
    Problem {
        place: place.iter().map(|&key| key.to_owned()).collect(),
        what: what.into(),
    }
}

impl ProfileFile {
    /// What a type cannot say.
    pub fn check(&self) -> Result<(), Problem> {
        if self.matches.is_empty() {
            return Err(problem(
                &[],
                "expected [[matches]] that say which devices it is for (manufacturer = \"*\" fits all)",
            ));
        }
        for (number, one) in self.matches.iter().enumerate() {
            if *one == DeviceMatch::default() {
                return Err(problem(
                    &["matches", &number.to_string()],
                    "expected manufacturer, oui, product_class, software_version or hardware_version",
                ));
            }
        }
        self.identity.check()?;
        for (number, rule) in self.values.iter().enumerate() {
            rule.check()
                .map_err(|what| problem(&["values", &number.to_string()], what))?;
        }
        for (standard, own) in &self.paths {
            check_path(standard, own).map_err(|what| problem(&["paths", standard], what))?;
        }
        Ok(())
    }

    /// The version, or what stands for one.
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or("1")
    }
}

impl Identity {
    fn check(&self) -> Result<(), Problem> {
        for (name, source) in self.sources() {
            if let Some(source) = source
                && source.from.is_some() == source.text.is_some()
            {
                return Err(problem(
                    &["identity", name],
                    "expected either from = \"…\", a parameter of the Inform, or text = \"…\"",
                ));
            }
        }
        Ok(())
    }

    /// Each field and where it comes from.
    pub fn sources(&self) -> [(&'static str, Option<&Source>); 4] {
        [
            ("manufacturer", self.manufacturer.as_ref()),
            ("oui", self.oui.as_ref()),
            ("product_class", self.product_class.as_ref()),
            ("serial_number", self.serial_number.as_ref()),
        ]
    }
}

impl ValueRule {
    fn check(&self) -> Result<(), String> {
        let acts = self.becomes.is_some()
            || self.before.is_some()
            || self.unit.is_some()
            || self.multiply.is_some()
            || self.boolean
            || self.date_time
            || self.r#as.is_some();
        if !acts {
            return Err(
                "expected something to do: becomes, before, unit, multiply, boolean, date_time or as"
                    .into(),
            );
        }
        if self.path.is_none() && self.is.is_none() {
            return Err("expected path or is: the rule would change every value".into());
        }
        if let Some(factor) = self.multiply.filter(|factor| !factor.is_normal()) {
            return Err(format!(
                "multiply is {factor}; expected a number other than 0"
            ));
        }
        Ok(())
    }
}

fn check_path(standard: &str, own: &str) -> Result<(), String> {
    if standard.starts_with("Device.") || standard.starts_with("InternetGatewayDevice.") {
        return Err("expected a standard name without its root: WiFi.SSID.*.SSID".into());
    }
    let stars = |path: &str| path.split('.').filter(|segment| *segment == "*").count();
    if stars(own) > stars(standard) {
        return Err(format!(
            "{own} has more `*` than {standard}: there is nothing to put there"
        ));
    }
    if own.is_empty() || own.ends_with('.') != standard.ends_with('.') {
        return Err(format!(
            "{own:?} is no name of the same kind as {standard:?}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &ProfileFile) -> String {
        let problem = file.check().unwrap_err();
        format!("{}: {}", problem.place.join("."), problem.what)
    }

    fn file() -> ProfileFile {
        ProfileFile {
            matches: vec![DeviceMatch {
                manufacturer: Some("Acme".into()),
                ..DeviceMatch::default()
            }],
            ..ProfileFile::default()
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(file().check(), Ok(()));
        assert!(refused(&ProfileFile::default()).contains("[[matches]]"));
        let mut all = file();
        all.matches.push(DeviceMatch::default());
        assert!(refused(&all).starts_with("matches.1: expected manufacturer"));
        let mut identity = file();
        identity.identity.oui = Some(Source::default());
        assert!(refused(&identity).starts_with("identity.oui: expected either from"));
        let mut values = file();
        values.values = vec![ValueRule::default()];
        assert!(refused(&values).starts_with("values.0: expected something to do"));
        values.values[0].boolean = true;
        assert!(refused(&values).contains("every value"));
        values.values[0].path = Some("*".into());
        values.values[0].multiply = Some(0.0);
        assert!(refused(&values).contains("other than 0"));
        for (standard, own, what) in [
            ("Device.WiFi.SSID.*.SSID", "X", "without its root"),
            ("WiFi.SSID.1.SSID", "X.*.SSID", "nothing to put there"),
            ("WiFi.SSID.", "X.SSID", "of the same kind"),
        ] {
            let mut paths = file();
            paths.paths.insert(standard.into(), own.into());
            assert!(refused(&paths).contains(what), "{standard}");
        }
    }
}
