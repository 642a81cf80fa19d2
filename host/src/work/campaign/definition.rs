//! What a campaign is to do, as its author wrote it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schedule::Schedule;
use crate::work::asked;
use crate::work::operation;
use crate::work::task::{Operation, PRIORITY_MAX};

/// Characters of a campaign's name.
const NAME_CHARS_MAX: usize = 200;
/// Bytes of its query.
const QUERY_BYTES_MAX: usize = 10_000;
/// Waves of a campaign.
pub(super) const WAVES_MAX: usize = 100;
/// The longest time that may be asked for anywhere: a year.
const SECONDS_MAX: u32 = 31_536_000;
/// How often a device may be tried again.
const RETRIES_MAX: u8 = 20;
/// Devices under way at once, and begun in a minute.
const PACE_MAX: u32 = 100_000;

/// A campaign: which devices, what, when, and how carefully.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// For people.
    pub name: String,
    /// Which devices, in the query language; empty: all.
    #[serde(default)]
    pub query: String,
    /// What is done to each of them: what a task can be, in the same words.
    #[serde(deserialize_with = "asked::read")]
    #[schema(value_type = Object, example = json!({"op": "reboot"}))]
    pub operation: Operation,
    /// Devices that come to match the query later belong to it too, until its end.
    #[serde(default)]
    pub also_new_devices: bool,
    /// When.
    #[serde(default)]
    pub schedule: Schedule,
    /// Who comes first; what is left over is the last wave. None: all at once.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// What has to be before a wave follows another.
    #[serde(default)]
    pub between_waves: BetweenWaves,
    /// How many at once.
    #[serde(default)]
    pub pace: Pace,
    /// Of its tasks: a device's tasks with a higher one are done first.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    pub priority: i8,
    /// When a wave has failed.
    #[serde(default)]
    pub stop: StopRules,
    /// What is done then.
    #[serde(default)]
    pub on_failed_wave: OnFailedWave,
    /// Which devices are tried again.
    #[serde(default)]
    pub retries: Retries,
    /// Seconds that a device may take to come back: from a reboot, with its firmware, or with the
    /// answer of a session that broke off. After them it is "not back".
    #[serde(default = "not_back")]
    pub not_back_seconds: u32,
    /// Seconds that a device that cannot be woken is waited for before it is "unreachable"; with
    /// service windows to the end of the window in which they are over, at least.
    #[serde(default = "unreachable")]
    pub unreachable_seconds: u32,
}

fn not_back() -> u32 {
    30 * 60
}

fn unreachable() -> u32 {
    24 * 60 * 60
}

/// A wave: so many devices, or a share of those that are left after the waves with a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// So many. Only before all waves with a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u32>,
    /// Of a hundred, of the devices that the waves with a number leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// What has to be before a wave follows another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BetweenWaves {
    /// Seconds after the end of the wave before.
    pub pause_seconds: u32,
    /// Seconds after the beginning of the wave before.
    pub age_seconds: u32,
    /// Somebody has to approve each wave but the first.
    pub approval: bool,
    /// A wave is over when so many of a hundred of its devices have come to their end; the others
    /// go on meanwhile.
    pub ended_percent: f64,
}

impl Default for BetweenWaves {
    fn default() -> BetweenWaves {
        BetweenWaves {
            pause_seconds: 0,
            age_seconds: 0,
            approval: false,
            ended_percent: 100.0,
        }
    }
}

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Devices begun in any 60 seconds.
    pub devices_per_minute: u32,
    /// Devices under way: from the call to the end, the reboot included.
    pub at_once: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            devices_per_minute: 600,
            at_once: 100,
        }
    }
}

/// When a wave has failed. The shares are of the devices of the wave that have come to their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopRules {
    /// Devices that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Share>,
    /// Devices that did not come back in `not_back_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_back: Option<Share>,
    /// Devices that did not come at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Share>,
}

/// A share that counts from a number of devices on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// More than so many of a hundred.
    pub percent: f64,
    /// And at least so many devices.
    #[serde(default = "one")]
    pub at_least: u32,
}

fn one() -> u32 {
    1
}

/// What is done when a wave has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailedWave {
    /// No further device is begun until somebody decides.
    #[default]
    Pause,
    /// No further device is begun at all.
    Abort,
    /// Neither, and the devices of the wave get the firmware back that they had, where the file
    /// store has it. Only of a firmware.
    RollBack,
}

/// Which devices are tried again. What failed with an unknown outcome never is, unless doing it
/// twice is the same as doing it once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// How often, of each device.
    pub times: u8,
    /// After how long; a minute at least.
    pub after_seconds: u32,
    /// After these faults; none: after any.
    pub faults: Vec<u32>,
    /// Also when the device did not come.
    pub unreachable: bool,
}

/// What an operation does to a device, as far as a campaign has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The device boots with another image: its version tells.
    Firmware,
    /// The device goes and comes back.
    Reboot,
    /// The same, with nothing that it knew.
    FactoryReset,
    /// The task's end is the end.
    Other,
}

impl What {
    /// Of this operation.
    pub fn of(operation: &Operation) -> What {
        match operation {
            Operation::Reboot => What::Reboot,
            Operation::FactoryReset => What::FactoryReset,
            operation if operation.brings_firmware() => What::Firmware,
            _ => What::Other,
        }
    }
}

impl Definition {
    /// Whether it can be done at all; else what was expected and what came.
    ///
    /// # Errors
    /// For people.
    pub fn check(&self) -> Result<(), String> {
        let name = self.name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&name) || self.name.chars().any(char::is_control) {
            return Err(format!(
                "expected a name of 1 to {NAME_CHARS_MAX} characters on one line, got {:?}",
                self.name
            ));
        }
        if self.query.len() > QUERY_BYTES_MAX {
            let got = self.query.len();
            return Err(format!(
                "expected a query of at most {QUERY_BYTES_MAX} bytes, got {got}"
            ));
        }
        operation::check(&self.operation).map_err(|error| format!("operation: {error}"))?;
        self.schedule.check()?;
        check_waves(&self.waves)?;
        percent(
            "between_waves.ended_percent",
            self.between_waves.ended_percent,
        )?;
        for (name, share) in [
            ("failed", self.stop.failed),
            ("not_back", self.stop.not_back),
            ("unreachable", self.stop.unreachable),
        ] {
            if let Some(share) = share {
                percent(&format!("stop.{name}.percent"), share.percent)?;
            }
        }
        for (name, value, least, most) in [
            (
                "pace.devices_per_minute",
                self.pace.devices_per_minute,
                1,
                PACE_MAX,
            ),
            ("pace.at_once", self.pace.at_once, 1, PACE_MAX),
            ("not_back_seconds", self.not_back_seconds, 1, SECONDS_MAX),
            (
                "unreachable_seconds",
                self.unreachable_seconds,
                1,
                SECONDS_MAX,
            ),
            (
                "retries.times",
                self.retries.times.into(),
                0,
                RETRIES_MAX.into(),
            ),
            (
                "retries.after_seconds",
                self.retries.after_seconds,
                0,
                SECONDS_MAX,
            ),
            (
                "between_waves.pause_seconds",
                self.between_waves.pause_seconds,
                0,
                SECONDS_MAX,
            ),
            (
                "between_waves.age_seconds",
                self.between_waves.age_seconds,
                0,
                SECONDS_MAX,
            ),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("expected {name} of {least} to {most}, got {value}"));
            }
        }
        if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&self.priority) {
            let got = self.priority;
            return Err(format!(
                "expected a priority of -{PRIORITY_MAX} to {PRIORITY_MAX}, got {got}"
            ));
        }
        let rolls_back = self.on_failed_wave == OnFailedWave::RollBack;
        if rolls_back && What::of(&self.operation) != What::Firmware {
            return Err(
                "expected on_failed_wave roll-back only with a firmware of the file store, got \
                 another operation"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// How long a device may take to come back.
    pub(super) fn not_back(&self) -> i64 {
        i64::from(self.not_back_seconds)
    }

    /// How long a device is waited for.
    pub(super) fn unreachable(&self) -> i64 {
        i64::from(self.unreachable_seconds)
    }
}

fn percent(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=100.0).contains(&value) {
        return Ok(());
    }
    Err(format!("expected {name} of 0 to 100, got {value}"))
}

fn check_waves(waves: &[Wave]) -> Result<(), String> {
    if waves.len() > WAVES_MAX {
        let got = waves.len();
        return Err(format!("expected at most {WAVES_MAX} waves, got {got}"));
    }
    let (mut shares, mut sum) = (false, 0.0);
    for (place, wave) in waves.iter().enumerate() {
        let name = format!("waves[{place}]");
        match (wave.devices, wave.percent) {
            (Some(0), None) => return Err(format!("expected {name}.devices of at least 1, got 0")),
            (Some(_), None) if shares => {
                return Err(format!(
                    "expected waves with devices before those with percent, got {name} after one"
                ));
            }
            (Some(_), None) => {}
            (None, Some(share)) => {
                percent(&format!("{name}.percent"), share)?;
                shares = true;
                sum += share;
            }
            _ => {
                return Err(format!("expected either devices or percent in {name}"));
            }
        }
    }
    if sum > 100.0 {
        return Err(format!(
            "expected percents of waves that make at most 100 together, got {sum}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;

    fn check(changes: Value, expected: Expect) {
        let mut json = json!({ "name": "a", "operation": { "op": "reboot" } });
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        let result = serde_json::from_value::<Definition>(json)
            .map_err(|error| error.to_string())
            .and_then(|definition| definition.check());
        expected.assert_eq(&result.err().unwrap_or_else(|| "fine".to_owned()));
    }

    #[test]
    fn what_is_expected_and_what_came() {
        check(json!({}), expect!["fine"]);
        check(
            json!({ "name": "" }),
            expect![[r#"expected a name of 1 to 200 characters on one line, got """#]],
        );
        check(
            json!({ "waves": [{ "devices": 5 }, { "percent": 10 }, { "percent": 90 }] }),
            expect!["fine"],
        );
        check(
            json!({ "waves": [{ "percent": 10 }, { "devices": 5 }] }),
            expect![
                "expected waves with devices before those with percent, got waves[1] after one"
            ],
        );
        check(
            json!({ "waves": [{ "percent": 60 }, { "percent": 60 }] }),
            expect!["expected percents of waves that make at most 100 together, got 120"],
        );
        check(
            json!({ "waves": [{}] }),
            expect!["expected either devices or percent in waves[0]"],
        );
        check(
            json!({ "pace": { "at_once": 0 } }),
            expect!["expected pace.at_once of 1 to 100000, got 0"],
        );
        check(
            json!({ "stop": { "failed": { "percent": 101 } } }),
            expect!["expected stop.failed.percent of 0 to 100, got 101"],
        );
        for operation in [json!({ "op": "refresh" }), json!({ "op": "backup" })] {
            check(json!({ "operation": operation }), expect!["fine"]);
        }
        check(
            json!({ "priority": -101 }),
            expect!["expected a priority of -100 to 100, got -101"],
        );
        check(
            json!({ "on_failed_wave": "roll-back" }),
            expect![
                "expected on_failed_wave roll-back only with a firmware of the file store, got another operation"
            ],
        );
        check(
            json!({ "operation": { "op": "set", "parameters": [] } }),
            expect!["operation: expected at least one of parameters"],
        );
        check(
            json!({ "schedule": { "time_zone": "Mars/Olympus" } }),
            expect![[
                r#"expected schedule.time_zone like Europe/Berlin, +01:00 or CET-1CEST,M3.5.0,M10.5.0/3, got "Mars/Olympus""#
            ]],
        );
    }
}
