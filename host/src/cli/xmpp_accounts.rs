//! `patchbay xmpp-accounts`: the accounts that an operator makes on an XMPP server of his own
//! (`accounts = "operator"`), as commands of that server.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, ValueEnum};

use crate::config::{Config, XmppAccounts as Made};
use crate::nat::xmpp::{account, derived_password};

#[derive(Args)]
pub(super) struct XmppAccounts {
    /// The configuration.
    #[arg(long, short, env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// Whose commands.
    #[arg(long)]
    server: Server,
    /// The devices, by their ids.
    #[arg(required = true)]
    devices: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Server {
    Prosody,
    Ejabberd,
}

impl XmppAccounts {
    pub(super) fn print(self) -> anyhow::Result<()> {
        let settings = Config::load(&self.config)?.xmpp;
        ensure!(
            settings.accounts == Made::Operator,
            "expected xmpp.accounts = \"operator\": otherwise devices get their accounts by themselves"
        );
        let command = match self.server {
            Server::Prosody => "prosodyctl",
            Server::Ejabberd => "ejabberdctl",
        };
        let secret = settings.secret.unwrap_or_default();
        for device in &self.devices {
            let username = account::username(device);
            ensure!(
                account::of_username(&username).as_deref() == Some(device),
                "expected the id of a device, got {device:?}"
            );
            let password = derived_password(&secret, &username);
            println!(
                "{command} register '{username}' {} {password}",
                settings.domain
            );
        }
        Ok(())
    }
}
