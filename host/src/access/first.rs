//! The first admin: a host that nobody can log in to makes one.

use super::records::User;
use super::{Gate, Grant, Refusal, secret};
use crate::device::UnixTime;

/// The name of the first admin.
const NAME: &str = "admin";

/// An admin who was made, and a password that is kept nowhere.
#[derive(Debug, Clone)]
pub struct FirstAdmin {
    /// `admin`
    pub name: String,
    /// To be changed at the first login.
    pub one_time_password: String,
}

impl Gate {
    /// Makes an admin if there are neither users nor tokens. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn first_admin(&self, now: UnixTime) -> Result<Option<FirstAdmin>, Refusal> {
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        if self.config_token.is_some() || !table.users.is_empty() || !table.tokens.is_empty() {
            return Ok(None);
        }
        let one_time_password = secret::one_time_password();
        let user = User {
            name: NAME.into(),
            password: self.hasher.hash(&one_time_password).await?,
            must_change_password: true,
            grants: vec![Grant {
                role: "admin".into(),
                instance: None,
            }],
            is_disabled: false,
            created: now,
            created_by: "the first start".into(),
            password_set: now,
        };
        self.put_user(user).await?;
        Ok(Some(FirstAdmin {
            name: NAME.into(),
            one_time_password,
        }))
    }
}
