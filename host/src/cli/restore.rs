//! `patchbay restore`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::Config;
use crate::store::Store;

/// Makes a store of a backup, where there is none.
pub(super) async fn restore(config: Option<PathBuf>, backup: &Path) -> anyhow::Result<()> {
    super::log("warn");
    let config = match config {
        Some(path) => Config::load(&path)?,
        None => Config::defaults()?,
    };
    let file = std::fs::File::open(backup)
        .with_context(|| format!("cannot read the backup {}", backup.display()))?;
    let store = crate::store_config(&config);
    let directory = store.directory.clone();
    let records = tokio::task::spawn_blocking(move || Store::import(&store, file)).await??;
    println!("restored {records} records into {}", directory.display());
    Ok(())
}
