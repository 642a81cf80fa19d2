//! How the device is reached: asks the policy when its facts changed, and tells the device what
//! its mode needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use cwmp::{
    EventKind, Fault, GetParameterNames, ParameterValue, Request, Response, SetParameterValues,
};

use super::{Conversation, Depth};
use crate::clock::Now;
use crate::device::{Configured, Credentials, Mode, Summary, UnixTime};
use crate::events::{Between, DeviceChanged};
use crate::nat::configure::{self, Known, Offer};
use crate::nat::decide::{self, Ways};
use crate::nat::probe::given_up;
use crate::nat::short_inform;
use crate::plugins::About;
use crate::store::Device;
use crate::work::exchange::Outcome;

/// A device that did not take what its mode needs is told again after so long.
const RETRY_SECONDS: i64 = 3_600;
/// The password of a connection request, in hexadecimal digits.
const PASSWORD_DIGITS: usize = 32;
/// CWMP's "invalid parameter name".
const INVALID_NAME: u32 = 9005;

/// What the device is asked, or told, so that it can be reached.
pub(super) enum Reach {
    /// Which parameters it has for that.
    Names,
    /// What its mode needs.
    Configure(Vec<ParameterValue>),
    /// A user name and a password for connection requests.
    Credentials(Vec<ParameterValue>),
}

impl Reach {
    pub(super) fn request(&self, server: String) -> Request {
        match self {
            Reach::Names => Request::GetParameterNames(GetParameterNames {
                path: server,
                next_level: true,
            }),
            Reach::Configure(parameters) | Reach::Credentials(parameters) => {
                Request::SetParameterValues(SetParameterValues {
                    parameters: parameters.clone(),
                    parameter_key: String::new(),
                })
            }
        }
    }
}

/// The modes whose settings the device has.
fn told_for(configured: &Configured) -> BTreeSet<Mode> {
    let mut modes = configured.left.clone();
    modes.insert(configured.mode);
    modes
}

/// The device's tree, below `ManagementServer.`, and its firmware's names.
struct InTree<'a> {
    device: &'a Device,
    server: &'a str,
}

impl Known for InTree<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let path = format!("{}{name}", self.server);
        let reading = self.device.tree().get(&path)?;
        (reading.read_at != 0).then(|| reading.value.to_string())
    }

    fn has(&self, name: &str) -> Option<bool> {
        let management = self.device.summary().management.as_ref()?;
        management.has(name)
    }
}

impl Conversation {
    /// `Device.ManagementServer.`
    pub(super) fn management_server(&self) -> String {
        format!("{}ManagementServer.", self.summary.data_model.root())
    }

    /// Asks the policy if its facts are new, and looks whether the device has what its mode needs.
    pub(super) async fn reach(&mut self, now: Now) -> Option<Reach> {
        self.take_stock();
        if let Some(reach) = self.decide_mode(now).await {
            return Some(reach);
        }
        self.acs.plan_probe(self.device(), &self.summary);
        if self.is_leased_mode() {
            // At the end of the session it is known who still needs the device.
            return None;
        }
        self.configure(now.unix)
    }

    /// At the end of a session: how often a device that cannot be woken is to inform.
    pub(super) fn interval(&mut self, now: UnixTime) -> Option<Reach> {
        let is_short = self.mode() == Some(Mode::ShortInform);
        // A full session without leases has seen to it before.
        if !is_short || (self.depth == Depth::Full && !self.is_leased_mode()) {
            return None;
        }
        self.configure(now)
    }

    /// Whether the device was told how often to inform, or would not take it a while ago.
    pub(super) fn has_its_interval(&self, now: UnixTime) -> bool {
        let Some(configured) = &self.summary.configured else {
            return false;
        };
        if configured.error.is_some() {
            return now - configured.at < RETRY_SECONDS;
        }
        short_inform::told(&self.summary) == Some(self.short_interval(now))
    }

    /// How often the device is to inform while it cannot be woken, in seconds.
    pub(super) fn short_interval(&self, now: UnixTime) -> u32 {
        let seconds = self.acs.short_interval(self.device(), now);
        let least = self.matched.overrides.min_periodic_inform_interval;
        seconds.max(least.unwrap_or_default())
    }

    fn mode(&self) -> Option<Mode> {
        self.summary.nat.as_ref().map(|nat| nat.mode)
    }

    /// Its interval depends on whether somebody needs it.
    fn is_leased_mode(&self) -> bool {
        let leases = self.instance.settings.short_inform.lease;
        leases && self.mode() == Some(Mode::ShortInform)
    }

    /// What the Inform did not repeat, and what is known of the firmware.
    fn take_stock(&mut self) {
        let server = self.management_server();
        let version = &self.summary.software_version;
        let current = self.summary.management.as_ref();
        if current.is_none_or(|current| current.software_version != *version) {
            let known = self.acs.models.of(&self.summary);
            if known != self.summary.management {
                self.change_summary(|summary| summary.management = known);
            }
        }
        if let Some(management) = &self.summary.management {
            self.sighting.learn(management);
        }
        let device = self.cell.lock();
        self.sighting.recall(|name| {
            let reading = device.tree().get(&format!("{server}{name}"))?;
            (reading.read_at != 0).then(|| reading.value.trim().to_owned())
        });
        drop(device);
        let overrides = &self.matched.overrides;
        self.sighting.supports_xmpp &= !overrides.no_xmpp;
        self.sighting.supports_stun &= !overrides.no_stun;
    }

    fn ways(&self) -> Ways {
        Ways {
            stun: self.instance.settings.stun && self.acs.stun.is_serving(),
            xmpp: self.instance.settings.xmpp
                && (self.acs.xmpp.as_ref())
                    .is_some_and(|xmpp| xmpp.serves(self.reached_at.own_host())),
            http_proxy: self.instance.settings.http_proxy.is_some(),
        }
    }

    /// Whether the instance still has the ways that the mode was chosen from.
    pub(super) fn decision_stands(&self) -> bool {
        let nat = self.summary.nat.as_ref();
        nat.is_none_or(|nat| Ways::of(&nat.decided_from) == self.ways())
    }

    async fn decide_mode(&mut self, now: Now) -> Option<Reach> {
        let policy = self.matched.policy.clone()?;
        let ways = self.ways();
        let fingerprint = self
            .sighting
            .fingerprint(&self.summary, &policy.decided_by(), ways);
        let before = self.summary.nat.as_ref();
        if !self.is_bootstrap() && before.is_some_and(|nat| nat.facts == fingerprint) {
            return None;
        }
        let key = self.cell.key().clone();
        let about = About {
            key: &key,
            device: &self.summary,
            now: now.unix,
        };
        let facts = self.sighting.facts(&self.summary, ways);
        let (decided, call) = policy.decide_traced(&about, &facts).await;
        self.trace.hooks(now, vec![call]);
        let decided = match decided {
            Ok(decision) => {
                let by = policy.decided_by();
                let kept = self.sighting.to_keep(&facts);
                decide::accept(decision, by, now.unix, fingerprint, kept, ways)
            }
            Err(error) => Err(error.to_string()),
        };
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => {
                // The current mode stays. The facts are asked about again in the next session.
                self.record_plugin_fault("nat-policy", policy.decided_by(), error, None, now);
                return None;
            }
        };
        // Only a device behind NAT is asked what it supports, and only if there is a choice.
        if decision.behind_nat && (ways.stun || ways.xmpp) && self.summary.management.is_none() {
            return Some(Reach::Names);
        }
        tracing::info!(
            device = %self.device(), mode = ?decision.mode, reason = %decision.reason, "NAT mode decided"
        );
        self.trace.eventful();
        self.trace.note(
            now,
            format!("mode {:?}: {}", decision.mode, decision.reason),
        );
        let before = self.summary.nat.as_ref().map(|nat| nat.mode);
        if before != Some(decision.mode) {
            let mode = Between {
                before: before.map_or("", Mode::name).to_owned(),
                after: decision.mode.name().to_owned(),
            };
            let change = DeviceChanged {
                mode: Some(mode),
                ..DeviceChanged::default()
            };
            self.acs.events.changed(now.unix, self.device(), change);
        }
        self.change_summary(|summary| summary.nat = Some(decision));
        None
    }

    /// What the device has to be told for its mode, if that is news or it did not take it before.
    fn configure(&mut self, now: UnixTime) -> Option<Reach> {
        let mode = self.summary.nat.as_ref()?.mode;
        if configure::wants_nothing(mode) && self.summary.configured.is_none() {
            return None;
        }
        let offer = self.offer(now);
        let left = self.left(mode);
        let wanted = configure::fingerprint(mode, &configure::wishes(mode, &offer), &left);
        // A reset device has forgotten all, and there is nothing to undo.
        let before = self.summary.configured.as_ref();
        let before = before.filter(|_| !self.is_bootstrap());
        if let Some(before) = before
            && before.wanted == wanted
            && (before.error.is_none() || now - before.at < RETRY_SECONDS)
        {
            return None;
        }
        let server = self.management_server();
        let parameters = {
            let device = self.cell.lock();
            let known = InTree {
                device: &device,
                server: &server,
            };
            let before = before.map(told_for).unwrap_or_default();
            let undone = &before - &left;
            configure::parameters(mode, &undone, &offer, &server, &known)
        };
        if !parameters.is_empty() {
            return Some(Reach::Configure(parameters));
        }
        self.configured(mode, wanted, now, None);
        None
    }

    /// At the end of a session: a device that is called with a user name and a password, and got
    /// none from any flow, gets them here.
    pub(super) fn give_credentials(&mut self, now: UnixTime) -> Option<Reach> {
        let mode = self.summary.nat.as_ref()?.mode;
        if !configure::needs_credentials(mode) {
            return None;
        }
        let failed = self.summary.configured.as_ref();
        if failed.is_some_and(|c| c.error.is_some() && now - c.at < RETRY_SECONDS) {
            return None;
        }
        let server = self.management_server();
        let device = self.cell.lock();
        // What was set before a factory reset is not in the tree any more.
        let password = device
            .tree()
            .get(&format!("{server}ConnectionRequestPassword"));
        let has_password = password.is_some_and(|reading| !reading.value.is_empty());
        let request = &device.summary().connection_request;
        if has_password && request.credentials.is_some() {
            return None;
        }
        drop(device);
        let credentials = Credentials {
            username: self.acs.stun.account(self.device()).username,
            password: format!("{:0PASSWORD_DIGITS$x}", rand::random::<u128>()),
        };
        Some(Reach::Credentials(configure::credentials(
            &server,
            &credentials,
        )))
    }

    /// Takes the device's answer; `Some`: there is more to ask, or to tell.
    pub(super) async fn reached(
        &mut self,
        reach: Reach,
        outcome: Outcome,
        now: Now,
    ) -> Option<Reach> {
        match (reach, outcome) {
            (Reach::Names, outcome) => {
                let names = match &outcome {
                    Ok(Response::GetParameterNames(names)) => Some(names.as_slice()),
                    _ => None,
                };
                let management = self.acs.models.learn(&self.summary, names);
                self.change_summary(|summary| summary.management = Some(management));
                self.reach(now).await
            }
            (Reach::Configure(_), Ok(_)) => {
                self.keep_configured(now.unix, None);
                None
            }
            (Reach::Configure(parameters), Err(fault)) => {
                if self.learn_refused(&parameters, &fault) {
                    return self.configure(now.unix);
                }
                self.note_refusal(&fault, now);
                None
            }
            (Reach::Credentials(_), Ok(_)) => None,
            (Reach::Credentials(_), Err(fault)) => {
                self.note_refusal(&fault, now);
                None
            }
        }
    }

    /// Remembers names that the device does not know after all. Whether there are such, so that
    /// it is worth telling the rest again.
    fn learn_refused(&mut self, parameters: &[ParameterValue], fault: &Fault) -> bool {
        let refused: BTreeSet<String> = fault
            .parameters
            .iter()
            .filter(|refused| refused.code == INVALID_NAME)
            .filter(|refused| parameters.iter().any(|sent| sent.path == refused.path))
            .filter_map(|refused| refused.path.rsplit('.').next())
            .map(str::to_owned)
            .collect();
        if refused.is_empty() || refused.len() == parameters.len() {
            return false;
        }
        let software_version = self.summary.software_version.clone();
        self.change_summary(|summary| {
            let management = summary.management.get_or_insert(crate::device::Management {
                software_version,
                names: None,
                refused: BTreeSet::new(),
            });
            management.refused.extend(refused);
        });
        true
    }

    fn note_refusal(&mut self, fault: &Fault, now: Now) {
        tracing::warn!(
            device = %self.device(), code = fault.code, text = %fault.text,
            "the device does not take what its NAT mode needs"
        );
        self.keep_configured(now.unix, Some(format!("{} {}", fault.code, fault.text)));
    }

    fn keep_configured(&mut self, now: UnixTime, error: Option<String>) {
        let Some(mode) = self.summary.nat.as_ref().map(|nat| nat.mode) else {
            return;
        };
        let wishes = configure::wishes(mode, &self.offer(now));
        let wanted = configure::fingerprint(mode, &wishes, &self.left(mode));
        // What was refused has undone nothing of the mode before.
        let before = self.summary.configured.as_ref().map(|before| before.mode);
        let stays = error.is_some() && !self.is_bootstrap();
        let in_force = before.filter(|_| stays).unwrap_or(mode);
        self.configured(in_force, wanted, now, error);
    }

    /// The modes that the device was told of before and that are not undone, because they are
    /// only given up until they work again.
    fn left(&self, mode: Mode) -> BTreeSet<Mode> {
        let configured = self.summary.configured.as_ref();
        let before = configured.filter(|_| !self.is_bootstrap()).map(told_for);
        let before = before.unwrap_or_default();
        given_up(&self.summary)
            .filter(|given_up| *given_up != mode && before.contains(given_up))
            .collect()
    }

    fn configured(&mut self, mode: Mode, wanted: u64, at: UnixTime, error: Option<String>) {
        let informs_every = (mode == Mode::ShortInform).then(|| self.short_interval(at));
        let left = self.left(mode);
        self.change_summary(|summary| {
            summary.configured = Some(Configured {
                mode,
                wanted,
                at,
                error,
                informs_every,
                left,
            });
        });
    }

    fn offer(&self, now: UnixTime) -> Offer {
        let settings = &self.instance.settings;
        let standard = settings.standard_periodic_inform_seconds;
        Offer {
            standard_periodic_inform_seconds: standard,
            short_periodic_inform_seconds: self.short_interval(now),
            periodic_inform_time: short_inform::inform_time(&self.device().id, standard),
            stun: self.acs.stun.account(self.device()),
        }
    }

    fn is_bootstrap(&self) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.kind() == EventKind::Bootstrap)
    }

    pub(super) fn change_summary(&mut self, change: impl FnOnce(&mut Summary)) {
        let mut device = self.cell.lock();
        device.summary_mut(change);
        let requested = self.summary.requested_download.clone();
        self.summary = device.shared_summary();
        if requested.is_some() {
            Arc::make_mut(&mut self.summary).requested_download = requested;
        }
        drop(device);
        self.acs.store.touched(&self.cell);
    }
}
