//! Readings: changed in memory, gathered here, written every few seconds by one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::backend::Batch;
use super::cell::DeviceCell;
use super::commit::{After, Durability, Waiting, Work};
use super::{Core, StoreError};

/// A round is begun early when so many devices wait: memory is bounded, not only time.
const DIRTY_DEVICES_MAX: usize = 10_000;
/// Requests under way at the commit thread, so that promises do not wait behind readings.
const UNDER_WAY_MAX: usize = 16;

/// What waits to be written, and what the thread is to do besides.
#[derive(Debug)]
pub(super) struct Dirty {
    state: Mutex<State>,
    wake: Condvar,
    pub(super) rounds: AtomicU64,
    pub(super) refused: AtomicU64,
}

#[derive(Default)]
struct State {
    cells: Vec<Arc<DeviceCell>>,
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    jobs: Vec<Job>,
    closed: bool,
}

/// Something that reads much: done between rounds, away from the sessions.
type Job = Box<dyn FnOnce(&Core) + Send>;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}

impl Default for Dirty {
    fn default() -> Self {
        Dirty {
            state: Mutex::default(),
            wake: Condvar::new(),
            rounds: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Dirty {
    /// Queues a device, once.
    pub(super) fn push(&self, cell: &Arc<DeviceCell>) {
        if cell.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state.lock();
        state.cells.push(Arc::clone(cell));
        if state.cells.len() == DIRTY_DEVICES_MAX {
            self.wake.notify_one();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().cells.len()
    }

    /// Writes what is changed now, durably.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.flushes.push(done);
        }
        self.wake.notify_one();
        waiting.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs a job on the thread and waits for its result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, waiting) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.jobs.push(Box::new(move |core| {
                let _ = done.send(job(core));
            }));
        }
        self.wake.notify_one();
        waiting.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Lets the thread end, without another round.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.flushes.clear();
        state.jobs.clear();
        drop(state);
        self.wake.notify_one();
    }
}

/// The thread's work, until [`Dirty::close`].
pub(super) fn run(core: &Core, interval: Duration) {
    let mut next = Instant::now() + interval;
    loop {
        let mut state = core.dirty.state.lock();
        while !state.closed
            && state.flushes.is_empty()
            && state.jobs.is_empty()
            && state.cells.len() < DIRTY_DEVICES_MAX
        {
            if core.dirty.wake.wait_until(&mut state, next).timed_out() {
                break;
            }
        }
        if state.closed {
            return;
        }
        let jobs = std::mem::take(&mut state.jobs);
        let due = Instant::now() >= next || state.cells.len() >= DIRTY_DEVICES_MAX;
        let flushes = std::mem::take(&mut state.flushes);
        let wanted = due || !flushes.is_empty();
        let cells = if wanted {
            std::mem::take(&mut state.cells)
        } else {
            Vec::new()
        };
        drop(state);
        for job in jobs {
            job(core);
        }
        if wanted {
            next = Instant::now() + interval;
            let result = Round::new(core).write(cells, !flushes.is_empty());
            if let Err(error) = &result
                && !matches!(error, StoreError::Failed { .. } | StoreError::Closed)
            {
                tracing::error!(%error, "readings were not written");
            }
            for flush in flushes {
                let _ = flush.send(result.clone());
            }
        }
    }
}

/// One round of writing.
struct Round<'a> {
    core: &'a Core,
    under_way: usize,
    wrote: bool,
    result: Result<(), StoreError>,
}

impl<'a> Round<'a> {
    fn new(core: &'a Core) -> Round<'a> {
        Round {
            core,
            under_way: 0,
            wrote: false,
            result: Ok(()),
        }
    }

    /// `all`: also looks for cells that nobody reported, and syncs even if nothing was written.
    fn write(mut self, mut cells: Vec<Arc<DeviceCell>>, all: bool) -> Result<(), StoreError> {
        if all {
            cells.extend(self.core.devices.changed_cells());
        }
        for cell in cells {
            self.device(&cell);
        }
        let contacts = self.core.devices.take_contacts();
        for piece in contacts.into_pieces() {
            self.submit(piece, None);
        }
        while let Some(waiting) = self.core.faults.submit_some(self.core) {
            self.wait_if_full(waiting);
        }
        while let Some(waiting) = self.core.memory.submit_some(self.core) {
            self.wait_if_full(waiting);
        }
        self.keep(self.core.traces.write_buffered());
        if self.wrote || all {
            self.core
                .dirty
                .rounds
                .fetch_add(u64::from(self.wrote), Ordering::Relaxed);
            let synced = self
                .core
                .committer
                .submit(Work::Nothing, Durability::Durable, None);
            self.keep(synced.done_blocking());
            self.core.devices.shrink();
        }
        self.result
    }

    fn device(&mut self, cell: &Arc<DeviceCell>) {
        cell.queued.store(false, Ordering::Release);
        let mut locked = cell.lock();
        self.core.devices.index(cell, &mut locked);
        let mut batch = Batch::default();
        if let Err(error) = cell.take_changes(&mut locked, &mut batch) {
            self.core.dirty.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(device = %cell.key(), %error, "the device's summary was not written");
        }
        if batch.is_empty() {
            return;
        }
        // The cell must not be let go and loaded again before this is applied.
        let held = Arc::clone(cell);
        let waiting = self.core.committer.submit(
            Work::Batch(batch),
            Durability::Applied,
            Some(Box::new(move |_| drop(held))),
        );
        drop(locked);
        self.wait_if_full(waiting);
    }

    fn submit(&mut self, batch: Batch, after: Option<After>) {
        if !batch.is_empty() {
            let waiting =
                self.core
                    .committer
                    .submit(Work::Batch(batch), Durability::Applied, after);
            self.wait_if_full(waiting);
        }
    }

    fn wait_if_full(&mut self, waiting: Waiting) {
        self.wrote = true;
        self.under_way += 1;
        if self.under_way >= UNDER_WAY_MAX {
            self.under_way = 0;
            // Requests are done in order: with the last, all are.
            self.keep(waiting.done_blocking());
        }
    }

    fn keep(&mut self, result: Result<(), StoreError>) {
        if self.result.is_ok() {
            self.result = result;
        }
    }
}
