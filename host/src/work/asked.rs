//! What is asked of a device, in the words that people use, beside the operations of CWMP.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::files::FileId;
use crate::work::task::Operation;

/// The FileType of a configuration that a device sends (TR-069 A.4.1.5).
const CONFIGURATION: &str = "1 Vendor Configuration File";
/// As a path, until it is known which tree the device speaks.
pub const WHOLE_TREE: &str = "";

/// What to do: a word of people's, or an operation of CWMP.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Asked {
    /// A word of people's.
    Verb(Verb),
    /// As CWMP has it.
    Operation(Operation),
}

/// What people ask for. It becomes an operation of CWMP.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Verb {
    /// Reads again what the device has: some of it, or all.
    Refresh {
        /// Names, or partial paths that end in a dot; empty = the whole tree.
        #[serde(default)]
        paths: Vec<String>,
    },
    /// Gives the device a file of the store, such as a firmware.
    Firmware {
        /// Which one.
        file: FileId,
        /// Although the file is for other devices.
        #[serde(default)]
        force: bool,
        /// The device is to wait so long; some refuse 0.
        #[serde(default)]
        delay_seconds: u32,
    },
    /// Has the device send its configuration into the file store.
    Backup {
        /// The device is to wait so long; some refuse 0.
        #[serde(default)]
        delay_seconds: u32,
    },
}

impl Asked {
    /// The operation that it is, for any device.
    pub fn operation(self) -> Operation {
        let verb = match self {
            Asked::Operation(operation) => return operation,
            Asked::Verb(verb) => verb,
        };
        match verb {
            Verb::Refresh { paths } if paths.is_empty() => Operation::Get {
                paths: vec![WHOLE_TREE.to_owned()],
            },
            Verb::Refresh { paths } => Operation::Get { paths },
            Verb::Firmware {
                file,
                force: forced,
                delay_seconds: delay,
            } => {
                let mut download = Operation::download(file);
                if let Operation::Download {
                    force,
                    delay_seconds,
                    ..
                } = &mut download
                {
                    (*force, *delay_seconds) = (forced, delay);
                }
                download
            }
            Verb::Backup {
                delay_seconds: delay,
            } => {
                let mut upload = Operation::upload(CONFIGURATION);
                if let Operation::Upload { delay_seconds, .. } = &mut upload {
                    *delay_seconds = delay;
                }
                upload
            }
        }
    }
}

/// Reads an operation that may be told by a word of people's.
///
/// # Errors
/// What is wrong with what was told.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    Asked::deserialize(deserializer).map(Asked::operation)
}

impl<'de> Deserialize<'de> for Asked {
    /// By its `op`, so that an error is about that and not about all of them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asked, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let is_verb = matches!(
            value.get("op").and_then(Value::as_str),
            Some("refresh" | "firmware" | "backup")
        );
        match is_verb {
            true => serde_json::from_value(value).map(Asked::Verb),
            false => serde_json::from_value(value).map(Asked::Operation),
        }
        .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Operation {
        super::read(value).unwrap()
    }

    #[test]
    fn words_become_operations() {
        assert_eq!(
            read(json!({ "op": "refresh" })),
            Operation::Get {
                paths: vec![String::new()]
            }
        );
        assert_eq!(
            read(json!({ "op": "firmware", "file": "f-1f", "force": true })),
            read(json!({ "op": "download", "file": "f-1f", "force": true }))
        );
        assert_eq!(
            read(json!({ "op": "backup" })),
            read(json!({ "op": "upload", "file_type": "1 Vendor Configuration File" }))
        );
        assert_eq!(read(json!({ "op": "reboot" })), Operation::Reboot);
    }

    #[test]
    fn errors_are_about_the_word() {
        let wrong = |value: Value| serde_json::from_value::<Asked>(value).unwrap_err();
        let error = wrong(json!({ "op": "firmware" })).to_string();
        assert!(error.contains("missing field `file`"), "{error}");
        let error = wrong(json!({ "op": "eat" })).to_string();
        assert!(error.contains("unknown variant `eat`"), "{error}");
    }
}
