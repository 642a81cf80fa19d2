//! `patchbay user`: for an operator who cannot log in. It opens the store itself, so the server
//! must not run; while it does, `/v1/users` does the same.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::access::{Gate, Given, Grant, Principal};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

#[derive(Args)]
pub(super) struct User {
    /// The configuration; without one, everything has its default.
    #[arg(long, short, env = "PATCHBAY_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a user; prints a one-time password.
    Add {
        /// 1 to 64 letters, digits or .-_@+
        name: String,
        #[command(flatten)]
        grants: Grants,
        #[command(flatten)]
        password: Chosen,
    },
    /// List users with their roles.
    List,
    /// Give a user another password and end the sessions; prints a one-time password.
    Password {
        /// The user.
        name: String,
        #[command(flatten)]
        password: Chosen,
    },
    /// Give a user other roles instead of those before.
    Role {
        /// The user.
        name: String,
        #[command(flatten)]
        grants: Grants,
    },
    /// Keep a user out.
    Disable {
        /// The user.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// The user.
        name: String,
    },
}

#[derive(Args)]
struct Grants {
    /// admin, operator, support, read-only, or a role of your own; may be repeated.
    #[arg(long, required = true)]
    role: Vec<String>,
    /// Where; without one in all instances; may be repeated.
    #[arg(long)]
    instance: Vec<String>,
}

#[derive(Args)]
struct Chosen {
    /// Read the password from a line of standard input; it, too, is changed at the first login.
    #[arg(long)]
    stdin: bool,
}

impl Grants {
    fn all(self) -> Vec<Grant> {
        let places: Vec<Option<String>> = match self.instance.is_empty() {
            true => vec![None],
            false => self.instance.into_iter().map(Some).collect(),
        };
        let roles = self.role.into_iter();
        roles
            .flat_map(|role| {
                places.iter().map(move |instance| Grant {
                    role: role.clone(),
                    instance: instance.clone(),
                })
            })
            .collect()
    }
}

impl Chosen {
    fn read(self) -> anyhow::Result<Option<String>> {
        if !self.stdin {
            return Ok(None);
        }
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .context("cannot read the password")?;
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

impl User {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log("warn");
        let config = match self.config {
            Some(path) => Config::load(&path)?,
            None => Config::defaults()?,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.data_directory)
            .with_context(|| format!("cannot create {}", config.data_directory.display()))?;
        let store_config = crate::store_config(&config);
        let store = tokio::task::spawn_blocking(move || Store::open(store_config)).await??;
        let opened = store.clone();
        let gate = tokio::task::spawn_blocking(move || Gate::open(opened, &config.api)).await??;
        let done = self.what.run(&gate).await;
        store.close().await?;
        done
    }
}

impl What {
    async fn run(self, gate: &Gate) -> anyhow::Result<()> {
        let asking = Principal::of_the_command();
        let now = Clock.unix();
        match self {
            What::Add {
                name,
                grants,
                password,
            } => {
                let (grants, password) = (grants.all(), password.read()?);
                let made = gate
                    .create_user(&asking, &name, grants, password, now)
                    .await?;
                tell(&made);
            }
            What::Password { name, password } => {
                let name = name.to_ascii_lowercase();
                let password = password.read()?;
                let given = gate.reset_password(&asking, &name, password, now).await?;
                tell(&given);
            }
            What::Role { name, grants } => {
                let name = name.to_ascii_lowercase();
                let grants = Some(grants.all());
                gate.change_user(&asking, &name, grants, None).await?;
            }
            What::Disable { name } => {
                let name = name.to_ascii_lowercase();
                gate.change_user(&asking, &name, None, Some(true)).await?;
            }
            What::Enable { name } => {
                let name = name.to_ascii_lowercase();
                gate.change_user(&asking, &name, None, Some(false)).await?;
            }
            What::List => {
                for seen in gate.users(&asking) {
                    let grants: Vec<String> = seen.grants.iter().map(in_words).collect();
                    let disabled = match seen.user.is_disabled {
                        true => "  disabled",
                        false => "",
                    };
                    println!("{}  {}{disabled}", seen.user.name, grants.join(", "));
                }
            }
        }
        Ok(())
    }
}

fn in_words(grant: &Grant) -> String {
    match &grant.instance {
        Some(instance) => format!("{} in {instance}", grant.role),
        None => grant.role.clone(),
    }
}

fn tell(given: &Given) {
    println!("user name           {}", given.user.name);
    if let Some(password) = &given.one_time_password {
        println!("one-time password   {password}");
    }
    println!("The password is changed at the next login.");
}
