//! `patchbay restore`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::backup;
use crate::config::Config;

/// Makes a data directory of a backup, where there is none.
pub(super) async fn restore(config: Option<PathBuf>, backup: &Path) -> anyhow::Result<()> {
    super::log("warn");
    let config = match config {
        Some(path) => Config::load(&path)?,
        None => Config::defaults()?,
    };
    let file = std::fs::File::open(backup)
        .with_context(|| format!("cannot read the backup {}", backup.display()))?;
    let restored = tokio::task::spawn_blocking(move || backup::restore(&config, file)).await??;
    println!(
        "restored {} records, {} contents of files and {} files of the audit log into {}",
        restored.records,
        restored.contents,
        restored.audit_files,
        restored.store.display()
    );
    Ok(())
}
