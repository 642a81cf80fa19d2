//! What is noted while a session runs: bytes are held, not copied, and nothing is written or
//! masked. That is for later, and for sessions that are kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request};
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Now;
use crate::device::DeviceKey;
use crate::plugins::HookCall;

use super::SessionId;

/// Bytes of the bodies of one session; of what comes after them the beginning is kept.
const SESSION_BYTES_MAX: usize = 4 << 20;
/// Bytes of the bodies of all sessions under way and waiting to be written.
const HELD_BYTES_MAX: usize = 256 << 20;
/// Bytes that are kept of a body for which there is no room.
const BEGINNING_BYTES: usize = 2 << 10;
/// Entries of one session.
const ENTRIES_MAX: usize = 5_000;
/// Events of an Inform that are told, and bytes of each (TR-069 A.3.3.1: 64 of 64 characters).
const EVENTS_MAX: usize = 64;
const EVENT_BYTES_MAX: usize = 128;
/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The head of a device's request as the server read it.
pub type RequestHead = Arc<request::Parts>;

/// A session that is or was under way.
#[derive(Debug)]
pub struct Recording {
    pub(super) id: SessionId,
    pub(super) started: Now,
    whose: OnceLock<Whose>,
    state: Mutex<State>,
    held: Arc<AtomicUsize>,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    pub(super) left_out: u32,
    pub(super) eventful: bool,
    pub(super) rpcs: u32,
    pub(super) faults: u32,
    /// How it ended, and when.
    pub(super) ended: Option<(String, u64)>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Microseconds since the session began.
    pub(super) at: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Request(RequestHead, Body),
    Answer(StatusCode, Vec<(HeaderName, HeaderValue)>, Body),
    Plugin(HookCall),
    Note(String),
}

/// The body of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// How long it was.
    pub(super) whole: usize,
}

/// Whose session it is: known when the profiles have corrected the Inform.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The device.
    pub device: DeviceKey,
    /// Where the Inform came from.
    pub peer: String,
    /// The codes of the Inform's events.
    pub events: Vec<String>,
}

impl Recording {
    pub(super) fn new(id: SessionId, started: Now, held: Arc<AtomicUsize>) -> Recording {
        Recording {
            id,
            started,
            whose: OnceLock::new(),
            state: Mutex::default(),
            held,
        }
    }

    /// Whose session it is, once that is known.
    pub fn whose(&self) -> Option<&Whose> {
        self.whose.get()
    }

    pub(super) fn set_whose(&self, mut whose: Whose) {
        whose.events.truncate(EVENTS_MAX);
        for event in &mut whose.events {
            event.truncate(event.floor_char_boundary(EVENT_BYTES_MAX));
        }
        // Nobody else sets it, and it is set once.
        let _ = self.whose.set(whose);
    }

    /// A request of the device.
    pub fn request(&self, now: Now, head: &RequestHead, body: &Bytes) {
        let mut state = self.state.lock();
        let body = self.body(&mut state, body);
        self.push(&mut state, now, What::Request(Arc::clone(head), body));
    }

    /// What the device is answered.
    pub fn answer(&self, now: Now, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut state = self.state.lock();
        let body = self.body(&mut state, body);
        self.push(&mut state, now, What::Answer(status, headers, body));
    }

    /// A plugin was called.
    pub fn plugin(&self, now: Now, mut call: HookCall) {
        call.changes.iter_mut().for_each(shorten);
        call.failed.iter_mut().for_each(shorten);
        self.push(&mut self.state.lock(), now, What::Plugin(call));
    }

    /// Something was decided.
    pub fn note(&self, now: Now, mut text: String) {
        shorten(&mut text);
        self.push(&mut self.state.lock(), now, What::Note(text));
    }

    /// Something happened that is worth keeping.
    pub fn eventful(&self) {
        self.state.lock().eventful = true;
    }

    /// Whether there was something worth keeping.
    pub fn is_eventful(&self) -> bool {
        self.state.lock().eventful
    }

    /// An RPC leaves.
    pub fn rpc(&self) {
        self.state.lock().rpcs += 1;
    }

    /// RPCs that have left.
    pub fn rpcs(&self) -> u32 {
        self.state.lock().rpcs
    }

    /// The device answered with a fault.
    pub fn fault(&self) {
        self.state.lock().faults += 1;
    }

    /// Faults that the device has answered with.
    pub fn faults(&self) -> u32 {
        self.state.lock().faults
    }

    /// The session's number, by which its trace is found if it is kept.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The session ended. What comes after this is still noted: the answer that says so.
    pub fn ended(&self, now: Now, how: &str) {
        let at = self.since(now);
        self.state.lock().ended.get_or_insert((how.to_owned(), at));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn since(&self, now: Now) -> u64 {
        let since = now.instant.saturating_duration_since(self.started.instant);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn push(&self, state: &mut State, now: Now, what: What) {
        if state.entries.len() >= ENTRIES_MAX {
            state.left_out += 1;
            return;
        }
        let at = self.since(now);
        state.entries.push(Entry { at, what });
    }

    /// Holds a body, or its beginning where there is no room for it.
    fn body(&self, state: &mut State, bytes: &Bytes) -> Body {
        let whole = bytes.len();
        let room = state.bytes + whole <= SESSION_BYTES_MAX
            && self.held.load(Ordering::Relaxed) + whole <= HELD_BYTES_MAX;
        let bytes = if room || whole <= BEGINNING_BYTES {
            bytes.clone()
        } else {
            Bytes::copy_from_slice(bytes.get(..BEGINNING_BYTES).unwrap_or_default())
        };
        state.bytes += bytes.len();
        self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        Body { bytes, whole }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.held
            .fetch_sub(self.state.get_mut().bytes, Ordering::Relaxed);
    }
}

/// Texts of plugins and devices may be of any length.
fn shorten(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        text.truncate(end);
        text.push('…');
    }
}
