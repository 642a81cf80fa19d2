//! A flow that traps before it has said when it runs: it must be refused at load.

use patchbay_plugin::prelude::*;

struct BadDescribe;

impl Flow for BadDescribe {
    fn triggers() -> Vec<Trigger> {
        panic!("describe traps")
    }

    fn run(_: &Occasion) -> Result {
        Ok(())
    }
}

export_flow!(BadDescribe);
