//! Tokens of programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::records::{TOKEN, Table, Token, json};
use super::role::{NAME_CHARS_MAX, built_in};
use super::secret::{self, Hash};
use super::{Gate, Grant, Permission, Principal, Proof, Refusal};
use crate::device::UnixTime;
use crate::store::{Store, StoreError};

/// Tokens of a host.
const TOKENS_MAX: usize = 10_000;
/// When tokens were last used, as one record.
const USED: &str = "access/used";
/// Seconds between two writes of when a token was used: it is told to the minute.
const USED_STEP_SECONDS: i64 = 60;
/// How the token of the file is named.
const CONFIG: &str = "config";

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For people, and in the audit log.
    pub name: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Of that only these; none: all.
    pub only: Option<Vec<Permission>>,
    /// It is worth nothing from then on.
    pub expires: Option<UnixTime>,
}

/// A token as somebody may see it.
#[derive(Debug, Clone)]
pub struct TokenSeen {
    /// What is stored of it.
    pub token: Arc<Token>,
    /// Of its grants those that may be seen.
    pub grants: Vec<Grant>,
    /// When it was last used, to the minute.
    pub used: Option<UnixTime>,
}

/// When tokens were last used: a reading, written every minute.
#[derive(Debug)]
pub(super) struct Used(Mutex<UsedState>);

#[derive(Debug)]
struct UsedState {
    at: BTreeMap<Arc<str>, UnixTime>,
    is_changed: bool,
}

impl Used {
    pub(super) fn read(store: &Store) -> Result<Used, StoreError> {
        let at = store.setting(USED)?;
        let at = at.and_then(|at| serde_json::from_value(at).ok());
        Ok(Used(Mutex::new(UsedState {
            at: at.unwrap_or_default(),
            is_changed: false,
        })))
    }

    pub(super) async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let at = {
            let mut state = self.0.lock();
            if !std::mem::take(&mut state.is_changed) {
                return Ok(());
            }
            json(&state.at)
        };
        store.put_setting(USED, &at).await
    }

    fn note(&self, id: &Arc<str>, now: UnixTime) {
        let mut state = self.0.lock();
        let last = state.at.get(id).copied().unwrap_or_default();
        if now - last >= USED_STEP_SECONDS {
            state.at.insert(Arc::clone(id), now);
            state.is_changed = true;
        }
    }

    fn of(&self, id: &str) -> Option<UnixTime> {
        self.0.lock().at.get(id).copied()
    }

    fn forget(&self, id: &str) {
        let mut state = self.0.lock();
        state.is_changed |= state.at.remove(id).is_some();
    }
}

impl Gate {
    /// Who has this token.
    pub(super) fn by_token(&self, text: &str, now: UnixTime) -> Result<Principal, Refusal> {
        let hash = Hash::of(text);
        if self.config_token.as_ref().is_some_and(|own| own.is(&hash)) {
            return Ok(config());
        }
        let unknown = Refusal::Unknown("expected a token that is known and not expired");
        if text.starts_with(secret::TOKEN_PREFIX) && !secret::is_token(text) {
            return Err(Refusal::Unknown(
                "expected a whole token: its checksum is wrong, so it was cut off or mistyped",
            ));
        }
        let table = self.table.load();
        let token = table.hashes.get(&hash).and_then(|id| table.tokens.get(id));
        let token = token.filter(|token| token.expires.is_none_or(|end| now < end));
        let Some(token) = token else {
            return Err(unknown);
        };
        self.used.note(&token.id, now);
        Ok(of(token, &table))
    }

    /// What a token may do by now; `None`: it is worth nothing any more.
    pub(super) fn of_token(&self, id: &str, now: UnixTime) -> Option<Principal> {
        if id == CONFIG {
            return Some(config());
        }
        let table = self.table.load();
        let token = table.tokens.get(id)?;
        let is_over = token.expires.is_some_and(|end| now >= end);
        (!is_over).then(|| of(token, &table))
    }

    /// Makes a token: what is stored of it, and its text, which is not. Durable on return.
    ///
    /// # Errors
    /// When it would give more than who asks has, or is no token.
    pub async fn create_token(
        &self,
        asking: &Principal,
        new: NewToken,
        now: UnixTime,
    ) -> Result<(Arc<Token>, String), Refusal> {
        let length = new.name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&length)
            || new.name.chars().any(char::is_control)
            || new.name == CONFIG
        {
            return Err(Refusal::Bad(format!(
                "expected as the name of a token 1 to {NAME_CHARS_MAX} characters, and not {CONFIG:?}, got {:?}",
                new.name
            )));
        }
        if new.only.as_ref().is_some_and(Vec::is_empty) {
            return Err(Refusal::Bad("expected at least one permission".into()));
        }
        if new.expires.is_some_and(|end| end <= now) {
            return Err(Refusal::Bad("expected a time to come as the end".into()));
        }
        let _changing = self.changing.lock().await;
        let table = self.table.load();
        self.check_grants(&table, &new.grants)?;
        self.check_may_change(asking, &new.grants)?;
        if table.tokens.len() >= TOKENS_MAX {
            return Err(Refusal::Conflict(format!(
                "there are {TOKENS_MAX} tokens already"
            )));
        }
        let text = secret::token();
        let token = Token {
            id: secret::id().into(),
            name: new.name,
            hash: Hash::of(&text).to_string(),
            grants: new.grants,
            only: new.only,
            created: now,
            created_by: asking.name.to_string(),
            expires: new.expires,
        };
        Ok((self.put_token(token).await?, text))
    }

    /// Stores a token, then lets it act. Only while `changing` is held.
    pub(super) async fn put_token(&self, token: Token) -> Result<Arc<Token>, Refusal> {
        let setting = format!("{TOKEN}{}", token.id);
        self.store.put_setting(&setting, &json(&token)).await?;
        let mut table = Table::clone(&self.table.load());
        table.put_token(token.clone());
        self.table.store(Arc::new(table));
        Ok(Arc::new(token))
    }

    /// The tokens that somebody may see, the last made first.
    pub fn tokens(&self, asking: &Principal) -> Vec<TokenSeen> {
        let table = self.table.load();
        let tokens = table.tokens.values();
        let mut seen: Vec<TokenSeen> = tokens
            .filter_map(|token| self.seen_token(asking, token))
            .collect();
        seen.sort_by(|a, b| {
            let (a, b) = (&a.token, &b.token);
            b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id))
        });
        seen
    }

    /// The token of this id, if somebody may see it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]
    pub fn token(&self, asking: &Principal, id: &str) -> Result<TokenSeen, Refusal> {
        let table = self.table.load();
        let token = table.tokens.get(id);
        let seen = token.and_then(|token| self.seen_token(asking, token));
        seen.ok_or_else(|| Refusal::NotFound(format!("there is no token {id:?}")))
    }

    /// Revokes a token: it is worth nothing with the next request. Durable on return.
    ///
    /// # Errors
    /// When there is none that may be seen, or it may do more than who asks.
    pub async fn revoke_token(&self, asking: &Principal, id: &str) -> Result<(), Refusal> {
        let seen = self.token(asking, id)?;
        // A token may end itself.
        if asking.proof != Proof::Token(Arc::clone(&seen.token.id)) {
            self.check_may_change(asking, &seen.token.grants)?;
        }
        let _changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        self.store.remove_setting(&format!("{TOKEN}{id}")).await?;
        table.remove_token(id);
        self.table.store(Arc::new(table));
        self.used.forget(id);
        Ok(())
    }

    fn seen_token(&self, asking: &Principal, token: &Arc<Token>) -> Option<TokenSeen> {
        let grants = self.seen_grants(asking, &token.grants)?;
        Some(TokenSeen {
            token: Arc::clone(token),
            grants,
            used: self.used.of(&token.id),
        })
    }
}

fn of(token: &Token, table: &Table) -> Principal {
    Principal {
        name: format!("token:{}", token.name).into(),
        proof: Proof::Token(Arc::clone(&token.id)),
        must_change_password: false,
        grants: table.resolve(&token.grants),
        only: token.only.clone(),
    }
}

/// Whoever has the token of the file: an administrator of everything.
pub(super) fn config() -> Principal {
    administrator(&format!("token:{CONFIG}"))
}

impl Principal {
    /// Whoever may open the store on this machine, with `patchbay user`.
    pub fn of_the_command() -> Principal {
        administrator("command:user")
    }
}

fn administrator(name: &str) -> Principal {
    let admin = built_in().iter().find(|role| &*role.name == "admin");
    Principal {
        name: name.into(),
        proof: Proof::Token(CONFIG.into()),
        must_change_password: false,
        grants: admin
            .map(|role| (Arc::clone(role), None))
            .into_iter()
            .collect(),
        only: None,
    }
}
