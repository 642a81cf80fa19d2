//! What is known of a file: the record that the store keeps of it.

use serde::{Deserialize, Serialize};

use crate::device::{Summary, UnixTime};
use crate::plugins::glob;
use crate::work::task::TaskId;

/// Characters of a file's name.
pub const NAME_CHARS_MAX: usize = 255;
/// Characters of the other texts of a record.
pub const TEXT_CHARS_MAX: usize = 1_000;
/// Bits of a [`FileId`] that chance fills; above them stands the time.
const CHANCE_BITS: u32 = 24;

/// The number of a file, unique in the host: the second it came in, then chance, so that
/// numbers sort by age. As text `f-` and hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^f-[0-9a-f]{1,16}$", examples("f-6923a2c0b1e4f7"))]
pub struct FileId(pub u64);

impl FileId {
    /// A number for a file that came in at `now`.
    pub fn new(now: UnixTime, chance: u32) -> FileId {
        let seconds = u64::try_from(now).unwrap_or(0);
        let chance = u64::from(chance) & ((1 << CHANCE_BITS) - 1);
        FileId((seconds << CHANCE_BITS) | chance)
    }

    /// The smallest number of the files that came in at `at` or later.
    pub fn first_of(at: UnixTime) -> FileId {
        FileId::new(at, 0)
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "f-{:x}", self.0)
    }
}

impl std::str::FromStr for FileId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("f-")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(FileId)
            .ok_or_else(|| format!("a file id is f- and hexadecimal digits, not {text:?}"))
    }
}

impl Serialize for FileId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its number.
    pub id: FileId,
    /// The instance it belongs to.
    pub instance: String,
    /// What people call it, and what a device is told as its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// As Download and Upload name it: `1 Firmware Upgrade Image`, `3 Vendor Configuration
    /// File`, `X <OUI> …`.
    pub file_type: String,
    /// The SoftwareVersion that a device reports once it runs this firmware; empty = not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Which devices it is for.
    #[serde(default, skip_serializing_if = "FileDevices::is_any")]
    pub devices: FileDevices,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When it came in.
    pub uploaded: UnixTime,
    /// Who brought it: `api`, or `device`.
    pub uploaded_by: String,
    /// The device that sent it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<FromDevice>,
}

impl File {
    /// Whether it is `1 Firmware Upgrade Image`: after it the device reports another version.
    pub fn is_firmware(&self) -> bool {
        is_firmware(&self.file_type)
    }
}

/// Whether a FileType names a firmware. Vendors write blanks behind it.
pub fn is_firmware(file_type: &str) -> bool {
    file_type.trim().starts_with("1 Firmware")
}

/// The device that sent a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromDevice {
    /// Its id in the instance.
    pub device: String,
    /// The task that asked for it.
    pub task: TaskId,
}

/// Which devices a file is for: all given patterns must fit. `*` stands for any text, `?` for
/// one character; upper and lower case are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileDevices {
    /// DeviceId.Manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// DeviceId.OUI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oui: Option<String>,
    /// DeviceId.ProductClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_class: Option<String>,
    /// `DeviceInfo.HardwareVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_version: Option<String>,
    /// `DeviceInfo.SoftwareVersion` before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

impl FileDevices {
    /// Whether it is for any device.
    pub fn is_any(&self) -> bool {
        *self == FileDevices::default()
    }

    /// Why the file is not for this device; `Ok`: it is.
    pub fn check(&self, device: &Summary) -> Result<(), String> {
        let fields = [
            ("manufacturer", &self.manufacturer, &device.manufacturer),
            ("OUI", &self.oui, &device.oui),
            ("product class", &self.product_class, &device.product_class),
            (
                "hardware version",
                &self.hardware_version,
                &device.hardware_version,
            ),
            (
                "software version",
                &self.software_version,
                &device.software_version,
            ),
        ];
        for (name, pattern, value) in fields {
            if let Some(pattern) = pattern
                && !glob(pattern, value)
            {
                return Err(format!(
                    "it is for devices whose {name} is {pattern:?}, this one has {value:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The FileType for a short word that people use in URLs, or the text itself.
pub fn file_type(text: &str) -> &str {
    match text {
        "firmware" => "1 Firmware Upgrade Image",
        "web-content" => "2 Web Content",
        "configuration" => "3 Vendor Configuration File",
        "tone" => "4 Tone File",
        "ringer" => "5 Ringer File",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_age() {
        let (early, late) = (
            FileId::new(1_700_000_000, u32::MAX),
            FileId::new(1_700_000_001, 0),
        );
        assert!(early < late);
        assert!(FileId::first_of(1_700_000_000) <= early);
        assert_eq!(late.to_string().parse(), Ok(late));
        assert!("t-1".parse::<FileId>().is_err());
    }

    #[test]
    fn for_which_devices() {
        let device = Summary {
            manufacturer: "Northlight".into(),
            product_class: "NL-Home6".into(),
            ..Summary::default()
        };
        let mut devices = FileDevices::default();
        assert_eq!(devices.check(&device), Ok(()));
        devices.product_class = Some("nl-home*".into());
        assert_eq!(devices.check(&device), Ok(()));
        devices.manufacturer = Some("Baltica*".into());
        assert_eq!(
            devices.check(&device).unwrap_err(),
            "it is for devices whose manufacturer is \"Baltica*\", this one has \"Northlight\""
        );
    }

    #[test]
    fn firmware_is_known_with_blanks_behind_it() {
        assert!(is_firmware("1 Firmware Upgrade Image "));
        assert!(!is_firmware("3 Vendor Configuration File"));
    }
}
