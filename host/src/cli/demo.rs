//! `patchbay demo`.
use clap::Args;

#[derive(Args)]
pub(super) struct Demo {}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        Ok(())
    }
}
