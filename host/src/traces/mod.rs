//! WHAT HAPPENED IN A SESSION, kept: every message as it was, every call of a plugin, every
//! decision, with its time.
//!
//! While a session runs it is only noted (`recording.rs`). When it has ended and is one of those
//! that are kept, a thread of its own hides its secrets (`mask/`), packs it and appends it to the
//! store's series of traces. What is read back is told as JSON or as a conversation
//! (`render.rs`). No password reaches the disk.

mod export;
mod index;
mod lex;
pub mod mask;
mod pretty;
mod recording;
mod render;
mod session;
mod stand_in;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::device::{DeviceKey, UnixTime};
use crate::metrics::Counter;
use crate::store::{RECORD_BYTES_MAX, Store, StoreError};
use index::Index;

pub use export::anonymous;
pub use recording::{Recording, RequestHead, Whose};
pub use render::text;
pub use session::{Body, Entry, Head, Session, Told};

/// Sessions that wait to be written; more are lost, and counted.
const QUEUE_MAX: usize = 1_024;
/// Bytes of each body of a session that would be too large for a record.
const CUT_BYTES: usize = 2 << 10;
/// Bits of a session's id that count; above them is the second it began in.
const COUNTER_BITS: u32 = 20;

/// The id of a session, unique in the host: as text `s-` and hexadecimal digits. Later sessions
/// have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^s-[0-9a-f]{1,16}$", examples("s-6923a2c000001"))]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s-{:x}", self.0)
    }
}

impl std::str::FromStr for SessionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("s-")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(SessionId)
            .ok_or_else(|| format!("a session id is s- and hexadecimal digits, not {text:?}"))
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// How many are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one device.
    pub sessions_per_device_max: usize,
    /// Seconds.
    pub age_seconds_max: i64,
}

/// What is counted.
#[derive(Debug, Default, Serialize)]
pub struct Counters {
    /// Sessions that were written.
    pub written: Counter,
    /// Sessions that were lost because too many waited to be written.
    pub lost: Counter,
}

/// The traces: a cheap handle to what the sessions and the writing thread share.
#[derive(Debug)]
pub struct Traces {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
    counter: AtomicU32,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    limits: Limits,
    index: Mutex<Index>,
    /// Under way, or waiting to be written.
    live: Mutex<HashMap<SessionId, Arc<Recording>>>,
    held: Arc<AtomicUsize>,
    counters: Counters,
}

#[derive(Debug)]
enum Job {
    Keep(Arc<Recording>),
    Stop,
}

impl Traces {
    /// Reads which sessions are kept and starts the thread. Blocks.
    ///
    /// # Errors
    /// When the traces cannot be read, or the thread does not start.
    pub fn open(store: Store, limits: Limits) -> Result<Traces, StoreError> {
        let mut index = Index::default();
        store.traces().heads(|record| {
            // One of another version is not ours to read.
            if let Ok(head) = serde_json::from_slice::<Head>(record.head) {
                index.insert(record.number, &head, limits.sessions_per_device_max);
            }
        })?;
        let shared = Arc::new(Shared {
            store,
            limits,
            index: Mutex::new(index),
            live: Mutex::default(),
            held: Arc::default(),
            counters: Counters::default(),
        });
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || write(&writing, &jobs))
            .map_err(|cause| {
                StoreError::io("start a thread for", std::path::Path::new("traces"), &cause)
            })?;
        Ok(Traces {
            shared,
            queue,
            // Not from 0: the clock may go back over a restart.
            counter: AtomicU32::new(rand::random()),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Begins to record a session.
    pub fn begin(&self, now: Now) -> Arc<Recording> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed) & ((1 << COUNTER_BITS) - 1);
        let second = u64::try_from(now.unix).unwrap_or_default();
        let id = SessionId(second << COUNTER_BITS | u64::from(count));
        Arc::new(Recording::new(id, now, Arc::clone(&self.shared.held)))
    }

    /// It is known whose session it is: from here on it can be looked at.
    pub fn known(&self, recording: &Arc<Recording>, whose: Whose) {
        recording.set_whose(whose);
        let live = Arc::clone(recording);
        self.shared.live.lock().insert(recording.id, live);
    }

    /// The session has ended and is kept.
    pub fn keep(&self, recording: Arc<Recording>) {
        if let Err(refused) = self.queue.try_send(Job::Keep(recording)) {
            self.shared.counters.lost.add(1);
            if let std::sync::mpsc::TrySendError::Full(Job::Keep(recording))
            | std::sync::mpsc::TrySendError::Disconnected(Job::Keep(recording)) = refused
            {
                self.forget(&recording);
            }
        }
    }

    /// The session has ended and is not kept.
    pub fn forget(&self, recording: &Recording) {
        self.shared.live.lock().remove(&recording.id);
    }

    /// The sessions of a device, the last first: those under way, then the kept ones.
    pub fn list(&self, device: &DeviceKey) -> Vec<Head> {
        let mut heads = self.shared.live_of(device);
        let live: Vec<SessionId> = heads.iter().map(|head| head.id).collect();
        let index = self.shared.index.lock();
        let first = self.shared.store.traces().first();
        let kept = index.of(device).filter(|head| {
            !live.contains(&head.id) && index.number(head.id).is_some_and(|n| n >= first)
        });
        heads.extend(kept);
        heads.sort_by_key(|head| std::cmp::Reverse(head.id));
        // Those that are being written count too.
        let mut left = self.shared.limits.sessions_per_device_max;
        heads.retain(|head| {
            let stays = head.ended.is_none() || left > 0;
            left = left.saturating_sub(usize::from(head.ended.is_some()));
            stays
        });
        heads
    }

    /// A session with all that happened in it; `None` if there is none of this id. Blocks for
    /// some milliseconds.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        // The live ones first: a session is in the index before it leaves them.
        let live = self.shared.live.lock().get(&id).cloned();
        if let Some(recording) = live {
            return Ok(Some(Session::of(&recording)));
        }
        let Some(number) = self.shared.index.lock().number(id) else {
            return Ok(None);
        };
        let Some(record) = self.shared.store.traces().get(number)? else {
            return Ok(None);
        };
        let read = || {
            let head = serde_json::from_slice(&record.head)?;
            let entries = serde_json::from_slice(&record.bytes)?;
            Ok(Session { head, entries })
        };
        read()
            .map(Some)
            .map_err(|error: serde_json::Error| StoreError::Unreadable {
                what: "trace of a session",
                cause: error.to_string(),
            })
    }

    /// Removes what is too old. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sweep(&self, now: UnixTime) -> Result<(), StoreError> {
        self.shared.store.traces().sweep(now)?;
        let first = self.shared.store.traces().first();
        let oldest = now.saturating_sub(self.shared.limits.age_seconds_max);
        self.shared.index.lock().prune(first, oldest);
        Ok(())
    }

    /// How many sessions are kept.
    pub fn count(&self) -> usize {
        self.shared.index.lock().len()
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Writes what waits and ends the thread; the store must still be open. Blocks.
    pub fn close(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = self.queue.send(Job::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn live_of(&self, device: &DeviceKey) -> Vec<Head> {
        let live: Vec<Arc<Recording>> = self
            .live
            .lock()
            .values()
            .filter(|one| one.whose().is_some_and(|whose| whose.device == *device))
            .cloned()
            .collect();
        live.iter().map(|one| Head::of(one)).collect()
    }

    fn keep(&self, recording: &Recording) -> Result<(), StoreError> {
        let mut session = Session::of(recording);
        // A session whose end nobody said was dropped half-way: the device hung up.
        session
            .head
            .ended
            .get_or_insert_with(|| "broken off".to_owned());
        let mut bytes = json(&session.entries)?;
        if bytes.len() > RECORD_BYTES_MAX {
            session.cut(CUT_BYTES);
            bytes = json(&session.entries)?;
        }
        let head = json(&session.head)?;
        let at = recording.started.unix;
        let number = self.store.traces().append_with_head(at, &head, &bytes)?;
        let per_device_max = self.limits.sessions_per_device_max;
        self.index
            .lock()
            .insert(number, &session.head, per_device_max);
        self.counters.written.add(1);
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Unreadable {
        what: "trace of a session",
        cause: error.to_string(),
    })
}

/// The thread's work, until it is told to stop.
fn write(shared: &Shared, jobs: &Receiver<Job>) {
    while let Ok(Job::Keep(recording)) = jobs.recv() {
        if let Err(error) = shared.keep(&recording) {
            shared.counters.lost.add(1);
            let id = recording.id;
            tracing::error!(session = %id, %error, "cannot keep the trace of a session");
        }
        shared.live.lock().remove(&recording.id);
    }
}
