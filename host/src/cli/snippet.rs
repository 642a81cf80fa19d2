//! `patchbay snippet`: configuration of other systems, with the addresses of this instance.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::config::Config;
use crate::instance::{DEFAULT_NAME, Instance};
use crate::links::Links;
use crate::snippets::{Choices, Kind};

#[derive(Args)]
pub(super) struct Snippet {
    /// Of what; without it, all that there are.
    kind: Option<String>,
    /// The configuration; without one, everything has its default.
    #[arg(long, short, env = "PATCHBAY_CONFIG")]
    config: Option<PathBuf>,
    /// Of which instance of the configuration.
    #[arg(long, default_value = DEFAULT_NAME)]
    instance: String,
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
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::defaults()?,
        };
        let is_only = config.instances.is_empty();
        if self.instance != DEFAULT_NAME {
            let named = config.instances.remove(&self.instance);
            config.instance = named.with_context(|| {
                format!(
                    "expected an instance of the configuration, got {:?}",
                    self.instance
                )
            })?;
        }
        let instance = Instance::new(&self.instance, config.instance.clone());
        let links = Links::of(&config, &instance.path(is_only));
        let choices = self.options.iter().map(|option| {
            let (name, value) = option
                .split_once('=')
                .with_context(|| format!("expected NAME=VALUE, got {option:?}"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let choices = choices.collect::<anyhow::Result<Choices>>()?;
        print!("{}", kind.print(&config, links, &choices)?);
        Ok(())
    }
}
