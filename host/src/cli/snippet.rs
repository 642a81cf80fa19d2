//! `patchbay snippet`: configuration of other systems, with the addresses of this instance.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::config::Config;
use crate::snippets::{Choices, Kind};

#[derive(Args)]
pub(super) struct Snippet {
    /// Of what; without it, all that there are.
    kind: Option<String>,
    /// The configuration; without one, everything has its default.
    #[arg(long, short, env = "PATCHBAY_CONFIG")]
    config: Option<PathBuf>,
    /// A choice, NAME=VALUE; may be given several times.
    #[arg(long = "option", short = 'o', value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// Print what there is to choose.
    #[arg(long)]
    list_options: bool,
}

impl Snippet {
    pub(super) fn print(self) -> anyhow::Result<()> {
        let Some(kind) = &self.kind else {
            for kind in Kind::ALL {
                println!("{:<12}{}", kind.name(), kind.about());
            }
            return Ok(());
        };
        let kind = Kind::named(kind)?;
        if self.list_options {
            for choice in kind.choices() {
                println!("{:<20}{}", choice.name, choice.about);
            }
            return Ok(());
        }
        let config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::defaults()?,
        };
        let choices = self.options.iter().map(|option| {
            let (name, value) = option
                .split_once('=')
                .with_context(|| format!("expected NAME=VALUE, got {option:?}"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let choices = choices.collect::<anyhow::Result<Choices>>()?;
        print!("{}", kind.print(&config, &choices)?);
        Ok(())
    }
}
