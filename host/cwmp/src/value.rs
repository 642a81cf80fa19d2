//! Values as they stand on the wire: their text and their XML Schema type.

use std::borrow::Cow;
use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// A parameter's name and value (ParameterValueStruct, TR-069 A.3.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterValue {
    /// The full parameter name.
    pub path: String,
    /// The value's text, entities resolved, otherwise as sent.
    pub value: String,
    /// The `xsi:type`, `string` where the device sent none.
    pub xsd_type: XsdType,
}

impl ParameterValue {
    /// A value of the given type.
    pub fn new(
        path: impl Into<String>,
        value: impl Into<String>,
        xsd_type: XsdType,
    ) -> ParameterValue {
        ParameterValue {
            path: path.into(),
            value: value.into(),
            xsd_type,
        }
    }

    /// A string.
    pub fn string(path: impl Into<String>, value: impl Into<String>) -> ParameterValue {
        ParameterValue::new(path, value, XsdType::STRING)
    }

    /// A boolean, written `0` or `1`: the one form that all devices take.
    pub fn boolean(path: impl Into<String>, value: bool) -> ParameterValue {
        ParameterValue::new(path, if value { "1" } else { "0" }, XsdType::BOOLEAN)
    }

    /// An unsignedInt.
    pub fn unsigned_int(path: impl Into<String>, value: u32) -> ParameterValue {
        ParameterValue::new(path, value.to_string(), XsdType::UNSIGNED_INT)
    }

    /// The value read as a boolean; see [`boolean`].
    pub fn as_bool(&self) -> Option<bool> {
        boolean(&self.value)
    }

    /// The value read as an integer; see [`integer`].
    pub fn as_integer(&self) -> Option<i64> {
        integer(&self.value)
    }

    /// A ParameterValueStruct. What is missing is empty; without a type it is a string.
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<ParameterValue, Error> {
        let mut parameter = ParameterValue::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Name" => parameter.path = xml.name()?,
                "Value" => {
                    if let Some(xsd_type) = child.attribute("type") {
                        parameter.xsd_type = XsdType::new(&xsd_type);
                    }
                    parameter.value = xml.string()?;
                }
                _ => xml.skip()?,
            }
        }
        Ok(parameter)
    }

    /// A ParameterList.
    pub(crate) fn write_list(parameters: &[ParameterValue], out: &mut Writer) {
        out.list(
            "ParameterList",
            "cwmp:ParameterValueStruct",
            parameters,
            |out, parameter| {
                out.open("ParameterValueStruct");
                out.element("Name", &parameter.path);
                out.value(&parameter.value, &parameter.xsd_type);
                out.close("ParameterValueStruct");
            },
        );
    }
}

/// The local name of an XML Schema type: `string`, `unsignedInt`, `boolean`, `dateTime`, …,
/// or what the device sent, even if no schema knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XsdType(Cow<'static, str>);

impl XsdType {
    /// `string`.
    pub const STRING: XsdType = XsdType(Cow::Borrowed("string"));
    /// `int`.
    pub const INT: XsdType = XsdType(Cow::Borrowed("int"));
    /// `unsignedInt`.
    pub const UNSIGNED_INT: XsdType = XsdType(Cow::Borrowed("unsignedInt"));
    /// `long`.
    pub const LONG: XsdType = XsdType(Cow::Borrowed("long"));
    /// `unsignedLong`.
    pub const UNSIGNED_LONG: XsdType = XsdType(Cow::Borrowed("unsignedLong"));
    /// `boolean`.
    pub const BOOLEAN: XsdType = XsdType(Cow::Borrowed("boolean"));
    /// `dateTime`.
    pub const DATE_TIME: XsdType = XsdType(Cow::Borrowed("dateTime"));
    /// `base64Binary`.
    pub const BASE64_BINARY: XsdType = XsdType(Cow::Borrowed("base64Binary"));
    /// `hexBinary`.
    pub const HEX_BINARY: XsdType = XsdType(Cow::Borrowed("hexBinary"));

    /// The type of a local name (`string`) or a prefixed one (`xsd:string`).
    pub fn new(name: &str) -> XsdType {
        let name = name.trim();
        let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
        match local {
            "string" | "" => XsdType::STRING,
            "int" => XsdType::INT,
            "unsignedInt" => XsdType::UNSIGNED_INT,
            "long" => XsdType::LONG,
            "unsignedLong" => XsdType::UNSIGNED_LONG,
            "boolean" => XsdType::BOOLEAN,
            "dateTime" => XsdType::DATE_TIME,
            "base64Binary" => XsdType::BASE64_BINARY,
            "hexBinary" => XsdType::HEX_BINARY,
            "base64" => XsdType(Cow::Borrowed("base64")),
            "anySimpleType" => XsdType(Cow::Borrowed("anySimpleType")),
            other => XsdType(Cow::Owned(other.to_owned())),
        }
    }

    /// The local name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for XsdType {
    fn default() -> XsdType {
        XsdType::STRING
    }
}

impl fmt::Display for XsdType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a change is in force (Status 0) or will be after the session or a reboot (Status 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Applied {
    /// Status 0.
    #[default]
    Now,
    /// Status 1.
    Later,
}

impl Applied {
    /// A response that holds nothing but a Status.
    pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Status" => applied = Applied::from_status(&xml.text()?),
                _ => xml.skip()?,
            }
        }
        Ok(applied)
    }

    /// Reads a Status; what is neither 0 nor empty counts as 1.
    pub(crate) fn from_status(text: &str) -> Applied {
        match text.trim() {
            "" => Applied::Now,
            status if integer(status) == Some(0) => Applied::Now,
            _ => Applied::Later,
        }
    }

    /// `0` or `1`.
    pub fn status(self) -> &'static str {
        match self {
            Applied::Now => "0",
            Applied::Later => "1",
        }
    }
}

/// A dateTime as its text, because devices send what is none (`0000-00-00T00:00:00`, `…T11:54::14`).
/// The Unknown Time is `0001-01-01T00:00:00Z`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DateTime(pub String);

impl DateTime {
    /// The Unknown Time: the device does not know when.
    pub fn unknown() -> DateTime {
        DateTime("0001-01-01T00:00:00Z".to_owned())
    }

    /// In UTC, without fractions of a second: the form that all devices take.
    /// The Unknown Time for what no calendar of four digits reaches.
    pub fn from_unix(seconds: i64) -> DateTime {
        match Timestamp::from_second(seconds) {
            Ok(time) if seconds >= YEAR_1000_SECONDS => DateTime(time.to_string()),
            _ => DateTime::unknown(),
        }
    }

    /// Seconds since 1970, a time without a zone taken for UTC. `None` for the Unknown Time,
    /// for times relative to the boot (the years below 1000), and for what is no time.
    pub fn to_unix(&self) -> Option<i64> {
        let text = self.0.trim();
        let seconds = match text.parse::<Timestamp>() {
            Ok(time) => time.as_second(),
            Err(_) => {
                let local: civil::DateTime = text.parse().ok()?;
                local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()
            }
        };
        (seconds >= YEAR_1000_SECONDS).then_some(seconds)
    }
}

/// 1000-01-01T00:00:00Z.
const YEAR_1000_SECONDS: i64 = -30_610_224_000;

/// Reads a boolean as devices write it: `1`, `true`, `TRUE`, `yes`, `on`, `enabled` and their
/// opposites. `None` for what is neither, and for nothing.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    let is_one_of = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["1", "true", "yes", "on", "enabled"]) {
        Some(true)
    } else if is_one_of(["0", "false", "no", "off", "disabled"]) {
        Some(false)
    } else {
        None
    }
}

/// Reads an integer as devices write it: with white space around it, leading zeros, a plus.
pub fn integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// [`integer`] within the range of an unsignedInt; what lies outside becomes the nearest in it.
pub(crate) fn unsigned(text: &str) -> Option<u32> {
    let number = integer(text)?.clamp(0, u32::MAX.into());
    u32::try_from(number).ok()
}

/// [`integer`] within the range of an int; what lies outside becomes the nearest in it.
pub(crate) fn int(text: &str) -> Option<i32> {
    let number = integer(text)?.clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_devices_send_them() {
        let cases = [
            ("2018-04-01T19:45:02-04:00", Some(1_522_626_302)),
            ("2018-04-01T23:45:02Z", Some(1_522_626_302)),
            ("2018-04-01T23:45:02.125Z", Some(1_522_626_302)),
            ("2018-04-01T23:45:02", Some(1_522_626_302)),
            (" 2018-04-01 23:45:02 ", Some(1_522_626_302)),
            ("2018-04-01T23:45:02+0000", Some(1_522_626_302)),
            ("1970-01-01T00:00:30Z", Some(30)),
            ("0001-01-01T00:00:00Z", None),
            ("0001-01-01T00:00:00", None),
            ("0001-01-03T04:05:06Z", None),
            ("0000-00-00T00:00:00", None),
            ("2019-03-05T11:54::14", None),
            ("Tue Mar 5 2019", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(DateTime(text.to_owned()).to_unix(), seconds, "{text:?}");
        }
    }

    #[test]
    fn times_are_written_in_utc_without_fractions() {
        assert_eq!(DateTime::from_unix(1_522_626_302).0, "2018-04-01T23:45:02Z");
        assert_eq!(DateTime::from_unix(0).0, "1970-01-01T00:00:00Z");
        assert_eq!(DateTime::from_unix(i64::MAX), DateTime::unknown());
        assert_eq!(DateTime::from_unix(i64::MIN), DateTime::unknown());
        let year_1000 = DateTime("1000-01-01T00:00:00Z".to_owned());
        assert_eq!(year_1000.to_unix(), Some(YEAR_1000_SECONDS));
    }

    #[test]
    fn booleans_and_integers_as_devices_send_them() {
        for text in ["1", "true", "TRUE", "True", " yes\n", "on", "Enabled"] {
            assert_eq!(boolean(text), Some(true), "{text:?}");
        }
        for text in ["0", "false", "FALSE", " No ", "off", "Disabled"] {
            assert_eq!(boolean(text), Some(false), "{text:?}");
        }
        for text in ["", "2", "maybe", "(null)"] {
            assert_eq!(boolean(text), None, "{text:?}");
        }
        assert_eq!(integer(" 05 "), Some(5));
        assert_eq!(integer("-1"), Some(-1));
        assert_eq!(integer("1.5"), None);
        assert_eq!(unsigned("-1"), Some(0));
        assert_eq!(unsigned("99999999999"), Some(u32::MAX));
        assert_eq!(unsigned(""), None);
        assert_eq!(int("-1"), Some(-1));
        assert_eq!(int("-99999999999"), Some(i32::MIN));
    }

    #[test]
    fn a_type_is_its_local_name() {
        let cases = [
            ("xsd:string", "string"),
            ("xs:unsignedInt", "unsignedInt"),
            ("boolean", "boolean"),
            ("SOAP-ENC:base64", "base64"),
            ("xsd:json", "json"),
            (" xsd:int ", "int"),
            ("", "string"),
            ("xsd:", "string"),
        ];
        for (name, local) in cases {
            assert_eq!(XsdType::new(name).as_str(), local, "{name:?}");
        }
    }
}
