//! Events by query: `kind = "task.failed" and device.tag = gold and data.fault >= 9800`.

use std::cell::OnceCell;

use serde_json::Value;

use super::Event;
use crate::Acs;
use crate::device::Summary;
use crate::query::{Datum, Field, Kind, Named, Query, Subject, Vocabulary};
use crate::secrets::is_secret;

const fn text(name: &'static str) -> Named {
    Named {
        name,
        kind: Kind::Text,
    }
}

/// The fields of an event. What an event tells is asked for by its path, `data.error`; what is
/// known of its device at the moment of the question by `device.` and the field.
pub static EVENTS: Vocabulary = Vocabulary {
    of: "event",
    fields: &[
        text("kind"),
        Named {
            name: "at",
            kind: Kind::Time,
        },
        text("instance"),
        text("device"),
        text("device.tag"),
        text("device.manufacturer"),
        text("device.oui"),
        text("device.product_class"),
        text("device.serial_number"),
        text("device.software_version"),
        text("device.hardware_version"),
        text("device.provisioning_code"),
        text("device.mode"),
    ],
};

/// What stands before the path of something that an event tells.
const DATA: &str = "data.";

/// An event and its device, for a query.
pub struct Heard<'a> {
    event: &'a Event,
    device: Option<&'a Summary>,
    data: OnceCell<Value>,
}

impl<'a> Heard<'a> {
    /// `device`: what is known of it, if there is one.
    pub fn new(event: &'a Event, device: Option<&'a Summary>) -> Heard<'a> {
        Heard {
            event,
            device,
            data: OnceCell::new(),
        }
    }

    fn data(&self, path: &str) -> Option<&Value> {
        let all = || serde_json::to_value(&self.event.what).unwrap_or_default();
        let mut value = self.data.get_or_init(all);
        for name in path.split('.') {
            value = value.get(name)?;
        }
        Some(value)
    }
}

impl Acs {
    /// Whether an event is what a query asks for, with what is known of its device at present.
    pub(crate) fn is_event(&self, query: &Query, event: &Event) -> bool {
        if query.is_all() {
            return true;
        }
        let key = event.device_key();
        let cell = key.and_then(|key| self.store.device(&key).ok().flatten());
        let device = cell.map(|cell| cell.lock().shared_summary());
        query.matches(&Heard::new(event, device.as_deref()), event.at)
    }
}

impl Subject for Heard<'_> {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let named = match field {
            Field::Named { named, .. } => named.name,
            Field::Path(path) => {
                let path = path.strip_prefix(DATA).filter(|path| !is_secret(path));
                let value = path.and_then(|path| self.data(path));
                return Some(value.is_some_and(|value| any_of(value, test)));
            }
        };
        let event = self.event;
        let text = match named {
            "kind" => Some(event.what.kind()),
            "at" => return Some(test(Datum::Time(event.at))),
            "instance" => event.instance.as_deref(),
            "device" => event.device.as_deref(),
            of_device => {
                let device = self.device;
                return Some(device.is_some_and(|device| any_of_device(device, of_device, test)));
            }
        };
        Some(text.is_some_and(|text| test(Datum::Text(text))))
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        Some(test(self.event.what.kind()) || self.event.device.as_deref().is_some_and(test))
    }
}

fn any_of_device(device: &Summary, field: &str, test: &mut dyn FnMut(Datum<'_>) -> bool) -> bool {
    let text = match field {
        "device.tag" => return device.tags.iter().any(|tag| test(Datum::Text(tag))),
        "device.manufacturer" => &device.manufacturer,
        "device.oui" => &device.oui,
        "device.product_class" => &device.product_class,
        "device.serial_number" => &device.serial_number,
        "device.software_version" => &device.software_version,
        "device.hardware_version" => &device.hardware_version,
        "device.provisioning_code" => &device.provisioning_code,
        "device.mode" => {
            let mode = device.nat.as_ref().map(|nat| nat.mode.name());
            return mode.is_some_and(|mode| test(Datum::Text(mode)));
        }
        _ => return false,
    };
    !text.is_empty() && test(Datum::Text(text))
}

fn any_of(value: &Value, test: &mut dyn FnMut(Datum<'_>) -> bool) -> bool {
    match value {
        Value::String(text) => test(Datum::Text(text)),
        // As a parameter's value it is compared as a number, and as text.
        Value::Number(number) => test(Datum::Parameter {
            value: &number.to_string(),
            read_at: 0,
        }),
        Value::Bool(flag) => test(Datum::Flag(*flag)),
        Value::Array(values) => values.iter().any(|value| any_of(value, test)),
        Value::Null | Value::Object(_) => false,
    }
}
