//! The devices' accounts in the store, for the embedded server.

use std::sync::Arc;

use super::account;
use super::server::Accounts;
use crate::clock::Clock;
use crate::device::{DeviceKey, UnixTime, XmppAccount};
use crate::store::{DeviceCell, Store};

/// The accounts of all instances.
pub(super) struct StoredAccounts {
    pub(super) store: Store,
    pub(super) clock: Clock,
}

impl StoredAccounts {
    fn cell(&self, username: &str) -> Option<Arc<DeviceCell>> {
        let key = DeviceKey::of_account(&account::of_username(username)?);
        match self.store.device(&key) {
            Ok(cell) => cell,
            Err(error) => {
                tracing::error!(device = %key, %error, "cannot look up a device's XMPP account");
                None
            }
        }
    }

    fn presence(&self, username: &str, online: bool) {
        let Some(cell) = self.cell(username) else {
            return;
        };
        let now = self.clock.unix();
        let changed = {
            let mut device = cell.lock();
            let changed = device.set(|summary| &mut summary.xmpp.online, online);
            changed && device.set(|summary| &mut summary.xmpp.online_since, now)
        };
        if changed {
            self.store.touched(&cell);
        }
    }
}

impl Accounts for StoredAccounts {
    fn find(&self, username: &str) -> Option<XmppAccount> {
        let account = self.cell(username)?.lock().summary().xmpp.clone();
        (!account.salt.is_empty()).then_some(account)
    }

    fn went_online(&self, username: &str, _resource: &str) {
        self.presence(username, true);
    }

    fn went_offline(&self, username: &str) {
        self.presence(username, false);
    }

    fn now(&self) -> UnixTime {
        self.clock.unix()
    }
}
