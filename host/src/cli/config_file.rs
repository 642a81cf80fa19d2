//! `patchbay config`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum ConfigFile {
    /// Check a configuration: fails with all that is wrong.
    Check {
        /// The configuration.
        #[arg(env = "PATCHBAY_CONFIG")]
        file: PathBuf,
    },
    /// Show every setting as it is in force, environment included; secrets are masked.
    Show {
        /// The configuration; without one, everything has its default.
        #[arg(env = "PATCHBAY_CONFIG")]
        file: Option<PathBuf>,
    },
}

impl ConfigFile {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            ConfigFile::Check { file } => {
                Config::load(&file)?;
                println!("{} is a configuration", file.display());
            }
            ConfigFile::Show { file } => {
                let config = match file {
                    Some(path) => Config::load(&path)?,
                    None => Config::defaults()?,
                };
                print!("{}", config.shown()?);
            }
        }
        Ok(())
    }
}
