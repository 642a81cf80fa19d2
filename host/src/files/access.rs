//! Who may fetch or send what: each transfer has a right of its own, in its URL or by a user
//! name and a password that the Download or Upload RPC tells the device.
//!
//! A path is `/files/<ticket>/<name>`. The ticket is either signed (task, expiry and an
//! HMAC-SHA256 over these, the direction, the device and the file; no query string, which some
//! devices drop), or the task's id, and then a login must prove the right. Nothing is kept of
//! a ticket: it is checked by making it again. The name is for devices that look at its ending.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cwmp::authentication::{
    Algorithm, Authorization, DigestChallenge, Nonce, Nonces, basic_challenge,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::PATH;
use crate::config::FileAccess;
use crate::device::UnixTime;
use crate::store::{Store, StoreError};
use crate::work::task::{Operation, Task, TaskId};

/// How long a device may use a ticket, from when its RPC leaves.
pub(super) const TICKET_SECONDS: i64 = 86_400;
/// The longest URL that Download and Upload take, characters (TR-069 A.3.2.8).
pub const URL_CHARS_MAX: usize = 256;
/// Characters of the name at the end of a URL.
const NAME_CHARS_MAX: usize = 64;
/// Bytes of the key: a block of SHA-256.
const KEY_BYTES: usize = 64;
/// Bytes kept of a MAC: a shorter URL, and still nobody's to guess.
const MAC_BYTES: usize = 16;
/// How long a nonce of Digest may be used.
const NONCE_SECONDS: i64 = 600;
const REALM: &str = "files";
/// The name of the setting that holds the key.
const SETTING: &str = "files/key";

/// The key that tickets are signed with. It never leaves the store.
#[derive(Clone)]
pub struct Secret([u8; KEY_BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How a device is told to reach its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// With everything that is needed.
    pub url: String,
    /// Empty where the URL itself is the right.
    pub username: String,
    /// Empty where the URL itself is the right.
    pub password: String,
}

/// What a request shows.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its path.
    pub path: &'r str,
    /// Its Authorization header.
    pub authorization: Option<&'r str>,
}

/// What stands in the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// Signed.
    Signed {
        /// Whose right it is.
        task: TaskId,
        /// Until when.
        expires: UnixTime,
        /// What proves it.
        mac: [u8; MAC_BYTES],
    },
    /// A login must prove it.
    Login(TaskId),
}

/// Why a request may not have what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// 403.
    Forbidden(&'static str),
    /// 401: a login is needed; the challenge that asks for it.
    LoginNeeded(String),
}

impl Ticket {
    /// Reads the path of a request.
    pub fn parse(path: &str) -> Option<Ticket> {
        let ticket = path.strip_prefix(PATH)?.split('/').next()?;
        if let Ok(task) = ticket.parse() {
            return Some(Ticket::Login(task));
        }
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (task, rest) = bytes.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        Some(Ticket::Signed {
            task: TaskId(u64::from_be_bytes(*task)),
            expires: i64::from(u32::from_be_bytes(*expires)),
            mac: rest.try_into().ok()?,
        })
    }

    /// The task it names.
    pub fn task(self) -> TaskId {
        match self {
            Ticket::Signed { task, .. } | Ticket::Login(task) => task,
        }
    }
}

impl Secret {
    /// The key of this host, made at the first start.
    pub async fn load(store: &Store) -> Result<Secret, StoreError> {
        let kept = store.setting(SETTING)?;
        let kept = kept.as_ref().and_then(|value| value.as_str());
        let kept = kept.and_then(|text| STANDARD.decode(text).ok()?.try_into().ok());
        if let Some(key) = kept {
            return Ok(Secret(key));
        }
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key);
        store
            .put_setting(SETTING, &STANDARD.encode(key).into())
            .await?;
        Ok(Secret(key))
    }

    /// What the RPC of a task tells its device. `base` is where it reaches the files, `name`
    /// what the file is called there. `None`: the URL is longer than devices take.
    pub fn access(
        &self,
        how: FileAccess,
        task: &Task,
        base: &str,
        name: &str,
        now: UnixTime,
    ) -> Option<Access> {
        let (ticket, username, password) = match how {
            FileAccess::SignedUrl => {
                let ticket = self.sign(task, now.saturating_add(TICKET_SECONDS));
                (ticket, String::new(), String::new())
            }
            FileAccess::Basic | FileAccess::Digest => {
                let id = task.id.to_string();
                (id.clone(), id, self.password(task))
            }
        };
        let base = base.trim_end_matches('/');
        let url = format!("{base}{PATH}{ticket}/{}", plain(name));
        (url.len() <= URL_CHARS_MAX).then_some(Access {
            url,
            username,
            password,
        })
    }

    /// Whether a request with this ticket may have what the task names. `how`: the login that is
    /// asked for where the ticket is not signed.
    pub fn check(
        &self,
        how: FileAccess,
        ticket: Ticket,
        task: &Task,
        request: &Shown<'_>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let expires = match ticket {
            Ticket::Signed { expires, mac, .. } => {
                if !bool::from(self.mac(task, b"url", expires).ct_eq(&mac)) {
                    return Err(Denied::Forbidden(
                        "this URL was not made here, or was changed",
                    ));
                }
                expires
            }
            Ticket::Login(_) => {
                if !self.knows(how, task, request, now) {
                    return Err(Denied::LoginNeeded(self.challenge(how, now)));
                }
                task.sent.unwrap_or(0).saturating_add(TICKET_SECONDS)
            }
        };
        if now > expires {
            return Err(Denied::Forbidden("the time to use this URL is over"));
        }
        Ok(())
    }

    /// Whether the request shows the login of the task.
    fn knows(&self, how: FileAccess, task: &Task, request: &Shown<'_>, now: UnixTime) -> bool {
        let authorization = request.authorization.map(Authorization::parse);
        let (name, right) = match (authorization, how) {
            (Some(Ok(Authorization::Digest(digest))), FileAccess::Digest) => {
                let nonce = self.nonces().read(&digest.nonce);
                let age = nonce.map(|nonce| now.saturating_sub(i64::from(nonce.issued)));
                let fresh = age.is_some_and(|age| (0..=NONCE_SECONDS).contains(&age));
                let right = fresh
                    && digest.uri.ends_with(request.path)
                    && digest.verify(request.method, &self.password(task));
                (digest.username, right)
            }
            (Some(Ok(Authorization::Basic { username, password })), FileAccess::Basic) => {
                let expected = self.password(task);
                let right = password.as_bytes().ct_eq(expected.as_bytes());
                (username, bool::from(right))
            }
            _ => return false,
        };
        right && name == task.id.to_string()
    }

    fn challenge(&self, how: FileAccess, now: UnixTime) -> String {
        match how {
            FileAccess::Digest => {
                let nonce = self.nonces().issue(Nonce {
                    issued: u32::try_from(now).unwrap_or(u32::MAX),
                    number: rand::random(),
                });
                DigestChallenge::new(REALM, &nonce, Algorithm::Md5).to_header()
            }
            FileAccess::Basic | FileAccess::SignedUrl => basic_challenge(REALM),
        }
    }

    fn nonces(&self) -> Nonces {
        let mut secret = [0; 32];
        for (to, from) in secret.iter_mut().zip(self.0) {
            *to = from;
        }
        Nonces::new(secret)
    }

    fn sign(&self, task: &Task, expires: UnixTime) -> String {
        let seconds = u32::try_from(expires).unwrap_or(u32::MAX);
        let mut bytes = task.id.0.to_be_bytes().to_vec();
        bytes.extend(seconds.to_be_bytes());
        bytes.extend(self.mac(task, b"url", i64::from(seconds)));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn password(&self, task: &Task) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(task, b"password", 0))
    }

    fn mac(&self, task: &Task, what: &[u8], expires: UnixTime) -> [u8; MAC_BYTES] {
        let (direction, file) = match &task.operation {
            Operation::Download { file, .. } => (&b"download"[..], *file),
            _ => (&b"upload"[..], None),
        };
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&self.0.into());
        let file = file.map_or(0, |file| file.0).to_be_bytes();
        let numbers = [&task.id.0.to_be_bytes()[..], &expires.to_be_bytes(), &file].concat();
        let texts = [
            what,
            direction,
            task.instance.as_bytes(),
            task.device.as_bytes(),
        ];
        mac.update(&numbers);
        for text in texts {
            mac.update(text);
            // No text of these has a zero in it.
            mac.update(&[0]);
        }
        let mut short = [0; MAC_BYTES];
        for (to, from) in short.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        short
    }
}

/// A name as it may stand in a URL without being escaped.
fn plain(name: &str) -> String {
    let plain = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || "._-".contains(c) => c,
        _ => '_',
    });
    // The end says what kind of file it is.
    let skipped = name.chars().count().saturating_sub(NAME_CHARS_MAX);
    plain.skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileId;
    use crate::work::task::TaskState;
    use cwmp::authentication::{Challenge, parse_challenges};
    use proptest::prelude::*;

    const NOW: UnixTime = 1_800_000_000;

    fn task() -> Task {
        Task {
            sent: Some(NOW),
            state: TaskState::Sent,
            ..Task::queued(
                TaskId(7),
                &crate::device::DeviceKey {
                    instance: "default".into(),
                    id: "02A1B2-X-1".into(),
                },
                Operation::download(FileId(9)),
                NOW,
            )
        }
    }

    fn shown(login: Option<&str>) -> Shown<'_> {
        Shown {
            method: "GET",
            path: "/files/t-7/x.bin",
            authorization: login,
        }
    }

    fn check(
        ticket: Ticket,
        task: &Task,
        login: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let secret = Secret([1; KEY_BYTES]);
        secret.check(FileAccess::Basic, ticket, task, &shown(login), now)
    }

    fn path(access: &Access) -> &str {
        access.url.strip_prefix("http://acs:7547").unwrap()
    }

    #[test]
    fn a_signed_url_is_one_devices_for_one_file_and_one_day() {
        let (secret, task) = (Secret([1; KEY_BYTES]), task());
        let access = secret
            .access(
                FileAccess::SignedUrl,
                &task,
                "http://acs:7547/",
                "a b.bin",
                NOW,
            )
            .unwrap();
        assert!(
            access.url.ends_with("/a_b.bin") && access.url.len() < 80,
            "{access:?}"
        );
        assert_eq!(
            (access.username.as_str(), access.password.as_str()),
            ("", "")
        );
        let ticket = Ticket::parse(path(&access)).unwrap();
        assert_eq!(ticket.task(), task.id);
        assert_eq!(check(ticket, &task, None, NOW + TICKET_SECONDS), Ok(()));
        let late = check(ticket, &task, None, NOW + TICKET_SECONDS + 1);
        assert_eq!(
            late,
            Err(Denied::Forbidden("the time to use this URL is over"))
        );

        let changed = Err(Denied::Forbidden(
            "this URL was not made here, or was changed",
        ));
        let Ticket::Signed {
            task: id,
            expires,
            mac,
        } = ticket
        else {
            panic!("{ticket:?}")
        };
        let later = Ticket::Signed {
            task: id,
            expires: expires + 1,
            mac,
        };
        assert_eq!(check(later, &task, None, NOW), changed);
        assert_eq!(
            Secret([2; KEY_BYTES]).check(FileAccess::Basic, ticket, &task, &shown(None), NOW),
            changed
        );
        for other in [
            Task {
                device: "02A1B2-X-2".into(),
                ..task.clone()
            },
            Task {
                id: TaskId(8),
                ..task.clone()
            },
            Task {
                operation: Operation::download(FileId(10)),
                ..task.clone()
            },
            Task {
                operation: Operation::upload("1 Vendor Configuration File"),
                ..task.clone()
            },
        ] {
            assert_eq!(check(ticket, &other, None, NOW), changed, "{other:?}");
        }
    }

    #[test]
    fn a_login_of_one_transfer() {
        let (secret, task) = (Secret([1; KEY_BYTES]), task());
        let access = secret
            .access(FileAccess::Basic, &task, "http://acs:7547", "x.bin", NOW)
            .unwrap();
        assert_eq!(path(&access), "/files/t-7/x.bin");
        let ticket = Ticket::parse(path(&access)).unwrap();
        let login = |user: &str, password: &str| {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        };
        let right = login(&access.username, &access.password);
        assert_eq!(check(ticket, &task, Some(&right), NOW), Ok(()));
        for wrong in [None, Some("Digest x"), Some(login("t-7", "x").as_str())] {
            let challenge = "Basic realm=\"files\"".to_owned();
            let denied = check(ticket, &task, wrong, NOW);
            assert_eq!(denied, Err(Denied::LoginNeeded(challenge)));
        }
        let late = check(ticket, &task, Some(&right), NOW + TICKET_SECONDS + 1);
        assert!(matches!(late, Err(Denied::Forbidden(_))), "{late:?}");
    }

    #[test]
    fn a_digest_is_for_one_request_and_a_while() {
        let (secret, task) = (Secret([1; KEY_BYTES]), task());
        let access = secret
            .access(FileAccess::Digest, &task, "http://acs:7547", "x.bin", NOW)
            .unwrap();
        let ticket = Ticket::parse(path(&access)).unwrap();
        let check = |login: Option<&str>, now| {
            secret.check(FileAccess::Digest, ticket, &task, &shown(login), now)
        };
        let Err(Denied::LoginNeeded(challenge)) = check(None, NOW) else {
            panic!("no challenge")
        };
        let challenges = parse_challenges([challenge.as_str()]);
        let challenge = Challenge::first_digest(&challenges).unwrap();
        let respond = |uri: &str, password: &str| {
            challenge.respond("GET", uri, &access.username, password, "abc", 1)
        };
        let right = respond("/files/t-7/x.bin", &access.password);
        assert_eq!(check(Some(&right), NOW + NONCE_SECONDS), Ok(()));
        for (login, now) in [
            (right.clone(), NOW + NONCE_SECONDS + 1),
            (respond("/files/t-8/x.bin", &access.password), NOW),
            (respond("/files/t-7/x.bin", "guessed"), NOW),
        ] {
            let denied = check(Some(&login), now);
            assert!(matches!(denied, Err(Denied::LoginNeeded(_))), "{login}");
        }
    }

    #[test]
    fn a_url_is_never_longer_than_devices_take() {
        let base = format!("https://{}", "a".repeat(200));
        let access = |base: &str| {
            Secret([1; KEY_BYTES]).access(
                FileAccess::SignedUrl,
                &task(),
                base,
                &"n".repeat(300),
                NOW,
            )
        };
        assert_eq!(access(&base), None);
        assert!(access("https://files.example:8443").is_some());
    }

    proptest! {
        #[test]
        fn no_path_breaks_the_parser(path in "(/files/)?[ -~]{0,60}") {
            let _ = Ticket::parse(&path);
        }
    }
}
