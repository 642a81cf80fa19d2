//! Users, roles and tokens as they are stored, and all of them in memory.
//!
//! Each is a setting of the store, durable before it acts. What is asked with each request is an
//! immutable table that is swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::permission::Permission;
use super::principal::Grant;
use super::role::{Role, RoleText, built_in};
use super::secret::Hash;
use crate::device::UnixTime;
use crate::store::{Store, StoreError};

/// Where they lie among the settings.
pub(super) const USER: &str = "access/user/";
pub(super) const ROLE: &str = "access/role/";
pub(super) const TOKEN: &str = "access/token/";
pub(super) const SESSION: &str = "access/session/";

/// Grants of one user or token.
pub const GRANTS_MAX: usize = 100;

/// A person with a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// What is typed at the login, in lower case.
    pub name: Arc<str>,
    /// argon2id, as a PHC string.
    pub password: String,
    /// Nothing else may be done before it is changed.
    pub must_change_password: bool,
    /// What the user may do.
    pub grants: Vec<Grant>,
    /// Cannot log in, and no session goes on.
    pub is_disabled: bool,
    /// When the user was made.
    pub created: UnixTime,
    /// By whom.
    pub created_by: String,
    /// When the password was set.
    pub password_set: UnixTime,
}

/// A token of a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// By which it is listed and revoked.
    pub id: Arc<str>,
    /// For people, and in the audit log.
    pub name: String,
    /// SHA-256 in hexadecimal.
    pub hash: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Of what the grants give, only these; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Permission>>,
    /// When it was made.
    pub created: UnixTime,
    /// By whom.
    pub created_by: String,
    /// It is worth nothing from then on.
    pub expires: Option<UnixTime>,
}

/// All of them at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) users: BTreeMap<Arc<str>, Arc<User>>,
    /// The built-in ones too.
    pub(super) roles: BTreeMap<Arc<str>, Arc<Role>>,
    pub(super) tokens: BTreeMap<Arc<str>, Arc<Token>>,
    /// The ids of tokens.
    pub(super) hashes: HashMap<Hash, Arc<str>>,
}

impl Table {
    /// Reads what is stored. What cannot be read is left out, with an error in the log: it gives nobody anything.
    pub(super) fn read(store: &Store) -> Result<Table, StoreError> {
        let mut table = Table::default();
        for role in built_in() {
            table.roles.insert(Arc::clone(&role.name), Arc::clone(role));
        }
        for (name, text) in read::<RoleText>(store, ROLE)? {
            match Role::new(&name, text) {
                Ok(role) => drop(table.put_role(role)),
                Err(error) => tracing::error!(name, error, "a stored role gives nothing"),
            }
        }
        for (_, user) in read::<User>(store, USER)? {
            table.put_user(user);
        }
        for (_, token) in read::<Token>(store, TOKEN)? {
            table.put_token(token);
        }
        Ok(table)
    }

    pub(super) fn put_user(&mut self, user: User) {
        self.users.insert(Arc::clone(&user.name), Arc::new(user));
    }

    pub(super) fn put_role(&mut self, role: Role) -> Arc<Role> {
        let role = Arc::new(role);
        self.roles.insert(Arc::clone(&role.name), Arc::clone(&role));
        role
    }

    pub(super) fn put_token(&mut self, token: Token) {
        if let Some(hash) = Hash::parse(&token.hash) {
            self.hashes.insert(hash, Arc::clone(&token.id));
        }
        self.tokens.insert(Arc::clone(&token.id), Arc::new(token));
    }

    pub(super) fn remove_token(&mut self, id: &str) {
        self.tokens.remove(id);
        self.hashes.retain(|_, of| &**of != id);
    }

    /// The grants with their roles; a role that is no more gives nothing.
    pub(super) fn resolve(&self, grants: &[Grant]) -> Vec<(Arc<Role>, Option<Arc<str>>)> {
        let grants = grants.iter();
        let with_role = grants.filter_map(|grant| {
            let role = self.roles.get(grant.role.as_str())?;
            Some((Arc::clone(role), grant.instance.as_deref().map(Arc::from)))
        });
        with_role.collect()
    }

    /// Who is granted a role.
    pub(super) fn holders(&self, role: &str) -> usize {
        let has = |grants: &[Grant]| grants.iter().any(|grant| grant.role == role);
        let users = self.users.values().filter(|user| has(&user.grants));
        let tokens = self.tokens.values().filter(|token| has(&token.grants));
        users.count() + tokens.count()
    }
}

/// All records of a kind, by what follows the prefix in their names.
pub(super) fn read<T: DeserializeOwned>(
    store: &Store,
    prefix: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let mut found = Vec::new();
    for name in store.setting_names(prefix)? {
        let Some(value) = store.setting(&name)? else {
            continue;
        };
        let key = name.strip_prefix(prefix).unwrap_or_default().to_owned();
        match serde_json::from_value(value) {
            Ok(record) => found.push((key, record)),
            Err(error) => tracing::error!(name, %error, "a stored record cannot be read"),
        }
    }
    Ok(found)
}

/// A record as the store takes it.
pub(super) fn json<T: Serialize>(record: &T) -> serde_json::Value {
    // Only maps whose keys are no texts have no JSON.
    serde_json::to_value(record).unwrap_or_default()
}
