//! The last events in memory, and who reads behind them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::what::FAMILIES;
use super::{Event, Streams, Unreachable};
use crate::device::UnixTime;
use crate::metrics::{Counter, Labelled};

/// Events that are kept for those who come back or are slow. An event has at most some KB, most
/// have less than half of one.
pub const HISTORY_EVENTS_MAX: usize = 10_000;
/// Numbers that are left to each second since the epoch: so numbers grow over restarts without
/// anything being written, unless a host emits more than this in the mean of its life. They stay
/// below 2^53, which JSON's readers can hold.
const NUMBERS_PER_SECOND: u64 = 100_000;
/// Events that a follower takes at once.
const TAKEN_MAX: usize = 256;

/// The bus. One for the host.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    closed: AtomicBool,
    /// Events by the family of their kind.
    pub emitted: Labelled<Counter>,
    /// Events that one who follows was too slow for, each time.
    pub lost: Counter,
    /// The streams of the API that follow.
    pub streams: Streams,
    /// The devices that could not be woken and have not come since.
    pub unreachable: Unreachable,
}

#[derive(Debug)]
struct Ring {
    /// The first number of this life of the host.
    first: u64,
    /// The next event's.
    next: u64,
    /// Consecutive numbers, the last is `next - 1`.
    events: VecDeque<Arc<Event>>,
}

/// What a follower has not seen.
#[derive(Debug, Default)]
pub struct News {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// How many before them are gone; `None`: nobody knows, the host was restarted since.
    pub lost: Option<u64>,
}

impl Events {
    /// Numbers begin with the time.
    pub fn new(now: UnixTime) -> Events {
        let next = u64::try_from(now).unwrap_or(0).max(1) * NUMBERS_PER_SECOND;
        Events {
            ring: Mutex::new(Ring {
                first: next,
                next,
                events: VecDeque::new(),
            }),
            newest: watch::Sender::new(next - 1),
            closed: AtomicBool::new(false),
            emitted: Labelled::new(FAMILIES, Counter::default),
            lost: Counter::default(),
            streams: Streams::default(),
            unreachable: Unreachable::default(),
        }
    }

    /// No more events: followers are told, so that nobody waits for the host's end.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
        self.newest.send_modify(|_| {});
    }

    /// Whether the host stops.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Gives an event its number and tells it to whoever follows. Never waits: costs an
    /// allocation and a lock that is held for a few instructions.
    pub fn emit(&self, event: Event) {
        self.emitted.of(event.what.family()).add(1);
        let number = {
            let mut ring = self.ring.lock();
            let number = ring.next;
            ring.next += 1;
            if ring.events.len() >= HISTORY_EVENTS_MAX {
                ring.events.pop_front();
            }
            ring.events.push_back(Arc::new(Event { number, ..event }));
            number
        };
        if self.newest.receiver_count() > 0 {
            // Two that emit at once may come here in the other order.
            self.newest.send_if_modified(|newest| {
                let is_newer = number > *newest;
                *newest = number.max(*newest);
                is_newer
            });
        }
    }

    /// The number of the last event.
    pub fn newest(&self) -> u64 {
        self.ring.lock().next - 1
    }

    /// Reads what comes after now.
    pub fn follow(self: &Arc<Self>) -> Follower {
        self.follow_after(self.newest())
    }

    /// Reads what came and comes after this number.
    pub fn follow_after(self: &Arc<Self>, number: u64) -> Follower {
        Follower {
            events: Arc::clone(self),
            after: number,
            newest: self.newest.subscribe(),
        }
    }

    /// What came after this number, some of it at a time.
    pub(super) fn after(&self, number: u64) -> News {
        let ring = self.ring.lock();
        let oldest = ring.next - ring.events.len() as u64;
        let is_of_this_life = (ring.first - 1..ring.next).contains(&number);
        let (skip, lost) = if !is_of_this_life {
            (0, None)
        } else {
            let wanted = number + 1;
            let skip = wanted.saturating_sub(oldest);
            (skip, Some(oldest.saturating_sub(wanted)))
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let events = ring.events.iter().skip(skip).take(TAKEN_MAX);
        News {
            events: events.cloned().collect(),
            lost,
        }
    }
}

/// Reads the events one after the other, at its own pace.
#[derive(Debug)]
pub struct Follower {
    events: Arc<Events>,
    /// The last one that was read.
    after: u64,
    newest: watch::Receiver<u64>,
}

impl Follower {
    /// Waits until there is something, and takes it. Empty only if events were lost or the host
    /// stops.
    pub async fn next(&mut self) -> News {
        loop {
            // Seen before it is read: what comes in between wakes the next round.
            self.newest.mark_unchanged();
            let news = self.take();
            if !news.events.is_empty() || news.lost != Some(0) || self.events.is_closed() {
                return news;
            }
            if self.newest.changed().await.is_err() {
                // The sender lives as long as `self.events` does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is there now.
    pub fn take(&mut self) -> News {
        let news = self.events.after(self.after);
        self.events.lost.add(news.lost.unwrap_or_default());
        match news.events.last() {
            Some(last) => self.after = last.number,
            None if news.lost != Some(0) => self.after = self.events.newest(),
            None => {}
        }
        news
    }

    /// The number of the last event that was read.
    pub fn position(&self) -> u64 {
        self.after
    }
}
