//! The Inform (A.3.3.1).

use cwmp::{Event, Inform, ParameterValue};

use super::Cpe;
use crate::model::date_time;
use crate::{Oddity, UnixTime};

impl Cpe {
    /// With these events and, beside the forced parameters, these changed ones.
    pub(super) fn inform(&self, events: &[Event], changed: &[Box<str>], now: UnixTime) -> Inform {
        let facts = self.facts(now);
        let mut parameters: Vec<ParameterValue> = Vec::with_capacity(8 + changed.len());
        for path in self.tree.forced_inform() {
            parameters.extend(self.shown(path, now));
        }
        for path in changed {
            if !parameters.iter().any(|parameter| *parameter.path == **path) {
                parameters.extend(self.shown(path, now));
            }
        }
        let events = if self.oddities.has(Oddity::NoEvents) {
            Vec::new()
        } else {
            events.to_vec()
        };
        Inform {
            device_id: self.device_id(),
            events,
            current_time: date_time(facts.clock),
            retry_count: self.retry_count,
            parameters,
            unknown: Vec::new(),
        }
    }

    /// A parameter as the ACS sees it: secrets empty, `(null)` where the device is one of those.
    pub(super) fn shown(&self, path: &str, now: UnixTime) -> Option<ParameterValue> {
        let parameter = self.tree.parameter(path)?;
        let mut value = if parameter.leaf.hidden {
            String::new()
        } else {
            self.tree.value(path, parameter, &self.facts(now))
        };
        if value.is_empty()
            && self.oddities.has(Oddity::NullParameterKey)
            && path.ends_with(".ParameterKey")
        {
            value.push_str("(null)");
        }
        Some(ParameterValue::new(
            path,
            value,
            parameter.leaf.kind.xsd_type(),
        ))
    }
}
