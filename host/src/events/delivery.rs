//! Webhooks at work: events that match are written into the outbox of the store, then sent, and
//! removed when they have arrived. What was emitted in the moments before a crash, and not yet
//! written, is lost; what was written is sent, perhaps twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::queue::Queue;
use super::webhook::{GuardedResolver, Webhook, check_literal};
use super::{Event, short};
use crate::Acs;
use crate::config::Network;
use crate::device::UnixTime;
use crate::query::Query;
use crate::store::{Letter, Store, StoreError};

/// Webhooks of one instance.
pub const HOOKS_MAX: usize = 50;
/// Letters that wait for one webhook; more are dropped and counted.
const WAITING_MAX: u64 = 100_000;
/// Letters that were given up, of one webhook; the oldest go.
pub(super) const DEAD_MAX: usize = 1_000;
/// A letter is given up at this age.
const AGE_SECONDS_MAX: i64 = 86_400;
/// Letters of one webhook in memory.
const AT_HAND: usize = 256;
/// Requests of one webhook at once.
const AT_ONCE_OF_ONE: usize = 4;
/// Requests of all webhooks at once.
const AT_ONCE: usize = 64;
/// How long a receiver may take.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// How long to wait when the store does not answer.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// All webhooks.
pub struct Webhooks {
    client: reqwest::Client,
    /// See `[webhooks]`.
    pub allow: Arc<[Network]>,
    room: Arc<Semaphore>,
    hooks: Mutex<BTreeMap<(String, String), Arc<Hook>>>,
}

/// One webhook, as it is and how it does.
pub struct Hook {
    instance: String,
    name: String,
    /// What the operator says.
    pub webhook: Webhook,
    query: Query,
    news: Arc<Notify>,
    /// How it does.
    pub doing: Arc<Mutex<Doing>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// How a webhook does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doing {
    /// Letters that wait.
    pub waiting: u64,
    /// Letters that were given up and are kept.
    pub dead: usize,
    /// Letters that have arrived since the start.
    pub delivered: u64,
    /// Failed requests since the start.
    pub failed: u64,
    /// Events that there was no room for since the start.
    pub dropped: u64,
    /// Of the last answer.
    pub last_status: Option<u16>,
    /// Why the last request failed; `None`: it did not.
    pub last_error: Option<String>,
    /// When the last request ended.
    pub last_at: UnixTime,
    /// How long it took, milliseconds.
    pub last_took_ms: u64,
}

/// A letter that was given up.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What was sent.
    pub event: Box<RawValue>,
    /// Why it did not arrive.
    pub error: String,
    /// When it was given up.
    pub at: UnixTime,
}

/// What came of a request.
struct Tried {
    number: u64,
    bytes: Vec<u8>,
    result: Result<u16, Failure>,
    took: Duration,
}

struct Failure {
    status: Option<u16>,
    text: String,
    asked_ms: Option<u64>,
}

fn setting(instance: &str, name: &str) -> String {
    format!("webhook/{instance}/{name}")
}

impl Webhooks {
    /// Those that are written down.
    ///
    /// # Errors
    /// When they cannot be read, or there can be no client.
    pub fn open(store: &Store, allow: &[Network]) -> anyhow::Result<Webhooks> {
        let allow: Arc<[Network]> = allow.into();
        let resolver = GuardedResolver {
            allow: Arc::clone(&allow),
        };
        let client = crate::http_client::builder(ANSWER_MAX)
            .dns_resolver(Arc::new(resolver))
            .build()?;
        let webhooks = Webhooks {
            client,
            allow,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            hooks: Mutex::default(),
        };
        for key in store.setting_names("webhook/")? {
            let mut parts = key.splitn(3, '/').skip(1);
            let (Some(instance), Some(name)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Some(value) = store.setting(&key)? else {
                continue;
            };
            let webhook: Webhook = serde_json::from_value(value)?;
            match webhooks.make(instance, name, webhook) {
                Ok(hook) => webhooks.keep(hook),
                Err(error) => tracing::error!(instance, name, error, "a webhook is left out"),
            }
        }
        Ok(webhooks)
    }

    fn make(&self, instance: &str, name: &str, webhook: Webhook) -> Result<Hook, String> {
        Ok(Hook {
            instance: instance.to_owned(),
            name: name.to_owned(),
            query: webhook.check(&self.allow)?,
            webhook,
            news: Arc::default(),
            doing: Arc::default(),
            worker: Mutex::default(),
        })
    }

    fn keep(&self, hook: Hook) {
        let key = (hook.instance.clone(), hook.name.clone());
        self.hooks.lock().insert(key, Arc::new(hook));
    }

    /// Those of an instance, by name.
    pub fn of(&self, instance: &str) -> Vec<(String, Arc<Hook>)> {
        let hooks = self.hooks.lock();
        let own = hooks.iter().filter(|((of, _), _)| of == instance);
        own.map(|((_, name), hook)| (name.clone(), Arc::clone(hook)))
            .collect()
    }

    /// One of them.
    pub fn get(&self, instance: &str, name: &str) -> Option<Arc<Hook>> {
        let key = (instance.to_owned(), name.to_owned());
        self.hooks.lock().get(&key).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Hook>> {
        self.hooks.lock().values().cloned().collect()
    }
}

impl Hook {
    /// Of which instance, and its name there.
    pub fn names(&self) -> (&str, &str) {
        (&self.instance, &self.name)
    }

    /// When that happened which waits the longest; `None`: nothing waits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn oldest(&self, store: &Store) -> Result<Option<UnixTime>, StoreError> {
        let letters = store.outbox(&self.instance, &self.name, None, 1)?;
        Ok(letters.first().and_then(|(_, event)| happened(event)))
    }

    /// Letters that were given up, as JSON, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn dead_letters(&self, store: &Store) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        let letters = store.dead_letters(&self.instance, &self.name, None, DEAD_MAX)?;
        let read =
            |(number, told): (u64, Vec<u8>)| Some((number, serde_json::from_slice(&told).ok()?));
        Ok(letters.into_iter().filter_map(read).collect())
    }
}

impl Acs {
    /// Writes a webhook, durably, and lets it begin.
    ///
    /// # Errors
    /// A sentence for who asks, or the store's.
    pub async fn put_webhook(
        self: &Arc<Self>,
        instance: &str,
        name: &str,
        webhook: Webhook,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_value(&webhook).unwrap_or_default();
        self.store
            .put_setting(&setting(instance, name), &json)
            .await?;
        if let Ok(hook) = self.webhooks.make(instance, name, webhook) {
            if let Some(former) = self.webhooks.get(instance, name) {
                *hook.doing.lock() = former.doing.lock().clone();
                former.stop();
            }
            self.webhooks.keep(hook);
            if let Some(hook) = self.webhooks.get(instance, name) {
                self.begin_webhook(&hook);
            }
        }
        Ok(())
    }

    /// Removes a webhook with all its letters.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn remove_webhook(&self, instance: &str, name: &str) -> Result<(), StoreError> {
        let key = (instance.to_owned(), name.to_owned());
        if let Some(hook) = self.webhooks.hooks.lock().remove(&key) {
            hook.stop();
        }
        self.store.remove_setting(&setting(instance, name)).await?;
        self.store.outbox_forget(instance, name).await
    }

    /// Takes the letters that were given up away; `again`: to send them once more.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn take_dead_letters(
        self: &Arc<Self>,
        hook: &Arc<Hook>,
        again: bool,
    ) -> Result<(), StoreError> {
        let letter = move |told: &[u8]| {
            let dead: DeadLetter = serde_json::from_slice(told).ok().filter(|_| again)?;
            Some(dead.event.get().as_bytes().to_vec())
        };
        let (instance, name) = (&hook.instance, &hook.name);
        self.store.dead_letters_take(instance, name, letter).await?;
        // It counts anew, and finds those that have older numbers.
        hook.stop();
        self.begin_webhook(hook);
        Ok(())
    }

    /// Writes what matches into the outbox, for as long as the host runs.
    pub(crate) async fn serve_webhooks(self: Arc<Self>) {
        let mut follower = self.events.follow();
        for hook in self.webhooks.all() {
            self.begin_webhook(&hook);
        }
        loop {
            let news = follower.next().await;
            if news.events.is_empty() && self.events.is_closed() {
                // The store is theirs until they have ended.
                for hook in self.webhooks.all() {
                    hook.news.notify_one();
                    let worker = hook.worker.lock().take();
                    if let Some(worker) = worker {
                        let _ = worker.await;
                    }
                }
                return;
            }
            if let Some(lost @ 1..) = news.lost {
                tracing::error!(lost, "events came faster than webhooks could be written");
            }
            let hooks = self.webhooks.all();
            let mut letters = Vec::new();
            for event in &news.events {
                letters.extend(hooks.iter().filter_map(|hook| self.letter(hook, event)));
            }
            if letters.is_empty() {
                continue;
            }
            match self.store.outbox_put(&letters).await {
                Ok(0) => {}
                Ok(left_out) => tracing::error!(left_out, "events too large for webhooks"),
                Err(error) => tracing::error!(%error, "cannot write events for webhooks"),
            }
            hooks.iter().for_each(|hook| hook.news.notify_one());
        }
    }

    fn letter(&self, hook: &Hook, event: &Event) -> Option<Letter> {
        let is_for = hook.webhook.enabled
            && event.instance.as_deref() == Some(&*hook.instance)
            && self.is_event(&hook.query, event);
        if !is_for {
            return None;
        }
        let mut doing = hook.doing.lock();
        if doing.waiting >= WAITING_MAX {
            doing.dropped += 1;
            return None;
        }
        doing.waiting += 1;
        Some(Letter {
            instance: hook.instance.clone(),
            hook: hook.name.clone(),
            number: event.number,
            bytes: serde_json::to_vec(&event.told()).unwrap_or_default(),
        })
    }

    fn begin_webhook(self: &Arc<Self>, hook: &Arc<Hook>) {
        if hook.webhook.enabled {
            let work = Arc::clone(self).deliver(Arc::clone(hook));
            *hook.worker.lock() = Some(tokio::spawn(work));
        }
    }

    /// Sends what waits for one webhook.
    async fn deliver(self: Arc<Self>, hook: Arc<Hook>) {
        let begun = Instant::now();
        let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut queue = Queue::new(rand::random());
        let mut bytes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut last = None;
        let mut under_way = JoinSet::new();
        if let Err(error) = self.count_letters(&hook) {
            tracing::error!(%error, webhook = hook.name, "cannot read the outbox");
        }
        while !self.events.is_closed() {
            let room = AT_HAND.saturating_sub(queue.len());
            match self.store.outbox(&hook.instance, &hook.name, last, room) {
                Ok(letters) => {
                    for (number, letter) in letters {
                        last = Some(number);
                        queue.add(number);
                        bytes.insert(number, letter);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, webhook = hook.name, "cannot read the outbox");
                    tokio::time::sleep(STORE_WAIT).await;
                    continue;
                }
            }
            while under_way.len() < AT_ONCE_OF_ONE
                && let Some(number) = queue.begin(now())
            {
                let letter = bytes.get(&number).cloned().unwrap_or_default();
                let (acs, hook) = (Arc::clone(&self), Arc::clone(&hook));
                under_way.spawn(async move { acs.send(&hook, number, letter).await });
            }
            let next = match under_way.len() < AT_ONCE_OF_ONE {
                true => queue.next(),
                false => None,
            };
            let next = begun + Duration::from_millis(next.unwrap_or(now() + 60_000));
            tokio::select! {
                Some(Ok(tried)) = under_way.join_next(), if !under_way.is_empty() => {
                    let number = tried.number;
                    if self.tried(&hook, &mut queue, tried, now()).await {
                        bytes.remove(&number);
                    }
                }
                () = hook.news.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
        under_way.shutdown().await;
    }

    fn count_letters(&self, hook: &Hook) -> Result<(), StoreError> {
        let limit = usize::try_from(WAITING_MAX).unwrap_or(usize::MAX);
        let waiting = self.store.outbox(&hook.instance, &hook.name, None, limit)?;
        let dead = self
            .store
            .dead_letters(&hook.instance, &hook.name, None, DEAD_MAX)?;
        let mut doing = hook.doing.lock();
        doing.waiting = waiting.len() as u64;
        doing.dead = dead.len();
        Ok(())
    }

    async fn send(&self, hook: &Hook, number: u64, bytes: Vec<u8>) -> Tried {
        let _room = self.webhooks.room.acquire().await;
        let begun = Instant::now();
        let result = self.post(&hook.webhook, number, &bytes).await;
        Tried {
            number,
            bytes,
            result,
            took: begun.elapsed(),
        }
    }

    async fn post(&self, webhook: &Webhook, number: u64, bytes: &[u8]) -> Result<u16, Failure> {
        let failure = |text: String| Failure {
            status: None,
            text: short(&text),
            asked_ms: None,
        };
        let url = webhook.url.parse::<reqwest::Url>();
        let url = url.map_err(|error| failure(error.to_string()))?;
        check_literal(&url, &self.webhooks.allow).map_err(failure)?;
        let at = self.clock.unix();
        let mut request = self.webhooks.client.post(url);
        for (name, value) in &webhook.headers {
            request = request.header(name, value);
        }
        let request = request
            .header("content-type", "application/json")
            .header("x-patchbay-event", number)
            .header("x-patchbay-timestamp", at)
            .header("x-patchbay-signature", webhook.signature(at, bytes))
            .body(bytes.to_vec());
        let mut answer = request
            .send()
            .await
            .map_err(|error| failure(causes(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let asked = answer.headers().get("retry-after");
        let asked = asked.and_then(|asked| asked.to_str().ok()?.parse::<u64>().ok());
        let mut text = Vec::new();
        while text.len() < ANSWER_BYTES_MAX
            && let Ok(Some(piece)) = answer.chunk().await
        {
            text.extend(piece.iter().take(ANSWER_BYTES_MAX - text.len()));
        }
        Err(Failure {
            status: Some(status.as_u16()),
            text: short(&format!("{status}: {}", String::from_utf8_lossy(&text))),
            asked_ms: asked.map(|seconds| seconds.saturating_mul(1_000)),
        })
    }

    /// Takes in what came of a request. Whether the letter is off the table.
    async fn tried(&self, hook: &Hook, queue: &mut Queue, tried: Tried, now: u64) -> bool {
        let at = self.clock.unix();
        let (status, error) = match &tried.result {
            Ok(status) => (Some(*status), None),
            Err(failure) => (failure.status, Some(failure.text.clone())),
        };
        let are_too_many = {
            let mut doing = hook.doing.lock();
            doing.last_status = status;
            doing.last_error = error;
            doing.last_at = at;
            doing.last_took_ms = u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX);
            match &tried.result {
                Ok(_) => doing.delivered += 1,
                Err(_) => doing.failed += 1,
            }
            doing.dead >= DEAD_MAX
        };
        let (instance, name, number) = (&hook.instance, &hook.name, tried.number);
        let ended = match tried.result {
            Ok(_) => {
                queue.arrived(number);
                self.store.outbox_remove(instance, name, number).await
            }
            Err(failure) => {
                let given_up = queue.failed(number, now, failure.asked_ms);
                if !given_up && !is_old(&tried.bytes, at) {
                    return false;
                }
                queue.give_up(number);
                tracing::warn!(
                    instance,
                    webhook = name,
                    number,
                    error = failure.text,
                    "an event was given up"
                );
                let event = String::from_utf8(tried.bytes).unwrap_or_default();
                let dead = RawValue::from_string(event).ok().map(|event| DeadLetter {
                    event,
                    error: failure.text,
                    at,
                });
                let told = serde_json::to_vec(&dead).unwrap_or_default();
                if !are_too_many {
                    hook.doing.lock().dead += 1;
                }
                self.store
                    .outbox_bury(instance, name, number, &told, are_too_many)
                    .await
            }
        };
        if let Err(error) = ended {
            tracing::error!(%error, webhook = name, "cannot write the outbox");
        }
        let mut doing = hook.doing.lock();
        doing.waiting = doing.waiting.saturating_sub(1);
        true
    }
}

impl Hook {
    fn stop(&self) {
        if let Some(worker) = self.worker.lock().take() {
            worker.abort();
        }
    }
}

/// An error with what it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn is_old(event: &[u8], now: UnixTime) -> bool {
    happened(event).is_some_and(|at| now - at > AGE_SECONDS_MAX)
}

fn happened(event: &[u8]) -> Option<UnixTime> {
    #[derive(Deserialize)]
    struct Dated {
        at: String,
    }
    let dated: Dated = serde_json::from_slice(event).ok()?;
    let at: jiff::Timestamp = dated.at.parse().ok()?;
    Some(at.as_second())
}
