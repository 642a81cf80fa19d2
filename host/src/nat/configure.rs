//! What a device has to be told so that its mode works: a pure function of the mode, of what the
//! device is known to have, and of the settings. As little as possible is written, and what an
//! earlier mode wanted is undone.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use cwmp::{ParameterValue, XsdType};

use super::stun::Account;
use crate::device::{Credentials, Mode};

/// What the instance gives to its devices.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The usual interval of periodic Informs.
    pub standard_periodic_inform_seconds: u32,
    /// That of this device while it cannot be woken.
    pub short_periodic_inform_seconds: u32,
    /// The time that its periodic Informs count from (`PeriodicInformTime`): each device has its
    /// own, or all that boot together would inform together.
    pub periodic_inform_time: String,
    /// The device's account with the STUN server.
    pub stun: Account,
}

/// What is known of the device. Parameters go by their names below `ManagementServer.`.
pub trait Known {
    /// The value that it was last told, or last told us.
    fn value(&self, name: &str) -> Option<String>;
    /// Whether it has this parameter; `None`: nobody knows.
    fn has(&self, name: &str) -> Option<bool>;
}

/// Where a device's periodic Informs count from; nice to have.
const PERIODIC_INFORM_TIME: &str = "PeriodicInformTime";

/// One parameter below `ManagementServer.` and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wish {
    name: &'static str,
    xsd_type: &'static str,
    value: String,
}

impl Wish {
    /// Whether the device has the parameter, as far as is known. One that it could do without is told
    /// only to a device that surely has it: there are clients that end at a name they do not know.
    fn may_be_told(&self, known: &impl Known) -> bool {
        let has = known.has(self.name);
        if self.name == PERIODIC_INFORM_TIME {
            has == Some(true) || known.value(self.name).is_some()
        } else {
            has != Some(false)
        }
    }

    fn text(name: &'static str, value: &str) -> Wish {
        Wish::new(name, "string", value.to_owned())
    }

    fn switch(name: &'static str, on: bool) -> Wish {
        Wish::new(name, "boolean", u8::from(on).to_string())
    }

    fn number(name: &'static str, value: u32) -> Wish {
        Wish::new(name, "unsignedInt", value.to_string())
    }

    /// What may be -1 elsewhere is an `int`.
    fn signed(name: &'static str, value: u32) -> Wish {
        Wish::new(name, "int", value.to_string())
    }

    fn new(name: &'static str, xsd_type: &'static str, value: String) -> Wish {
        Wish {
            name,
            xsd_type,
            value,
        }
    }

    fn is_fulfilled(&self, known: &impl Known) -> bool {
        let Some(value) = known.value(self.name) else {
            return false;
        };
        match self.xsd_type {
            "boolean" => cwmp::value::boolean(&value) == cwmp::value::boolean(&self.value),
            "string" | "dateTime" => value == self.value,
            _ => cwmp::value::integer(&value) == cwmp::value::integer(&self.value),
        }
    }
}

/// All that a mode wants of a device.
pub fn wishes(mode: Mode, offer: &Offer) -> Vec<Wish> {
    match mode {
        Mode::DirectHttp | Mode::HttpProxy => Vec::new(),
        Mode::Stun => {
            let account = &offer.stun;
            vec![
                Wish::text("STUNServerAddress", &account.host),
                Wish::number("STUNServerPort", account.port.into()),
                Wish::text("STUNUsername", &account.username),
                Wish::text("STUNPassword", &account.password),
                Wish::number("STUNMinimumKeepAlivePeriod", account.keepalive_seconds_min),
                Wish::signed("STUNMaximumKeepAlivePeriod", account.keepalive_seconds_max),
                // Last: by then it has all that it needs.
                Wish::switch("STUNEnable", true),
            ]
        }
        // Takes more than parameters: see `xmpp::configure`.
        Mode::Xmpp => Vec::new(),
        Mode::ShortInform => vec![
            Wish::switch("PeriodicInformEnable", true),
            Wish::number(
                "PeriodicInformInterval",
                offer.short_periodic_inform_seconds,
            ),
            Wish::new(
                PERIODIC_INFORM_TIME,
                "dateTime",
                offer.periodic_inform_time.clone(),
            ),
        ],
    }
}

/// Whether a device needs nothing for this mode.
pub fn wants_nothing(mode: Mode) -> bool {
    matches!(mode, Mode::DirectHttp | Mode::HttpProxy)
}

/// What undoes a mode that is not wanted any more.
fn undone(mode: Mode, offer: &Offer) -> Vec<Wish> {
    match mode {
        Mode::DirectHttp | Mode::HttpProxy => Vec::new(),
        Mode::Stun => vec![Wish::switch("STUNEnable", false)],
        Mode::Xmpp => Vec::new(),
        // Its time stays: it spreads the usual Informs just as well.
        Mode::ShortInform => vec![
            Wish::switch("PeriodicInformEnable", true),
            Wish::number(
                "PeriodicInformInterval",
                offer.standard_periodic_inform_seconds,
            ),
        ],
    }
}

/// A fingerprint of a mode, its wishes, and the modes whose settings are left as they are.
pub fn fingerprint(mode: Mode, wishes: &[Wish], left: &BTreeSet<Mode>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (mode, wishes).hash(&mut hasher);
    if !left.is_empty() {
        left.hash(&mut hasher);
    }
    hasher.finish()
}

/// The parameters to set, below `server` (`Device.ManagementServer.`): what `mode` wants and the
/// device has not, and what undoes the modes `before`.
pub fn parameters(
    mode: Mode,
    before: &BTreeSet<Mode>,
    offer: &Offer,
    server: &str,
    known: &impl Known,
) -> Vec<ParameterValue> {
    let mut wishes = wishes(mode, offer);
    let before = before.iter().filter(|before| **before != mode);
    for wish in before.flat_map(|before| undone(*before, offer)) {
        if !wishes.iter().any(|wanted| wanted.name == wish.name) {
            wishes.push(wish);
        }
    }
    wishes
        .iter()
        .filter(|wish| wish.may_be_told(known) && !wish.is_fulfilled(known))
        .map(|wish| {
            let path = format!("{server}{}", wish.name);
            ParameterValue::new(path, wish.value.clone(), XsdType::new(wish.xsd_type))
        })
        .collect()
}

/// Whether a device in this mode is called with a user name and a password although nobody but
/// the host sees to it that it has them.
pub fn needs_credentials(mode: Mode) -> bool {
    matches!(mode, Mode::HttpProxy | Mode::Xmpp | Mode::Stun)
}

/// The parameters that give a device its connection-request credentials.
pub fn credentials(server: &str, credentials: &Credentials) -> Vec<ParameterValue> {
    let Credentials { username, password } = credentials;
    vec![
        ParameterValue::string(format!("{server}ConnectionRequestUsername"), username),
        ParameterValue::string(format!("{server}ConnectionRequestPassword"), password),
    ]
}

#[cfg(test)]
mod tests;
