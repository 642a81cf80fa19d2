//! SetParameterValues (A.3.2.1): all of it or nothing.

use std::borrow::Cow;

use cwmp::{Applied, Fault, ParameterFault, ParameterValue, Response, SetParameterValues};

use super::fault;
use crate::cpe::Cpe;
use crate::{Oddity, UnixTime};

/// Longest ParameterKey and CommandKey, in characters.
pub(super) const KEY_CHARS_MAX: usize = 32;

impl Cpe {
    pub(super) fn set_parameter_values(
        &mut self,
        set: &SetParameterValues,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        let mut accepted: Vec<(Cow<'_, str>, Box<str>)> = Vec::with_capacity(set.parameters.len());
        let mut refused = Vec::new();
        for parameter in &set.parameters {
            let path = match self.resolve(&parameter.path, now) {
                Ok(path) => path,
                Err(code) => {
                    refused.push((parameter, code));
                    continue;
                }
            };
            let twice = accepted.iter().any(|(other, _)| *other == path);
            match self.check(&path, parameter) {
                _ if twice => refused.push((parameter, 9003)),
                Ok(value) => accepted.push((path, value)),
                Err(code) => refused.push((parameter, code)),
            }
        }
        if !refused.is_empty() || set.parameter_key.chars().count() > KEY_CHARS_MAX {
            let parameters = refused.into_iter().map(|(parameter, code)| ParameterFault {
                path: parameter.path.clone(),
                code,
                text: fault(code).text,
            });
            return Err(Fault {
                parameters: parameters.collect(),
                ..fault(9003)
            });
        }
        for (path, value) in accepted {
            self.take(&path, value, now);
        }
        self.store_parameter_key(&set.parameter_key);
        Ok(Response::SetParameterValues(Applied::Now))
    }

    /// ParameterKey is only ever written by the RPCs that carry one.
    pub(super) fn store_parameter_key(&mut self, key: &str) {
        let path = self.management_server("ParameterKey");
        self.tree.set(&path, key.into());
    }

    fn check(&self, path: &str, parameter: &ParameterValue) -> Result<Box<str>, u32> {
        let leaf = self.tree.parameter(path).ok_or(9005_u32)?.leaf;
        if !leaf.writable {
            return Err(9008);
        }
        let digits_only = self.oddities.has(Oddity::BooleanDigitsOnly);
        leaf.accept(&parameter.value, &parameter.xsd_type, digits_only)
    }

    /// Stores a value that was checked, with what follows from it.
    fn take(&mut self, path: &str, value: Box<str>, now: UnixTime) {
        let before = self.get(path, now).unwrap_or_default();
        let changed = *before != *value;
        self.tree.set(path, value.clone());
        let management_server = self.management_server("");
        match path.strip_prefix(&management_server) {
            Some("URL") if changed => self.after_session.new_acs = true,
            Some("PeriodicInformInterval" | "PeriodicInformEnable" | "PeriodicInformTime")
                if changed =>
            {
                self.restart_periodic(now);
            }
            _ => {}
        }
        if path.ends_with(".DiagnosticsState") && &*value == "Requested" {
            self.after_session.diagnostics.push(path.into());
        }
        if &*value == "1" && (path.ends_with(".Reset") || path.ends_with(".Renew")) {
            // Such a parameter is a button: it reads 0 again.
            self.tree.set(path, "0".into());
        }
    }
}
