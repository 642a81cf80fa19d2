//! `patchbay health`: for containers, whose images have nothing else to ask with.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::http_client;

const TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct Health {
    /// The API of the server, or the address of its metrics.
    #[arg(long, default_value = "http://127.0.0.1:7557", env = "PATCHBAY_API")]
    api: String,
}

impl Health {
    pub(super) async fn ask(self) -> anyhow::Result<()> {
        let url = format!("{}/health/ready", self.api.trim_end_matches('/'));
        let answer = http_client::new(TIME_MAX)?.get(&url).send().await;
        let answer = answer.with_context(|| format!("no server answers at {url}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("not ready: {text}");
        }
        println!("{text}");
        Ok(())
    }
}
