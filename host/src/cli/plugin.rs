//! `patchbay plugin`: make, build and check plugins.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{plugin_build, plugin_check, plugin_new};

#[derive(Subcommand)]
pub(super) enum Plugin {
    /// Make the source of a new plugin.
    New {
        /// What it shall be.
        kind: Kind,
        /// Its name: letters, digits and dashes.
        name: String,
        /// Where to make it; the name, if not given.
        #[arg(long)]
        directory: Option<PathBuf>,
    },
    /// Build the plugins of a directory into components.
    Build {
        /// A crate, or a workspace of crates.
        #[arg(default_value = ".")]
        directory: PathBuf,
        /// Where the components go; DIRECTORY/dist, if not given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Load a plugin under the host's limits and say what it is.
    Check {
        /// The component; a `.toml` beside it is read too.
        file: PathBuf,
    },
    /// Say what the plugins of a directory are.
    List {
        /// The directory.
        #[arg(default_value = "/etc/patchbay/plugins")]
        directory: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// Provisioning logic.
    Flow,
    /// A vendor's device profile.
    Profile,
    /// The choice of the way to a device behind NAT.
    Policy,
}

impl Plugin {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log("warn");
        match self {
            Plugin::New {
                kind,
                name,
                directory,
            } => {
                let directory = directory.unwrap_or_else(|| PathBuf::from(&name));
                let kind = match kind {
                    Kind::Flow => plugin_new::Kind::Flow,
                    Kind::Profile => plugin_new::Kind::Profile,
                    Kind::Policy => plugin_new::Kind::Policy,
                };
                plugin_new::new(kind, &name, &directory)?;
                println!("made {}", directory.display());
                println!(
                    "build it with: patchbay plugin build {}",
                    directory.display()
                );
            }
            Plugin::Build { directory, out } => {
                let built = tokio::task::spawn_blocking(move || {
                    plugin_build::build(&directory, out.as_deref())
                });
                for file in built.await?? {
                    println!("{}", file.display());
                }
            }
            Plugin::Check { file } => print!("{}", plugin_check::check(&file).await?),
            Plugin::List { directory } => print!("{}", plugin_check::list(&directory).await?),
        }
        Ok(())
    }
}
