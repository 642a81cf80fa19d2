//! `patchbay sim`.
use clap::Args;

#[derive(Args)]
pub(super) struct Sim {}

impl Sim {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        Ok(())
    }
}
