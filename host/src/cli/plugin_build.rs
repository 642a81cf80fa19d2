//! `patchbay plugin build`: guest crates in Rust → components, by one recipe on any machine.
//!
//! The target is `wasm32-unknown-unknown` and the linker `wasm-component-ld`, so what cargo builds is a finished
//! component without WASI imports. Where the compiler comes from is `toolchain`'s business.

mod toolchain;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use toolchain::Toolchain;

const TARGET: &str = "wasm32-unknown-unknown";

/// Where a workspace of plugins has its profiles that are written down: `NAME.profile.toml`.
const PROFILES: &str = "profiles";

/// The first bytes of every component; a core module has another layer number.
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// Builds the guest crate or workspace in `dir` and puts its components into `out` (default: `dir/dist`), each as
/// `<crate>.wasm`, renamed into place so that a running host never sees half a file. A settings template
/// `<crate>.toml` beside a crate's manifest goes along where none is yet, and so do the profiles that are written down
/// (`profiles/NAME.profile.toml`). Returns the paths of components and profiles, sorted.
///
/// Cargo's own progress goes to stderr. What is built on the way is kept below `CARGO_TARGET_DIR`, or `dir/target`.
/// Where no compiler for the target is installed one is fetched (`rustup target add`, or Debian's packages if run by
/// root), which the variable `PATCHBAY_OFFLINE` forbids.
pub fn build(dir: &Path, out: Option<&Path>) -> Result<Vec<PathBuf>> {
    let dir = dir
        .canonicalize()
        .with_context(|| format!("no directory {}", dir.display()))?;
    ensure!(
        dir.join("Cargo.toml").is_file(),
        "{} holds no Cargo.toml",
        dir.display()
    );
    let out = out.map_or_else(|| dir.join("dist"), Path::to_path_buf);
    let toolchain = toolchain::find(&dir)?;
    let artifacts = run_cargo(&dir, &toolchain)?;
    ensure!(
        !artifacts.is_empty(),
        "{} built no plugin: a plugin's Cargo.toml says `[lib] crate-type = [\"cdylib\"]`",
        dir.display()
    );
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut components = Vec::new();
    for artifact in &artifacts {
        components.push(artifact.install(&out)?);
    }
    components.extend(install_profiles(&dir.join(PROFILES), &out, &components)?);
    components.sort();
    Ok(components)
}

/// Puts the profiles that are written down beside the components. One that was a component in an
/// earlier build takes its place.
fn install_profiles(from: &Path, out: &Path, components: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut installed = Vec::new();
    for entry in fs::read_dir(from).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = name.strip_suffix(".profile.toml") else {
            continue;
        };
        let component = out.join(format!("{stem}.wasm"));
        if !components.contains(&component) && component.exists() {
            fs::remove_file(&component)
                .with_context(|| format!("cannot remove {}", component.display()))?;
        }
        let target = out.join(&*name);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        replace(&target, &text)?;
        installed.push(target);
    }
    Ok(installed)
}

/// One component as cargo left it.
struct Artifact {
    /// The plugin's name: the crate's, with dashes.
    name: String,
    manifest: PathBuf,
    file: PathBuf,
}

impl Artifact {
    fn install(&self, out: &Path) -> Result<PathBuf> {
        let bytes =
            fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        ensure!(
            bytes.starts_with(&COMPONENT_PREAMBLE),
            "{} is not a component: a linker other than wasm-component-ld was used for {TARGET}",
            self.file.display()
        );
        let component = out.join(format!("{}.wasm", self.name));
        replace(&component, &bytes)?;
        let template = self.manifest.with_file_name(format!("{}.toml", self.name));
        let settings = out.join(format!("{}.toml", self.name));
        if template.is_file() && !settings.exists() {
            let text = fs::read(&template)
                .with_context(|| format!("cannot read {}", template.display()))?;
            replace(&settings, &text)?;
        }
        Ok(component)
    }
}

/// Writes beside the file under a name that the host ignores, then renames.
fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut hidden = OsString::from(".");
    hidden.push(file.file_name().unwrap_or_default());
    hidden.push(".tmp");
    let hidden = file.with_file_name(hidden);
    fs::write(&hidden, bytes)
        .and_then(|()| fs::rename(&hidden, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Runs cargo and returns what it built of the crates below `dir`.
fn run_cargo(dir: &Path, toolchain: &Toolchain) -> Result<Vec<Artifact>> {
    let mut child = cargo(dir, toolchain)?
        .spawn()
        .context("cannot run cargo: it must be in PATH")?;
    let output = child.stdout.take().context("cargo without an output")?;
    let mut artifacts = Vec::new();
    for line in BufReader::new(output).lines() {
        if let Some(message) = Message::read(&line.context("cannot read cargo's output")?) {
            artifacts.extend(message.artifact(dir));
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!(
            "cargo could not build the plugins in {} ({status})",
            dir.display()
        );
    }
    Ok(artifacts)
}

fn cargo(dir: &Path, toolchain: &Toolchain) -> Result<Command> {
    // Not the host's own target directory: the host is often being built in there.
    let target_dir = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(shared) => std::path::absolute(shared)?.join("guests").join("build"),
        None => dir.join("target").join("guests"),
    };
    let mut cargo = toolchain.cargo()?;
    cargo
        .current_dir(dir)
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format=json-render-diagnostics",
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
            "wasm-component-ld",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // Flags meant for the machine at hand (its processor, its linker) are not for wasm.
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(variable);
    }
    Ok(cargo)
}

/// A line of cargo's JSON output, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    crate_types: Vec<String>,
}

impl Message {
    fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    fn artifact(self, dir: &Path) -> Option<Artifact> {
        let (manifest, target) = (self.manifest_path?, self.target?);
        let ours = self.reason == "compiler-artifact"
            && manifest.starts_with(dir)
            && target.crate_types.iter().any(|kind| kind == "cdylib");
        let file = self
            .filenames
            .into_iter()
            .find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
        ours.then(|| Artifact {
            name: target.name.replace('_', "-"),
            manifest,
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///p/nat-default#0.1.0",
        "manifest_path":"/p/nat-default/Cargo.toml",
        "target":{"kind":["cdylib"],"crate_types":["cdylib"],"name":"nat_default","src_path":"/p/x"},
        "filenames":["/t/nat_default.wasm"],"executable":null,"fresh":true}"#;

    fn artifact(line: &str, dir: &str) -> Option<(String, PathBuf)> {
        Message::read(line)?
            .artifact(Path::new(dir))
            .map(|artifact| (artifact.name, artifact.file))
    }

    #[test]
    fn artifacts_are_the_cdylibs_below_the_directory() {
        let expected = Some((
            "nat-default".to_owned(),
            PathBuf::from("/t/nat_default.wasm"),
        ));
        assert_eq!(artifact(LINE, "/p"), expected);
        assert_eq!(artifact(LINE, "/elsewhere"), None);
        assert_eq!(
            artifact(
                &LINE.replace(r#"["cdylib"],"name"#, r#"["rlib"],"name"#),
                "/p"
            ),
            None
        );
        assert_eq!(
            artifact(r#"{"reason":"build-finished","success":true}"#, "/p"),
            None
        );
        assert_eq!(artifact("not json", "/p"), None);
    }

    #[test]
    fn a_directory_without_a_crate_is_refused() {
        let dir = std::env::temp_dir();
        let error = build(&dir.join("no such directory"), None).unwrap_err();
        assert!(error.to_string().starts_with("no directory"), "{error}");
    }
}
