//! The one thread that writes: it takes what has gathered, applies it, syncs once if anybody
//! needs it durable, and then tells all of them. What is decided under a lock and submitted
//! under the same lock is therefore applied in the order it was decided.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::StoreError;
use super::backend::{Backend, Batch};
use super::segments::Segments;
use crate::metrics::{ANSWERS, Histogram};
use crate::spent;

/// Requests that wait for the thread; more wait outside, in [`Committer::reserve`].
const QUEUE_REQUESTS_MAX: usize = 1024;
/// Requests that share a sync.
const GROUP_REQUESTS_MAX: usize = 512;
/// Batches are merged into one up to this size.
const MERGED_BYTES_MAX: usize = 1 << 20;

/// What to do.
pub(super) enum Work {
    /// Write this.
    Batch(Batch),
    /// Write what this makes of the records as they are when its turn has come.
    Build(Build),
    /// Make what was appended to this series durable.
    Segments(Arc<Segments>),
    /// Only make durable what was written before.
    Nothing,
}

/// Makes a batch of what is there.
pub(super) type Build = Box<dyn FnOnce(&Backend) -> Result<Batch, StoreError> + Send>;

/// Whether the requester waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A promise: told after the sync.
    Durable,
    /// A reading: told when applied.
    Applied,
}

/// Runs on the commit thread, before the waiter is told: how memory follows what is durable
/// even when nobody waits any more. Does not run when the store is closed.
pub(super) type After = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

struct Request {
    work: Work,
    durability: Durability,
    after: Option<After>,
    done: oneshot::Sender<Result<(), StoreError>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Request {
    fn answer(self, result: &Result<(), StoreError>) {
        if let Some(after) = self.after {
            after(result.as_ref().copied());
        }
        let _ = self.done.send(result.clone());
    }
}

/// What the thread has done.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) sync_seconds: Histogram,
    pub(super) batches: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_microseconds: AtomicU64,
    pub(super) sync_microseconds_max: AtomicU64,
}

impl Default for Counters {
    fn default() -> Counters {
        let zero = || AtomicU64::new(0);
        Counters {
            sync_seconds: Histogram::new(ANSWERS),
            batches: zero(),
            syncs: zero(),
            sync_microseconds: zero(),
            sync_microseconds_max: zero(),
        }
    }
}

/// The way to the commit thread. A clone is the same.
#[derive(Clone)]
pub(super) struct Committer {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<Backend>,
    queue: Mutex<Queue>,
    ready: Condvar,
    room: Arc<Semaphore>,
    failed: OnceLock<StoreError>,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    closed: bool,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer")
            .field("failed", &self.shared.failed)
            .finish_non_exhaustive()
    }
}

impl Committer {
    pub(super) fn new(backend: Arc<Backend>) -> Committer {
        Committer {
            shared: Arc::new(Shared {
                backend,
                queue: Mutex::default(),
                ready: Condvar::new(),
                room: Arc::new(Semaphore::new(QUEUE_REQUESTS_MAX)),
                failed: OnceLock::new(),
                counters: Counters::default(),
            }),
        }
    }

    /// The thread's work: until [`Committer::close`], and then until the queue is empty.
    pub(super) fn run(&self) {
        while let Some(group) = self.shared.next_group() {
            self.shared.commit(group);
        }
    }

    /// A place in the queue. Reserve first, then decide under a lock, then submit: so nothing
    /// is decided that may never be submitted.
    pub(super) async fn reserve(&self) -> Result<Place, StoreError> {
        self.shared.check_open()?;
        match spent::on_store(Arc::clone(&self.shared.room).acquire_owned()).await {
            Ok(room) => Ok(Place {
                shared: Arc::clone(&self.shared),
                room,
            }),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Submits from a thread that limits by itself what it has under way.
    pub(super) fn submit(
        &self,
        work: Work,
        durability: Durability,
        after: Option<After>,
    ) -> Waiting {
        self.shared.submit(work, durability, after, None)
    }

    /// Writes a batch; durable on return.
    pub(super) async fn commit(&self, work: Work) -> Result<(), StoreError> {
        self.reserve().await?.submit(work, None).done().await
    }

    /// No more requests are taken; those in the queue are still done.
    pub(super) fn close(&self) {
        self.shared.room.close();
        self.shared.queue.lock().closed = true;
        self.shared.ready.notify_all();
    }

    /// No write has failed, and it is not closed.
    pub(super) fn takes_writes(&self) -> bool {
        self.shared.failed.get().is_none() && !self.shared.room.is_closed()
    }

    /// Why no writes are taken any more.
    pub(super) fn failed(&self) -> Option<StoreError> {
        self.shared.failed.get().cloned()
    }

    /// Requests that wait for the thread.
    pub(super) fn waiting(&self) -> usize {
        self.shared.queue.lock().requests.len()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

/// A place in the queue.
pub(super) struct Place {
    shared: Arc<Shared>,
    room: OwnedSemaphorePermit,
}

impl Place {
    /// Submits a promise. Does not block.
    pub(super) fn submit(self, work: Work, after: Option<After>) -> Waiting {
        self.shared
            .submit(work, Durability::Durable, after, Some(self.room))
    }
}

/// A request under way. It goes on when this is dropped.
#[must_use]
pub(super) struct Waiting(oneshot::Receiver<Result<(), StoreError>>);

impl Waiting {
    pub(super) async fn done(self) -> Result<(), StoreError> {
        let done = spent::on_store(self.0).await;
        done.unwrap_or(Err(StoreError::Closed))
    }

    /// For threads that are not tokio's.
    pub(super) fn done_blocking(self) -> Result<(), StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn submit(
        &self,
        work: Work,
        durability: Durability,
        after: Option<After>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Waiting {
        let (done, waiting) = oneshot::channel();
        let request = Request {
            work,
            durability,
            after,
            done,
            _room: room,
        };
        let mut queue = self.queue.lock();
        if queue.closed {
            // Not with `after`: the caller may hold the lock that it takes.
            let _ = request.done.send(Err(StoreError::Closed));
        } else {
            queue.requests.push_back(request);
            drop(queue);
            self.ready.notify_one();
        }
        Waiting(waiting)
    }

    /// What has gathered; waits for the first. `None` at the end.
    fn next_group(&self) -> Option<Vec<Request>> {
        let mut queue = self.queue.lock();
        while queue.requests.is_empty() {
            if queue.closed {
                return None;
            }
            self.ready.wait(&mut queue);
        }
        let count = queue.requests.len().min(GROUP_REQUESTS_MAX);
        Some(queue.requests.drain(..count).collect())
    }

    fn commit(&self, group: Vec<Request>) {
        let mut written = Vec::with_capacity(group.len());
        let mut result = self.check_open();
        if result.is_ok() {
            result = self.write(group, &mut written);
        } else {
            written = group;
        }
        if let Err(error) = &result {
            self.fail(error);
            // Nobody may believe in a part of what did not become durable.
            result = self.check_open();
        }
        for request in written {
            request.answer(&result);
        }
    }

    /// Applies the group in order and syncs. Requests that were refused for themselves are
    /// answered, all others end up in `written`, whatever the result.
    fn write(&self, group: Vec<Request>, written: &mut Vec<Request>) -> Result<(), StoreError> {
        let mut merged = Batch::default();
        let mut series: Vec<Arc<Segments>> = Vec::new();
        let mut durable = false;
        let mut result = Ok(());
        for mut request in group {
            if result.is_err() {
                written.push(request);
                continue;
            }
            let work = std::mem::replace(&mut request.work, Work::Nothing);
            let batch = match work {
                Work::Batch(batch) => Ok(batch),
                Work::Build(build) => {
                    // It is to see what came before it.
                    result = self.apply(&mut merged);
                    if result.is_err() {
                        written.push(request);
                        continue;
                    }
                    build(&self.backend)
                }
                Work::Segments(segments) => {
                    if !series.iter().any(|known| Arc::ptr_eq(known, &segments)) {
                        series.push(segments);
                    }
                    Ok(Batch::default())
                }
                Work::Nothing => Ok(Batch::default()),
            };
            match batch.and_then(|batch| batch.check().map(|()| batch)) {
                Ok(batch) => {
                    merged.extend(batch);
                    durable |= request.durability == Durability::Durable;
                    written.push(request);
                }
                Err(error) => request.answer(&Err(error)),
            }
            if merged.bytes() > MERGED_BYTES_MAX {
                result = self.apply(&mut merged);
            }
        }
        result?;
        self.apply(&mut merged)?;
        for segments in series {
            segments.sync()?;
        }
        if durable { self.sync() } else { Ok(()) }
    }

    fn apply(&self, merged: &mut Batch) -> Result<(), StoreError> {
        if merged.is_empty() {
            return Ok(());
        }
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.backend.apply(std::mem::take(merged))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let started = Instant::now();
        let result = self.backend.sync();
        let took = started.elapsed();
        self.counters.sync_seconds.observe(took);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.counters
            .sync_microseconds
            .fetch_add(took, Ordering::Relaxed);
        self.counters
            .sync_microseconds_max
            .fetch_max(took, Ordering::Relaxed);
        result
    }

    fn fail(&self, error: &StoreError) {
        let failed = match error {
            StoreError::Failed { .. } => return,
            other => StoreError::Failed {
                cause: other.to_string(),
            },
        };
        if self.failed.set(failed).is_ok() {
            tracing::error!(%error, "the store takes no writes any more");
        }
    }
}
