//! WHAT HAPPENED, FOR THE SYSTEMS AROUND: one stream of numbered events for the whole host.
//!
//! Whoever makes something happen [`Events::emit`]s it, in one place for each kind (`what.rs`).
//! The last ones are kept in memory; a [`Follower`] reads behind them at its own pace, so a slow
//! one costs nothing but its own completeness. What it does not do: wait, write, or know who
//! follows. Webhooks are made of it, durably, in `outbox.rs`.

mod delivery;
mod filter;
mod queue;
mod reachable;
mod ring;
mod streams;
mod webhook;
mod what;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::device::{DeviceKey, UnixTime};

pub use delivery::{DeadLetter, Doing, HOOKS_MAX, Hook, Webhooks};
pub use filter::{EVENTS, Heard};
pub use reachable::Unreachable;
pub use ring::{Events, Follower, HISTORY_EVENTS_MAX, News};
pub use streams::{Stream, Streams};
pub use webhook::Webhook;
pub use what::{
    Between, CampaignEvent, CampaignStep, DeviceChanged, DeviceDeleted, DeviceImported,
    DeviceReachable, DeviceRegistered, DeviceUnreachable, FaultRaised, Imported, KINDS, NoteTold,
    Noted, NotesChanged, PluginEvent, PluginStep, SessionEnded, SessionOutcome, TagsChanged,
    TaskEvent, TaskStep, TriedWay, What, short,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Grows with each event of the host, also over restarts; 0 before it is emitted.
    pub number: u64,
    /// When.
    pub at: UnixTime,
    /// In which instance; `None`: it is the whole host's (plugins).
    pub instance: Option<Arc<str>>,
    /// To which device of it.
    pub device: Option<Arc<str>>,
    /// What.
    pub what: What,
}

impl Event {
    /// It happened to a device.
    pub fn of_device(at: UnixTime, device: &DeviceKey, what: What) -> Event {
        Event {
            number: 0,
            at,
            instance: Some(Arc::clone(&device.instance)),
            device: Some(Arc::clone(&device.id)),
            what,
        }
    }

    /// It happened in an instance.
    pub fn of_instance(at: UnixTime, instance: &Arc<str>, what: What) -> Event {
        Event {
            number: 0,
            at,
            instance: Some(Arc::clone(instance)),
            device: None,
            what,
        }
    }

    /// It happened to the host as a whole.
    pub fn of_host(at: UnixTime, what: What) -> Event {
        Event {
            number: 0,
            at,
            instance: None,
            device: None,
            what,
        }
    }

    /// The key of its device.
    pub fn device_key(&self) -> Option<DeviceKey> {
        Some(DeviceKey {
            instance: Arc::clone(self.instance.as_ref()?),
            id: Arc::clone(self.device.as_ref()?),
        })
    }

    /// As people and programs get it.
    pub fn told(&self) -> Told<'_> {
        Told {
            number: self.number,
            at: crate::api::time(self.at),
            instance: self.instance.as_deref(),
            device: self.device.as_deref(),
            kind: self.what.kind(),
            data: &self.what,
        }
    }
}

/// An event as it goes out: the data of a server-sent event, the body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct Told<'a> {
    /// Grows with each event, also over restarts; the same event has the same number however
    /// often it comes.
    pub number: u64,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// Absent: it is the whole host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<&'a str>,
    /// Absent: it is of no single device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<&'a str>,
    /// `device.registered`, `task.failed`, …
    pub kind: &'a str,
    /// Its shape goes by the kind.
    #[schema(inline)]
    pub data: &'a What,
}
