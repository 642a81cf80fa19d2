//! What a campaign has to know of a device: whether there is anything to do, what would change,
//! and in which time zone it stands.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::engine::{Candidate, Look};
use super::record::Head;
use super::schedule::zone;
use super::{Definition, What};
use crate::Acs;
use crate::device::{DataModel, DeviceKey, Mode, Summary, is_secret};
use crate::files::{File, FileDevices};
use crate::store::{StoreError, Tree};
use crate::work::standard_names;
use crate::work::task::Operation;

/// The tag of a device that says in which time zone it stands begins like this.
const ZONE_TAG: &str = "tz:";
/// What a firmware changes.
pub(super) const SOFTWARE_VERSION: &str = "software_version";
/// Files that are looked at for a former firmware, in pages of so many.
const FILES_PAGE: usize = 200;

/// What an operation would change on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// A parameter's name, or `software_version`.
    pub what: String,
    /// As it is known now; null: not known, or a secret.
    pub from: Option<String>,
    /// As it would be; null: not known, or a secret.
    pub to: Option<String>,
}

impl Acs {
    /// Looks at a device whose turn has come; with the operation for it, if it is to have one.
    pub(super) fn look(
        &self,
        instance: &str,
        definition: &Definition,
        head: &Head,
        candidate: &Candidate,
    ) -> Result<(Look, Option<Operation>), StoreError> {
        let key = DeviceKey {
            instance: instance.into(),
            id: Arc::clone(&candidate.device),
        };
        let Some(cell) = self.store.device(&key)? else {
            return Ok((Look::Gone, None));
        };
        let summary = cell.lock().shared_summary();
        let go = |operation: Operation| {
            let mode = summary.nat.as_ref().map(|nat| nat.mode);
            let look = Look::Go {
                version: summary.software_version.clone(),
                by_itself: mode == Some(Mode::ShortInform),
            };
            Ok((look, Some(operation)))
        };
        if candidate.has_task {
            return go(definition.operation.clone());
        }
        if let Some(version) = &candidate.back_to {
            if version.is_empty() {
                let reason = "it is not known which version it had".to_owned();
                return Ok((Look::Skip(reason), None));
            }
            if version.trim() == summary.software_version.trim() {
                return Ok((Look::Has(format!("it has version {version}")), None));
            }
            let Some(file) = self.firmware(instance, version, &summary)? else {
                let reason = format!("the file store has no firmware {version} for it");
                return Ok((Look::Skip(reason), None));
            };
            let mut operation = forced(Operation::download(file.id));
            return match self.fit(&mut operation, &key, &summary) {
                Ok(()) => go(operation),
                Err(reason) => Ok((Look::Skip(reason), None)),
            };
        }
        if let Some(reason) = has_already(definition, head, &summary) {
            return Ok((Look::Has(reason), None));
        }
        let mut operation = definition.operation.clone();
        match self.fit(&mut operation, &key, &summary) {
            Ok(()) => go(operation),
            Err(reason) => Ok((Look::Skip(reason), None)),
        }
    }

    /// The newest firmware with this version that is for such a device.
    fn firmware(
        &self,
        instance: &str,
        version: &str,
        summary: &Summary,
    ) -> Result<Option<File>, StoreError> {
        let mut before = None;
        loop {
            let page = self.store.files(instance, before, FILES_PAGE)?;
            let Some(last) = page.last() else {
                return Ok(None);
            };
            before = Some(last.id);
            let is_it = |file: &&File| {
                // It is to go back whatever the file says of versions before.
                let devices = FileDevices {
                    software_version: None,
                    ..file.devices.clone()
                };
                file.is_firmware()
                    && file.version.trim() == version.trim()
                    && devices.check(summary).is_ok()
            };
            if let Some(file) = page.iter().find(is_it) {
                return Ok(Some(file.clone()));
            }
        }
    }
}

/// Although the file is for other versions.
fn forced(mut operation: Operation) -> Operation {
    if let Operation::Download { force, .. } = &mut operation {
        *force = true;
    }
    operation
}

/// Why nothing is to be done to a device.
pub(super) fn has_already(
    definition: &Definition,
    head: &Head,
    summary: &Summary,
) -> Option<String> {
    let target = head.target_version.as_deref()?.trim();
    let is_firmware = What::of(&definition.operation) == What::Firmware;
    let has = is_firmware && !target.is_empty() && target == summary.software_version.trim();
    has.then(|| format!("it has version {target} already"))
}

/// What an operation would change on a device, as far as it is known.
pub(super) fn changes(
    operation: &Operation,
    target_version: Option<&str>,
    summary: &Summary,
    tree: &Tree,
) -> Vec<Change> {
    match operation {
        Operation::Set { parameters } => parameters
            .iter()
            .map(|set| {
                let is_standard = standard_names::is_standard(&set.path);
                let own =
                    is_standard.then(|| standard_names::own_name(&set.path, summary.data_model));
                let path = own.unwrap_or_else(|| set.path.clone());
                let shown = |value: String| (!is_secret(&path)).then_some(value);
                let known = tree.get(&path);
                Change {
                    from: known.and_then(|reading| shown(reading.value.to_string())),
                    to: shown(set.value.clone()),
                    what: path.clone(),
                }
            })
            .collect(),
        operation if What::of(operation) == What::Firmware => vec![Change {
            what: SOFTWARE_VERSION.to_owned(),
            from: Some(summary.software_version.clone()),
            to: target_version.map(str::to_owned),
        }],
        _ => Vec::new(),
    }
}

/// The time zone of a device: as a tag of it says, or as it was told itself.
pub(super) fn time_zone(summary: &Summary, tree: &Tree) -> Option<String> {
    let tagged = summary
        .tags
        .iter()
        .find_map(|tag| tag.strip_prefix(ZONE_TAG));
    let names: &[&str] = match summary.data_model {
        DataModel::Tr181 => &["Device.Time.LocalTimeZone"],
        DataModel::Tr098 => &[
            "InternetGatewayDevice.Time.LocalTimeZoneName",
            "InternetGatewayDevice.Time.LocalTimeZone",
        ],
    };
    let told = names
        .iter()
        .filter_map(|name| tree.get(name))
        .map(|reading| &*reading.value);
    let mut known = tagged.into_iter().chain(told);
    known.find(|name| zone(name).is_some()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_zone_of_a_device() {
        let mut summary = Summary {
            data_model: DataModel::Tr098,
            ..Summary::default()
        };
        let mut tree = Tree::default();
        assert_eq!(time_zone(&summary, &tree), None);
        let string = cwmp::XsdType::STRING;
        for (name, value, expected) in [
            ("LocalTimeZone", "+02:00", "+02:00"),
            ("LocalTimeZoneName", "nonsense here", "+02:00"),
            (
                "LocalTimeZoneName",
                "CET-1CEST,M3.5.0,M10.5.0/3",
                "CET-1CEST,M3.5.0,M10.5.0/3",
            ),
        ] {
            let path = format!("InternetGatewayDevice.Time.{name}");
            tree.set(&path, value, &string, 1).unwrap();
            assert_eq!(time_zone(&summary, &tree).as_deref(), Some(expected));
        }
        summary.tags.insert("tz:Europe/Lisbon".to_owned());
        assert_eq!(time_zone(&summary, &tree).as_deref(), Some("Europe/Lisbon"));
    }
}
