//! Parameter values with their XML Schema types.

/// A value as it stands on the wire: path, text, type.
pub use crate::bindings::types::Parameter;

/// `xsd:string`.
pub fn string(path: impl Into<String>, value: impl Into<String>) -> Parameter {
    typed(path, value, "string")
}

/// `xsd:unsignedInt`.
pub fn unsigned_int(path: impl Into<String>, value: u32) -> Parameter {
    typed(path, value.to_string(), "unsignedInt")
}

/// `xsd:int`.
pub fn int(path: impl Into<String>, value: i32) -> Parameter {
    typed(path, value.to_string(), "int")
}

/// `xsd:boolean`, as `1` or `0`: the form that most devices take. The override `boolean-words` changes it on the way.
pub fn boolean(path: impl Into<String>, value: bool) -> Parameter {
    typed(path, if value { "1" } else { "0" }, "boolean")
}

/// `xsd:dateTime`, from its text: `2026-08-01T00:00:00Z`.
pub fn date_time(path: impl Into<String>, value: impl Into<String>) -> Parameter {
    typed(path, value, "dateTime")
}

/// A value of any type, by the type's local name.
pub fn typed(
    path: impl Into<String>,
    value: impl Into<String>,
    xsd_type: impl Into<String>,
) -> Parameter {
    Parameter {
        path: path.into(),
        value: value.into(),
        xsd_type: xsd_type.into(),
    }
}

impl Parameter {
    /// The value as a boolean: `1`, `true`, `0`, `false` in any case; else `None`.
    pub fn as_bool(&self) -> Option<bool> {
        let text = self.value.trim();
        match text {
            "1" => Some(true),
            "0" => Some(false),
            _ if text.eq_ignore_ascii_case("true") => Some(true),
            _ if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The value as a number, white space around it allowed.
    pub fn as_i64(&self) -> Option<i64> {
        self.value.trim().parse().ok()
    }
}

/// Finding one value in what the device answered.
pub trait Parameters {
    /// The parameter of exactly this path.
    fn find(&self, path: &str) -> Option<&Parameter>;

    /// Its value.
    fn value(&self, path: &str) -> Option<&str> {
        self.find(path).map(|parameter| parameter.value.as_str())
    }
}

impl Parameters for [Parameter] {
    fn find(&self, path: &str) -> Option<&Parameter> {
        self.iter().find(|parameter| parameter.path == path)
    }
}
