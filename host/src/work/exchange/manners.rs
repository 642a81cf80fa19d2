//! How a device wants to be asked: what its profile says, else what was learned of its model.

use std::collections::BTreeMap;

use cwmp::{Fault, Request};

use crate::device::DataModel;
use crate::plugins::Overrides;

/// How a device wants to be asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manners {
    /// Names in one GetParameterValues, or GetParameterAttributes.
    pub names_per_get: Option<u32>,
    /// So many are known to be taken, where the former is an attempt to ask for more.
    pub names_proven: Option<u32>,
    /// Values in one SetParameterValues.
    pub parameters_per_set: Option<u32>,
    /// So many are known to be taken.
    pub parameters_proven: Option<u32>,
    /// `parameters_per_set` is the operator's word: objects are not kept together.
    pub splits_objects: bool,
    /// The names of the whole tree are asked level by level.
    pub names_by_level: bool,
    /// GetParameterNames of the empty path is not understood.
    pub no_root_names: bool,
    /// GetParameterValues of a partial path is not understood.
    pub no_partial_paths: bool,
    /// AddObject tells no instance number.
    pub no_instance_number: bool,
    /// Methods answered by fault 9000, with that fault.
    pub unsupported: BTreeMap<String, Fault>,
    /// These are asked all the same: a person wants it.
    pub asks_unsupported: bool,
    /// Which tree it speaks, as far as is known.
    pub data_model: DataModel,
    /// What its profile says of values.
    pub overrides: Overrides,
}

impl Manners {
    /// With what the device's profile says, which always has the last word.
    pub fn overridden(mut self, overrides: &Overrides) -> Manners {
        if let Some(names) = overrides.max_names_per_get {
            self.names_per_get = Some(names);
            self.names_proven = Some(names);
        }
        if let Some(parameters) = overrides.max_parameters_per_set {
            self.parameters_per_set = Some(parameters);
            self.parameters_proven = Some(parameters);
            self.splits_objects = true;
        }
        self.names_by_level |= overrides.names_by_level;
        self.no_root_names |= overrides.skip_root_names;
        self.no_partial_paths |= overrides.no_partial_paths;
        self.overrides = overrides.clone();
        self
    }

    /// The fault this request would end with, if it need not be asked to know.
    pub(super) fn refuses(&self, request: &Request) -> Option<Fault> {
        if self.asks_unsupported {
            return None;
        }
        self.unsupported.get(request.method()).cloned()
    }

    /// The root objects to try, the likelier first.
    pub(super) fn roots(&self) -> [&'static str; 2] {
        match self.data_model {
            DataModel::Tr098 => [DataModel::Tr098.root(), DataModel::Tr181.root()],
            DataModel::Tr181 => [DataModel::Tr181.root(), DataModel::Tr098.root()],
        }
    }
}
