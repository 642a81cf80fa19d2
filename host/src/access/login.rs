//! Logging in with a password, changing it, logging out.
//!
//! Whoever guesses has to wait: each attempt costs its address and the user it names one of so many a
//! minute, which a right password gives back. The user's limit does not hold where the user has
//! logged in before, so that a stranger's guesses keep nobody out. A name that is not known
//! takes as long and is answered with the same words as a wrong password.

use std::net::IpAddr;
use std::sync::Arc;

use super::records::User;
use super::session::Person;
use super::{COOKIE, Client, Gate, Principal, Proof, Refusal, password, site};
use crate::clock::Now;
use crate::device::UnixTime;
use crate::door::attempts::client;

const WRONG: Refusal = Refusal::Unknown("the name or the password is wrong");

impl Gate {
    /// Begins a session: the value of its cookie.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for whatever reason; [`Refusal::TooMany`].
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        from: Client,
        now: Now,
    ) -> Result<String, Refusal> {
        let name = name.to_ascii_lowercase();
        let attempt = Attempt::begin(self, &name, from.address, now)?;
        let is_right = self.is_password(&name, password).await?;
        if !is_right {
            tracing::warn!(user = name, address = %from.address, "a login failed");
            return Err(WRONG);
        }
        attempt.succeeded();
        let person = Person::User(name.into());
        let begun = self
            .logins
            .begin(&self.store, person, from.address, now.unix);
        Ok(begun.await?)
    }

    /// Changes the password of who asks, and ends all other sessions of theirs.
    ///
    /// # Errors
    /// When the present password is wrong, or the other is none; [`Refusal::TooMany`].
    pub async fn change_password(
        &self,
        asking: &Principal,
        present: &str,
        wanted: &str,
        from: Client,
        now: Now,
    ) -> Result<(), Refusal> {
        let (Some(name), Proof::Session(session)) =
            (asking.name.strip_prefix("user:"), &asking.proof)
        else {
            return Err(Refusal::Forbidden(format!(
                "expected the session of a user with a password here, got {}",
                asking.name
            )));
        };
        password::check(wanted, name).map_err(Refusal::Bad)?;
        if wanted == present {
            return Err(Refusal::Bad(
                "expected another password than the present one".into(),
            ));
        }
        let attempt = Attempt::begin(self, name, from.address, now)?;
        if !self.is_password(name, present).await? {
            return Err(Refusal::Forbidden("the present password is wrong".into()));
        }
        attempt.succeeded();
        let hash = self.hasher.hash(wanted).await?;
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        let user = table.users.get(name).ok_or(WRONG)?;
        let mut changed = User::clone(user);
        changed.password = hash;
        changed.must_change_password = false;
        changed.password_set = now.unix;
        self.put_user(changed).await?;
        let is_other = |person: &Person| matches!(person, Person::User(own) if **own == *name);
        self.logins
            .end(&self.store, |login| {
                is_other(&login.person) && login.id != *session
            })
            .await?;
        Ok(())
    }

    /// Ends the session of who asks. Durable on return.
    ///
    /// # Errors
    /// When it is no session but a token.
    pub async fn logout(&self, asking: &Principal) -> Result<(), Refusal> {
        let Proof::Session(session) = &asking.proof else {
            return Err(Refusal::Bad(
                "expected a session: a token is revoked with DELETE /v1/tokens/{id}".into(),
            ));
        };
        self.logins
            .end(&self.store, |login| login.id == *session)
            .await?;
        Ok(())
    }

    /// Whether a page of ours asks to log in: somebody else's would log a person in as whom it likes.
    ///
    /// # Errors
    /// [`Refusal::OtherSite`]
    pub fn check_site(&self, headers: &http::HeaderMap) -> Result<(), Refusal> {
        site::check(headers, self.url.as_deref())
    }

    /// The Set-Cookie header of a session.
    pub fn session_cookie(&self, value: &str, from: Client) -> String {
        site::set_cookie(COOKIE, value, "/", self.is_secure(from), None)
    }

    /// The Set-Cookie header that ends it.
    pub fn no_session_cookie(&self, from: Client) -> String {
        site::set_cookie(COOKIE, "", "/", self.is_secure(from), Some(0))
    }

    pub(super) fn is_secure(&self, from: Client) -> bool {
        let url = self.url.as_deref().unwrap_or_default();
        from.tls || url.starts_with("https://")
    }

    /// When a token ends, or who is logged in has to log in again; `None`: never.
    pub fn expires(&self, asking: &Principal) -> Option<UnixTime> {
        match &asking.proof {
            Proof::Token(id) => self.table.load().tokens.get(id)?.expires,
            Proof::Session(_) => None,
        }
    }

    async fn is_password(&self, name: &str, given: &str) -> Result<bool, Refusal> {
        let user = self.table.load().users.get(name).map(Arc::clone);
        let user = user.filter(|user| !user.is_disabled);
        let too_long = given.chars().count() > *password::PASSWORD_CHARS.end();
        let hash = user.as_ref().map(|user| user.password.as_str());
        let given = if too_long { "" } else { given };
        Ok(self.hasher.is(given, hash).await? && !too_long)
    }
}

/// A login under way, paid for.
struct Attempt<'g> {
    gate: &'g Gate,
    name: String,
    network: IpAddr,
}

impl<'g> Attempt<'g> {
    /// Pays for it, or tells how long to wait.
    fn begin(
        gate: &'g Gate,
        name: &str,
        address: IpAddr,
        now: Now,
    ) -> Result<Attempt<'g>, Refusal> {
        // Longer names are nobody's, and not remembered whole.
        let name: String = name.chars().take(super::NAME_CHARS_MAX + 1).collect();
        let network = client(address);
        let place = (name.clone(), network);
        let is_known = gate.known.lock().get(&place).is_some();
        let most = gate.failures_per_minute_max;
        let wait = gate.addresses.wait(&network, most, now.instant);
        let of_user = gate
            .users
            .wait(&name, most, now.instant)
            .filter(|_| !is_known);
        if let Some(wait) = wait.max(of_user) {
            return Err(Refusal::TooMany(wait + std::time::Duration::from_secs(1)));
        }
        gate.addresses.failed(network, most, now.instant);
        gate.users.failed(name.clone(), most, now.instant);
        Ok(Attempt {
            gate,
            name,
            network,
        })
    }

    fn succeeded(self) {
        let most = self.gate.failures_per_minute_max;
        self.gate.addresses.undone(&self.network, most);
        self.gate.users.undone(&self.name, most);
        self.gate.known.lock().put((self.name, self.network), ());
    }
}
