//! What is loaded, immutable: a session keeps the table it began with, a reload swaps in a new one.

use std::cmp::Reverse;
use std::sync::Arc;

use super::hooks::Hooks;
use super::matching::{Strictness, any_fits};
use super::plugin::LoadedPlugin;
use super::{FlowRef, Overrides, Policy};
use crate::device::Summary;

/// The policy we ship: it gives way to any other.
const SHIPPED_POLICY: &str = "nat-default";

/// All plugins that run.
#[derive(Debug, Default)]
pub struct Table {
    generation: u64,
    /// Higher priority goes later and so has the last word; then by name.
    profiles: Vec<(i32, Arc<LoadedPlugin>)>,
    /// Lower priority runs first; then by name.
    pub(super) flows: Vec<(i32, Arc<LoadedPlugin>)>,
    /// The first that is for a device decides: the highest priority of `<plugin>.toml`, then
    /// the others before the shipped one, then by name.
    policies: Vec<Arc<LoadedPlugin>>,
}

/// What of a [`Table`] is for one device. Cheap to clone; computed once per device and table.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// Of the table it was computed from.
    pub generation: u64,
    /// The merged overrides of all matching profiles.
    pub overrides: Arc<Overrides>,
    /// In the order they run in; with those that only run when they are asked for.
    pub flows: Arc<[FlowRef]>,
    /// The policy in force.
    pub policy: Option<Policy>,
    pub(super) profiles: Arc<[Arc<LoadedPlugin>]>,
    /// Those that any of the profiles has.
    pub(super) hooks: Hooks,
}

impl Table {
    pub(super) fn new(generation: u64, plugins: &[Arc<LoadedPlugin>]) -> Table {
        let mut table = Table {
            generation,
            ..Table::default()
        };
        for plugin in plugins {
            let operators = plugin.operator.priority;
            if let Some(profile) = &plugin.description.profile {
                table
                    .profiles
                    .push((operators.unwrap_or(profile.priority), Arc::clone(plugin)));
            }
            if let Some(flow) = &plugin.description.flow {
                table
                    .flows
                    .push((operators.unwrap_or(flow.priority), Arc::clone(plugin)));
            }
            if plugin.description.policy.is_some() {
                table.policies.push(Arc::clone(plugin));
            }
        }
        table
            .profiles
            .sort_by(|(a, x), (b, y)| (a, x.name()).cmp(&(b, y.name())));
        table
            .flows
            .sort_by(|(a, x), (b, y)| (a, x.name()).cmp(&(b, y.name())));
        table.policies.sort_by_key(|plugin| {
            let name = plugin.name().clone();
            (
                Reverse(plugin.operator.priority.unwrap_or(0)),
                &*name == SHIPPED_POLICY,
                name,
            )
        });
        table
    }

    /// Grows with each reload that changed something.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The policy that decides where no `<plugin>.toml` narrows it: its plugin's name.
    pub fn policy(&self) -> Option<&str> {
        self.policies.first().map(|plugin| &**plugin.name())
    }

    /// What is for this device of this instance.
    pub fn matched(&self, instance: &str, device: &Summary) -> Matched {
        self.matched_as(instance, device, Strictness::Strict)
    }

    /// As [`Table::matched`], for a device of which only some fields could be read: an empty
    /// field fits any pattern. For [`Matched::repair`] of an Inform that cannot be parsed.
    pub fn matched_loosely(&self, instance: &str, device: &Summary) -> Matched {
        self.matched_as(instance, device, Strictness::Loose)
    }

    fn matched_as(&self, instance: &str, device: &Summary, strictness: Strictness) -> Matched {
        let operator_allows = |plugin: &LoadedPlugin| {
            plugin.operator.is_for(instance)
                && any_fits(&plugin.operator.matches, device, strictness)
        };
        let mut overrides = Overrides::default();
        let mut hooks = Hooks::default();
        let mut profiles = Vec::new();
        for (_, plugin) in &self.profiles {
            let Some(profile) = &plugin.description.profile else {
                continue;
            };
            if !operator_allows(plugin) || !any_fits(&profile.matches, device, strictness) {
                continue;
            }
            for one in &plugin.description.overrides {
                overrides.apply(*one);
            }
            if profile.hooks != Hooks::default() {
                hooks = hooks.or(profile.hooks);
                profiles.push(Arc::clone(plugin));
            }
        }
        let flows = self
            .flows
            .iter()
            .filter(|(_, plugin)| operator_allows(plugin))
            .filter_map(|(priority, plugin)| FlowRef::new(plugin, *priority, device, strictness));
        let policy = self.policies.iter().find(|plugin| operator_allows(plugin));
        Matched {
            generation: self.generation,
            overrides: Arc::new(overrides),
            flows: flows.collect(),
            policy: policy.map(|plugin| Policy::new(Arc::clone(plugin))),
            profiles: profiles.into(),
            hooks,
        }
    }
}

impl Matched {
    /// The profiles with hooks, `name version` each, in the order they are asked.
    pub fn profiles(&self) -> impl Iterator<Item = String> {
        self.profiles.iter().map(|plugin| plugin.title())
    }
}
