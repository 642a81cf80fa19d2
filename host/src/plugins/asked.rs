//! Flows that somebody asks for by name, instead of waiting for what triggers them.
//!
//! Asking stands for the occasion: events and tags are not looked at. Which devices a flow is for
//! is, as its author and the operator say.

use std::sync::Arc;

use super::matching::{Strictness, any_fits};
use super::plugin::LoadedPlugin;
use super::{FlowRef, Matched, PluginState, Plugins, Table};
use crate::device::Summary;

/// Why a flow cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFlow {
    /// There is no plugin of that name with a flow, for this instance.
    #[error("there is no flow {name:?}; {}", there(.flows))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        flows: Vec<String>,
    },
    /// The operator has disabled it.
    #[error("the plugin {name:?} is disabled; {}", there(.flows))]
    Disabled {
        /// What was asked for.
        name: String,
        /// Those that there are.
        flows: Vec<String>,
    },
    /// Its file was refused.
    #[error("the plugin {name:?} does not run: its file was refused")]
    Failed {
        /// What was asked for.
        name: String,
    },
    /// Its triggers, or the operator's file, name other devices.
    #[error("the flow {name:?} is not for this device")]
    OtherDevices {
        /// What was asked for.
        name: String,
    },
}

/// The flows that there are, in words.
fn there(flows: &[String]) -> String {
    match flows {
        [] => "there are none".to_owned(),
        flows => format!("there are: {}", flows.join(", ")),
    }
}

impl Plugins {
    /// Whether a flow runs in an instance; with a device, whether it is for that.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_flow(
        &self,
        instance: &str,
        name: &str,
        device: Option<&Summary>,
    ) -> Result<(), NoFlow> {
        let table = self.table();
        if let Some(plugin) = table.flows_of(instance).find(|one| **one.name() == *name) {
            let is_for = device.is_none_or(|device| {
                any_fits(&plugin.operator.matches, device, Strictness::Strict)
                    && FlowRef::new(plugin, 0, device, Strictness::Strict).is_some()
            });
            return match is_for {
                true => Ok(()),
                false => Err(NoFlow::OtherDevices { name: name.into() }),
            };
        }
        let flows = table.flows_of(instance).map(|one| one.name().to_string());
        let (name, mut flows) = (name.to_owned(), flows.collect::<Vec<_>>());
        flows.sort();
        let mut statuses = self.statuses().into_iter();
        let status = statuses.find(|status| status.name == name);
        Err(match status.map(|status| status.state) {
            Some(PluginState::Disabled) => NoFlow::Disabled { name, flows },
            // Why is for those who may see the plugins.
            Some(PluginState::Failed) => NoFlow::Failed { name },
            _ => NoFlow::Unknown { name, flows },
        })
    }
}

impl Table {
    /// The plugins with a flow that run in an instance.
    fn flows_of(&self, instance: &str) -> impl Iterator<Item = &Arc<LoadedPlugin>> {
        let flows = self.flows.iter().map(|(_, plugin)| plugin);
        flows.filter(move |plugin| plugin.operator.is_for(instance))
    }
}

impl Matched {
    /// The flow of a plugin, whatever triggers it.
    pub fn flow(&self, plugin: &str) -> Option<&FlowRef> {
        self.flows.iter().find(|flow| **flow.plugin() == *plugin)
    }
}
