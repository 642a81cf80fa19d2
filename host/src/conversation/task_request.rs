//! What a task asks this very device.

use cwmp::Request;
use cwmp::path::Path;

use super::Conversation;
use crate::work::operation::{self, NamesUnknown};
use crate::work::standard_names;
use crate::work::task::Task;

impl Conversation {
    /// The RPC of a task, by what is known of the device; `None`: a flow asks by itself.
    pub(super) fn task_request(&self, task: &Task) -> Result<Option<Request>, NamesUnknown> {
        let device = self.cell.lock();
        let tree = device.tree();
        let operation = operation::expanded(&task.operation, |pattern| {
            let standard = standard_names::is_standard(pattern.as_str())
                .then(|| standard_names::own_name(pattern.as_str(), self.summary.data_model));
            let Ok(pattern) = Path::parse(standard.as_deref().unwrap_or(pattern.as_str())) else {
                return Vec::new();
            };
            let below = tree.prefix(pattern.before_wildcard());
            let matching = below.filter(|(path, _)| pattern.matches(path));
            matching.map(|(path, _)| path.to_owned()).collect()
        })?;
        let wildcards = format!(
            "{}ManagementServer.InstanceWildcardsSupported",
            self.summary.data_model.root()
        );
        let known = operation::Known {
            version: self.session.version(),
            data_model: self.summary.data_model,
            rpc_methods: &self.summary.rpc_methods,
            instance_wildcards: tree
                .get(&wildcards)
                .is_some_and(|reading| cwmp::value::boolean(&reading.value) == Some(true)),
        };
        let type_of = |path: &str| {
            let standard = standard_names::is_standard(path)
                .then(|| standard_names::own_name(path, self.summary.data_model));
            let reading = tree.get(standard.as_deref().unwrap_or(path))?;
            Some(reading.xsd_type.clone())
        };
        let task = Task {
            operation,
            ..task.clone()
        };
        Ok(operation::request(&task, &known, type_of))
    }
}
