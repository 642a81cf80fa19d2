//! Bytes → a plugin that may be called: checked, compiled, instantiated once and asked what it is.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use super::call::one_line;
use super::guest::{Call, Guest, Identity};
use super::hooks::Hooks;
use super::matching::DeviceMatch;
use super::overrides::Override;
use super::pool::Instance;
use super::v0_1;

/// A plugin that loads may take longer than a call: engines of scripts set themselves up.
const DESCRIBE_MILLISECONDS: u64 = 2000;
const NAME_BYTES_MAX: usize = 100;
const CONDITIONS_MAX: usize = 1000;
/// The packages of WASI 0.2 that are given, empty.
const WASI_PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// What components are linked with, made once.
pub(super) struct Linkers {
    engine: Engine,
    plain: Linker<Guest>,
    with_wasi: Linker<Guest>,
}

/// A compiled component.
pub(super) struct Code {
    pre: InstancePre<Guest>,
    indices: v0_1::Indices,
    pub(super) kinds: Kinds,
    pub(super) hash: Arc<str>,
    pub(super) imports_wasi: bool,
    /// Which of our interfaces it imports: what it can ask of the host.
    pub(super) imports: Vec<String>,
}

/// What a component exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) quirks: bool,
    pub(super) flow: bool,
    pub(super) policy: bool,
}

/// What a plugin says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Description {
    pub(super) profile: Option<ProfileInfo>,
    pub(super) overrides: Vec<Override>,
    pub(super) flow: Option<FlowInfo>,
    pub(super) policy: Option<PolicyInfo>,
}

#[derive(Debug, Clone)]
pub(super) struct ProfileInfo {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) matches: Vec<DeviceMatch>,
    pub(super) priority: i32,
    /// As the plugin gave them; [`Description::overrides`] are checked.
    pub(super) overrides: Vec<(String, String)>,
    pub(super) hooks: Hooks,
}

#[derive(Debug, Clone)]
pub(super) struct FlowInfo {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) priority: i32,
    pub(super) triggers: Vec<Trigger>,
}

#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) events: Vec<String>,
    pub(super) devices: Vec<DeviceMatch>,
    pub(super) tags: Vec<String>,
    pub(super) without_tags: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct PolicyInfo {
    pub(super) name: String,
    pub(super) version: String,
}

impl Linkers {
    pub(super) fn new(engine: Engine) -> wasmtime::Result<Linkers> {
        Ok(Linkers {
            plain: v0_1::linker(&engine, false)?,
            with_wasi: v0_1::linker(&engine, true)?,
            engine,
        })
    }
}

/// SHA-256, in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> Arc<str> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

impl Code {
    /// Slow, and all of it is computing. An error is one line for the operator.
    pub(super) fn compile(linkers: &Linkers, bytes: &[u8], hash: Arc<str>) -> Result<Code, String> {
        check_header(bytes)?;
        let engine = &linkers.engine;
        let component = Component::from_binary(engine, bytes).map_err(|error| {
            format!("not a valid component: {}", one_line(&format!("{error:#}")))
        })?;
        let component_type = component.component_type();
        let exports: Vec<&str> = component_type
            .exports(engine)
            .map(|(name, _)| name)
            .collect();
        let imports: Vec<&str> = component_type
            .imports(engine)
            .map(|(name, _)| name)
            .collect();
        let kinds = Kinds::of(&exports)?;
        let imports_wasi = check_imports(&imports, kinds)?;
        let linker = if imports_wasi {
            &linkers.with_wasi
        } else {
            &linkers.plain
        };
        let unfit = |error: wasmtime::Error| {
            format!(
                "does not fit the WIT of patchbay:plugin@0.1: {}",
                one_line(&format!("{error:#}"))
            )
        };
        let imports = imports
            .iter()
            .filter_map(|name| our_interface(name))
            .map(|(interface, _)| interface.to_owned())
            .collect();
        let pre = linker.instantiate_pre(&component).map_err(unfit)?;
        let indices = v0_1::Indices::new(&pre, kinds).map_err(unfit)?;
        Ok(Code {
            pre,
            indices,
            kinds,
            hash,
            imports_wasi,
            imports,
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    pub(super) fn pre(&self) -> &InstancePre<Guest> {
        &self.pre
    }

    pub(super) fn indices(&self) -> &v0_1::Indices {
        &self.indices
    }

    /// Instantiates it in a store of its own, asks what it is, and checks the answer.
    pub(super) async fn describe(&self, identity: &Arc<Identity>) -> Result<Description, String> {
        let wall_max = identity.limits.step_wall_max;
        let asked = tokio::time::timeout(wall_max, self.ask_descriptions(identity)).await;
        let (profile, flow, policy) = asked
            .map_err(|_| format!("describe did not return within {} s", wall_max.as_secs()))?
            .map_err(|kind| format!("describe failed: {kind}"))?;
        Description::checked(profile, flow, policy)
    }

    async fn ask_descriptions(
        &self,
        identity: &Arc<Identity>,
    ) -> Result<(Option<ProfileInfo>, Option<FlowInfo>, Option<PolicyInfo>), super::PluginErrorKind>
    {
        let call = Call::describing(&identity.limits, DESCRIBE_MILLISECONDS);
        let mut instance = Instance::new(self, Guest::new(Arc::clone(identity), call)).await?;
        let (exports, store) = instance.parts();
        let asked = async {
            let profile = exports.describe_profile(store).await?;
            let flow = exports.describe_flow(store).await?;
            let policy = exports.describe_policy(store).await?;
            Ok((profile, flow, policy))
        };
        let asked: wasmtime::Result<_> = asked.await;
        asked.map_err(|error| super::call::classify(&error, instance.parts().1.data()))
    }
}

/// Tells the usual mistakes apart.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(
            "a core module, not a component: link it with wasm-component-ld, or make a component of it \
             (`patchbay plugin build`, `wasm-tools component new`)"
                .to_owned(),
        ),
        Some(header) if header.starts_with(b"\0asm") => {
            Err("a WebAssembly file of a version that this host does not know".to_owned())
        }
        Some(_) => Err("not a WebAssembly component".to_owned()),
        None if bytes.is_empty() => Err("empty".to_owned()),
        None => Err("not a WebAssembly component: only a few bytes long".to_owned()),
    }
}

/// `patchbay:plugin/flow@0.1.0` → `("flow", (0, 1))`.
fn our_interface(name: &str) -> Option<(&str, (u64, u64))> {
    let (interface, version) = name.strip_prefix("patchbay:plugin/")?.split_once('@')?;
    let mut parts = version.split(['.', '-', '+']);
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((interface, (major, minor)))
}

fn check_version(name: &str, version: (u64, u64)) -> Result<(), String> {
    if version == v0_1::VERSION {
        return Ok(());
    }
    Err(format!(
        "made for {name}; this host knows patchbay:plugin@0.1"
    ))
}

impl Kinds {
    fn of(exports: &[&str]) -> Result<Kinds, String> {
        let mut kinds = Kinds::default();
        for name in exports {
            let Some((interface, version)) = our_interface(name) else {
                continue;
            };
            check_version(name, version)?;
            match interface {
                "quirks" => kinds.quirks = true,
                "flow" => kinds.flow = true,
                "nat-policy" => kinds.policy = true,
                _ => {}
            }
        }
        if kinds == Kinds::default() {
            let found = if exports.is_empty() {
                "nothing".to_owned()
            } else {
                exports.join(", ")
            };
            return Err(format!(
                "exports none of patchbay:plugin/quirks, flow and nat-policy (@0.1); it exports {}",
                one_line(&found)
            ));
        }
        Ok(kinds)
    }

    pub(super) fn names(self) -> Vec<String> {
        [
            (self.quirks, "quirks"),
            (self.flow, "flow"),
            (self.policy, "nat-policy"),
        ]
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name.to_owned())
        .collect()
    }

    fn may_import(self, interface: &str) -> bool {
        match interface {
            "types" | "matching" | "host" => true,
            "memory" => self.quirks || self.flow,
            "lookup" | "session" => self.flow,
            _ => false,
        }
    }
}

/// Whether WASI is among the imports. All that cannot be given is named at once.
fn check_imports(imports: &[&str], kinds: Kinds) -> Result<bool, String> {
    let mut imports_wasi = false;
    let mut missing = Vec::new();
    for name in imports {
        if let Some((interface, version)) = our_interface(name) {
            check_version(name, version)?;
            if !kinds.may_import(interface) {
                missing.push(*name);
            }
        } else if is_wasi(name) {
            imports_wasi = true;
        } else {
            missing.push(*name);
        }
    }
    if missing.is_empty() {
        return Ok(imports_wasi);
    }
    Err(format!(
        "imports what this host does not give a plugin that exports {}: {}",
        kinds.names().join(" and "),
        missing.join(", ")
    ))
}

fn is_wasi(name: &str) -> bool {
    let package = name
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'));
    let (Some((package, rest)), Some((_, version))) = (package, name.split_once('@')) else {
        return false;
    };
    !rest.is_empty() && WASI_PACKAGES.contains(&package) && version.starts_with("0.2.")
}

impl Description {
    fn checked(
        mut profile: Option<ProfileInfo>,
        flow: Option<FlowInfo>,
        policy: Option<PolicyInfo>,
    ) -> Result<Description, String> {
        let mut overrides = Vec::new();
        if let Some(profile) = &mut profile {
            check_names(&profile.name, &profile.version)?;
            check_count("matches", profile.matches.len())?;
            for (name, value) in &profile.overrides {
                overrides.push(Override::parse(name, value)?);
            }
        }
        if let Some(flow) = &flow {
            check_names(&flow.name, &flow.version)?;
            check_count("triggers", flow.triggers.len())?;
            for trigger in &flow.triggers {
                check_count("a trigger's conditions", trigger.events.len())?;
                check_count("a trigger's conditions", trigger.devices.len())?;
                check_count(
                    "a trigger's conditions",
                    trigger.tags.len() + trigger.without_tags.len(),
                )?;
            }
        }
        if let Some(policy) = &policy {
            check_names(&policy.name, &policy.version)?;
        }
        Ok(Description {
            profile,
            overrides,
            flow,
            policy,
        })
    }

    /// The version of the plugin, and the name it gives itself.
    pub(super) fn title(&self) -> (&str, &str) {
        let profile = self
            .profile
            .as_ref()
            .map(|one| (one.name.as_str(), one.version.as_str()));
        let flow = self
            .flow
            .as_ref()
            .map(|one| (one.name.as_str(), one.version.as_str()));
        let policy = self
            .policy
            .as_ref()
            .map(|one| (one.name.as_str(), one.version.as_str()));
        profile.or(flow).or(policy).unwrap_or_default()
    }

    /// For people: what it is for.
    pub(super) fn matches(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(profile) = &self.profile {
            lines.extend(profile.matches.iter().map(|one| format!("profile: {one}")));
            if profile.matches.is_empty() {
                lines.push("profile: any device".to_owned());
            }
        }
        if let Some(flow) = &self.flow {
            lines.extend(
                flow.triggers
                    .iter()
                    .map(|trigger| format!("flow: {trigger}")),
            );
            if flow.triggers.is_empty() {
                lines.push("flow: only when it is asked for".to_owned());
            }
        }
        lines
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.events.as_slice() {
            [] => f.write_str("every session")?,
            events => f.write_str(&events.join(" or "))?,
        }
        for (at, device) in self.devices.iter().enumerate() {
            let word = if at == 0 { ", for" } else { " or" };
            write!(f, "{word} {device}")?;
        }
        if !self.tags.is_empty() {
            write!(f, ", tagged {}", self.tags.join(" and "))?;
        }
        if !self.without_tags.is_empty() {
            write!(f, ", not tagged {}", self.without_tags.join(" or "))?;
        }
        Ok(())
    }
}

fn check_names(name: &str, version: &str) -> Result<(), String> {
    for (what, text) in [("name", name), ("version", version)] {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!(
                "describe gives a {what} that is not 1 to {NAME_BYTES_MAX} bytes of text"
            ));
        }
    }
    Ok(())
}

fn check_count(what: &str, count: usize) -> Result<(), String> {
    if count > CONDITIONS_MAX {
        return Err(format!(
            "describe gives {count} {what}; at most {CONDITIONS_MAX}"
        ));
    }
    Ok(())
}
