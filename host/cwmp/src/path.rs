//! Parameter paths: full names, partial paths, `*` for any instance, `[alias]` for an instance
//! by its name (TR-069 §3.6.1, TR-106 §3.2).

use std::fmt;

/// The longest path (A.3.2.2).
pub const PATH_CHARS_MAX: usize = 256;
/// The longest Alias (TR-181, "Alias").
pub const ALIAS_CHARS_MAX: usize = 64;

/// A path that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path<'p>(&'p str);

/// What stands between two dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'p> {
    /// The name of an object or a parameter.
    Name(&'p str),
    /// An instance by its number.
    Instance(u32),
    /// An instance by its Alias, without the brackets.
    Alias(&'p str),
    /// `*`: any instance.
    Any,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a parameter path, got {path:?}: {reason}")]
pub struct BadPath {
    /// As given, shortened.
    path: String,
    reason: &'static str,
}

impl<'p> Path<'p> {
    /// A full name, a partial path that ends in a dot, or nothing: the whole tree.
    ///
    /// # Errors
    ///
    /// If it is too long, has a segment without a name, a character that no name has, or a `*`
    /// or an alias that is not a whole segment.
    pub fn parse(text: &'p str) -> Result<Path<'p>, BadPath> {
        let bad = |reason| BadPath {
            path: crate::error::quoted(text),
            reason,
        };
        if text.chars().count() > PATH_CHARS_MAX {
            return Err(bad("it has more than 256 characters"));
        }
        let path = Path(text);
        for (at, segment) in path.texts().enumerate() {
            match check(segment) {
                Err(reason) => return Err(bad(reason)),
                Ok(Segment::Name(_)) => {}
                Ok(_) if at == 0 => return Err(bad("it must begin with the root object")),
                Ok(_) => {}
            }
        }
        Ok(path)
    }

    /// As given.
    pub fn as_str(self) -> &'p str {
        self.0
    }

    /// It stands for all below it: it ends in a dot, or is empty.
    pub fn is_partial(self) -> bool {
        self.0.is_empty() || self.0.ends_with('.')
    }

    /// The root object with its dot, `Device.`; `None` for the empty path.
    pub fn root(self) -> Option<&'p str> {
        match self.0.find('.') {
            Some(dot) => self.0.get(..=dot),
            None if self.0.is_empty() => None,
            None => Some(self.0),
        }
    }

    /// The object that it is in, with its dot; the empty path for a root object. `None` for the
    /// empty path.
    pub fn parent(self) -> Option<Path<'p>> {
        if self.0.is_empty() {
            return None;
        }
        let without_dot = self.0.strip_suffix('.').unwrap_or(self.0);
        let end = without_dot.rfind('.').map_or(0, |dot| dot + 1);
        without_dot.get(..end).map(Path)
    }

    /// What stands between its dots.
    pub fn segments(self) -> impl Iterator<Item = Segment<'p>> {
        self.texts()
            .map(|text| check(text).unwrap_or(Segment::Name(text)))
    }

    /// The instance numbers in it, from the left.
    pub fn instances(self) -> impl Iterator<Item = u32> {
        self.segments().filter_map(|segment| match segment {
            Segment::Instance(number) => Some(number),
            _ => None,
        })
    }

    /// It has a `*` in it.
    pub fn has_wildcard(self) -> bool {
        self.segments().any(|segment| segment == Segment::Any)
    }

    /// It names an instance by its Alias: what the device calls it may be another path.
    pub fn has_alias(self) -> bool {
        self.segments()
            .any(|segment| matches!(segment, Segment::Alias(_)))
    }

    /// What stands before the first `*`; all of it if there is none.
    pub fn before_wildcard(self) -> &'p str {
        match self.0.find('*') {
            Some(star) => self.0.get(..star).unwrap_or_default(),
            None => self.0,
        }
    }

    /// Whether `path` is this one, or below it if it is partial; a `*` stands for any one
    /// instance.
    pub fn matches(self, path: &str) -> bool {
        let mut others = path.split('.');
        for segment in self.texts() {
            match others.next() {
                Some(other) if segment == "*" => {
                    if !is_instance(other) {
                        return false;
                    }
                }
                Some(other) if other == segment => {}
                _ => return false,
            }
        }
        if self.is_partial() {
            // A partial path stands for itself too.
            self.0.is_empty() || others.next().is_some()
        } else {
            others.next().is_none()
        }
    }

    fn texts(self) -> impl Iterator<Item = &'p str> {
        let texts = self.0.strip_suffix('.').unwrap_or(self.0);
        // The empty path has no segment; "." has one without a name.
        let none = self.0.is_empty();
        texts.split('.').filter(move |_| !none)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A number or an alias.
fn is_instance(text: &str) -> bool {
    matches!(check(text), Ok(Segment::Instance(_) | Segment::Alias(_)))
}

fn check(text: &str) -> Result<Segment<'_>, &'static str> {
    if text.is_empty() {
        return Err("it has a segment without a name");
    }
    if text == "*" {
        return Ok(Segment::Any);
    }
    if text.contains('*') {
        return Err("`*` stands for a whole instance number");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>&\"'".contains(c)) {
        return Err("it has a space or another character that no name has");
    }
    if let Some(alias) = text.strip_prefix('[') {
        return match alias.strip_suffix(']') {
            Some(alias) => check_alias(alias),
            None => Err("an alias is a whole segment in brackets"),
        };
    }
    if text.contains(['[', ']']) {
        return Err("an alias is a whole segment in brackets");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(number) => Ok(Segment::Instance(number)),
            Err(_) => Err("it has an instance number beyond all limits"),
        };
    }
    Ok(Segment::Name(text))
}

fn check_alias(alias: &str) -> Result<Segment<'_>, &'static str> {
    if alias.is_empty() || alias.chars().count() > ALIAS_CHARS_MAX {
        Err("an alias has 1 to 64 characters")
    } else if alias.bytes().all(|byte| byte.is_ascii_digit()) {
        Err("an alias is not a number")
    } else if alias.contains(['[', ']']) {
        Err("an alias is a whole segment in brackets")
    } else {
        Ok(Segment::Alias(alias))
    }
}

/// Paths with `*`, for devices that do not know it: what to ask them for, and what of their
/// answer was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'p> {
    names: Vec<&'p str>,
    /// Empty where all of the answer is meant.
    patterns: Vec<Path<'p>>,
}

impl<'p> Wanted<'p> {
    /// Of full names, partial paths, or either with `*` for any instance.
    ///
    /// # Errors
    ///
    /// For the first that is no path; where no path has a `*` none is looked at.
    pub fn parse(paths: impl IntoIterator<Item = &'p str>) -> Result<Wanted<'p>, BadPath> {
        let mut names: Vec<&'p str> = paths.into_iter().collect();
        if !names.iter().any(|path| path.contains('*')) {
            let patterns = Vec::new();
            return Ok(Wanted { names, patterns });
        }
        let patterns: Vec<Path<'p>> = names
            .iter()
            .map(|path| Path::parse(path))
            .collect::<Result<_, _>>()?;
        names.clear();
        for pattern in &patterns {
            let name = pattern.before_wildcard();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Wanted { names, patterns })
    }

    /// Whether a `*` is in them.
    pub fn has_wildcards(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// What to ask for: a path with a `*` is its part before that.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Whether a parameter of the answer was meant.
    pub fn includes(&self, path: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Path::parse(text) {
            Ok(path) => format!("{path} is a path"),
            Err(error) => error.reason.to_owned(),
        }
    }

    #[test]
    fn paths_and_what_is_none() {
        for path in [
            "",
            "Device.",
            "Device.DeviceInfo.SoftwareVersion",
            "Device.WiFi.SSID.*.SSID",
            "Device.IP.Interface.[wan-1].IPv4Address.*.",
            "InternetGatewayDevice.X_00005E_Ünï.1.A",
            "X",
        ] {
            assert_eq!(Path::parse(path).map(Path::as_str), Ok(path));
        }
        assert_eq!(refused("."), "it has a segment without a name");
        assert_eq!(refused("Device..A"), "it has a segment without a name");
        assert_eq!(refused(".Device"), "it has a segment without a name");
        assert_eq!(refused("Device.."), "it has a segment without a name");
        assert_eq!(
            refused("Device.X.1*.Y"),
            "`*` stands for a whole instance number"
        );
        assert_eq!(refused("*.X"), "it must begin with the root object");
        assert_eq!(refused("1.X"), "it must begin with the root object");
        assert_eq!(refused("Device.X.[].Y"), "an alias has 1 to 64 characters");
        assert_eq!(refused("Device.X.[17].Y"), "an alias is not a number");
        assert_eq!(
            refused("Device.X.a[b].Y"),
            "an alias is a whole segment in brackets"
        );
        assert_eq!(
            refused("Device.X.[a.b].Y"),
            "an alias is a whole segment in brackets"
        );
        assert!(refused("Device.A b").contains("space"));
        assert!(refused("Device.<A>").contains("character"));
        assert!(refused("Device.99999999999.A").contains("beyond"));
        assert!(refused(&format!("Device.X.[{}].", "a".repeat(65))).contains("64"));
        assert!(refused(&"D".repeat(257)).contains("256"));
    }

    #[test]
    fn parts_of_a_path() {
        let path = Path::parse("Device.IP.Interface.3.IPv4Address.[wan].IPAddress").unwrap();
        assert_eq!(path.root(), Some("Device."));
        assert_eq!(
            path.parent().map(Path::as_str),
            Some("Device.IP.Interface.3.IPv4Address.[wan].")
        );
        assert_eq!(path.instances().collect::<Vec<_>>(), [3]);
        assert!(path.has_alias() && !path.has_wildcard() && !path.is_partial());
        assert_eq!(path.segments().nth(5), Some(Segment::Alias("wan")));
        let mut ancestors = vec![path.as_str()];
        let mut next = path;
        while let Some(parent) = next.parent() {
            next = parent;
            ancestors.push(parent.as_str());
        }
        assert_eq!(ancestors.len(), 8);
        assert_eq!(ancestors.last(), Some(&""));
        assert_eq!((next.root(), next.segments().count()), (None, 0));
    }

    #[test]
    fn patterns() {
        let matches = |pattern: &str, path: &str| Path::parse(pattern).unwrap().matches(path);
        assert!(matches(
            "Device.WiFi.SSID.*.Enable",
            "Device.WiFi.SSID.3.Enable"
        ));
        assert!(matches(
            "Device.WiFi.SSID.*.Enable",
            "Device.WiFi.SSID.[a].Enable"
        ));
        assert!(!matches(
            "Device.WiFi.SSID.*.Enable",
            "Device.WiFi.SSID.3.Enable.x"
        ));
        assert!(!matches(
            "Device.WiFi.SSID.*.Enable",
            "Device.WiFi.SSID.x.Enable"
        ));
        assert!(!matches(
            "Device.WiFi.SSID.*.Enable",
            "Device.WiFi.SSID.3.BSSID"
        ));
        assert!(matches("Device.WiFi.*.", "Device.WiFi.1.A.B"));
        assert!(matches("Device.WiFi.*.", "Device.WiFi.1."));
        assert!(!matches("Device.WiFi.*.", "Device.WiFi.1"));
        assert!(matches("Device.A", "Device.A") && !matches("Device.A", "Device.A."));
        assert!(matches("", "Device.A") && matches("", ""));
    }

    #[test]
    fn a_wildcard_is_asked_by_its_partial_path() {
        let both = Wanted::parse([
            "Device.WiFi.SSID.*.SSID",
            "Device.WiFi.SSID.*.Enable",
            "Device.DeviceInfo.",
        ])
        .unwrap();
        assert_eq!(both.names(), ["Device.WiFi.SSID.", "Device.DeviceInfo."]);
        assert!(both.has_wildcards());
        assert!(both.includes("Device.WiFi.SSID.3.Enable"));
        assert!(!both.includes("Device.WiFi.SSID.3.BSSID"));
        assert!(both.includes("Device.DeviceInfo.UpTime"));
        let plain = Wanted::parse(["Device.A", "Device.A", "Device.B."]).unwrap();
        assert_eq!(plain.names(), ["Device.A", "Device.A", "Device.B."]);
        assert!(!plain.has_wildcards() && plain.includes("anything"));
        assert!(Wanted::parse(["Device.X.1*.Y"]).is_err());
    }
}
