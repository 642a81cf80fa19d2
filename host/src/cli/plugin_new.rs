//! `patchbay plugin new`: a plugin to begin with, that builds and passes its tests as it is.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

const MANIFEST: &str = include_str!("../../../plugin-sdk/templates/Cargo.toml.template");
const CARGO_CONFIG: &str = include_str!("../../../plugin-sdk/templates/config.toml");
const FLOW: &str = include_str!("../../../plugin-sdk/templates/flow.rs");
const FLOW_SETTINGS: &str = include_str!("../../../plugin-sdk/templates/flow.toml");
const PROFILE: &str = include_str!("../../../plugin-sdk/templates/profile.rs");
const POLICY: &str = include_str!("../../../plugin-sdk/templates/policy.rs");

/// Where the SDK lay when this program was built.
const SDK_IN_CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-sdk");
const SDK_VERSION: &str = "0.1";

/// What a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Provisioning logic.
    Flow,
    /// A vendor's device profile.
    Profile,
    /// The choice of a way to devices behind NAT.
    Policy,
}

impl Kind {
    fn source(self) -> &'static str {
        match self {
            Kind::Flow => FLOW,
            Kind::Profile => PROFILE,
            Kind::Policy => POLICY,
        }
    }
}

/// What the new crate's `patchbay-plugin` dependency points to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sdk {
    /// A directory on this machine.
    Path(PathBuf),
    /// A version from a registry.
    Version(String),
}

impl Sdk {
    /// The source tree this program was built from if it is still there, else the version of that time.
    fn here() -> Sdk {
        match Path::new(SDK_IN_CHECKOUT).canonicalize() {
            Ok(path) => Sdk::Path(path),
            Err(_) => Sdk::Version(SDK_VERSION.to_owned()),
        }
    }

    fn dependency(&self) -> String {
        match self {
            // A literal string of TOML, so that nothing in the path needs escaping.
            Sdk::Path(path) => format!("{{ path = '{}' }}", path.display()),
            Sdk::Version(version) => format!("\"{version}\""),
        }
    }
}

impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sdk::Path(path) => write!(f, "the SDK in {}", path.display()),
            Sdk::Version(version) => write!(
                f,
                "the SDK patchbay-plugin {version} of a registry, because no source tree of Patchbay was found here"
            ),
        }
    }
}

/// Writes a crate called `name` into `dir`, which must be new or empty. It depends on the SDK of the source tree this
/// program was built from, or where that is gone on a version of it; which of them goes to stderr.
pub(super) fn new(kind: Kind, name: &str, dir: &Path) -> Result<()> {
    let sdk = Sdk::here();
    write_crate(kind, name, dir, &sdk)?;
    eprintln!("it uses {sdk}");
    Ok(())
}

fn write_crate(kind: Kind, name: &str, dir: &Path, sdk: &Sdk) -> Result<()> {
    check_name(name)?;
    ensure!(
        is_new(dir)?,
        "{} is there already and not empty",
        dir.display()
    );
    let manifest = MANIFEST
        .replace("{{name}}", name)
        .replace("{{sdk}}", &sdk.dependency());
    // Only the flow's template reads settings.
    let manifest = match kind {
        Kind::Flow => manifest,
        Kind::Profile | Kind::Policy => without_line(&manifest, "serde = "),
    };
    write(&dir.join("Cargo.toml"), &manifest)?;
    write(&dir.join(".cargo").join("config.toml"), CARGO_CONFIG)?;
    write(&dir.join(".gitignore"), "/target\n/dist\n")?;
    write(&dir.join("src").join("lib.rs"), kind.source())?;
    if kind == Kind::Flow {
        write(
            &dir.join(format!("{name}.toml")),
            &FLOW_SETTINGS.replace("{{name}}", name),
        )?;
    }
    Ok(())
}

/// A crate's name, and the component's: `first-contact`.
fn check_name(name: &str) -> Result<()> {
    let letters = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.ends_with(letters)
        && name
            .chars()
            .all(|character| letters(character) || character == '-');
    ensure!(
        fits,
        "expected a name of lower-case letters, digits and dashes that begins with a letter, got {name:?}"
    );
    Ok(())
}

fn is_new(dir: &Path) -> Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", dir.display())),
    }
}

fn without_line(text: &str, beginning: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with(beginning))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn write(file: &Path, text: &str) -> Result<()> {
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, fits) in [
            ("first-contact", true),
            ("x2", true),
            ("", false),
            ("2x", false),
            ("my_flow", false),
            ("-x", false),
            ("x-", false),
            ("../x", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let error = new(Kind::Flow, "x", here).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is there already and not empty"),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_without_what_the_kind_does_not_need() {
        let manifest = without_line("a = 1\nserde = 2\nb = 3\n", "serde = ");
        assert_eq!(manifest, "a = 1\nb = 3\n");
    }
}
