//! Searching devices from where nothing may block: on threads of their own, a few at a time where
//! parameters have to be looked at, and no longer than somebody waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::Acs;
use crate::device::DeviceKey;
use crate::metrics::{ANSWERS, Histogram, Labelled};
use crate::query::Query;
use crate::store::{Cancel, Search, SearchPage, Sort, Store, StoreError};

/// Searches that look at parameters at a time; more wait.
const DEEP_SEARCHES_MAX: usize = 2;

/// The searches under way.
#[derive(Debug)]
pub struct Searches {
    deep: Semaphore,
    /// How long they took, waiting for their turn included, by what they looked at.
    pub seconds: Labelled<Histogram>,
    waiting: AtomicUsize,
}

/// By rows in memory alone.
const ROWS: &str = "rows";
/// By parameters, too.
const PARAMETERS: &str = "parameters";

impl Default for Searches {
    fn default() -> Searches {
        Searches {
            deep: Semaphore::new(DEEP_SEARCHES_MAX),
            seconds: Labelled::new(&[ROWS, PARAMETERS], || Histogram::new(ANSWERS)),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Searches {
    /// Those that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A turn for one that looks at parameters.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        self.deep.acquire().await.map_err(|_| StoreError::Closed)
    }
}

/// Cancels when who waits goes.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Acs {
    /// A page of the devices of an instance that match; see [`Store::search`].
    ///
    /// # Errors
    /// As [`Store::search`].
    pub async fn search(
        &self,
        instance: &str,
        query: &Query,
        sort: &Sort,
        after: Option<&str>,
        limit: usize,
    ) -> Result<SearchPage, StoreError> {
        let (sort, after) = (sort.clone(), after.map(str::to_owned));
        self.searching(
            instance,
            query,
            move |store, instance, query, now, cancel| {
                store.search(&Search {
                    instance,
                    query,
                    sort: &sort,
                    after: after.as_deref(),
                    limit,
                    now,
                    cancel,
                })
            },
        )
        .await
    }

    /// The keys of all devices of an instance that match, in this order.
    ///
    /// # Errors
    /// As [`Store::search`].
    pub async fn sorted(
        &self,
        instance: &str,
        query: &Query,
        sort: &Sort,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        let sort = sort.clone();
        self.searching(
            instance,
            query,
            move |store, instance, query, now, cancel| {
                store.sorted(instance, query, &sort, now, cancel)
            },
        )
        .await
    }

    /// The keys of all devices of an instance that match, by their ids.
    ///
    /// # Errors
    /// As [`Store::matching`].
    pub async fn matching(
        &self,
        instance: &str,
        query: &Query,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        self.searching(instance, query, |store, instance, query, now, cancel| {
            store.matching(instance, query, now, cancel)
        })
        .await
    }

    /// How many devices of an instance match.
    ///
    /// # Errors
    /// As [`Store::matching`].
    pub async fn count_matching(&self, instance: &str, query: &Query) -> Result<usize, StoreError> {
        self.searching(instance, query, |store, instance, query, now, cancel| {
            store.count_matching(instance, query, now, cancel)
        })
        .await
    }

    async fn searching<T: Send + 'static>(
        &self,
        instance: &str,
        query: &Query,
        search: impl FnOnce(&Store, &str, &Query, i64, &Cancel) -> Result<T, StoreError>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let is_deep = !query.paths().is_empty();
        let begun = Instant::now();
        let _turn = match is_deep {
            true => Some(self.searches.turn().await?),
            false => None,
        };
        let cancel = Cancel::default();
        let cancelling = CancelOnDrop(cancel.clone());
        let (store, now) = (self.store.clone(), self.clock.unix());
        let (instance, query) = (instance.to_owned(), query.clone());
        let run = move || search(&store, &instance, &query, now, &cancel);
        let result = tokio::task::spawn_blocking(run).await;
        drop(cancelling);
        let looked_at = if is_deep { PARAMETERS } else { ROWS };
        self.searches.seconds.of(looked_at).observe(begun.elapsed());
        result.unwrap_or(Err(StoreError::Closed))
    }
}
