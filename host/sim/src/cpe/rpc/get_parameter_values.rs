//! GetParameterValues (A.3.2.2).

use cwmp::{Fault, ParameterValue, Response};

use super::fault;
use crate::cpe::Cpe;
use crate::model::Node;
use crate::{Oddity, UnixTime};

impl Cpe {
    pub(super) fn get_parameter_values(
        &self,
        names: &[String],
        now: UnixTime,
    ) -> Result<Response, Fault> {
        let mut values: Vec<ParameterValue> = Vec::with_capacity(names.len());
        for name in names {
            let is_partial = name.is_empty() || name.ends_with('.');
            if is_partial && self.oddities.has(Oddity::PartialPathsRefused) {
                return Err(fault(9005));
            }
            let found = if is_partial {
                self.tree.walk(name, &mut |path, node| {
                    if let Node::Parameter(_) = node {
                        values.extend(self.shown(path, now));
                    }
                })
            } else {
                let shown = self.shown(name, now);
                let found = shown.is_some();
                values.extend(shown);
                found
            };
            if !found && !self.oddities.has(Oddity::BadNamesLeftOut) {
                let mut fault = fault(9005);
                if self.oddities.has(Oddity::BadNameNamed) {
                    fault.text = format!("{}: {name}", fault.text);
                }
                return Err(fault);
            }
        }
        Ok(Response::GetParameterValues(values))
    }
}
