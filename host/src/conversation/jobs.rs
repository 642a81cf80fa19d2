//! What a session does once the device has nothing more to say, in this order: credentials of
//! its own (only for a device that came with those of the factory), the NAT mode (only when its
//! facts changed), queued tasks, flows by priority, credentials for connection requests if no
//! flow gave any, and how often to inform if it cannot be woken. One job at a time asks the
//! device; its requests go through an exchange.

use std::collections::VecDeque;
use std::sync::Arc;

use cwmp::{Fault, Request, Response};

use super::reach::Reach;
use super::{Conversation, Depth};
use crate::clock::Now;
use crate::device::{Credentials, Mode, UnixTime};
use crate::nat::xmpp::configure::Plan;
use crate::plugins::{FlowRef, FlowRun};
use crate::work::exchange::{Exchange, Outcome, own_fault};
use crate::work::standard_names::Names;
use crate::work::task::{Task, TaskId};

/// Where a session stands in its work.
#[derive(Default)]
pub(super) struct Jobs {
    stage: Stage,
    job: Option<Job>,
    pub(super) exchange: Option<Exchange>,
    /// Names that the exchange that ended last did not find.
    pub(super) missing: Vec<String>,
    /// Under which names the exchange was asked for.
    pub(super) names: Names,
    /// Tasks this session has begun: each once, whatever the store says of it afterwards.
    pub(super) tried: Vec<TaskId>,
    /// Flows that are still to be looked at; `None` before the stage of flows.
    pub(super) flows: Option<VecDeque<FlowRef>>,
    /// Flows that were run for a task: what triggers them in this session is done.
    pub(super) flows_run: Vec<Arc<str>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Login,
    Nat,
    Xmpp,
    Tasks,
    Flows,
    Credentials,
    Interval,
}

/// Who asks the device.
pub(super) enum Job {
    /// Gives the device credentials to log in with.
    Login(Credentials),
    /// What it takes to reach the device.
    Reach(Reach),
    /// How it is to keep its XMPP stream.
    Xmpp(Box<Plan>),
    Task(Arc<Task>),
    /// A task that sets any instance, once it is known which there are.
    TaskNames(Arc<Task>),
    /// With the task that it is run for, if it was not triggered.
    Flow(Box<FlowRun>, Option<Arc<Task>>),
}

impl Jobs {
    /// The task that is asking now.
    pub(super) fn task_id(&self) -> Option<TaskId> {
        match &self.job {
            Some(Job::Task(task) | Job::TaskNames(task) | Job::Flow(_, Some(task))) => {
                Some(task.id)
            }
            _ => None,
        }
    }

    /// What is asked now is what somebody wants to know, not what a plugin tries.
    pub(super) fn is_plain_task(&self) -> bool {
        matches!(self.job, Some(Job::Task(_) | Job::TaskNames(_)))
    }

    /// The flow that is asking now.
    pub(super) fn flow_name(&self) -> Option<String> {
        match &self.job {
            Some(Job::Flow(run, _)) => Some(run.plugin().to_string()),
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
    /// The next RPC for the device, or `None`: there is nothing left to do.
    pub(super) async fn next_request(
        &mut self,
        outcome: Option<Outcome>,
        now: Now,
    ) -> Option<Request> {
        let mut outcome = outcome;
        loop {
            let is_full = self.is_full();
            if let Some(mut exchange) = self.jobs.exchange.take() {
                let next = exchange.next_rpc();
                self.take_findings(&mut exchange, now);
                match next {
                    Ok(_) if is_full => {
                        let most = self.acs.config.cwmp.rpcs_per_session_max;
                        outcome = Some(Err(own_fault(format!(
                            "the session has had its {most} RPCs"
                        ))));
                    }
                    Ok(request) => match self.before_sending(&request).await {
                        Ok(()) => {
                            self.jobs.exchange = Some(exchange);
                            return Some(request);
                        }
                        Err(fault) => outcome = Some(Err(fault)),
                    },
                    Err(end) => {
                        self.jobs.missing = exchange.take_missing();
                        if let Ok(Response::GetParameterNames(names)) = &end {
                            self.learn_names(names);
                        }
                        outcome = Some(end);
                    }
                }
            }
            let Some(job) = self.jobs.job.take() else {
                self.jobs.job = Some(self.next_job(now).await?);
                outcome = None;
                continue;
            };
            let answer = self.under_asked_names(outcome.take());
            if let Some((job, request)) = self.step(job, answer, now).await {
                self.jobs.job = Some(job);
                let request = self.under_own_names(request, now).await;
                let request = self.adjust(request, now.unix);
                self.trace.note(now, format!("asks {}", request.method()));
                self.jobs.exchange = Some(self.begin_exchange(request, now).await);
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
        if self.jobs.stage == Stage::Login {
            self.fail_interrupted(now).await;
            self.jobs.stage = match self.depth {
                Depth::Full => Stage::Nat,
                Depth::Errands | Depth::Glance | Depth::Quarantine => Stage::Tasks,
            };
            if let Some(login) = self.new_login() {
                return Some(Job::Login(login));
            }
        }
        if self.jobs.stage == Stage::Nat {
            self.jobs.stage = Stage::Xmpp;
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
        let is_before_end = !matches!(self.jobs.stage, Stage::Credentials | Stage::Interval);
        if self.depth == Depth::Full && is_before_end {
            self.jobs.stage = Stage::Flows;
            if let Some(run) = self.next_flow(now) {
                return Some(Job::Flow(Box::new(run), None));
            }
            self.jobs.stage = Stage::Credentials;
            if let Some(reach) = self.give_credentials(now.unix) {
                return Some(Job::Reach(reach));
            }
        }
        if self.jobs.stage != Stage::Interval {
            self.jobs.stage = Stage::Interval;
            return self.interval(now.unix).map(Job::Reach);
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
            Job::Login(login) => {
                let request = self.login_step(&login, outcome)?;
                Some((Job::Login(login), request))
            }
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
                None => self.begin_task(task, now).await,
                Some(outcome) => {
                    self.end_task(&task, outcome, now).await;
                    None
                }
            },
            Job::TaskNames(task) => {
                let fault = match outcome {
                    Some(Err(fault)) => fault,
                    _ => match self.task_request(&task) {
                        // A flow names no parameters: it has a request of its own, or none.
                        Ok(request) => return Some((Job::Task(task), request?)),
                        Err(unknown) => own_fault(format!(
                            "the device has no parameter that {} stands for",
                            unknown.pattern
                        )),
                    },
                };
                self.end_task(&task, Err(fault), now).await;
                None
            }
            Job::Flow(run, task) => self.flow_step(run, task, outcome, now).await,
        }
    }

    /// A device that cannot be woken keeps its short interval whatever a flow or a task wants,
    /// and no interval goes below what the device takes.
    fn adjust(&self, mut request: Request, now: UnixTime) -> Request {
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
                seconds = seconds.min(self.short_interval(now).into());
            }
            if let Some(least) = self.matched.overrides.min_periodic_inform_interval {
                seconds = seconds.max(least.into());
            }
            parameter.value = seconds.to_string();
        }
        request
    }

    pub(super) fn store_failed(&self, what: &str, error: &crate::store::StoreError) {
        tracing::error!(device = %self.device(), %error, "cannot {what}");
    }

    /// What must be durable before an RPC leaves.
    async fn before_sending(&mut self, request: &Request) -> Result<(), Fault> {
        self.trace.rpc();
        self.acs.counters.protocol.rpcs.of(request.method()).add(1);
        if let Request::SetParameterValues(set) = request {
            self.trace.eventful();
            self.promise_credentials(set).await?;
        }
        Ok(())
    }
}
