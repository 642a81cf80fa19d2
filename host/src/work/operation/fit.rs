//! Whether an operation is for a device.

use crate::Acs;
use crate::device::{DeviceKey, Summary};
use crate::work::asked::WHOLE_TREE;
use crate::work::task::Operation;
use crate::work::transfer;

impl Acs {
    /// Whether an operation is for a device; what only the file store and the device's data model
    /// tell is filled in.
    ///
    /// # Errors
    /// Why not, for people.
    pub(crate) fn fit(
        &self,
        operation: &mut Operation,
        device: &DeviceKey,
        summary: &Summary,
    ) -> Result<(), String> {
        transfer::prepare(self, operation, device, summary)?;
        match operation {
            Operation::Get { paths } => {
                let whole = paths.iter_mut().filter(|path| **path == WHOLE_TREE);
                whole.for_each(|path| summary.data_model.root().clone_into(path));
                Ok(())
            }
            Operation::Diagnostics(diagnostics) => diagnostics.check_model(summary.data_model),
            Operation::Flow { flow } => {
                let checked = self
                    .plugins
                    .check_flow(&device.instance, flow, Some(summary));
                checked.map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}
