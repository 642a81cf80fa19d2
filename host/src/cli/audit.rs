//! `patchbay audit`: looks whether the audit log is what was written.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use crate::config::Config;
use crate::store::{Hash, hex, unhex, verify};

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Check that no record was changed or cut out; the server may run.
    Verify {
        /// The configuration; without one, everything has its default.
        #[arg(long, short, env = "PATCHBAY_CONFIG")]
        config: Option<PathBuf>,
        /// The data directory, instead of the configuration's.
        #[arg(long)]
        data: Option<PathBuf>,
        /// A record that is known to have been there, as this command printed it: NUMBER:HASH.
        #[arg(long, value_parser = known)]
        known: Vec<(u64, Hash)>,
    },
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Audit::Verify {
            config,
            data,
            known,
        } = self;
        super::log("warn");
        let config = match config {
            Some(path) => Config::load(&path)?,
            None => Config::defaults()?,
        };
        let config = Config {
            data_directory: data.unwrap_or(config.data_directory),
            ..config
        };
        let store = crate::store_config(&config).directory;
        let verified = verify(&store, &known)
            .with_context(|| format!("the audit log in {} is not what it was", store.display()))?;
        println!(
            "{} records hold together, {} to {}; the last is {}:{}",
            verified.records,
            verified.first,
            verified.last,
            verified.last,
            hex(&verified.hash)
        );
        Ok(())
    }
}

fn known(text: &str) -> Result<(u64, Hash), String> {
    let parsed = text.split_once(':');
    let parsed = parsed.and_then(|(number, hash)| Some((number.parse().ok()?, unhex(hash)?)));
    parsed.ok_or_else(|| format!("expected NUMBER:HASH with 64 hexadecimal digits, got {text:?}"))
}
