//! A running flow: a wasm call on a fiber that sleeps while the device answers. Its future lives
//! in [`FlowRun`] and is polled in [`FlowRun::next`]: no task and no channel, one slot each way.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cwmp::EventKind;
use parking_lot::Mutex;

use super::call::{nanoseconds, one_line};
use super::guest::{Call, FlowCall};
use super::matching::{Strictness, any_fits};
use super::plugin::LoadedPlugin;
use super::{About, PluginError, PluginErrorKind, v0_1};
use crate::device::{Summary, UnixTime};

/// Readings, each with the time of reading.
pub type KnownFuture<'a> =
    Pin<Box<dyn Future<Output = Vec<(cwmp::ParameterValue, UnixTime)>> + Send + 'a>>;

/// What a flow can see and change of its device's record.
pub trait DeviceRecord: Send + Sync {
    /// The readings at a full name or below a partial path, under the name that was asked. A
    /// profile may have to be asked what the device calls it.
    fn known<'a>(&'a self, path: &'a str) -> KnownFuture<'a>;
    /// Sets a tag.
    fn tag(&self, name: &str);
    /// Removes a tag.
    fn untag(&self, name: &str);
    /// The tags now.
    fn tags(&self) -> Vec<String>;
}

/// A flow of a loaded plugin whose device conditions fit.
#[derive(Debug, Clone)]
pub struct FlowRef {
    plugin: Arc<LoadedPlugin>,
    priority: i32,
    /// Which of its triggers fit the device.
    triggers: Arc<[usize]>,
}

/// Why the session began.
#[derive(Debug, Clone, Default)]
pub struct Occasion {
    /// Of the Inform.
    pub events: Vec<cwmp::Event>,
    /// The device's clock; `None` when unreadable.
    pub current_time: Option<UnixTime>,
    /// Of the Inform.
    pub retry_count: u32,
}

/// What the flow wants next.
#[derive(Debug)]
pub enum FlowStep {
    /// Ask the device this, then call [`FlowRun::next`] with the answer.
    Ask(cwmp::Request),
    /// It returned: success, or an error for the operator.
    Ended(Result<(), String>),
    /// It crashed or used up its budget.
    Failed(PluginError),
}

/// Why a request of a flow has no response.
#[derive(Debug, Clone, PartialEq)]
pub enum AskError {
    /// The device answered with a fault.
    Fault(cwmp::Fault),
    /// The session is over.
    Ended,
    /// The host does not ask this.
    Refused(String),
}

/// A flow in a session. Dropping it frees its instance.
pub struct FlowRun {
    plugin: Arc<LoadedPlugin>,
    slot: Arc<Slot>,
    /// `None` once it has ended.
    running: Option<Running>,
    /// The guest waits for an answer.
    asked: bool,
    /// How often it has asked the device.
    requests: u32,
    nanoseconds: u64,
}

type Running = Pin<Box<dyn Future<Output = Result<Result<(), String>, PluginError>> + Send>>;

/// One slot each way between the sleeping guest and the conversation.
#[derive(Default)]
pub(super) struct Slot(Mutex<Exchange>);

#[derive(Default)]
struct Exchange {
    request: Option<cwmp::Request>,
    answer: Option<Result<cwmp::Response, AskError>>,
    ended: bool,
}

impl FlowRef {
    /// `None`: all its triggers are for other devices. One without triggers is for any, and runs
    /// only when it is asked for.
    pub(super) fn new(
        plugin: &Arc<LoadedPlugin>,
        priority: i32,
        device: &Summary,
        strictness: Strictness,
    ) -> Option<FlowRef> {
        let flow = plugin.description.flow.as_ref()?;
        let triggers: Arc<[usize]> = (0..)
            .zip(&flow.triggers)
            .filter(|(_, trigger)| any_fits(&trigger.devices, device, strictness))
            .map(|(index, _)| index)
            .collect();
        (!triggers.is_empty() || flow.triggers.is_empty()).then(|| FlowRef {
            plugin: Arc::clone(plugin),
            priority,
            triggers,
        })
    }

    /// The plugin: its file's name without `.wasm`.
    pub fn plugin(&self) -> &Arc<str> {
        self.plugin.name()
    }

    /// As the plugin describes itself.
    pub fn version(&self) -> &Arc<str> {
        self.plugin.version()
    }

    /// Lower runs first.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Whether one of its triggers fits the session (the device part was matched before).
    pub fn triggered(&self, events: &[cwmp::Event], tags: &BTreeSet<String>) -> bool {
        let Some(flow) = &self.plugin.description.flow else {
            return false;
        };
        self.triggers
            .iter()
            .filter_map(|index| flow.triggers.get(*index))
            .any(|trigger| {
                let event = trigger.events.is_empty()
                    || events.iter().any(|event| {
                        let mut wanted = trigger.events.iter();
                        wanted.any(|wanted| EventKind::new(wanted) == event.kind())
                    });
                event
                    && trigger.tags.iter().all(|tag| tags.contains(tag))
                    && !trigger.without_tags.iter().any(|tag| tags.contains(tag))
            })
    }
}

impl FlowRun {
    /// Nothing happens before the first [`FlowRun::next`].
    pub fn start(
        flow: &FlowRef,
        about: &About<'_>,
        occasion: Occasion,
        record: Arc<dyn DeviceRecord>,
    ) -> FlowRun {
        let plugin = Arc::clone(&flow.plugin);
        let slot = Arc::new(Slot::default());
        let fresh = occasion
            .events
            .iter()
            .any(|event| event.kind() == EventKind::Bootstrap);
        let call = Call::flow(
            plugin.limits(),
            about,
            FlowCall {
                slot: Arc::clone(&slot),
                record,
                tags_left: plugin.limits().tags_max,
                tags_refused: false,
                trusted_since: if fresh {
                    about.now
                } else {
                    about
                        .now
                        .saturating_sub(plugin.limits().ensure_trust_seconds)
                },
            },
        );
        let running = Box::pin(v0_1::run_flow(Arc::clone(&plugin), call, about, occasion));
        FlowRun {
            plugin,
            slot,
            running: Some(running),
            asked: false,
            requests: 0,
            nanoseconds: 0,
        }
    }

    /// Runs the guest until it asks the device something or ends. `answer` is that to the
    /// last [`FlowStep::Ask`]; `None` the first time, and later as good as [`AskError::Ended`]. After the end: `Ended(Ok(()))`.
    ///
    /// Dropping the returned future half-way does no harm: the flow goes on with the next call.
    pub async fn next(&mut self, answer: Option<Result<cwmp::Response, AskError>>) -> FlowStep {
        if std::mem::take(&mut self.asked) {
            // Without an answer the guest would sleep for ever.
            self.slot.0.lock().answer = Some(answer.unwrap_or(Err(AskError::Ended)));
        }
        // Nearly always the guest asks or ends in its first poll, and needs no timer.
        let first = poll_fn(|context| Poll::Ready(self.poll(context))).await;
        if let Poll::Ready(step) = first {
            return step;
        }
        let wall_max = self.plugin.limits().step_wall_max;
        match tokio::time::timeout(wall_max, poll_fn(|context| self.poll(context))).await {
            Ok(step) => step,
            Err(_) => {
                self.running = None;
                self.ended();
                FlowStep::Failed(self.plugin.failed(PluginErrorKind::Stuck {
                    seconds: wall_max.as_secs(),
                }))
            }
        }
    }

    /// The session is over: the guest sees `error.ended` whenever it asks again. Call
    /// [`FlowRun::next`] with `None` afterwards, so that it sees it at once and can return.
    pub fn end_session(&mut self) {
        self.slot.0.lock().ended = true;
    }

    /// The plugin: its file's name without `.wasm`.
    pub fn plugin(&self) -> &Arc<str> {
        self.plugin.name()
    }

    /// As the plugin describes itself.
    pub fn version(&self) -> &Arc<str> {
        self.plugin.version()
    }

    /// How often it has asked the device something so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The time that it has computed for so far.
    pub fn computed(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<FlowStep> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(FlowStep::Ended(Ok(())));
        };
        let begun = Instant::now();
        let polled = running.as_mut().poll(context);
        let spent = nanoseconds(begun);
        self.nanoseconds += spent;
        self.plugin.counters.spent(spent);
        match polled {
            Poll::Ready(outcome) => {
                self.running = None;
                self.ended();
                Poll::Ready(match outcome {
                    Ok(Ok(())) => FlowStep::Ended(Ok(())),
                    Ok(Err(text)) => {
                        let text = one_line(&text);
                        self.plugin.counters.returned_error(text.clone());
                        FlowStep::Ended(Err(text))
                    }
                    Err(error) => FlowStep::Failed(error),
                })
            }
            Poll::Pending => match self.slot.0.lock().request.take() {
                Some(request) => {
                    self.asked = true;
                    self.requests += 1;
                    Poll::Ready(FlowStep::Ask(request))
                }
                None => Poll::Pending,
            },
        }
    }

    fn ended(&self) {
        self.plugin.counters.ended(self.nanoseconds);
    }
}

impl Slot {
    /// Hands a request to the conversation and sleeps until its answer is there. Whoever puts the
    /// answer also polls, so that no waker is needed.
    pub(super) async fn ask(&self, request: cwmp::Request) -> Result<cwmp::Response, AskError> {
        {
            let mut exchange = self.0.lock();
            if exchange.ended {
                return Err(AskError::Ended);
            }
            exchange.answer = None;
            exchange.request = Some(request);
        }
        poll_fn(|_| match self.0.lock().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}
