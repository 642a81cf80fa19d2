//! The device's XMPP stream: telling the device how to keep it while XMPP is its mode, and to
//! end it when it no longer is.

use super::Conversation;
use crate::clock::Now;
use crate::device::{Mode, UnixTime};
use crate::nat::probe::given_up;
use crate::nat::xmpp::account;
use crate::nat::xmpp::configure::{Known, Plan, Step};
use crate::work::exchange::Outcome;
use cwmp::Request;

/// A device that did not take its settings is told again after so long.
const RETRY_SECONDS: i64 = 3_600;
/// One that could not be given an account, because of us or of the XMPP server, after so long.
const ACCOUNT_RETRY_SECONDS: i64 = 300;

impl Conversation {
    /// What is to be told, if anything. A device that has been told the same before is not told
    /// again before it forgets everything (`0 BOOTSTRAP`).
    pub(super) fn xmpp_plan(&self, now: UnixTime) -> Option<Plan> {
        let mode = self.summary.nat.as_ref()?.mode;
        let root = self.summary.data_model.root();
        let device = self.cell.lock();
        let account = &device.summary().xmpp;
        // Without an account nothing was told yet: the fault is more likely ours.
        let pause = match account.told {
            Some(_) => RETRY_SECONDS,
            None => ACCOUNT_RETRY_SECONDS,
        };
        let failed = account.refused.is_some();
        if failed && now - account.refused_at < pause {
            return None;
        }
        match &self.acs.xmpp {
            Some(xmpp) if mode == Mode::Xmpp => {
                let wanted = xmpp.wanted(self.device(), self.reached_at.own_host())?;
                let told_account = Some(xmpp.account_fingerprint(self.device()));
                let has_password = account.keys.is_some()
                    && account.told.is_some()
                    && account.told_account == told_account
                    // It may have taken a part of what it refused.
                    && !failed;
                if has_password && account.told == Some(wanted.fingerprint()) {
                    return None;
                }
                let password = (!has_password).then(|| xmpp.password(self.device()));
                Some(Plan::connect(root, wanted, password, &account.connection))
            }
            // It is left as it is while it is given up only until it works again.
            _ if mode != Mode::Xmpp
                && account.told.is_some()
                && !account.connection.is_empty()
                && !given_up(&self.summary).any(|mode| mode == Mode::Xmpp) =>
            {
                Some(Plan::disconnect(root, &account.connection))
            }
            _ => None,
        }
    }

    /// One step of a plan: what is asked next.
    pub(super) async fn configure_xmpp(
        &mut self,
        plan: &mut Plan,
        outcome: Option<Outcome>,
        now: Now,
    ) -> Option<Request> {
        if let Some(outcome) = &outcome
            && plan.telling().is_some()
        {
            let taken = outcome.is_ok();
            self.change_account(|xmpp| account::answered(xmpp, taken))
                .await;
        }
        let step = {
            let device = self.cell.lock();
            let tree = device.tree();
            let value = |path: &str| {
                let reading = tree.get(path).filter(|reading| reading.read_at != 0)?;
                Some(reading.value.to_string())
            };
            let rows = |table: &str| tree.rows(table);
            let known = Known {
                value: &value,
                rows: &rows,
            };
            let answer = outcome.as_ref().map(|outcome| outcome.as_ref());
            plan.next(answer, &known)
        };
        let refused = match step {
            Step::Ask(request) => match self.promise_password(plan).await {
                Ok(()) => return Some(request),
                Err(error) => {
                    tracing::warn!(device = %self.device(), error, "no XMPP account for the device");
                    let why = format!("no XMPP account: {error}");
                    self.trace.note(now, why.clone());
                    let connection = plan.connection().to_owned();
                    self.change_account(|xmpp| {
                        xmpp.told = None;
                        xmpp.refused_at = now.unix;
                        xmpp.refused = Some(why);
                        xmpp.connection = connection;
                    })
                    .await;
                    return None;
                }
            },
            Step::Done => None,
            Step::Failed(why) => {
                tracing::warn!(device = %self.device(), why, "the device does not take its XMPP settings");
                self.trace
                    .note(now, format!("XMPP settings refused: {why}"));
                Some(why)
            }
        };
        let told = plan.wanted().map(|wanted| wanted.fingerprint());
        let told_account = self
            .acs
            .xmpp
            .as_ref()
            .map(|xmpp| xmpp.account_fingerprint(self.device()));
        let connection = plan.connection().to_owned();
        self.change_account(|xmpp| {
            // What could not be undone stays to be undone.
            if told.is_some() || refused.is_none() {
                xmpp.told = told;
                xmpp.told_account = told_account;
            }
            xmpp.refused_at = if refused.is_some() { now.unix } else { 0 };
            xmpp.refused = refused;
            xmpp.connection = connection;
        })
        .await;
        None
    }

    /// The keys of a new password are durable, and its account made where another server has
    /// it, before the device is given it.
    async fn promise_password(&mut self, plan: &Plan) -> Result<(), String> {
        let Some(password) = plan.telling() else {
            return Ok(());
        };
        if let Some(xmpp) = &self.acs.xmpp {
            xmpp.make_account(self.device(), password).await?;
        }
        let salt = {
            let device = self.cell.lock();
            let salt = device.summary().xmpp.salt.clone();
            if salt.is_empty() {
                account::new_salt()
            } else {
                salt
            }
        };
        let (deriving, password) = (salt.clone(), password.to_owned());
        let keys = tokio::task::spawn_blocking(move || account::derive(&deriving, &password))
            .await
            .map_err(|error| format!("its keys cannot be derived: {error}"))?;
        self.cell.lock().summary_mut(|summary| {
            summary.xmpp.salt = salt;
            account::promise(&mut summary.xmpp, keys);
        });
        let kept = self.acs.store.persist(&self.cell).await;
        kept.map_err(|error| format!("its keys cannot be kept: {error}"))
    }

    async fn change_account(&mut self, change: impl FnOnce(&mut crate::device::XmppAccount)) {
        let changed = self
            .cell
            .lock()
            .summary_mut(|summary| change(&mut summary.xmpp));
        if changed && let Err(error) = self.acs.store.persist(&self.cell).await {
            self.store_failed("keep the XMPP account of a device", &error);
        }
    }
}
