//! The fields of a device.

use super::{Kind, Named, Vocabulary};

/// A field of a device, in the order of [`DEVICES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceField {
    /// Its id.
    Id,
    /// As it names itself.
    Manufacturer,
    /// Six hexadecimal digits, upper-case.
    Oui,
    /// As it names itself.
    ProductClass,
    /// As it names itself.
    SerialNumber,
    /// What runs on it.
    SoftwareVersion,
    /// What it is.
    HardwareVersion,
    /// What it was set to.
    ProvisioningCode,
    /// Which tree it speaks.
    DataModel,
    /// Of CWMP.
    CwmpVersion,
    /// Each of its tags.
    Tag,
    /// What people call it.
    Label,
    /// How it is reached.
    Mode,
    /// Whether it cannot be called directly.
    BehindNat,
    /// Whether the last attempt to wake it opened a session, or it comes by itself and is not late.
    Reachable,
    /// Whether it keeps an XMPP stream open.
    XmppOnline,
    /// Where its last session came from.
    PeerAddress,
    /// Where it says that it takes connection requests.
    ConnectionRequestUrl,
    /// How far its own credentials are.
    Login,
    /// Whether it waits for somebody to let it in.
    Quarantined,
    /// The first Inform.
    FirstContact,
    /// The last Inform.
    LastContact,
    /// The last session in which all logic ran.
    LastFullRefresh,
}

impl DeviceField {
    /// All of them, in the order of [`DEVICES`].
    pub const ALL: [DeviceField; 23] = [
        DeviceField::Id,
        DeviceField::Manufacturer,
        DeviceField::Oui,
        DeviceField::ProductClass,
        DeviceField::SerialNumber,
        DeviceField::SoftwareVersion,
        DeviceField::HardwareVersion,
        DeviceField::ProvisioningCode,
        DeviceField::DataModel,
        DeviceField::CwmpVersion,
        DeviceField::Tag,
        DeviceField::Label,
        DeviceField::Mode,
        DeviceField::BehindNat,
        DeviceField::Reachable,
        DeviceField::XmppOnline,
        DeviceField::PeerAddress,
        DeviceField::ConnectionRequestUrl,
        DeviceField::Login,
        DeviceField::Quarantined,
        DeviceField::FirstContact,
        DeviceField::LastContact,
        DeviceField::LastFullRefresh,
    ];

    /// The field at this place of [`DEVICES`].
    pub fn at(position: usize) -> Option<DeviceField> {
        DeviceField::ALL.get(position).copied()
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<DeviceField> {
        DeviceField::ALL
            .into_iter()
            .find(|field| field.name() == name)
    }

    /// Its name in queries and answers.
    pub fn name(self) -> &'static str {
        let named = DEVICES.fields.get(self as usize);
        named.map_or("", |named| named.name)
    }
}

const MODES: &[&str] = &["direct-http", "http-proxy", "xmpp", "stun", "short-inform"];
const LOGINS: &[&str] = &["none", "expected", "pending", "shown"];

const fn text(name: &'static str) -> Named {
    Named {
        name,
        kind: Kind::Text,
    }
}

const fn word(name: &'static str, words: &'static [&'static str]) -> Named {
    Named {
        name,
        kind: Kind::Word(words),
    }
}

const fn flag(name: &'static str) -> Named {
    Named {
        name,
        kind: Kind::Flag,
    }
}

const fn time(name: &'static str) -> Named {
    Named {
        name,
        kind: Kind::Time,
    }
}

/// The fields of a device.
pub static DEVICES: Vocabulary = Vocabulary {
    of: "device",
    fields: &[
        text("id"),
        text("manufacturer"),
        text("oui"),
        text("product_class"),
        text("serial_number"),
        text("software_version"),
        text("hardware_version"),
        text("provisioning_code"),
        word("data_model", &["tr098", "tr181"]),
        text("cwmp_version"),
        text("tag"),
        text("label"),
        word("mode", MODES),
        flag("behind_nat"),
        flag("reachable"),
        flag("xmpp_online"),
        text("peer_address"),
        text("connection_request_url"),
        word("login", LOGINS),
        flag("quarantined"),
        time("first_contact"),
        time("last_contact"),
        time("last_full_refresh"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Mode;

    #[test]
    fn every_field_has_its_place() {
        assert_eq!(DEVICES.fields.len(), DeviceField::ALL.len());
        for (position, field) in DeviceField::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, position);
            assert_eq!(DeviceField::at(position), Some(field));
            assert_eq!(DeviceField::named(field.name()), Some(field));
        }
        assert_eq!(DeviceField::Quarantined.name(), "quarantined");
        assert_eq!(Mode::ALL.map(Mode::name), *MODES);
    }
}
