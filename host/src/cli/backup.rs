//! `patchbay backup`: has a running server make a backup, and takes it away if asked to.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::Value;

use crate::http_client;

/// Of a large store; the answer comes when the backup is made.
const TIME_MAX: Duration = Duration::from_secs(3_600);

#[derive(Args)]
pub(super) struct Backup {
    /// The API of the server.
    #[arg(long, default_value = "http://127.0.0.1:7557", env = "PATCHBAY_API")]
    api: String,
    /// A token that may make backups.
    #[arg(long, env = "PATCHBAY_API_TOKEN", hide_env_values = true)]
    token: String,
    /// Where the backup is written; without it, it stays where the server keeps its own.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

impl Backup {
    pub(super) async fn make(self) -> anyhow::Result<()> {
        let client = http_client::new(TIME_MAX)?;
        let url = format!("{}/v1/backups", self.api.trim_end_matches('/'));
        let request = client.post(&url).bearer_auth(&self.token);
        let made: Value = answer(request, &url).await?.json().await?;
        let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(output) = &self.output else {
            println!("{}", text("file"));
            return Ok(());
        };
        let url = format!("{url}/{}", text("name"));
        let request = client.get(&url).bearer_auth(&self.token);
        let mut answer = answer(request, &url).await?;
        let failed = || format!("cannot write {}", output.display());
        let mut file = create(output).with_context(failed)?;
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await? {
            bytes += piece.len() as u64;
            file.write_all(&piece).with_context(failed)?;
        }
        file.sync_all().with_context(failed)?;
        let whole = made.get("bytes").and_then(Value::as_u64);
        ensure!(
            whole == Some(bytes),
            "expected {whole:?} bytes of backup, got {bytes}"
        );
        println!("{}", output.display());
        Ok(())
    }
}

/// Credentials of devices are in it: it is nobody else's to read.
fn create(path: &PathBuf) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// The answer, if it is a good one.
async fn answer(request: reqwest::RequestBuilder, url: &str) -> anyhow::Result<reqwest::Response> {
    let answer = request
        .send()
        .await
        .with_context(|| format!("no server answers at {url}"))?;
    let status = answer.status();
    if !status.is_success() {
        let text = answer.text().await.unwrap_or_default();
        anyhow::bail!("{url} answered {status}: {text}");
    }
    Ok(answer)
}
