//! People with a password here.

use std::sync::Arc;

use super::records::{Table, Token, USER, User, json};
use super::role::check_name;
use super::{Gate, Grant, Person, Principal, Refusal, password, secret};
use crate::device::UnixTime;

/// Users of a host.
const USERS_MAX: usize = 10_000;
/// Roles of a host, the built-in ones too.
pub(super) const ROLES_MAX: usize = 1_000;

/// A user as somebody may see it.
#[derive(Debug, Clone)]
pub struct UserSeen {
    /// What is stored of it.
    pub user: Arc<User>,
    /// Of its grants those that may be seen.
    pub grants: Vec<Grant>,
}

/// A user, and the password to be told to it if it was made here.
#[derive(Debug, Clone)]
pub struct Given {
    /// What is stored of it.
    pub user: Arc<User>,
    /// To be changed at the first login.
    pub one_time_password: Option<String>,
}

impl Gate {
    /// The users that somebody may see, by their names.
    pub fn users(&self, asking: &Principal) -> Vec<UserSeen> {
        let table = self.table.load();
        let users = table.users.values();
        users
            .filter_map(|user| self.seen_user(asking, user))
            .collect()
    }

    /// The user of this name, if somebody may see it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]
    pub fn user(&self, asking: &Principal, name: &str) -> Result<UserSeen, Refusal> {
        let table = self.table.load();
        let user = table.users.get(name);
        let seen = user.and_then(|user| self.seen_user(asking, user));
        seen.ok_or_else(|| no_user(name))
    }

    /// Makes a user, with this password or one of ours; either way it is changed at the first
    /// login, because somebody else knows it. Durable on return.
    ///
    /// # Errors
    /// When there is one, it would have more than who asks, or is no user.
    pub async fn create_user(
        &self,
        asking: &Principal,
        name: &str,
        grants: Vec<Grant>,
        password: Option<String>,
        now: UnixTime,
    ) -> Result<Given, Refusal> {
        let name = name.to_ascii_lowercase();
        check_name("a user", &name).map_err(Refusal::Bad)?;
        self.check_grants(&self.table.load(), &grants)?;
        self.check_may_change(asking, &grants)?;
        let (text, one_time_password) = chosen(&name, password)?;
        let hash = self.hasher.hash(&text).await?;
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        self.check_grants(&table, &grants)?;
        if table.users.contains_key(name.as_str()) {
            return Err(Refusal::Conflict(format!(
                "there is a user {name:?} already"
            )));
        }
        if table.users.len() >= USERS_MAX {
            return Err(Refusal::Conflict(format!(
                "there are {USERS_MAX} users already"
            )));
        }
        let user = User {
            name: name.into(),
            password: hash,
            must_change_password: true,
            grants,
            is_disabled: false,
            created: now,
            created_by: asking.name.to_string(),
            password_set: now,
        };
        let user = self.put_user(user).await?;
        Ok(Given {
            user,
            one_time_password,
        })
    }

    /// Changes what a user may do, or whether it may at all. Acts with its next request.
    ///
    /// # Errors
    /// When there is none, or it has or would have more than who asks, or nobody would be left
    /// who may do everything.
    pub async fn change_user(
        &self,
        asking: &Principal,
        name: &str,
        grants: Option<Vec<Grant>>,
        is_disabled: Option<bool>,
    ) -> Result<Arc<User>, Refusal> {
        self.user(asking, name)?;
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        let user = table.users.get(name).ok_or_else(|| no_user(name))?;
        self.check_may_change(asking, &user.grants)?;
        let mut changed = User::clone(user);
        if let Some(grants) = grants {
            self.check_grants(&table, &grants)?;
            self.check_may_change(asking, &grants)?;
            changed.grants = grants;
        }
        changed.is_disabled = is_disabled.unwrap_or(changed.is_disabled);
        self.check_admin_left(&table, name, Some(&changed))?;
        let user = self.put_user(changed).await?;
        if user.is_disabled {
            self.end_all(name).await?;
        }
        Ok(user)
    }

    /// Gives a user another password, and ends its sessions. Durable on return.
    ///
    /// # Errors
    /// When there is none, or it may do more than who asks, or it is no password.
    pub async fn reset_password(
        &self,
        asking: &Principal,
        name: &str,
        password: Option<String>,
        now: UnixTime,
    ) -> Result<Given, Refusal> {
        let seen = self.user(asking, name)?;
        self.check_may_change(asking, &seen.user.grants)?;
        let (text, one_time_password) = chosen(name, password)?;
        let hash = self.hasher.hash(&text).await?;
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        let user = table.users.get(name).ok_or_else(|| no_user(name))?;
        self.check_may_change(asking, &user.grants)?;
        let mut changed = User::clone(user);
        changed.password = hash;
        changed.password_set = now;
        changed.must_change_password = true;
        let user = self.put_user(changed).await?;
        self.end_all(name).await?;
        Ok(Given {
            user,
            one_time_password,
        })
    }

    /// Removes a user and ends its sessions. Durable on return.
    ///
    /// # Errors
    /// As [`Gate::change_user`].
    pub async fn remove_user(&self, asking: &Principal, name: &str) -> Result<(), Refusal> {
        self.user(asking, name)?;
        let _changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        let user = table.users.get(name).ok_or_else(|| no_user(name))?;
        self.check_may_change(asking, &user.grants)?;
        self.check_admin_left(&table, name, None)?;
        self.store.remove_setting(&format!("{USER}{name}")).await?;
        table.users.remove(name);
        self.table.store(Arc::new(table));
        self.end_all(name).await
    }

    /// An instance is gone: so is what was granted there, or it would be for the next of that
    /// name. Durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn forget_instance(&self, name: &str) -> Result<(), Refusal> {
        let is_there = |grant: &Grant| grant.instance.as_deref() == Some(name);
        let changing = self.changing.lock().await;
        let table = self.table.load();
        for user in table.users.values() {
            if user.grants.iter().any(is_there) {
                let mut user = User::clone(user);
                user.grants.retain(|grant| !is_there(grant));
                self.put_user(user).await?;
            }
        }
        for token in table.tokens.values() {
            if token.grants.iter().any(is_there) {
                let mut token = Token::clone(token);
                token.grants.retain(|grant| !is_there(grant));
                self.put_token(token).await?;
            }
        }
        drop(changing);
        let is_of = |person: &Person| match person {
            Person::User(_) => false,
            Person::Oidc { grants, .. } => grants.iter().any(is_there),
        };
        self.logins
            .end(&self.store, |login| is_of(&login.person))
            .await?;
        Ok(())
    }

    /// Stores a user, then lets it act. Only while `changing` is held.
    pub(super) async fn put_user(&self, user: User) -> Result<Arc<User>, Refusal> {
        let setting = format!("{USER}{}", user.name);
        self.store.put_setting(&setting, &json(&user)).await?;
        let mut table = Table::clone(&self.table.load());
        table.put_user(user.clone());
        self.table.store(Arc::new(table));
        Ok(Arc::new(user))
    }

    async fn end_all(&self, name: &str) -> Result<(), Refusal> {
        let is_its = |person: &Person| matches!(person, Person::User(own) if **own == *name);
        self.logins
            .end(&self.store, |login| is_its(&login.person))
            .await?;
        Ok(())
    }

    /// Somebody must be left who may do everything, unless the file has a token.
    fn check_admin_left(
        &self,
        table: &Table,
        name: &str,
        after: Option<&User>,
    ) -> Result<(), Refusal> {
        let is_admin = |user: &User| {
            let all = |grant: &Grant| grant.role == "admin" && grant.instance.is_none();
            !user.is_disabled && user.grants.iter().any(all)
        };
        let was = table.users.get(name).is_some_and(|user| is_admin(user));
        if self.config_token.is_some() || !was || after.is_some_and(is_admin) {
            return Ok(());
        }
        let mut others = table.users.values().filter(|user| *user.name != *name);
        if others.any(|user| is_admin(user)) {
            return Ok(());
        }
        Err(Refusal::Conflict(format!(
            "{name:?} is the last who may do everything: make another admin first"
        )))
    }

    fn seen_user(&self, asking: &Principal, user: &Arc<User>) -> Option<UserSeen> {
        let grants = self.seen_grants(asking, &user.grants)?;
        Some(UserSeen {
            user: Arc::clone(user),
            grants,
        })
    }
}

fn no_user(name: &str) -> Refusal {
    Refusal::NotFound(format!("there is no user {name:?}"))
}

/// The password that somebody has chosen for a user, or one to be told.
fn chosen(user: &str, password: Option<String>) -> Result<(String, Option<String>), Refusal> {
    match password {
        Some(password) => {
            password::check(&password, user).map_err(Refusal::Bad)?;
            Ok((password, None))
        }
        None => {
            let password = secret::one_time_password();
            Ok((password.clone(), Some(password)))
        }
    }
}
