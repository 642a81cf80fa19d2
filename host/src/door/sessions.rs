//! The sessions under way: by cookie, and by device, of which each has one at most.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::Peer;
use super::cookie::Token;
use crate::conversation::Conversation;
use crate::device::DeviceKey;

const SHARDS: usize = 16;
/// How long a session that has ended is told from one that never was: some devices post
/// once more after the 204.
const ENDED_REMEMBERED: Duration = Duration::from_secs(15);

/// A session under way.
pub struct Open {
    /// What goes on in it. Its messages are handled one after the other.
    pub conversation: tokio::sync::Mutex<Conversation>,
    device: DeviceKey,
    /// Where its Inform came from.
    peer: Peer,
    /// A message came after the Inform.
    went_on: AtomicBool,
    /// Milliseconds after the table was made.
    deadline: AtomicU64,
}

impl Open {
    /// Whose session it is.
    pub fn device(&self) -> &DeviceKey {
        &self.device
    }

    /// Whether its Inform came from there, too, over the same kind of connection.
    pub fn came_from(&self, peer: Peer) -> bool {
        self.peer.address == peer.address && self.peer.tls == peer.tls
    }
}

/// What a cookie stands for.
pub enum Found {
    /// A session under way.
    Open(Arc<Open>),
    /// A session that has ended a moment ago.
    Ended,
    /// Nothing that is known.
    Unknown,
}

/// All sessions of the host.
pub struct Sessions {
    start: Instant,
    by_token: [Mutex<HashMap<Token, Arc<Open>>>; SHARDS],
    by_device: Mutex<HashMap<DeviceKey, Token>>,
    /// Ended within this period, and within the one before.
    ended: Mutex<(HashSet<Token>, HashSet<Token>, Instant)>,
    count: AtomicUsize,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(now: Instant) -> Sessions {
        Sessions {
            start: now,
            by_token: std::array::from_fn(|_| Mutex::default()),
            by_device: Mutex::default(),
            ended: Mutex::new((HashSet::new(), HashSet::new(), now)),
            count: AtomicUsize::new(0),
        }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the device is in a session.
    pub fn is_open(&self, device: &DeviceKey) -> bool {
        self.by_device.lock().contains_key(device)
    }

    /// Begins a session. The one before of the same device, if it has not ended, is handed
    /// back: its device has given it up, or is two.
    pub fn insert(
        &self,
        token: Token,
        conversation: Conversation,
        peer: Peer,
    ) -> (Arc<Open>, Option<Arc<Open>>) {
        let device = conversation.device().clone();
        let deadline = AtomicU64::new(self.milliseconds(conversation.deadline()));
        let open = Arc::new(Open {
            conversation: tokio::sync::Mutex::new(conversation),
            device: device.clone(),
            peer,
            went_on: AtomicBool::new(false),
            deadline,
        });
        self.shard(token).lock().insert(token, Arc::clone(&open));
        self.count.fetch_add(1, Ordering::Relaxed);
        let before = self.by_device.lock().insert(device, token);
        let superseded = before.and_then(|before| self.take(before));
        (open, superseded)
    }

    /// What a cookie stands for.
    pub fn find(&self, token: Token) -> Found {
        if let Some(open) = self.shard(token).lock().get(&token) {
            return Found::Open(Arc::clone(open));
        }
        let ended = self.ended.lock();
        if ended.0.contains(&token) || ended.1.contains(&token) {
            return Found::Ended;
        }
        Found::Unknown
    }

    /// Sessions whose Inform came from this address, and nothing since. Looks at all.
    pub fn silent_at(&self, address: IpAddr) -> Vec<Arc<Open>> {
        let mut silent = Vec::new();
        for shard in &self.by_token {
            let shard = shard.lock();
            let here = shard.values().filter(|open| {
                open.peer.address == address && !open.went_on.load(Ordering::Relaxed)
            });
            silent.extend(here.cloned());
        }
        silent
    }

    /// The session was heard of: it may be silent until `deadline` now.
    pub fn heard(&self, open: &Open, deadline: Instant) {
        open.went_on.store(true, Ordering::Relaxed);
        open.deadline
            .store(self.milliseconds(deadline), Ordering::Relaxed);
    }

    /// Ends a session.
    pub fn end(&self, token: Token, now: Instant) {
        if self.take(token).is_some() {
            let mut ended = self.ended.lock();
            if now.saturating_duration_since(ended.2) > ENDED_REMEMBERED {
                ended.1 = std::mem::take(&mut ended.0);
                ended.2 = now;
            }
            ended.0.insert(token);
        }
    }

    /// Ends a session that went wrong: nothing that is posted to it afterwards is in its turn.
    pub fn fail(&self, token: Token) {
        self.take(token);
    }

    /// Takes out those that were silent for too long.
    pub fn expired(&self, now: Instant) -> Vec<Arc<Open>> {
        let now = self.milliseconds(now);
        let mut expired = Vec::new();
        for shard in &self.by_token {
            let late: Vec<Token> = shard
                .lock()
                .iter()
                .filter(|(_, open)| open.deadline.load(Ordering::Relaxed) <= now)
                .map(|(token, _)| *token)
                .collect();
            expired.extend(late.into_iter().filter_map(|token| self.take(token)));
        }
        expired
    }

    /// Takes out all, to end the host.
    pub fn drain(&self) -> Vec<Arc<Open>> {
        let mut all = Vec::new();
        for shard in &self.by_token {
            let tokens: Vec<Token> = shard.lock().keys().copied().collect();
            all.extend(tokens.into_iter().filter_map(|token| self.take(token)));
        }
        all
    }

    fn take(&self, token: Token) -> Option<Arc<Open>> {
        let open = self.shard(token).lock().remove(&token)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        let mut by_device = self.by_device.lock();
        if by_device.get(&open.device) == Some(&token) {
            by_device.remove(&open.device);
        }
        Some(open)
    }

    fn shard(&self, token: Token) -> &Mutex<HashMap<Token, Arc<Open>>> {
        let [first, ..] = &self.by_token;
        self.by_token.get(token.shard() % SHARDS).unwrap_or(first)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}
