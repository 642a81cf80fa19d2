//! Paths with `*` for any instance: what to ask the device for, and what of its answer was meant.

/// The paths of one `session.get`.
#[derive(Debug)]
pub(super) struct Wanted {
    /// As they can be asked: a path with a wildcard is its part before that.
    names: Vec<String>,
    patterns: Vec<Vec<String>>,
}

impl Wanted {
    /// Full names, partial paths that end in `.`, or with `*` in place of whole segments.
    pub(super) fn parse(paths: &[String]) -> Result<Wanted, String> {
        let mut wanted = Wanted {
            names: Vec::new(),
            patterns: Vec::new(),
        };
        if !paths.iter().any(|path| path.contains('*')) {
            wanted.names = paths.to_vec();
            return Ok(wanted);
        }
        for path in paths {
            let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
            if segments
                .iter()
                .any(|segment| segment.contains('*') && segment != "*")
            {
                return Err(format!("{path}: `*` stands for a whole instance number"));
            }
            let name = match path.find('*') {
                Some(0) => return Err(format!("{path}: must begin with the root object")),
                Some(at) => path.get(..at).unwrap_or_default().to_owned(),
                None => path.clone(),
            };
            if !wanted.names.contains(&name) {
                wanted.names.push(name);
            }
            wanted.patterns.push(segments);
        }
        Ok(wanted)
    }

    pub(super) fn has_wildcards(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// What to ask for.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a parameter of the answer was meant.
    pub(super) fn includes(&self, path: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| fits(pattern, path))
    }
}

/// A pattern whose last segment is empty is a partial path.
fn fits(pattern: &[String], path: &str) -> bool {
    let mut segments = path.split('.');
    for (at, wanted) in pattern.iter().enumerate() {
        if wanted.is_empty() && at + 1 == pattern.len() {
            return segments.next().is_some();
        }
        match segments.next() {
            Some(segment) if wanted == "*" || wanted == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(paths: &[&str]) -> Result<Wanted, String> {
        Wanted::parse(
            &paths
                .iter()
                .map(|path| (*path).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_wildcard_is_asked_by_its_partial_path() {
        let both = wanted(&[
            "Device.WiFi.SSID.*.SSID",
            "Device.WiFi.SSID.*.Enable",
            "Device.DeviceInfo.",
        ])
        .unwrap();
        assert_eq!(both.names(), ["Device.WiFi.SSID.", "Device.DeviceInfo."]);
        assert!(both.includes("Device.WiFi.SSID.3.Enable"));
        assert!(!both.includes("Device.WiFi.SSID.3.Enable.x"));
        assert!(!both.includes("Device.WiFi.SSID.3.BSSID"));
        assert!(both.includes("Device.DeviceInfo.UpTime"));
        assert!(!both.includes("Device.DeviceInfo"));
        let partial = wanted(&["Device.IP.Interface.*.IPv4Address."]).unwrap();
        assert!(partial.includes("Device.IP.Interface.1.IPv4Address.2.Status"));
        assert!(!partial.includes("Device.IP.Interface.1.Enable"));
    }

    #[test]
    fn without_wildcards_nothing_changes() {
        let plain = wanted(&["Device.A", "Device.A", "Device.B."]).unwrap();
        assert_eq!(plain.names(), ["Device.A", "Device.A", "Device.B."]);
        assert!(!plain.has_wildcards() && plain.includes("anything"));
        assert!(
            wanted(&["Device.X.1*.Y"])
                .unwrap_err()
                .contains("whole instance")
        );
        assert!(wanted(&["*.X"]).unwrap_err().contains("root object"));
    }
}
