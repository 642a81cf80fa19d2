//! Protocol versions and the namespaces that name them (TR-069 §3.4.1, Annex A.6).

use std::fmt;

/// A version of CWMP.
///
/// 1.2, 1.3 and 1.4 share one namespace; which of them a device speaks shows only in the
/// headers of its Inform (SessionTimeout from 1.3 on, SupportedCWMPVersions from 1.4 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// 1.0; also what an unknown or missing namespace is taken for.
    #[default]
    V1_0,
    /// 1.1: GetAllQueuedTransfers, AutonomousTransferComplete.
    V1_1,
    /// 1.2: ScheduleDownload, software modules.
    V1_2,
    /// 1.3: the header SessionTimeout.
    V1_3,
    /// 1.4: the negotiation of versions, notification values 3–6.
    V1_4,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Version; 5] = [
        Version::V1_0,
        Version::V1_1,
        Version::V1_2,
        Version::V1_3,
        Version::V1_4,
    ];

    /// The XML namespace of its messages.
    pub fn namespace(self) -> &'static str {
        match self {
            Version::V1_0 => "urn:dslforum-org:cwmp-1-0",
            Version::V1_1 => "urn:dslforum-org:cwmp-1-1",
            Version::V1_2 | Version::V1_3 | Version::V1_4 => "urn:dslforum-org:cwmp-1-2",
        }
    }

    /// As the headers SupportedCWMPVersions and UseCWMPVersion write it: `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
            Version::V1_3 => "1.3",
            Version::V1_4 => "1.4",
        }
    }

    /// Reads `1.2`.
    pub fn from_number(text: &str) -> Option<Version> {
        let text = text.trim();
        Version::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// The newest version of a SupportedCWMPVersions header (`1.0,1.1,1.2`) that we know.
    pub fn newest_common(supported: &str) -> Option<Version> {
        supported
            .split([',', ';', ' ', '\t', '\r', '\n'])
            .filter_map(Version::from_number)
            .max()
    }

    /// Finds the namespace in the text of a start tag. Some servers, and who copied them, write
    /// `cwmp-1-3` and `cwmp-1-4`, which no schema has; they are understood.
    pub(crate) fn in_tag(tag: &str) -> Option<Version> {
        const NAMESPACE: &str = "urn:dslforum-org:cwmp-1-";
        let at = memchr::memmem::find(tag.as_bytes(), NAMESPACE.as_bytes())?;
        match tag.as_bytes().get(at + NAMESPACE.len())? {
            b'0' => Some(Version::V1_0),
            b'1' => Some(Version::V1_1),
            b'2' => Some(Version::V1_2),
            b'3' => Some(Version::V1_3),
            b'4' => Some(Version::V1_4),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_takes_the_newest_both_know() {
        let cases = [
            ("1.0,1.1,1.2,1.3,1.4", Some(Version::V1_4)),
            ("1.0, 1.2", Some(Version::V1_2)),
            (" 1.3 ", Some(Version::V1_3)),
            ("1.0,1.5,2.0", Some(Version::V1_0)),
            ("1.5,2.0", None),
            ("", None),
            ("1.10", None),
        ];
        for (supported, common) in cases {
            assert_eq!(Version::newest_common(supported), common, "{supported:?}");
        }
    }

    #[test]
    fn the_namespace_is_found_whatever_its_prefix() {
        let cases = [
            (
                r#"e xmlns:cwmp="urn:dslforum-org:cwmp-1-0""#,
                Some(Version::V1_0),
            ),
            (
                r#"e xmlns:m='urn:dslforum-org:cwmp-1-2'"#,
                Some(Version::V1_2),
            ),
            (
                r#"e xmlns:cwmp="urn:dslforum-org:cwmp-1-4""#,
                Some(Version::V1_4),
            ),
            (r#"e xmlns:cwmp="urn:dslforum-org:cwmp-1-"#, None),
            (r#"e xmlns:cwmp="urn:dslforum-org:cwmp-1-9""#, None),
            (r#"e xmlns:cwmp="http://example.com/""#, None),
        ];
        for (tag, version) in cases {
            assert_eq!(Version::in_tag(tag), version, "{tag}");
        }
    }
}
