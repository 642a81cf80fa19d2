//! What a session does once the device has nothing more to say, in this order: the NAT mode
//! (only when its facts changed), queued tasks, flows by priority, and credentials if no flow gave
//! any. One job at a time asks the device; its requests go through an exchange.

use std::collections::VecDeque;
use std::sync::Arc;

use cwmp::{Fault, Request, Response};

use super::Conversation;
use super::reach::Reach;
use crate::clock::Now;
use crate::device::Mode;
use crate::nat::xmpp::configure::Plan;
use crate::plugins::{About, AskError, FlowRef, FlowRun, FlowStep, Occasion};
use crate::store::FaultRecord;
use crate::work::exchange::{Exchange, Outcome, own_fault};
use crate::work::operation;
use crate::work::task::{Operation, Task, TaskId, TaskState};

/// A task whose answer never comes is not sent for ever.
const ATTEMPTS_MAX: u32 = 5;

/// Where a session stands in its work.
#[derive(Default)]
pub(super) struct Jobs {
    stage: Stage,
    job: Option<Job>,
    exchange: Option<Exchange>,
    /// Tasks this session has begun: each once, whatever the store says of it afterwards.
    tried: Vec<TaskId>,
    /// Flows that are still to be looked at; `None` before the stage of flows.
    flows: Option<VecDeque<FlowRef>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Nat,
    Xmpp,
    Tasks,
    Flows,
    Credentials,
}

/// Who asks the device.
enum Job {
    /// What it takes to reach the device.
    Reach(Reach),
    /// How it is to keep its XMPP stream.
    Xmpp(Box<Plan>),
    Task(Arc<Task>),
    Flow(Box<FlowRun>),
}

impl Jobs {
    /// The task that is asking now.
    pub(super) fn task_id(&self) -> Option<TaskId> {
        match &self.job {
            Some(Job::Task(task)) => Some(task.id),
            _ => None,
        }
    }

    /// The flow that is asking now.
    pub(super) fn flow_name(&self) -> Option<String> {
        match &self.job {
            Some(Job::Flow(run)) => Some(run.plugin().to_string()),
            _ => None,
        }
    }

    /// Frees the instance of a flow whose session has ended.
    pub(super) fn drop_flow(&mut self) {
        self.job = None;
        self.flows = None;
        self.exchange = None;
    }
}

impl Conversation {
    /// Hands the device's answer to the exchange under way. `Some` = the exchange failed.
    pub(super) async fn answered(
        &mut self,
        sent: &Request,
        answer: Outcome,
        now: Now,
    ) -> Option<Outcome> {
        let mut exchange = self.jobs.exchange.take()?;
        let key = self.cell.key().clone();
        let about = About {
            key: &key,
            device: &self.summary,
            now: now.unix,
        };
        let mut calls = Vec::new();
        let failed = exchange
            .answered(sent, answer, &self.matched, &about, &mut calls)
            .await;
        self.trace.hooks(now, calls);
        match failed {
            Some(fault) => Some(Err(fault)),
            None => {
                self.jobs.exchange = Some(exchange);
                None
            }
        }
    }

    /// The next RPC for the device, or `None`: there is nothing left to do.
    pub(super) async fn next_request(
        &mut self,
        outcome: Option<Outcome>,
        now: Now,
    ) -> Option<Request> {
        let mut outcome = outcome;
        loop {
            let is_full = self.is_full();
            if let Some(exchange) = &mut self.jobs.exchange {
                match exchange.next_rpc() {
                    Ok(_) if is_full => {
                        let most = self.acs.config.cwmp.rpcs_per_session_max;
                        outcome = Some(Err(own_fault(format!(
                            "the session has had its {most} RPCs"
                        ))));
                    }
                    Ok(request) => match self.before_sending(&request).await {
                        Ok(()) => return Some(request),
                        Err(fault) => outcome = Some(Err(fault)),
                    },
                    Err(end) => outcome = Some(end),
                }
                self.jobs.exchange = None;
            }
            let Some(job) = self.jobs.job.take() else {
                self.jobs.job = Some(self.next_job(now).await?);
                outcome = None;
                continue;
            };
            if let Some((job, request)) = self.step(job, outcome.take(), now).await {
                self.jobs.job = Some(job);
                let request = self.adjust(request);
                self.trace.note(now, format!("asks {}", request.method()));
                let key = self.cell.key().clone();
                let about = About {
                    key: &key,
                    device: &self.summary,
                    now: now.unix,
                };
                let mut calls = Vec::new();
                let exchange = Exchange::begin(request, &self.matched, &about, &mut calls).await;
                self.trace.hooks(now, calls);
                self.jobs.exchange = Some(exchange);
            }
        }
    }

    /// No further RPC in this session: what is left is done in the next.
    fn is_full(&self) -> bool {
        self.trace.rpcs() >= self.acs.config.cwmp.rpcs_per_session_max
    }

    async fn next_job(&mut self, now: Now) -> Option<Job> {
        if self.is_full() {
            return None;
        }
        if self.jobs.stage == Stage::Nat {
            self.jobs.stage = Stage::Xmpp;
            self.fail_interrupted(now).await;
            if let Some(reach) = self.reach(now).await {
                return Some(Job::Reach(reach));
            }
        }
        if self.jobs.stage == Stage::Xmpp {
            self.jobs.stage = Stage::Tasks;
            if let Some(plan) = self.xmpp_plan(now.unix) {
                return Some(Job::Xmpp(Box::new(plan)));
            }
        }
        // Tasks are looked for again after each flow: somebody may have queued one meanwhile.
        if let Some(task) = self.next_task() {
            return Some(Job::Task(task));
        }
        if self.jobs.stage != Stage::Credentials {
            self.jobs.stage = Stage::Flows;
            if let Some(run) = self.next_flow(now) {
                return Some(Job::Flow(Box::new(run)));
            }
            self.jobs.stage = Stage::Credentials;
            return self.give_credentials(now.unix).map(Job::Reach);
        }
        None
    }

    /// One step of a job: what it asks next, or `None` when it has ended.
    async fn step(
        &mut self,
        job: Job,
        outcome: Option<Outcome>,
        now: Now,
    ) -> Option<(Job, Request)> {
        match job {
            Job::Reach(reach) => {
                let reach = match outcome {
                    None => reach,
                    Some(outcome) => self.reached(reach, outcome, now).await?,
                };
                let request = reach.request(self.management_server());
                Some((Job::Reach(reach), request))
            }
            Job::Xmpp(mut plan) => {
                let request = self.configure_xmpp(&mut plan, outcome, now).await?;
                Some((Job::Xmpp(plan), request))
            }
            Job::Task(task) => match outcome {
                None => self
                    .begin_task(task, now)
                    .await
                    .map(|(task, rpc)| (Job::Task(task), rpc)),
                Some(outcome) => {
                    self.end_task(&task, outcome, now).await;
                    None
                }
            },
            Job::Flow(mut run) => {
                let answer = outcome.map(|outcome| outcome.map_err(AskError::Fault));
                match run.next(answer).await {
                    FlowStep::Ask(request) => {
                        self.trace.asked_by(now, run.plugin());
                        Some((Job::Flow(run), request))
                    }
                    FlowStep::Ended(result) => {
                        self.flow_ended(run.plugin(), result, now).await;
                        None
                    }
                    FlowStep::Failed(error) => {
                        let text = error.kind.to_string();
                        self.flow_ended(run.plugin(), Err(text), now).await;
                        None
                    }
                }
            }
        }
    }

    /// A device that cannot be woken keeps its short interval whatever a flow or a task wants,
    /// and no interval goes below what the device takes.
    fn adjust(&self, mut request: Request) -> Request {
        let Request::SetParameterValues(set) = &mut request else {
            return request;
        };
        for parameter in &mut set.parameters {
            if !parameter
                .path
                .ends_with(".ManagementServer.PeriodicInformInterval")
            {
                continue;
            }
            let Some(mut seconds) = parameter.as_integer() else {
                continue;
            };
            if self
                .summary
                .nat
                .as_ref()
                .is_some_and(|nat| nat.mode == Mode::ShortInform)
            {
                let short = self.acs.instance.settings.short_periodic_inform_seconds;
                seconds = seconds.min(short.into());
            }
            if let Some(least) = self.matched.overrides.min_periodic_inform_interval {
                seconds = seconds.max(least.into());
            }
            parameter.value = seconds.to_string();
        }
        request
    }

    // ---- tasks

    fn next_task(&self) -> Option<Arc<Task>> {
        if !self.acs.store.has_pending(self.device()) {
            return None;
        }
        let mut pending = self.acs.store.pending(self.device());
        pending.retain(|task| !self.jobs.tried.contains(&task.id));
        pending.into_iter().find(|task| match task.state {
            TaskState::Queued => true,
            // Sent in a session that broke before the answer, and safe to send again.
            TaskState::Sent => task.operation.is_repeatable() && task.accepted.is_none(),
            _ => false,
        })
    }

    /// Marks the task sent, durably, before its RPC leaves.
    async fn begin_task(&mut self, task: Arc<Task>, now: Now) -> Option<(Arc<Task>, Request)> {
        self.trace.eventful();
        self.jobs.tried.push(task.id);
        if task.expires.is_some_and(|expires| expires <= now.unix) {
            self.close_task(task.id, TaskState::Expired, None, None, now)
                .await;
            return None;
        }
        if task.attempts >= ATTEMPTS_MAX {
            let fault = own_fault(format!("no answer in {ATTEMPTS_MAX} sessions"));
            self.close_task(
                task.id,
                TaskState::Failed,
                None,
                Some(operation::error(&fault)),
                now,
            )
            .await;
            return None;
        }
        if task.state == TaskState::Sent
            && let Err(error) = self.acs.store.requeue(task.id).await
        {
            self.store_failed("requeue a task", &error);
            return None;
        }
        match self.acs.store.mark_sent(task.id, now.unix).await {
            Ok(task) => {
                let device = self.cell.lock();
                let type_of = |path: &str| {
                    device
                        .tree()
                        .get(path)
                        .map(|reading| reading.xsd_type.clone())
                };
                let known = operation::Known {
                    version: self.session.version(),
                    rpc_methods: &self.summary.rpc_methods,
                };
                let request = operation::request(&task, &known, type_of);
                drop(device);
                Some((task, request))
            }
            // Cancelled or expired a moment ago: not an error.
            Err(error) if error.is_callers() => None,
            Err(error) => {
                self.store_failed("mark a task as sent", &error);
                None
            }
        }
    }

    async fn end_task(&mut self, task: &Task, outcome: Outcome, now: Now) {
        match outcome {
            Ok(Response::Download(started) | Response::Upload(started))
                if started.applied == cwmp::Applied::Later
                    && !self.matched.overrides.no_transfer_complete =>
            {
                // The end comes with TransferComplete.
                if let Err(error) = self.acs.store.mark_accepted(task.id, now.unix).await {
                    self.store_failed("mark a transfer as accepted", &error);
                }
            }
            // So does that of a scheduled one, and with DUStateChangeComplete that of modules.
            Ok(Response::ScheduleDownload | Response::ChangeDuState)
                if !self.matched.overrides.no_transfer_complete =>
            {
                if let Err(error) = self.acs.store.mark_accepted(task.id, now.unix).await {
                    self.store_failed("mark a task as accepted", &error);
                }
            }
            Ok(response) => {
                if let Operation::CancelTransfer { command_key } = &task.operation {
                    self.transfer_cancelled(command_key, task.id, now).await;
                }
                let result = operation::result(&response);
                self.close_task(task.id, TaskState::Done, Some(result), None, now)
                    .await;
            }
            Err(fault) => {
                let error = operation::error(&fault);
                self.close_task(task.id, TaskState::Failed, None, Some(error), now)
                    .await;
            }
        }
    }

    // ---- flows

    fn next_flow(&mut self, now: Now) -> Option<FlowRun> {
        let flows = match &mut self.jobs.flows {
            Some(flows) => flows,
            None => self
                .jobs
                .flows
                .insert(self.matched.flows.iter().cloned().collect()),
        };
        while let Some(flow) = flows.pop_front() {
            let triggered = flow.triggered(&self.events, &self.summary.tags);
            if !triggered
                || self
                    .acs
                    .flow_retries
                    .must_wait(self.cell.key(), flow.plugin(), now.unix)
            {
                continue;
            }
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
            });
            return Some(FlowRun::start(&flow, &about, occasion, record));
        }
        None
    }

    async fn flow_ended(&mut self, plugin: &str, result: Result<(), String>, now: Now) {
        // A flow may have tagged the device: what runs after it sees that, and a crash does
        // not make it do its work again.
        let tagged = {
            let device = self.cell.lock();
            let tagged = device.summary().tags != self.summary.tags;
            if tagged {
                self.summary.tags.clone_from(&device.summary().tags);
            }
            tagged
        };
        if tagged && let Err(error) = self.acs.store.persist(&self.cell).await {
            self.store_failed("keep the tags of a device", &error);
        }
        match result {
            Ok(()) => self.acs.flow_retries.succeeded(self.cell.key(), plugin),
            Err(text) => {
                let wait = self
                    .acs
                    .flow_retries
                    .failed(self.cell.key(), plugin, now.unix);
                let text = format!("{text} (tried again after {wait} s)");
                self.record_plugin_fault("flow", plugin.to_owned(), text, now);
            }
        }
    }

    pub(super) fn record_plugin_fault(
        &mut self,
        what: &str,
        plugin: String,
        text: String,
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
            task: None,
            plugin: Some(plugin),
        };
        self.keep_fault(record);
    }

    pub(super) fn store_failed(&self, what: &str, error: &crate::store::StoreError) {
        tracing::error!(device = %self.device(), %error, "cannot {what}");
    }

    /// Ends a task, durably, before the device gets its next answer.
    pub(super) async fn close_task(
        &mut self,
        id: TaskId,
        state: TaskState,
        result: Option<serde_json::Value>,
        error: Option<crate::work::task::TaskError>,
        now: Now,
    ) {
        tracing::info!(device = %self.device(), task = %id, ?state, "task ended");
        self.trace.note(now, format!("task {id} {state:?}"));
        let store = &self.acs.store;
        let mut ended = store.finish(id, state, result, error, now.unix).await;
        if let Err(error @ crate::store::StoreError::TooMuch { .. }) = &ended {
            let note = serde_json::json!({ "note": format!("the answer was not kept: {error}") });
            ended = store.finish(id, state, Some(note), None, now.unix).await;
        }
        if let Err(error) = ended {
            self.store_failed("end a task", &error);
        }
    }

    /// What must be durable before an RPC leaves.
    async fn before_sending(&mut self, request: &Request) -> Result<(), Fault> {
        self.trace.rpc();
        if let Request::SetParameterValues(set) = request {
            self.trace.eventful();
            self.promise_credentials(set).await?;
        }
        Ok(())
    }
}
