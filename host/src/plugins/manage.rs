//! Changes of the plugins' directory that are asked for, and not made by hand: each is tried
//! apart from the others before it takes effect, and takes effect whole.

use std::path::{Path, PathBuf};

use super::directory::check_name;
use super::inspect::{Inspection, inspect};
use super::{Plugins, written};

/// Bytes of a component.
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// Bytes of the operator's file of a plugin.
pub const SETTINGS_BYTES_MAX: usize = 1 << 20;
/// What a component begins with.
const WASM: &[u8] = b"\0asm";

/// Why a change of the directory was not made.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is none of that name.
    #[error("there is no plugin {0:?}")]
    NoSuchPlugin(String),
    /// It would be refused: a sentence for its author.
    #[error("{0}")]
    Refused(String),
    /// There is something else of that name.
    #[error("{0}")]
    Conflict(String),
    /// The directory cannot be written.
    #[error("cannot write to the plugins' directory: {0}")]
    Io(#[from] std::io::Error),
}

/// The endings of what a plugin is made of.
const ENDINGS: [&str; 2] = [".wasm", written::ENDING];
/// The ending of the operator's file.
const TOML: &str = ".toml";

impl Plugins {
    /// Puts a component, or a profile that is written down, in the directory, in the place of
    /// the one before. It runs when this returns, unless the operator's file disables it.
    ///
    /// # Errors
    /// Why it was refused; then the one before still runs.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<Inspection, ManageError> {
        check_plugin_name(name)?;
        let (ending, other) = match bytes.starts_with(WASM) {
            true => (".wasm", written::ENDING),
            false => (written::ENDING, ".wasm"),
        };
        let directory = self.directory.lock().await;
        let path = directory.path().to_owned();
        if path.join(format!("{name}{other}")).exists() {
            return Err(ManageError::Conflict(format!(
                "{name}{other} is there already: delete it first"
            )));
        }
        let settings = read(&path, name)?;
        let trial = Trial {
            name,
            source: (ending, &bytes),
            settings: settings.as_deref(),
        };
        let found = trial.run(&path, directory.limits()).await?;
        replace(&path, &format!("{name}{ending}"), &bytes)?;
        drop(directory);
        self.reload().await;
        Ok(found)
    }

    /// The operator's file of a plugin; empty if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn settings(&self, name: &str) -> Result<String, ManageError> {
        let directory = self.directory.lock().await;
        self.find(directory.path(), name)?;
        Ok(read(directory.path(), name)?.unwrap_or_default())
    }

    /// Replaces the operator's file of a plugin; an empty text takes it away.
    ///
    /// # Errors
    /// What is wrong with it, with its line; then the one before still holds.
    pub async fn set_settings(&self, name: &str, text: &str) -> Result<(), ManageError> {
        let directory = self.directory.lock().await;
        let path = directory.path().to_owned();
        let (ending, file) = self.find(&path, name)?;
        let bytes = std::fs::read(&file)?;
        let trial = Trial {
            name,
            source: (ending, &bytes),
            settings: Some(text),
        };
        trial.run(&path, directory.limits()).await?;
        let file = format!("{name}{TOML}");
        match text.trim().is_empty() {
            true => remove_if_there(&path.join(file))?,
            false => replace(&path, &file, text.as_bytes())?,
        }
        drop(directory);
        self.reload().await;
        Ok(())
    }

    /// Has a plugin run, or not, by the operator's file; the rest of that stays as it is.
    ///
    /// # Errors
    /// As [`Plugins::set_settings`].
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), ManageError> {
        let text = self.settings(name).await?;
        self.set_settings(name, &with_enabled(&text, enabled)).await
    }

    /// Takes a plugin and the operator's file of it away.
    ///
    /// # Errors
    /// [`ManageError::NoSuchPlugin`]; when the directory cannot be written.
    pub async fn delete(&self, name: &str) -> Result<(), ManageError> {
        let directory = self.directory.lock().await;
        let path = directory.path().to_owned();
        self.find(&path, name)?;
        for ending in ENDINGS.iter().chain(&[TOML]) {
            remove_if_there(&path.join(format!("{name}{ending}")))?;
        }
        drop(directory);
        self.reload().await;
        Ok(())
    }

    /// What a plugin is made of.
    fn find(&self, path: &Path, name: &str) -> Result<(&'static str, PathBuf), ManageError> {
        check_plugin_name(name)?;
        let files = ENDINGS.map(|ending| (ending, path.join(format!("{name}{ending}"))));
        let found = files.into_iter().find(|(_, file)| file.is_file());
        found.ok_or_else(|| ManageError::NoSuchPlugin(name.to_owned()))
    }
}

/// A plugin as it would be, looked at in a directory of its own.
struct Trial<'a> {
    name: &'a str,
    source: (&'static str, &'a [u8]),
    settings: Option<&'a str>,
}

impl Trial<'_> {
    async fn run(
        &self,
        directory: &Path,
        limits: &super::DefaultLimits,
    ) -> Result<Inspection, ManageError> {
        let apart = tempfile::tempdir()?;
        let (ending, bytes) = self.source;
        let file = apart.path().join(format!("{}{ending}", self.name));
        std::fs::write(&file, bytes)?;
        if let Some(text) = self.settings.filter(|text| !text.trim().is_empty()) {
            std::fs::write(apart.path().join(format!("{}{TOML}", self.name)), text)?;
        }
        let found = inspect(&file, Some(directory), limits).await;
        found.map_err(ManageError::Refused)
    }
}

fn check_plugin_name(name: &str) -> Result<(), ManageError> {
    check_name(name).map_err(ManageError::Refused)?;
    // A name that begins with a dot is that of a file on its way.
    match name.is_empty() || name.starts_with('.') {
        true => Err(ManageError::Refused(
            "expected a name that does not begin with a dot".to_owned(),
        )),
        false => Ok(()),
    }
}

fn read(directory: &Path, name: &str) -> Result<Option<String>, ManageError> {
    match std::fs::read_to_string(directory.join(format!("{name}{TOML}"))) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whoever looks at the directory sees the file before, or this one.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(name))
        .map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}

fn remove_if_there(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The text with `enabled` said in its first part, where it belongs.
fn with_enabled(text: &str, enabled: bool) -> String {
    let said = format!("enabled = {enabled}");
    let is_table = |line: &str| line.trim_start().starts_with('[');
    let says = |line: &str| {
        let (name, _) = line.split_once('=').unwrap_or_default();
        name.trim() == "enabled"
    };
    let mut lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().position(|line| is_table(line));
    let head = head.unwrap_or(lines.len());
    let place = lines.iter().take(head).position(|line| says(line));
    match place.and_then(|place| lines.get_mut(place)) {
        Some(line) => *line = &said,
        None => lines.insert(0, &said),
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::with_enabled;

    #[test]
    fn only_that_line_changes() {
        for (before, after) in [
            ("", "enabled = false\n"),
            (
                "# mine\npriority = 1\n",
                "enabled = false\n# mine\npriority = 1\n",
            ),
            ("enabled = true # yes\n", "enabled = false\n"),
            (
                "priority = 1\nenabled=true\n[settings]\nenabled = true\n",
                "priority = 1\nenabled = false\n[settings]\nenabled = true\n",
            ),
            (
                "[settings]\nenabled = true\n",
                "enabled = false\n[settings]\nenabled = true\n",
            ),
        ] {
            assert_eq!(with_enabled(before, false), after);
        }
    }
}
