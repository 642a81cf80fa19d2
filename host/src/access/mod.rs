//! WHO MAY DO WHAT at the northbound interface.
//!
//! A request shows a token or the cookie of a session; the [`Gate`] makes a [`Principal`] of it,
//! whose grants (a role, in one instance or in all) say what it may do there. Users, roles and
//! tokens are settings of the store, durable before they act, and asked anew with each request:
//! what is taken away is gone with the next one.

mod first;
mod login;
mod oidc;
pub mod password;
mod permission;
mod principal;
mod records;
mod refusal;
mod role;
mod secret;
mod session;
mod site;
mod tokens;
mod users;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, Method, header};
use lru::LruCache;
use parking_lot::Mutex;

use crate::config;
use crate::device::UnixTime;
use crate::door::attempts::Attempts;
use crate::store::{Store, StoreError};

pub use first::FirstAdmin;
pub use oidc::{Answer as OidcAnswer, Oidc, OidcError};
pub use permission::{Action, Permission, Resource};
pub use principal::{Access, Grant, Instances, Principal, Proof};
pub use records::{GRANTS_MAX, Token, User};
pub use refusal::Refusal;
pub use role::{NAME_CHARS_MAX, OPERATIONS, Role, RoleText};
pub use secret::TOKEN_PREFIX;
pub use session::{Login, Person};
pub use site::CSRF_HEADER;
pub use tokens::{NewToken, TokenSeen};
pub use users::{Given, UserSeen};

use password::{HashError, Hasher};
use records::Table;
use secret::Hash;
use session::{Limits, Logins};

/// The name of the cookie of a session.
pub const COOKIE: &str = "patchbay_session";
/// Users and where they have logged in, so that guesses from elsewhere do not keep them out.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

const TASKS_WRITE: Permission = Permission::new(Resource::Tasks, Action::Write);
const USERS_READ: Permission = Permission::new(Resource::Users, Action::Read);
/// To make and change users, roles and tokens.
pub const USERS_WRITE: Permission = Permission::new(Resource::Users, Action::Write);

/// Who is let in to the northbound interface.
pub struct Gate {
    store: Store,
    table: ArcSwap<Table>,
    /// One change after the other.
    changing: tokio::sync::Mutex<()>,
    logins: Logins,
    used: tokens::Used,
    hasher: Hasher,
    /// Failed logins of one address or user before they have to wait.
    failures_per_minute_max: u32,
    /// Failed logins by address, and by user.
    addresses: Attempts<IpAddr>,
    users: Attempts<String>,
    /// Where users have logged in.
    known: Mutex<LruCache<(String, IpAddr), ()>>,
    /// The token of `[api]`.
    config_token: Option<Hash>,
    /// The public URL of `[api]`, without a slash at its end.
    url: Option<String>,
    /// `[api.oidc]`
    pub oidc: Option<Oidc>,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client, by the word of trusted proxies.
    pub address: IpAddr,
    /// Its connection is TLS.
    pub tls: bool,
}

impl Gate {
    /// Reads users, roles, tokens and sessions. Blocks.
    ///
    /// # Errors
    /// When they cannot be read, or `[api.oidc]` cannot be followed.
    pub fn open(store: Store, config: &config::Api) -> anyhow::Result<Gate> {
        let limits = Limits {
            idle_seconds: i64::try_from(config.session_idle_seconds_max)?,
            seconds: i64::try_from(config.session_seconds_max)?,
        };
        let url = config.url.as_deref();
        let oidc = match &config.oidc {
            Some(oidc) => Some(Oidc::new(oidc, url.unwrap_or_default())?),
            None => None,
        };
        let gate = Gate {
            table: ArcSwap::from_pointee(Table::read(&store)?),
            changing: tokio::sync::Mutex::default(),
            logins: Logins::read(&store, limits)?,
            used: tokens::Used::read(&store)?,
            hasher: Hasher::new()?,
            failures_per_minute_max: config.login_failures_per_minute_max,
            addresses: Attempts::new(),
            users: Attempts::new(),
            known: Mutex::new(LruCache::new(KNOWN_MAX)),
            config_token: config.token.as_deref().map(Hash::of),
            url: url.map(|url| url.trim_end_matches('/').to_owned()),
            oidc,
            store,
        };
        Ok(gate)
    }

    /// Finds out who asks, by the request's headers.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when nobody does whom this host knows; [`Refusal::OtherSite`] when a
    /// browser says that somebody else's page has sent it.
    pub fn authenticate(
        &self,
        method: &Method,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let given = given.to_str().unwrap_or_default();
            let token = match given.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
                _ => {
                    return Err(Refusal::Unknown(
                        "expected the header Authorization: Bearer TOKEN",
                    ));
                }
            };
            return self.by_token(token, now);
        }
        let Some(cookie) = site::cookie(headers, COOKIE) else {
            return Err(Refusal::Unknown(
                "expected the header Authorization: Bearer TOKEN, or the cookie of a login",
            ));
        };
        let over = || Refusal::Unknown("expected the cookie of a session that is not over");
        let login = self.logins.find(cookie, now).ok_or_else(over)?;
        let principal = self.of_login(&login).ok_or_else(over)?;
        if !method.is_safe() {
            site::check(headers, self.url.as_deref())?;
            site::check_header(headers)?;
        }
        Ok(principal)
    }

    /// What somebody may do by now whose request goes on for long; that is no use of the token or the
    /// session. `None`: they are let in no more.
    pub fn again(&self, principal: &Principal, now: UnixTime) -> Option<Principal> {
        let principal = match &principal.proof {
            Proof::Token(id) => self.of_token(id, now)?,
            Proof::Session(id) => {
                let logins = self.logins.list(now);
                self.of_login(logins.iter().find(|login| login.id == *id)?)?
            }
        };
        (!principal.must_change_password).then_some(principal)
    }

    /// The sessions of people that go on, as far as somebody may see them.
    pub fn logins(&self, asking: &Principal, now: UnixTime) -> Vec<Login> {
        let mut logins = self.logins.list(now);
        logins.retain(|login| {
            let grants = self.grants_of(&login.person);
            self.seen_grants(asking, &grants).is_some()
        });
        logins
    }

    /// Ends a session of somebody.
    ///
    /// # Errors
    /// When there is none that may be seen, or it is of somebody who may do more.
    pub async fn end_login(
        &self,
        asking: &Principal,
        id: &str,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let logins = self.logins(asking, now);
        let login = logins.iter().find(|login| *login.id == *id);
        let login = login.ok_or_else(|| Refusal::NotFound(format!("there is no login {id:?}")))?;
        self.check_may_change(asking, &self.grants_of(&login.person))?;
        self.logins
            .end(&self.store, |login| *login.id == *id)
            .await?;
        Ok(())
    }

    /// All roles, by their names.
    pub fn roles(&self) -> Vec<Arc<Role>> {
        self.table.load().roles.values().map(Arc::clone).collect()
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<Arc<Role>> {
        self.table.load().roles.get(name).map(Arc::clone)
    }

    /// Writes a role; who has it has what it says from now on. The role, and whether it is new.
    ///
    /// # Errors
    /// When it is no role, or a built-in one, or gives more than who asks has.
    pub async fn put_role(
        &self,
        asking: &Principal,
        name: &str,
        text: RoleText,
    ) -> Result<(Arc<Role>, bool), Refusal> {
        let role = Role::new(name, text).map_err(Refusal::Bad)?;
        if !asking.may_give(&role, None) {
            return Err(Refusal::Forbidden(format!(
                "{} may not write a role that gives more than its own",
                asking.name
            )));
        }
        let _changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        let before = table.roles.get(name).map(|role| role.is_built_in);
        if before == Some(true) {
            return Err(Refusal::Conflict(format!(
                "{name:?} is built in: write a role of another name"
            )));
        }
        if before.is_none() && table.roles.len() >= users::ROLES_MAX {
            return Err(Refusal::Conflict(format!(
                "there are {} roles already",
                users::ROLES_MAX
            )));
        }
        let setting = format!("{}{name}", records::ROLE);
        self.store
            .put_setting(&setting, &records::json(&role.text))
            .await?;
        let role = table.put_role(role);
        self.table.store(Arc::new(table));
        Ok((role, before.is_none()))
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// When there is none, it is built in, or somebody has it.
    pub async fn remove_role(&self, name: &str) -> Result<(), Refusal> {
        let _changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        match table.roles.get(name) {
            None => return Err(Refusal::NotFound(format!("there is no role {name:?}"))),
            Some(role) if role.is_built_in => {
                return Err(Refusal::Conflict(format!("{name:?} is built in")));
            }
            Some(_) => {}
        }
        let holders = table.holders(name);
        if holders > 0 {
            return Err(Refusal::Conflict(format!(
                "{holders} users or tokens have the role {name:?}"
            )));
        }
        let setting = format!("{}{name}", records::ROLE);
        self.store.remove_setting(&setting).await?;
        table.roles.remove(name);
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// Removes sessions that are over, and writes when sessions and tokens were last used.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn sweep(&self, now: UnixTime) -> Result<(), StoreError> {
        self.logins.sweep(&self.store, now).await?;
        self.used.write(&self.store).await
    }

    /// Whether a user has to change the password before anything else.
    pub fn must_change_password(&self, name: &str) -> bool {
        let table = self.table.load();
        let user = table.users.get(name);
        user.is_some_and(|user| user.must_change_password)
    }

    fn of_login(&self, login: &Login) -> Option<Principal> {
        let table = self.table.load();
        let (grants, must_change_password) = match &login.person {
            Person::User(name) => {
                let user = table.users.get(name).filter(|user| !user.is_disabled)?;
                (table.resolve(&user.grants), user.must_change_password)
            }
            Person::Oidc { grants, .. } => (table.resolve(grants), false),
        };
        Some(Principal {
            name: login.person.to_name(),
            proof: Proof::Session(Arc::clone(&login.id)),
            must_change_password,
            grants,
            only: None,
        })
    }

    fn grants_of(&self, person: &Person) -> Vec<Grant> {
        match person {
            Person::User(name) => {
                let table = self.table.load();
                let user = table.users.get(name);
                user.map(|user| user.grants.clone()).unwrap_or_default()
            }
            Person::Oidc { grants, .. } => grants.clone(),
        }
    }

    /// Of somebody's grants those that may be seen; `None`: not even that there is somebody.
    fn seen_grants(&self, asking: &Principal, grants: &[Grant]) -> Option<Vec<Grant>> {
        let instances = asking.instances_with(USERS_READ);
        let seen = |grant: &&Grant| instances.contain(grant.instance.as_deref());
        let seen: Vec<Grant> = grants.iter().filter(seen).cloned().collect();
        (!seen.is_empty() || instances == Instances::All).then_some(seen)
    }

    /// Nobody changes somebody who may do more, or elsewhere, and nobody gives what they have not.
    fn check_may_change(&self, asking: &Principal, grants: &[Grant]) -> Result<(), Refusal> {
        let instances = asking.instances_with(USERS_WRITE);
        let table = self.table.load();
        for grant in grants {
            let instance = grant.instance.as_deref();
            let role = table.roles.get(grant.role.as_str());
            let given = role.is_none_or(|role| asking.may_give(role, instance));
            if !instances.contain(instance) || !given {
                return Err(Refusal::Forbidden(format!(
                    "{} may neither give nor change the role {:?} {}: it would be more than its own",
                    asking.name,
                    grant.role,
                    place(instance)
                )));
            }
        }
        Ok(())
    }

    /// Whether grants name roles that there are.
    fn check_grants(&self, table: &Table, grants: &[Grant]) -> Result<(), Refusal> {
        if !(1..=GRANTS_MAX).contains(&grants.len()) {
            return Err(Refusal::Bad(format!(
                "expected 1 to {GRANTS_MAX} grants, got {}",
                grants.len()
            )));
        }
        for grant in grants {
            if !table.roles.contains_key(grant.role.as_str()) {
                let roles: Vec<&str> = table.roles.keys().map(|name| &**name).collect();
                return Err(Refusal::Bad(format!(
                    "expected a role of {}, got {:?}",
                    roles.join(", "),
                    grant.role
                )));
            }
            if let Some(instance) = &grant.instance {
                role::check_name("an instance", instance).map_err(Refusal::Bad)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Refusal {
        match error {
            HashError::Busy => Refusal::TooMany(std::time::Duration::from_secs(1)),
            HashError::Failed => Refusal::Internal(error.to_string()),
        }
    }
}

fn place(instance: Option<&str>) -> String {
    match instance {
        Some(name) => format!("in instance {name:?}"),
        None => "in all instances".to_owned(),
    }
}
