//! Flows in a session: those whose trigger fits, and those that a task asks for.

use std::sync::Arc;

use cwmp::Request;
use serde_json::json;

use super::Conversation;
use super::jobs::Job;
use crate::clock::Now;
use crate::plugins::{About, AskError, FlowRef, FlowRun, FlowStep, Occasion};
use crate::store::FaultRecord;
use crate::work::exchange::Outcome;
use crate::work::task::{Operation, Task, TaskError, TaskId, TaskState};

impl Conversation {
    /// The next flow that is triggered, and need not wait after a failure.
    pub(super) fn next_flow(&mut self, now: Now) -> Option<FlowRun> {
        let mut flows = match self.jobs.flows.take() {
            Some(flows) => flows,
            None => self.matched.flows.iter().cloned().collect(),
        };
        let retries = &self.acs.flow_retries;
        let next = std::iter::from_fn(|| flows.pop_front()).find(|flow| {
            flow.triggered(&self.events, &self.summary.tags)
                && !self.jobs.flows_run.contains(flow.plugin())
                && !retries.must_wait(self.cell.key(), flow.plugin(), now.unix)
        });
        self.jobs.flows = Some(flows);
        Some(self.start_flow(&next?, now))
    }

    fn start_flow(&self, flow: &FlowRef, now: Now) -> FlowRun {
        let about = About {
            key: self.cell.key(),
            device: &self.summary,
            now: now.unix,
        };
        let occasion = Occasion {
            events: self.events.clone(),
            current_time: self.current_time,
            retry_count: self.retry_count,
        };
        let record = Arc::new(super::record::Record {
            store: self.acs.store.clone(),
            cell: Arc::clone(&self.cell),
            matched: Arc::clone(&self.matched),
            events: Arc::clone(&self.acs.events),
            now: now.unix,
        });
        FlowRun::start(flow, &about, occasion, record)
    }

    /// Whether a task asks for a flow that was loaded after this session began: the next has it.
    pub(super) fn comes_too_early(&self, task: &Task) -> bool {
        let Operation::Flow { flow } = &task.operation else {
            return false;
        };
        self.matched.flow(flow).is_none() && self.check_flow(flow).is_ok()
    }

    fn check_flow(&self, flow: &str) -> Result<(), String> {
        let plugins = &self.acs.plugins;
        let checked = plugins.check_flow(&self.instance.name, flow, Some(&self.summary));
        checked.map_err(|error| error.to_string())
    }

    /// Begins the flow of a task that was marked as sent.
    pub(super) async fn begin_flow(&mut self, task: Arc<Task>, now: Now) -> Option<(Job, Request)> {
        let Operation::Flow { flow: name } = &task.operation else {
            return None;
        };
        let Some(flow) = self.matched.flow(name).cloned() else {
            let gone = || format!("the flow {name:?} is not there in this session");
            let why = self.check_flow(name).err().unwrap_or_else(gone);
            let error = Some(TaskError::new(why));
            self.close_task(task.id, TaskState::Failed, None, error, now)
                .await;
            return None;
        };
        self.jobs.flows_run.push(Arc::clone(flow.plugin()));
        let run = Box::new(self.start_flow(&flow, now));
        self.flow_step(run, Some(task), None, now).await
    }

    /// One step of a flow: what it asks next, or `None` when it has ended.
    pub(super) async fn flow_step(
        &mut self,
        mut run: Box<FlowRun>,
        task: Option<Arc<Task>>,
        outcome: Option<Outcome>,
        now: Now,
    ) -> Option<(Job, Request)> {
        let answer = outcome.map(|outcome| outcome.map_err(AskError::Fault));
        let before = run.computed();
        let step = run.next(answer).await;
        self.trace.flow(now, &run, before, &step);
        let result = match step {
            FlowStep::Ask(request) => return Some((Job::Flow(run, task), request)),
            FlowStep::Ended(result) => result,
            FlowStep::Failed(error) => Err(error.kind.to_string()),
        };
        self.keep_tags().await;
        if result.is_ok() {
            let retries = &self.acs.flow_retries;
            retries.succeeded(self.cell.key(), run.plugin());
        }
        match task {
            Some(task) => self.end_flow_task(&task, run, result, now).await,
            None => self.end_triggered(&run, result, now),
        }
        None
    }

    /// A flow may have tagged the device: what runs after it sees that, and a crash does not
    /// make it do its work again.
    async fn keep_tags(&mut self) {
        let tagged = {
            let device = self.cell.lock();
            let tagged = device.summary().tags != self.summary.tags;
            if tagged {
                let tags = device.summary().tags.clone();
                Arc::make_mut(&mut self.summary).tags = tags;
            }
            tagged
        };
        if tagged && let Err(error) = self.acs.store.persist(&self.cell).await {
            self.store_failed("keep the tags of a device", &error);
        }
    }

    fn end_triggered(&mut self, run: &FlowRun, result: Result<(), String>, now: Now) {
        let Err(text) = result else { return };
        let retries = &self.acs.flow_retries;
        let wait = retries.failed(self.cell.key(), run.plugin(), now.unix);
        let text = format!("{text} (tried again after {wait} s)");
        self.record_plugin_fault("flow", run.plugin().to_string(), text, None, now);
    }

    async fn end_flow_task(
        &mut self,
        task: &Task,
        run: Box<FlowRun>,
        result: Result<(), String>,
        now: Now,
    ) {
        let plugin = run.plugin().to_string();
        let told = json!({ "version": &**run.version(), "requests": run.requests() });
        // Its instance is free for others while the end is written.
        drop(run);
        let (state, result, error) = match result {
            Ok(()) => (TaskState::Done, Some(told), None),
            Err(text) => {
                let error = TaskError::new(format!("the flow {plugin:?} failed: {text}"));
                self.record_plugin_fault("flow", plugin, text, Some(task.id), now);
                (TaskState::Failed, None, Some(error))
            }
        };
        self.close_task(task.id, state, result, error, now).await;
    }

    pub(super) fn record_plugin_fault(
        &mut self,
        what: &str,
        plugin: String,
        text: String,
        task: Option<TaskId>,
        now: Now,
    ) {
        self.trace.eventful();
        self.trace
            .note(now, format!("{what} {plugin} failed: {text}"));
        tracing::warn!(device = %self.device(), plugin, text, "{what} failed");
        let record = FaultRecord {
            at: now.unix,
            rpc: what.to_owned(),
            code: None,
            text,
            parameters: Vec::new(),
            task,
            plugin: Some(plugin),
        };
        self.keep_fault(record);
    }
}
