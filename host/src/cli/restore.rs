//! `patchbay restore`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::backup::{self, OverPlugins, PluginFiles};
use crate::config::Config;

#[derive(Args)]
pub(super) struct Restore {
    /// The configuration; without one, everything has its default.
    #[arg(long, short, env = "PATCHBAY_CONFIG")]
    config: Option<PathBuf>,
    /// Put the backup's files of plugins in the place of others that are there; without it, those stay.
    #[arg(long)]
    replace_plugins: bool,
    /// The backup.
    backup: PathBuf,
}

impl Restore {
    /// Makes a data directory of a backup, where there is none.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log("warn");
        let config = match self.config {
            Some(path) => Config::load(&path)?,
            None => Config::defaults()?,
        };
        let plugin_directory = config.plugin_directory.clone();
        let file = std::fs::File::open(&self.backup)
            .with_context(|| format!("cannot read the backup {}", self.backup.display()))?;
        let over = match self.replace_plugins {
            true => OverPlugins::Replace,
            false => OverPlugins::Keep,
        };
        let restored = move || backup::restore(&config, file, over);
        let restored = tokio::task::spawn_blocking(restored).await??;
        println!(
            "restored {} records, {} contents of files and {} files of the audit log into {}",
            restored.records,
            restored.contents,
            restored.audit_files,
            restored.store.display()
        );
        let PluginFiles {
            put,
            kept,
            replaced,
            others,
        } = restored.plugins;
        if put.len() + kept.len() + replaced.len() > 0 {
            println!(
                "{} has the backup's files of plugins",
                plugin_directory.display()
            );
        }
        for (what, names) in [
            (
                "left as they are, though the backup has others (--replace-plugins takes those)",
                kept,
            ),
            ("replaced by those of the backup", replaced),
            ("not in the backup", others),
        ] {
            if !names.is_empty() {
                println!("  {what}: {}", names.join(", "));
            }
        }
        Ok(())
    }
}
