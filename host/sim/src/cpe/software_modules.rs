//! Software modules: deployment units that ChangeDUState (A.4.1.10) installs, updates and
//! uninstalls after the session, and their rows in `Device.SoftwareModules.`

use std::collections::VecDeque;

use cwmp::{
    ChangeDuState, DuOperation, DuResult, DuStateChangeComplete, EventKind, Fault, Request,
    Response, TransferFault,
};

use super::transfer::firmware_version;
use super::{Cpe, TransferJob, TransferResult};
use crate::model::date_time;
use crate::{Oddity, UnixTime};

/// ChangeDUStates that wait before fault 9004.
const CHANGES_MAX: usize = 8;

const EXEC_ENV: &str = "Device.SoftwareModules.ExecEnv.";
const DEPLOYMENT_UNIT: &str = "Device.SoftwareModules.DeploymentUnit.";
const EXECUTION_UNIT: &str = "Device.SoftwareModules.ExecutionUnit.";

/// What is installed, and what is to be changed of it.
#[derive(Debug, Clone, Default)]
pub(super) struct SoftwareModules {
    units: Vec<Unit>,
    changes: VecDeque<Change>,
    /// The file of the first operation of the first change is under way.
    fetching: bool,
}

/// A deployment unit, with the one execution unit that each has here.
#[derive(Debug, Clone)]
struct Unit {
    uuid: String,
    version: String,
    url: String,
    /// The path of its execution environment.
    execution_env: String,
    /// Their rows.
    deployment_unit: String,
    execution_unit: String,
}

#[derive(Debug, Clone)]
struct Change {
    command_key: String,
    operations: VecDeque<DuOperation>,
    began: UnixTime,
    results: Vec<DuResult>,
}

impl SoftwareModules {
    /// The file that is wanted next.
    pub(super) fn due(&self) -> Option<TransferJob> {
        if self.fetching {
            return None;
        }
        let (url, username, password) = match self.changes.front()?.operations.front()? {
            DuOperation::Install {
                url,
                username,
                password,
                ..
            } => (url.clone(), username, password),
            DuOperation::Update {
                uuid,
                url,
                username,
                password,
                ..
            } => {
                let known = self.units.iter().find(|unit| unit.uuid == *uuid);
                let url = match known {
                    Some(unit) if url.is_empty() => unit.url.clone(),
                    _ => url.clone(),
                };
                (url, username, password)
            }
            DuOperation::Uninstall { .. } => return None,
        };
        Some(TransferJob {
            url,
            username: username.clone(),
            password: password.clone(),
            upload: None,
        })
    }

    pub(super) fn fetch_begun(&mut self) {
        self.fetching = true;
    }
}

impl Cpe {
    pub(super) fn change_du_state(
        &mut self,
        asked: &ChangeDuState,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        if asked.operations.is_empty() {
            return Err(Fault::new(9003));
        }
        if self.software.changes.len() >= CHANGES_MAX {
            return Err(Fault::new(9004));
        }
        self.software.changes.push_back(Change {
            command_key: asked.command_key.clone(),
            operations: asked.operations.iter().cloned().collect(),
            began: now,
            results: Vec::new(),
        });
        Ok(Response::ChangeDuState)
    }

    /// Does what needs no file, or cannot be done, and tells of changes that are over.
    pub(super) fn change_modules(&mut self, now: UnixTime) {
        while !self.software.fetching {
            let Some(operation) = self.next_operation() else {
                match self.software.changes.pop_front() {
                    Some(change) => self.tell_change(change),
                    None => return,
                }
                continue;
            };
            let result = match (self.check_operation(&operation), &operation) {
                (Ok(()), DuOperation::Uninstall { uuid, .. }) => self.uninstall(uuid, now),
                (Ok(()), _) => return,
                (Err(code), operation) => self.failed(operation, code, now),
            };
            self.operation_ended(result);
        }
    }

    /// The file of an operation is there, or will never be.
    pub(super) fn module_fetched(&mut self, result: TransferResult, now: UnixTime) {
        self.software.fetching = false;
        let Some(operation) = self.next_operation() else {
            return;
        };
        let result = match result {
            TransferResult::Done(file) => self.take_module(&operation, &file, now),
            // 9010 is for files, not for deployment units (A.5.1).
            TransferResult::Failed(9010 | 9011, _) => self.failed(&operation, 9017, now),
            TransferResult::Failed(code, _) => self.failed(&operation, code, now),
        };
        self.operation_ended(result);
        self.change_modules(now);
    }

    fn next_operation(&self) -> Option<DuOperation> {
        self.software.changes.front()?.operations.front().cloned()
    }

    fn operation_ended(&mut self, result: DuResult) {
        if let Some(change) = self.software.changes.front_mut() {
            change.operations.pop_front();
            change.results.push(result);
        }
    }

    fn tell_change(&mut self, change: Change) {
        let command_key = if self.oddities.has(Oddity::TransferWithoutKey) {
            String::new()
        } else {
            change.command_key
        };
        if !self.tells_transfers() {
            return;
        }
        let complete = DuStateChangeComplete {
            results: change.results,
            command_key: command_key.clone(),
        };
        self.tell(
            Request::DuStateChangeComplete(complete),
            &[
                (EventKind::DuStateChangeComplete, ""),
                (EventKind::Method("ChangeDUState"), &command_key),
            ],
        );
        self.schedule.want_session();
    }

    /// The fault code of what cannot be done, before any file is fetched.
    fn check_operation(&self, operation: &DuOperation) -> Result<(), u32> {
        match operation {
            DuOperation::Install {
                url,
                uuid,
                execution_env,
                ..
            } => {
                check_url(url)?;
                if !uuid.is_empty() {
                    check_uuid(uuid)?;
                }
                self.check_environment(execution_env)
            }
            DuOperation::Update { uuid, url, .. } => {
                check_uuid(uuid)?;
                self.unit(uuid)?;
                if url.is_empty() {
                    Ok(())
                } else {
                    check_url(url)
                }
            }
            DuOperation::Uninstall { uuid, version, .. } => {
                check_uuid(uuid)?;
                let unit = self.unit(uuid)?;
                if !version.is_empty() && *version != unit.version {
                    return Err(9028);
                }
                Ok(())
            }
        }
    }

    fn unit(&self, uuid: &str) -> Result<&Unit, u32> {
        let mut units = self.software.units.iter();
        units
            .find(|unit| unit.uuid.eq_ignore_ascii_case(uuid))
            .ok_or(9028)
    }

    /// An empty one leaves the choice to the device.
    fn check_environment(&self, path: &str) -> Result<(), u32> {
        if path.is_empty() {
            return Ok(());
        }
        let enable = format!("{}.Enable", path.trim_end_matches('.'));
        if !path.starts_with(EXEC_ENV) || self.tree.parameter(&enable).is_none() {
            return Err(9023);
        }
        match self.get(&enable, UnixTime::ZERO).as_deref() {
            Some("1") => Ok(()),
            _ => Err(9024),
        }
    }

    fn take_module(&mut self, operation: &DuOperation, file: &[u8], now: UnixTime) -> DuResult {
        match operation {
            DuOperation::Install {
                url,
                uuid,
                execution_env,
                ..
            } => {
                let version = firmware_version(file, url);
                let uuid = if uuid.is_empty() {
                    uuid_of(url)
                } else {
                    uuid.clone()
                };
                if self.unit(&uuid).is_ok() {
                    return self.failed(operation, 9026, now);
                }
                let execution_env = match execution_env.as_str() {
                    "" => format!("{EXEC_ENV}1."),
                    path => path.to_owned(),
                };
                self.install(&uuid, version, url, execution_env, now)
            }
            DuOperation::Update { uuid, url, .. } => {
                let Some(unit) = self.software.units.iter().find(|unit| unit.uuid == *uuid) else {
                    return self.failed(operation, 9028, now);
                };
                let url = if url.is_empty() {
                    unit.url.clone()
                } else {
                    url.clone()
                };
                let version = firmware_version(file, &url);
                match newer(&version, &unit.version) {
                    std::cmp::Ordering::Less => self.failed(operation, 9030, now),
                    std::cmp::Ordering::Equal => self.failed(operation, 9032, now),
                    std::cmp::Ordering::Greater => self.update(uuid, version, url, now),
                }
            }
            DuOperation::Uninstall { uuid, .. } => self.uninstall(uuid, now),
        }
    }

    fn install(
        &mut self,
        uuid: &str,
        version: String,
        url: &str,
        execution_env: String,
        now: UnixTime,
    ) -> DuResult {
        let rows = (
            self.tree.grow(DEPLOYMENT_UNIT),
            self.tree.grow(EXECUTION_UNIT),
        );
        let (Ok(unit), Ok(execution)) = rows else {
            return self.outcome("Failed", uuid, &version, TransferFault::new(9027), now);
        };
        let unit = Unit {
            uuid: uuid.to_owned(),
            version,
            url: url.to_owned(),
            execution_env,
            deployment_unit: format!("{DEPLOYMENT_UNIT}{unit}."),
            execution_unit: format!("{EXECUTION_UNIT}{execution}."),
        };
        self.show(&unit);
        let result = installed(&unit);
        self.software.units.push(unit);
        self.timed(result, now)
    }

    fn update(&mut self, uuid: &str, version: String, url: String, now: UnixTime) -> DuResult {
        let mut units = self.software.units.iter_mut();
        let Some(unit) = units.find(|unit| unit.uuid == uuid) else {
            return DuResult::default();
        };
        unit.version = version;
        unit.url = url;
        let unit = unit.clone();
        self.show(&unit);
        self.timed(installed(&unit), now)
    }

    fn uninstall(&mut self, uuid: &str, now: UnixTime) -> DuResult {
        let units = &mut self.software.units;
        let at = units.iter().position(|unit| unit.uuid == uuid);
        let Some(unit) = at.map(|at| units.remove(at)) else {
            return self.outcome("Failed", uuid, "", TransferFault::new(9028), now);
        };
        self.tree.shrink(&unit.deployment_unit);
        self.tree.shrink(&unit.execution_unit);
        let result = DuResult {
            state: "Uninstalled".to_owned(),
            execution_units: String::new(),
            ..installed(&unit)
        };
        self.timed(result, now)
    }

    /// Brings the rows of a unit up to what it is.
    fn show(&mut self, unit: &Unit) {
        let name = unit.url.split(['?', '#']).next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let values = [
            (&unit.deployment_unit, "UUID", unit.uuid.as_str()),
            (&unit.deployment_unit, "DUID", name),
            (&unit.deployment_unit, "Name", name),
            (&unit.deployment_unit, "URL", &unit.url),
            (&unit.deployment_unit, "Version", &unit.version),
            (
                &unit.deployment_unit,
                "ExecutionUnitList",
                &unit.execution_unit,
            ),
            (
                &unit.deployment_unit,
                "ExecutionEnvRef",
                &unit.execution_env,
            ),
            (&unit.execution_unit, "EUID", name),
            (&unit.execution_unit, "Name", name),
            (&unit.execution_unit, "Version", &unit.version),
            (&unit.execution_unit, "ExecutionEnvRef", &unit.execution_env),
        ];
        for (row, name, value) in values {
            self.tree.set(&format!("{row}{name}"), value.into());
        }
    }

    fn failed(&self, operation: &DuOperation, code: u32, now: UnixTime) -> DuResult {
        let uuid = match operation {
            DuOperation::Install { uuid, url, .. } if uuid.is_empty() => uuid_of(url),
            DuOperation::Install { uuid, .. }
            | DuOperation::Update { uuid, .. }
            | DuOperation::Uninstall { uuid, .. } => uuid.clone(),
        };
        let version = self.unit(&uuid).map_or("", |unit| &unit.version).to_owned();
        self.outcome("Failed", &uuid, &version, TransferFault::new(code), now)
    }

    fn outcome(
        &self,
        state: &str,
        uuid: &str,
        version: &str,
        fault: TransferFault,
        now: UnixTime,
    ) -> DuResult {
        let result = DuResult {
            uuid: uuid.to_owned(),
            version: version.to_owned(),
            state: state.to_owned(),
            fault,
            ..DuResult::default()
        };
        self.timed(result, now)
    }

    fn timed(&self, result: DuResult, now: UnixTime) -> DuResult {
        let began = self
            .software
            .changes
            .front()
            .map_or(now, |change| change.began);
        DuResult {
            start_time: date_time(began),
            complete_time: date_time(now),
            ..result
        }
    }
}

fn installed(unit: &Unit) -> DuResult {
    DuResult {
        uuid: unit.uuid.clone(),
        deployment_unit: unit.deployment_unit.clone(),
        version: unit.version.clone(),
        state: "Installed".to_owned(),
        resolved: true,
        execution_units: unit.execution_unit.clone(),
        ..DuResult::default()
    }
}

fn check_url(url: &str) -> Result<(), u32> {
    match url {
        "" => Err(9003),
        url if url.starts_with("http://") => Ok(()),
        _ => Err(9013),
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn check_uuid(uuid: &str) -> Result<(), u32> {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = uuid.split('-');
    let fits = lengths.iter().all(|length| {
        parts.next().is_some_and(|part| {
            part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    if fits && parts.next().is_none() {
        Ok(())
    } else {
        Err(9022)
    }
}

/// The same for the same URL, as a UUID of version 5 is.
fn uuid_of(url: &str) -> String {
    let mut hash = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D_u128;
    for byte in url.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    }
    format!(
        "{:08x}-{:04x}-5{:03x}-8{:03x}-{:012x}",
        hash & 0xFFFF_FFFF,
        (hash >> 32) & 0xFFFF,
        (hash >> 48) & 0xFFF,
        (hash >> 60) & 0xFFF,
        (hash >> 72) & 0xFFFF_FFFF_FFFF
    )
}

/// By the numbers in them.
fn newer(version: &str, than: &str) -> std::cmp::Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split(|c: char| !c.is_ascii_digit());
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    numbers(version)
        .cmp(&numbers(than))
        .then_with(|| version.cmp(than))
}
