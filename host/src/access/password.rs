//! Passwords of people: argon2id, on threads of their own, so many at once.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Memory of one hash, KiB; with the two below, what OWASP recommends for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// Hashes at once: they take 19 MiB and a processor each.
const AT_ONCE_MAX: usize = 2;
/// Logins that wait for their turn; more are asked to come again.
const WAITING_MAX: usize = 32;

/// Characters of a password. No more rules: length is what counts.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// Why a password was neither hashed nor compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait.
    #[error("too many logins at once")]
    Busy,
    /// No memory, or a thread that ended.
    #[error("a password could not be hashed")]
    Failed,
}

/// Hashes passwords and compares them.
#[derive(Debug)]
pub struct Hasher {
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What a name is compared with that has no password: it takes as long.
    nobody: String,
}

impl Hasher {
    /// Blocks for the time of one hash.
    ///
    /// # Errors
    /// Without memory.
    pub fn new() -> Result<Hasher, HashError> {
        Ok(Hasher {
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            nobody: hash_blocking(&super::secret::one_time_password())?,
        })
    }

    /// The hash of a password with a salt of its own, as a PHC string.
    ///
    /// # Errors
    /// When too many wait, or without memory.
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        let password = password.to_owned();
        self.work(move || hash_blocking(&password)).await
    }

    /// Whether it is the password; without a hash to compare with it is not, and takes as long.
    ///
    /// # Errors
    /// As [`Hasher::hash`].
    pub async fn is(&self, password: &str, hash: Option<&str>) -> Result<bool, HashError> {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let password = password.to_owned();
        let same = self.work(move || is_blocking(&password, &hash)).await?;
        Ok(same && is_somebody)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.at_once).acquire_owned().await;
        let turn = turn.map_err(|_| HashError::Failed)?;
        // A client that goes away does not end the thread: both are held until it is done.
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((turn, waiting));
            result
        });
        worked.await.map_err(|_| HashError::Failed)?
    }
}

/// The hash of a password, for commands that have nothing else to do.
///
/// # Errors
/// Without memory.
pub fn hash_blocking(password: &str) -> Result<String, HashError> {
    let hash = argon2()?.hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|_| HashError::Failed)
}

/// Whether it may be a password, of whom.
///
/// # Errors
/// What was expected.
pub fn check(password: &str, user: &str) -> Result<(), String> {
    let (least, most) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
    let length = password.chars().count();
    if !PASSWORD_CHARS.contains(&length) {
        return Err(format!(
            "expected a password of {least} to {most} characters, got {length}"
        ));
    }
    let (password, user) = (password.to_lowercase(), user.to_lowercase());
    let mut characters = password.chars();
    let first = characters.next();
    if characters.all(|c| Some(c) == first) || password.replace(&user, "").chars().count() < 6 {
        return Err("expected a password that is not the name or one character repeated".into());
    }
    Ok(())
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| HashError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn is_blocking(password: &str, hash: &str) -> Result<bool, HashError> {
    let hash = PasswordHash::new(hash).map_err(|_| HashError::Failed)?;
    // The parameters are those of the hash.
    Ok(argon2()?
        .verify_password(password.as_bytes(), &hash)
        .is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let hasher = Hasher::new().unwrap();
        let hash = hasher.hash("correct horse battery").await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(
            hasher.is("correct horse battery", Some(&hash)).await,
            Ok(true)
        );
        assert_eq!(
            hasher.is("correct horse batterx", Some(&hash)).await,
            Ok(false)
        );
        assert_eq!(hasher.is("correct horse battery", None).await, Ok(false));
        let broken = hasher.is("correct horse battery", Some("$argon2id$")).await;
        assert_eq!(broken, Err(HashError::Failed));
    }

    #[tokio::test]
    async fn no_more_wait_than_are_allowed() {
        let hasher = Hasher::new().unwrap();
        let waiting = u32::try_from(WAITING_MAX).unwrap();
        let held = hasher.waiting.try_acquire_many(waiting).unwrap();
        assert_eq!(hasher.is("one too many", None).await, Err(HashError::Busy));
        drop(held);
        assert_eq!(hasher.is("somebody's password", None).await, Ok(false));
    }

    #[test]
    fn what_is_no_password() {
        assert!(check("correct horse battery", "anna").is_ok());
        for wrong in [
            "short",
            "aaaaaaaaaaaaaaaa",
            "annaannaanna",
            &"x1".repeat(200),
        ] {
            assert!(check(wrong, "anna").is_err(), "{wrong}");
        }
    }
}
