//! Campaigns and their devices as the API shows them.

use std::io;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::error::{ApiError, time};
use crate::Acs;
use crate::export;
use crate::store::CampaignDeviceFilter;
use crate::work::campaign::{
    CampaignId, CampaignState, Counts, Definition, DeviceState, LogLine, Record, Shown, Waits,
};

/// Devices that are read at once for an export.
const PAGE: usize = 1_000;

/// A campaign as it stands.
#[derive(Serialize, ToSchema)]
pub(super) struct CampaignView {
    /// Its id.
    #[schema(value_type = String)]
    id: CampaignId,
    /// Its instance.
    instance: String,
    /// Where it stands.
    state: CampaignState,
    /// What it waits for; null: it does not wait.
    waits_for: Option<Waits>,
    /// When a service window opens or closes next.
    next_change: Option<String>,
    /// Why it is paused, was aborted or rolled back.
    why: Option<String>,
    /// What it is to do. Secrets that it sets or uses are not shown.
    definition: Definition,
    /// When it was made.
    created: String,
    /// By whom.
    created_by: String,
    /// When it was started.
    started: Option<String>,
    /// When it ended.
    ended: Option<String>,
    /// The wave that is on, from 1; null: it was not started.
    wave: Option<u32>,
    /// The version that devices have afterwards, where that is known.
    target_version: Option<String>,
    /// All its devices, counted.
    counts: Counts,
    /// The devices of each wave, counted.
    waves: Vec<Counts>,
}

impl CampaignView {
    pub(super) fn new(instance: &str, shown: &Shown) -> CampaignView {
        let head = &shown.head;
        let mut definition = Definition::clone(&shown.definition);
        definition.operation = definition.operation.without_secrets();
        let waves = head.counts.iter();
        CampaignView {
            id: shown.id,
            instance: instance.to_owned(),
            state: shown.state,
            waits_for: shown.waits,
            next_change: shown.next_change.map(time),
            why: head.why.clone(),
            definition,
            created: time(head.created),
            created_by: head.created_by.clone(),
            started: head.started.map(time),
            ended: head.ended.map(time),
            wave: head.started.map(|_| u32::from(head.wave) + 1),
            target_version: head.target_version.clone(),
            counts: waves.fold(Counts::default(), |sum, wave| sum.plus(wave)),
            waves: head.counts.clone(),
        }
    }
}

/// What the audit log keeps of a campaign that was made, changed or removed.
#[derive(Serialize)]
pub(super) struct Written {
    campaign: CampaignId,
    definition: Definition,
}

impl Written {
    pub(super) fn of(shown: &Shown) -> Written {
        let mut definition = Definition::clone(&shown.definition);
        definition.operation = definition.operation.without_secrets();
        Written {
            campaign: shown.id,
            definition,
        }
    }
}

/// What it keeps of one that was steered.
#[derive(Serialize)]
pub(super) struct Stand {
    campaign: CampaignId,
    name: String,
    state: CampaignState,
    /// From 1; none: it was not started.
    wave: Option<u32>,
    why: Option<String>,
}

impl Stand {
    pub(super) fn of(shown: &Shown) -> Stand {
        let head = &shown.head;
        Stand {
            campaign: shown.id,
            name: shown.definition.name.clone(),
            state: shown.state,
            wave: head.started.map(|_| u32::from(head.wave) + 1),
            why: head.why.clone(),
        }
    }
}

/// A device of a campaign.
#[derive(Serialize, ToSchema)]
pub(super) struct CampaignDeviceView {
    /// Its id.
    device: String,
    /// Its wave, from 1.
    wave: u32,
    /// Where it stands.
    state: DeviceState,
    /// Why.
    reason: Option<String>,
    /// How often it was given the operation.
    attempts: u16,
    /// The last task that it was given.
    task: Option<String>,
    /// It is to get back what it had.
    rolls_back: bool,
    /// Its version before.
    version_before: Option<String>,
    /// Its time zone, where the windows are those of devices.
    time_zone: Option<String>,
    /// When it was first given its task.
    queued: Option<String>,
    /// When it took the task.
    begun: Option<String>,
    /// When it came to its end.
    ended: Option<String>,
    /// It is not tried again before.
    not_before: Option<String>,
}

impl CampaignDeviceView {
    pub(super) fn new(device: &str, record: &Record) -> CampaignDeviceView {
        CampaignDeviceView {
            device: device.to_owned(),
            wave: u32::from(record.wave) + 1,
            state: record.state,
            reason: record.reason.clone(),
            attempts: record.attempts,
            task: record.task.map(|task| task.to_string()),
            rolls_back: record.back,
            version_before: record.version_before.clone(),
            time_zone: record.zone.clone(),
            queued: record.queued.map(time),
            begun: record.begun.map(time),
            ended: record.ended.map(time),
            not_before: record.not_before.map(time),
        }
    }
}

/// Something that a campaign did.
#[derive(Serialize, ToSchema)]
pub(super) struct LogLineView {
    /// When.
    at: String,
    /// What, and why.
    text: String,
}

impl LogLineView {
    pub(super) fn new(line: &LogLine) -> LogLineView {
        LogLineView {
            at: time(line.at),
            text: line.text.clone(),
        }
    }
}

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// In pages.
    #[default]
    Json,
    /// All, a line each, with a first line of names.
    Csv,
    /// All, a JSON object in each line.
    Ndjson,
}

/// All devices that are wanted, written while they are read.
pub(super) fn stream(
    acs: Arc<Acs>,
    who: &str,
    instance: Arc<str>,
    id: CampaignId,
    filter: CampaignDeviceFilter,
    format: Format,
) -> Result<Response, ApiError> {
    let body = export::stream(who, move |sink| {
        if format == Format::Csv {
            sink.csv(&NAMES)?;
        }
        let mut after = None::<Arc<str>>;
        loop {
            let page = acs.campaign_devices(&instance, id, filter, after.as_deref(), PAGE);
            let (devices, next) = page.map_err(io::Error::other)?;
            for (device, record) in &devices {
                let view = CampaignDeviceView::new(device, record);
                match format {
                    Format::Csv => sink.csv(&view.cells()?)?,
                    Format::Json | Format::Ndjson => sink.json(&view)?,
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    });
    let body = body.ok_or_else(ApiError::busy)?;
    let content_type = match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json | Format::Ndjson => "application/x-ndjson",
    };
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

impl CampaignDeviceView {
    /// As a line of a table, in the order of [`NAMES`].
    fn cells(&self) -> io::Result<[String; NAMES.len()]> {
        let fields = serde_json::to_value(self)?;
        Ok(NAMES.map(|name| match fields.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }))
    }
}

/// The columns, also of a list without devices.
const NAMES: [&str; 13] = [
    "device",
    "wave",
    "state",
    "reason",
    "attempts",
    "task",
    "rolls_back",
    "version_before",
    "time_zone",
    "queued",
    "begun",
    "ended",
    "not_before",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_the_fields() {
        let view = CampaignDeviceView::new("x", &Record::default());
        let json = serde_json::to_string(&view).unwrap();
        let places: Vec<usize> = NAMES
            .iter()
            .map(|name| json.find(&format!("\"{name}\":")).unwrap())
            .collect();
        assert!(places.is_sorted(), "{json}");
        assert_eq!(json.matches("\":").count(), NAMES.len());
        let cells = CampaignDeviceView::new("02A1B2-X-1", &Record::default()).cells();
        let cells = cells.unwrap().join(",");
        assert!(
            cells.starts_with("02A1B2-X-1,1,pending,,0,,false,"),
            "{cells}"
        );
    }
}
