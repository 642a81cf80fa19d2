//! A device as it is searched for: a row of what its summary says, in memory for all devices.
//!
//! What devices of one model and state have in common is kept once, in their [`Traits`]; that is
//! also the index: a condition on these is judged once for all devices that share them.

use std::sync::Arc;

use crate::device::{Contacts, DataModel, DeviceKey, Mode, Summary, UnixTime};
use crate::nat::outcome::Outcome;
use crate::nat::short_inform;
use crate::query::{Datum, DeviceField, Field, Subject};

use crate::store::Listed;
use crate::store::contacts::ContactBlock;

/// A device that comes by itself is late after so many of its intervals.
const LATE_INTERVALS: i64 = 2;

/// What devices have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Traits {
    manufacturer: Box<str>,
    oui: Box<str>,
    product_class: Box<str>,
    software_version: Box<str>,
    hardware_version: Box<str>,
    provisioning_code: Box<str>,
    cwmp_version: Box<str>,
    data_model: DataModel,
    tags: Box<[Box<str>]>,
    mode: Option<Mode>,
    behind_nat: Option<bool>,
    login: &'static str,
    quarantined: bool,
}

/// What a device has for itself.
#[derive(Debug)]
pub(in crate::store) struct Row {
    pub(super) key: DeviceKey,
    pub(super) number: u64,
    pub(super) traits: Arc<Traits>,
    /// Which group the traits are.
    pub(super) group: u32,
    own: Own,
    contacts: Arc<ContactBlock>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// One after the other: serial number, address, URL, label.
    texts: Box<str>,
    /// Where the first three of them end.
    ends: [u32; 3],
    first_contact: UnixTime,
    /// Seconds, for a device that comes by itself.
    informs_every: Option<u32>,
    /// Whether the last attempt to wake it opened a session.
    woken: Option<bool>,
    xmpp_online: bool,
}

impl Traits {
    /// The way that leads to the device.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode
    }

    pub(super) fn of(summary: &Summary) -> Traits {
        let nat = summary.nat.as_ref();
        let login = &summary.login;
        let login = match (&login.credentials, login.pending_credentials.is_empty()) {
            (Some(_), _) if login.has_shown_own => "shown",
            (Some(_), _) => "expected",
            (None, false) => "pending",
            (None, true) => "none",
        };
        Traits {
            manufacturer: summary.manufacturer.as_str().into(),
            oui: summary.oui.as_str().into(),
            product_class: summary.product_class.as_str().into(),
            software_version: summary.software_version.as_str().into(),
            hardware_version: summary.hardware_version.as_str().into(),
            provisioning_code: summary.provisioning_code.as_str().into(),
            cwmp_version: summary.cwmp_version.as_str().into(),
            data_model: summary.data_model,
            tags: summary.tags.iter().map(|tag| tag.as_str().into()).collect(),
            mode: nat.map(|nat| nat.mode),
            behind_nat: nat.map(|nat| nat.behind_nat),
            login,
            quarantined: summary.quarantined,
        }
    }

    fn any(&self, field: DeviceField, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let mut text = |text: &str| !text.is_empty() && test(Datum::Text(text));
        Some(match field {
            DeviceField::Manufacturer => text(&self.manufacturer),
            DeviceField::Oui => text(&self.oui),
            DeviceField::ProductClass => text(&self.product_class),
            DeviceField::SoftwareVersion => text(&self.software_version),
            DeviceField::HardwareVersion => text(&self.hardware_version),
            DeviceField::ProvisioningCode => text(&self.provisioning_code),
            DeviceField::CwmpVersion => text(&self.cwmp_version),
            DeviceField::DataModel => text(match self.data_model {
                DataModel::Tr098 => "tr098",
                DataModel::Tr181 => "tr181",
            }),
            DeviceField::Tag => self.tags.iter().any(|tag| text(tag)),
            DeviceField::Mode => self.mode.is_some_and(|mode| text(mode.name())),
            DeviceField::Login => text(self.login),
            DeviceField::BehindNat => self.behind_nat.is_some_and(|is| test(Datum::Flag(is))),
            DeviceField::Quarantined => test(Datum::Flag(self.quarantined)),
            DeviceField::Id
            | DeviceField::SerialNumber
            | DeviceField::Label
            | DeviceField::Reachable
            | DeviceField::XmppOnline
            | DeviceField::PeerAddress
            | DeviceField::ConnectionRequestUrl
            | DeviceField::FirstContact
            | DeviceField::LastContact
            | DeviceField::LastFullRefresh => return None,
        })
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.manufacturer)
            || test(&self.product_class)
            || self.tags.iter().any(|tag| test(tag))
    }
}

/// All devices with these traits, of which nothing else is at hand.
impl Subject for Traits {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let Field::Named { position, .. } = field else {
            return None;
        };
        self.any(DeviceField::at(*position)?, test)
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        self.any_identifying(test).then_some(true)
    }
}

impl Own {
    pub(super) fn of(summary: &Summary) -> Own {
        let mut texts = String::new();
        let mut ends = [0; 3];
        let parts = [
            &summary.serial_number,
            &summary.peer_address,
            &summary.connection_request.url,
        ];
        for (part, end) in parts.into_iter().zip(&mut ends) {
            texts.push_str(part);
            // A summary is far smaller than 4 GB.
            *end = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        }
        texts.push_str(&summary.label);
        let woken = summary.wake_attempts.first();
        Own {
            texts: texts.into(),
            ends,
            first_contact: summary.first_contact,
            informs_every: short_inform::told(summary),
            woken: woken.map(|attempt| attempt.outcome == Outcome::SessionOpened),
            xmpp_online: summary.xmpp.online,
        }
    }

    fn text(&self, number: usize) -> &str {
        let end = |number: usize| self.ends.get(number).map(|end| *end as usize);
        let start = number.checked_sub(1).and_then(end).unwrap_or(0);
        let end = end(number).unwrap_or(self.texts.len());
        self.texts.get(start..end).unwrap_or_default()
    }

    pub(super) fn serial_number(&self) -> &str {
        self.text(0)
    }

    pub(super) fn peer_address(&self) -> &str {
        self.text(1)
    }
}

impl Row {
    pub(super) fn new(
        key: DeviceKey,
        number: u64,
        (traits, group): (Arc<Traits>, u32),
        own: Own,
        contacts: Arc<ContactBlock>,
    ) -> Row {
        Row {
            key,
            number,
            traits,
            group,
            own,
            contacts,
        }
    }

    pub(super) fn own(&self) -> &Own {
        &self.own
    }

    pub(in crate::store) fn contacts(&self) -> Contacts {
        self.contacts.get(self.number)
    }

    /// The row at a time.
    pub(super) fn at(&self, now: UnixTime) -> At<'_> {
        At {
            id: &self.key.id,
            traits: &self.traits,
            own: &self.own,
            contacts: self.contacts(),
            now,
        }
    }
}

/// The fields of a device at a time, as queries see them.
#[derive(Debug)]
pub struct Fields {
    id: Arc<str>,
    traits: Traits,
    own: Own,
    contacts: Contacts,
    now: UnixTime,
}

impl Fields {
    /// Of a listed device.
    pub fn of(listed: &Listed, now: UnixTime) -> Fields {
        Fields {
            id: Arc::clone(&listed.key.id),
            traits: Traits::of(&listed.summary),
            own: Own::of(&listed.summary),
            contacts: listed.contacts,
            now,
        }
    }

    /// Calls `visit` with each value of a field.
    pub fn values(&self, field: DeviceField, mut visit: impl FnMut(Datum<'_>)) {
        let at = At {
            id: &self.id,
            traits: &self.traits,
            own: &self.own,
            contacts: self.contacts,
            now: self.now,
        };
        at.each(field, &mut |datum| {
            visit(datum);
            false
        });
    }
}

/// What a row says of its device at a time; of its parameters it says nothing.
pub(super) struct At<'r> {
    pub(super) id: &'r str,
    pub(super) traits: &'r Traits,
    pub(super) own: &'r Own,
    pub(super) contacts: Contacts,
    pub(super) now: UnixTime,
}

impl At<'_> {
    fn reachable(&self) -> Option<bool> {
        match (self.traits.mode, self.own.informs_every) {
            (Some(Mode::ShortInform), Some(seconds)) => {
                let age = self.now.saturating_sub(self.contacts.last_contact);
                Some(age <= LATE_INTERVALS * i64::from(seconds))
            }
            _ => self.own.woken,
        }
    }
}

impl Subject for At<'_> {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let Field::Named { position, .. } = field else {
            return None;
        };
        self.each(DeviceField::at(*position)?, test)
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        let own = (0..=self.own.ends.len()).any(|number| test(self.own.text(number)));
        Some(own || test(self.id) || self.traits.any_identifying(test))
    }
}

impl At<'_> {
    fn each(&self, field: DeviceField, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        if let Some(known) = self.traits.any(field, test) {
            return Some(known);
        }
        let datum = match field {
            DeviceField::Id => Datum::Text(self.id),
            DeviceField::SerialNumber => Datum::Text(self.own.serial_number()),
            DeviceField::PeerAddress => Datum::Text(self.own.peer_address()),
            DeviceField::ConnectionRequestUrl => Datum::Text(self.own.text(2)),
            DeviceField::Label => Datum::Text(self.own.text(3)),
            DeviceField::FirstContact => Datum::Time(self.own.first_contact),
            DeviceField::LastContact => Datum::Time(self.contacts.last_contact),
            DeviceField::LastFullRefresh => Datum::Time(self.contacts.last_full),
            DeviceField::XmppOnline => Datum::Flag(self.own.xmpp_online),
            DeviceField::Reachable => match self.reachable() {
                Some(is) => Datum::Flag(is),
                None => return Some(false),
            },
            // Those are traits.
            _ => return None,
        };
        let is_there = !matches!(datum, Datum::Text("") | Datum::Time(0));
        Some(is_there && test(datum))
    }
}
