//! Sessions of people: a random cookie, of which the hash is kept, here and in the store.
//!
//! When a session was last used is a reading: it is written every minute, and after a restart
//! a session may have been idle for a minute longer than it was.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::principal::Grant;
use super::records::{SESSION, json, read};
use super::secret::{self, Hash};
use crate::device::UnixTime;
use crate::store::{Store, StoreError};

/// Sessions of one person; the one unused longest ends for the next.
const PER_PERSON_MAX: usize = 20;
/// Sessions of all.
const SESSIONS_MAX: usize = 10_000;

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Person {
    /// A user with a password here.
    User(Arc<str>),
    /// Somebody whom the OIDC provider knows: a name, and what the claims gave.
    Oidc {
        /// Of the configured claim.
        name: Arc<str>,
        /// `sub`: who it is even under another name.
        subject: String,
        /// At the time of the login.
        grants: Vec<Grant>,
    },
}

impl Person {
    /// `user:anna`, `oidc:anna@example.net`
    pub fn to_name(&self) -> Arc<str> {
        match self {
            Person::User(name) => format!("user:{name}").into(),
            Person::Oidc { name, .. } => format!("oidc:{name}").into(),
        }
    }
}

/// A session of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Login {
    /// By which it is listed and ended.
    pub id: Arc<str>,
    /// SHA-256 of the cookie, in hexadecimal.
    hash: String,
    /// Whose.
    pub person: Person,
    /// When it began.
    pub began: UnixTime,
    /// When it was last used.
    pub used: UnixTime,
    /// From where it began.
    pub address: IpAddr,
}

/// How long they last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle_seconds: i64,
    pub(super) seconds: i64,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Logins {
    limits: Limits,
    by_hash: Mutex<HashMap<Hash, Kept>>,
}

#[derive(Debug)]
struct Kept {
    login: Login,
    /// `used` is later than in the store.
    is_changed: bool,
}

impl Logins {
    pub(super) fn read(store: &Store, limits: Limits) -> Result<Logins, StoreError> {
        let mut by_hash = HashMap::new();
        for (_, login) in read::<Login>(store, SESSION)? {
            if let Some(hash) = Hash::parse(&login.hash) {
                let is_changed = false;
                by_hash.insert(hash, Kept { login, is_changed });
            }
        }
        Ok(Logins {
            limits,
            by_hash: Mutex::new(by_hash),
        })
    }

    /// Begins one: the cookie. Durable on return.
    pub(super) async fn begin(
        &self,
        store: &Store,
        person: Person,
        address: IpAddr,
        now: UnixTime,
    ) -> Result<String, StoreError> {
        let cookie = secret::cookie();
        let hash = Hash::of(&cookie);
        let login = Login {
            id: secret::id().into(),
            hash: hash.to_string(),
            person,
            began: now,
            used: now,
            address,
        };
        for id in self.too_many(&login.person) {
            self.end(store, |login| login.id == id).await?;
        }
        let name = format!("{SESSION}{}", login.id);
        store.put_setting(&name, &json(&login)).await?;
        let is_changed = false;
        self.by_hash.lock().insert(hash, Kept { login, is_changed });
        Ok(cookie)
    }

    /// The session of a cookie, which is used with that.
    pub(super) fn find(&self, cookie: &str, now: UnixTime) -> Option<Login> {
        let mut logins = self.by_hash.lock();
        let kept = logins.get_mut(&Hash::of(cookie))?;
        if self.is_over(&kept.login, now) {
            return None;
        }
        if now > kept.login.used {
            kept.login.used = now;
            kept.is_changed = true;
        }
        Some(kept.login.clone())
    }

    /// Those that go on, the last begun first.
    pub(super) fn list(&self, now: UnixTime) -> Vec<Login> {
        let logins = self.by_hash.lock();
        let mut list: Vec<Login> = logins
            .values()
            .filter(|kept| !self.is_over(&kept.login, now))
            .map(|kept| kept.login.clone())
            .collect();
        list.sort_by(|a, b| b.began.cmp(&a.began).then_with(|| a.id.cmp(&b.id)));
        list
    }

    /// Ends all that are so. They are not let in from here on; durable on return. How many.
    pub(super) async fn end(
        &self,
        store: &Store,
        is_so: impl Fn(&Login) -> bool,
    ) -> Result<usize, StoreError> {
        let ended: Vec<Kept> = {
            let mut logins = self.by_hash.lock();
            let ended = logins.extract_if(|_, kept| is_so(&kept.login));
            ended.map(|(_, kept)| kept).collect()
        };
        for kept in &ended {
            let name = format!("{SESSION}{}", kept.login.id);
            store.remove_setting(&name).await?;
        }
        Ok(ended.len())
    }

    /// Removes what is over, and writes when the others were used.
    pub(super) async fn sweep(&self, store: &Store, now: UnixTime) -> Result<(), StoreError> {
        self.end(store, |login| self.is_over(login, now)).await?;
        let changed: Vec<Login> = {
            let mut logins = self.by_hash.lock();
            let changed = logins.values_mut().filter(|kept| kept.is_changed);
            let changed = changed.map(|kept| {
                kept.is_changed = false;
                kept.login.clone()
            });
            changed.collect()
        };
        for login in changed {
            // One that was ended meanwhile stays so.
            let is_there = |kept: &Kept| kept.login.id == login.id;
            if self.by_hash.lock().values().any(is_there) {
                let name = format!("{SESSION}{}", login.id);
                store.put_setting(&name, &json(&login)).await?;
            }
        }
        Ok(())
    }

    fn is_over(&self, login: &Login, now: UnixTime) -> bool {
        now - login.used > self.limits.idle_seconds || now - login.began > self.limits.seconds
    }

    /// The ids of those that have to end before the person begins another.
    fn too_many(&self, person: &Person) -> Vec<Arc<str>> {
        let logins = self.by_hash.lock();
        let name = person.to_name();
        let mut own: Vec<&Login> = logins
            .values()
            .map(|kept| &kept.login)
            .filter(|login| login.person.to_name() == name)
            .collect();
        if own.len() < PER_PERSON_MAX && logins.len() < SESSIONS_MAX {
            return Vec::new();
        }
        if own.is_empty() {
            own = logins.values().map(|kept| &kept.login).collect();
        }
        own.sort_by_key(|login| login.used);
        let first = own.first().map(|login| Arc::clone(&login.id));
        first.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        idle_seconds: 100,
        seconds: 1000,
    };
    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn anna() -> Person {
        Person::User("anna".into())
    }

    #[tokio::test]
    async fn a_session_ends_by_idleness_and_by_age() {
        let store = Store::memory().unwrap();
        let logins = Logins::read(&store, LIMITS).unwrap();
        let cookie = logins.begin(&store, anna(), FROM, 0).await.unwrap();
        for now in [100, 200, 300] {
            assert!(logins.find(&cookie, now).is_some(), "{now}");
        }
        assert!(logins.find(&cookie, 401).is_none());
        let cookie = logins.begin(&store, anna(), FROM, 0).await.unwrap();
        for now in (0..=1000).step_by(50) {
            assert!(logins.find(&cookie, now).is_some(), "{now}");
        }
        assert!(logins.find(&cookie, 1001).is_none());
        assert!(logins.find("another", 0).is_none());
    }

    #[tokio::test]
    async fn sessions_outlive_a_restart_but_not_their_end() {
        let store = Store::memory().unwrap();
        let logins = Logins::read(&store, LIMITS).unwrap();
        let one = logins.begin(&store, anna(), FROM, 0).await.unwrap();
        let other = logins.begin(&store, anna(), FROM, 0).await.unwrap();
        logins.find(&one, 90);
        logins.sweep(&store, 90).await.unwrap();
        let ends = logins.find(&other, 90).unwrap().id;
        logins.end(&store, |login| login.id == ends).await.unwrap();
        let logins = Logins::read(&store, LIMITS).unwrap();
        assert!(logins.find(&one, 190).is_some());
        assert!(logins.find(&other, 90).is_none());
        // Nobody finds the cookie in the store.
        let kept = format!("{:?}", store.setting_names("").unwrap());
        assert!(!kept.contains(&one), "{kept}");
    }

    #[tokio::test]
    async fn the_one_unused_longest_makes_room() {
        let store = Store::memory().unwrap();
        let logins = Logins::read(&store, LIMITS).unwrap();
        let mut cookies = Vec::new();
        for now in 0..PER_PERSON_MAX as i64 {
            cookies.push(logins.begin(&store, anna(), FROM, now).await.unwrap());
        }
        assert!(logins.find(&cookies[0], 50).is_some());
        logins.begin(&store, anna(), FROM, 60).await.unwrap();
        let found = |cookie: &String| logins.find(cookie, 60).is_some();
        assert!(found(&cookies[0]) && !found(&cookies[1]) && found(&cookies[2]));
        assert_eq!(logins.list(60).len(), PER_PERSON_MAX);
    }
}
