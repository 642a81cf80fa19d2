//! Keeps parameters at the values the operator wrote down in `desired-state.toml`: rules, each with the devices it is
//! for and the values they must have. What is known to be right already is not asked again.

mod settings;

use patchbay_plugin::prelude::*;
use settings::Settings;

struct DesiredState;

impl Flow for DesiredState {
    /// After flows that do more, so that the operator's word is the last.
    const PRIORITY: i32 = 100;

    fn triggers() -> Vec<Trigger> {
        match Settings::read() {
            // Without rules it costs nothing.
            Ok(settings) if settings.rules.is_empty() => Vec::new(),
            Ok(_) => vec![Trigger::every_session()],
            // Loading cannot fail for this: `run` says it at the devices, too.
            Err(error) => {
                error!("{error}");
                vec![Trigger::every_session()]
            }
        }
    }

    fn run(occasion: &Occasion) -> Result {
        let wanted = Settings::read()?.wanted(&occasion.device);
        if wanted.is_empty() {
            return Ok(());
        }
        for changed in session::ensure(wanted)? {
            info!("{} set", changed.path);
        }
        Ok(())
    }
}

export_flow!(DesiredState);

#[cfg(test)]
mod tests;
