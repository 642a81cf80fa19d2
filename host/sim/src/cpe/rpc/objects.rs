//! AddObject (A.3.2.6) and DeleteObject (A.3.2.7).

use cwmp::{AddObject, Applied, DeleteObject, Fault, Response};

use super::fault;
use super::set_parameter_values::KEY_CHARS_MAX;
use crate::Oddity;
use crate::cpe::Cpe;

impl Cpe {
    pub(super) fn add_object(&mut self, add: &AddObject) -> Result<Response, Fault> {
        check_arguments(&add.object_name, &add.parameter_key)?;
        let instance = self.tree.add_row(&add.object_name).map_err(fault)?;
        self.store_parameter_key(&add.parameter_key);
        let told = if self.oddities.has(Oddity::AddObjectUncounted) {
            0
        } else {
            instance
        };
        Ok(Response::AddObject(told, Applied::Now))
    }

    pub(super) fn delete_object(&mut self, delete: &DeleteObject) -> Result<Response, Fault> {
        check_arguments(&delete.object_name, &delete.parameter_key)?;
        self.tree.delete_row(&delete.object_name).map_err(fault)?;
        self.changed
            .retain(|path| !path.starts_with(&delete.object_name));
        self.store_parameter_key(&delete.parameter_key);
        Ok(Response::DeleteObject(Applied::Now))
    }
}

fn check_arguments(object_name: &str, parameter_key: &str) -> Result<(), Fault> {
    if !object_name.ends_with('.') || parameter_key.chars().count() > KEY_CHARS_MAX {
        return Err(fault(9003));
    }
    Ok(())
}
