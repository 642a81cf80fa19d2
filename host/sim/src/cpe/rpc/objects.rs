//! AddObject (A.3.2.6) and DeleteObject (A.3.2.7).

use cwmp::{AddObject, Applied, DeleteObject, Fault, Response};

use super::fault;
use super::set_parameter_values::KEY_CHARS_MAX;
use crate::Oddity;
use crate::UnixTime;
use crate::cpe::Cpe;

impl Cpe {
    pub(super) fn add_object(&mut self, add: &AddObject, now: UnixTime) -> Result<Response, Fault> {
        check_arguments(&add.object_name, &add.parameter_key)?;
        let instance = match Cpe::split_new_alias(&add.object_name) {
            Some((table, alias)) => {
                // One of this Alias is there already.
                if self.resolve(&add.object_name, now).is_ok() {
                    return Err(fault(9003));
                }
                let table = self.resolve(table, now).map_err(fault)?;
                let instance = self.tree.add_row(&table).map_err(fault)?;
                self.tree
                    .set(&format!("{table}{instance}.Alias"), alias.into());
                instance
            }
            None => {
                let table = self.resolve(&add.object_name, now).map_err(fault)?;
                self.tree.add_row(&table).map_err(fault)?
            }
        };
        self.store_parameter_key(&add.parameter_key);
        let told = if self.oddities.has(Oddity::AddObjectUncounted) {
            0
        } else {
            instance
        };
        Ok(Response::AddObject(told, Applied::Now))
    }

    pub(super) fn delete_object(
        &mut self,
        delete: &DeleteObject,
        now: UnixTime,
    ) -> Result<Response, Fault> {
        check_arguments(&delete.object_name, &delete.parameter_key)?;
        let row = self.resolve(&delete.object_name, now).map_err(fault)?;
        self.tree.delete_row(&row).map_err(fault)?;
        self.changed.retain(|path| !path.starts_with(&*row));
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
