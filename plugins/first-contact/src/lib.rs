//! What a device gets at first contact: a user name and a password of its own for connection requests, and the
//! standard inform interval. Done again after `0 BOOTSTRAP`, which says that the device has lost them.

use patchbay_plugin::prelude::*;
use serde::Deserialize;

/// A device with this tag has its credentials.
const CONTACTED: &str = "contacted";
const PASSWORD_CHARACTERS: usize = 24;
/// The data model's limit is 256; some devices keep 63.
const USERNAME_CHARACTERS_MAX: usize = 62;

/// `[settings]` of `first-contact.toml`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    periodic_inform_interval_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            periodic_inform_interval_seconds: 4 * 60 * 60,
        }
    }
}

struct FirstContact;

impl Flow for FirstContact {
    /// Before other flows: what they do must not keep the device from being reachable.
    const PRIORITY: i32 = -100;

    fn triggers() -> Vec<Trigger> {
        vec![
            Trigger::on_events(["0 BOOTSTRAP"]),
            Trigger::every_session().without_tag(CONTACTED),
        ]
    }

    fn run(occasion: &Occasion) -> Result {
        let settings: Settings = settings()?;
        if settings.periodic_inform_interval_seconds == 0 {
            return Err("settings: periodic_inform_interval_seconds must be at least 1".into());
        }
        let password = host::random_text(PASSWORD_CHARACTERS);
        if password.len() < PASSWORD_CHARACTERS {
            return Err("the host gave no random bytes for a password".into());
        }
        let device = &occasion.device;
        let server = |name: &str| device.path("ManagementServer.") + name;
        // One SetParameterValues, and no reading before: passwords cannot be read back.
        session::set([
            string(server("ConnectionRequestUsername"), username(&device.id)),
            string(server("ConnectionRequestPassword"), password),
            boolean(server("PeriodicInformEnable"), true),
            unsigned_int(
                server("PeriodicInformInterval"),
                settings.periodic_inform_interval_seconds,
            ),
        ])?;
        session::tag(CONTACTED);
        info!("credentials and inform interval set");
        Ok(())
    }
}

export_flow!(FirstContact);

/// The device's key without what devices or their HTTP servers stumble over; its end if it is long, because that
/// holds the serial number.
fn username(id: &str) -> String {
    let fit = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    let name: String = id
        .chars()
        .map(|character| if fit(character) { character } else { '_' })
        .collect();
    match name.len().checked_sub(USERNAME_CHARACTERS_MAX) {
        Some(too_many) => name.chars().skip(too_many).collect(),
        None if name.is_empty() => "device".into(),
        None => name,
    }
}

#[cfg(test)]
mod tests;
