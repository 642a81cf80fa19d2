//! GetParameterValues (A.3.2.2).

use cwmp::{Fault, ParameterValue, Response};

use super::fault;
use crate::cpe::Cpe;
use crate::model::Node;
use crate::{Oddity, UnixTime};

/// How many names [`Oddity::GetLimit16`] takes.
const NAMES_MAX: usize = 16;

impl Cpe {
    pub(super) fn get_parameter_values(
        &self,
        names: &[String],
        now: UnixTime,
    ) -> Result<Response, Fault> {
        if names.len() > NAMES_MAX && self.oddities.has(Oddity::GetLimit16) {
            return Err(fault(9004));
        }
        let mut values: Vec<ParameterValue> = Vec::with_capacity(names.len());
        for asked in names {
            if let Some(found) = self.any_instance(asked, now) {
                values.extend(found.iter().filter_map(|path| self.shown(path, now)));
                continue;
            }
            let name = &*self.resolve(asked, now).map_err(fault)?;
            let found = if name.is_empty() || name.ends_with('.') {
                self.tree.walk(name, &mut |path, node| {
                    if let Node::Parameter(_) = node {
                        values.extend(self.shown(path, now));
                    }
                })
            } else {
                let mut shown = self.shown(name, now);
                let found = shown.is_some();
                if let Some(value) = &mut shown {
                    // By the name that it was asked by.
                    value.path.clone_from(asked);
                }
                values.extend(shown);
                found
            };
            if !found && !self.oddities.has(Oddity::BadNamesLeftOut) {
                return Err(fault(9005));
            }
        }
        Ok(Response::GetParameterValues(values))
    }
}
