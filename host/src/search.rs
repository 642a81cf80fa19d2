//! Searching devices from where nothing may block: on threads of their own, a few at a time where
//! parameters have to be looked at, and no longer than somebody waits for it.

use tokio::sync::Semaphore;

use crate::Acs;
use crate::device::DeviceKey;
use crate::query::Query;
use crate::store::{Cancel, Search, SearchPage, Sort, Store, StoreError};

/// Searches that look at parameters at a time; more wait.
const DEEP_SEARCHES_MAX: usize = 2;

/// The searches under way.
#[derive(Debug)]
pub struct Searches {
    deep: Semaphore,
}

impl Default for Searches {
    fn default() -> Searches {
        Searches {
            deep: Semaphore::new(DEEP_SEARCHES_MAX),
        }
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
        let _turn = match is_deep.then(|| self.searches.deep.acquire()) {
            Some(turn) => Some(turn.await.map_err(|_| StoreError::Closed)?),
            None => None,
        };
        let cancel = Cancel::default();
        let cancelling = CancelOnDrop(cancel.clone());
        let (store, now) = (self.store.clone(), self.clock.unix());
        let (instance, query) = (instance.to_owned(), query.clone());
        let run = move || search(&store, &instance, &query, now, &cancel);
        let result = tokio::task::spawn_blocking(run).await;
        drop(cancelling);
        result.unwrap_or(Err(StoreError::Closed))
    }
}
