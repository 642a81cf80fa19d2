//! The Inform: who it is, what is new about it, and whether there is anything to do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cwmp::rpc::fault::RETRY_REQUEST;
use cwmp::{Body, EventKind, Fault, Limits, Message, Request, Session};
use tracing::{Instrument, Span};

use super::identity::Identity;
use super::{Conversation, Depth, Jobs, ReachedAt, Refused, Reply, Times, Trace};
use crate::Acs;
use crate::clock::Now;
use crate::config::UnknownDevices;
use crate::device::{DeviceKey, Mode, Summary, device_id};
use crate::door::{Peer, Proof};
use crate::events::{Between, DeviceChanged, DeviceRegistered, Event, What, short};
use crate::instance::Instance;
use crate::nat::decide::Sighting;
use crate::plugins::{About, Matched};
use crate::store::DeviceCell;
use crate::traces::RequestHead;
use crate::work::campaign::Informed;

/// A session of one device must not be able to occupy the host for ever.
const MESSAGE_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Requests of the device itself in one session.
const DEVICE_REQUESTS_MAX: u32 = 1_000;

/// Who an Inform says it is from, after its profile has corrected that. Nothing is kept yet.
pub struct Caller {
    instance: Arc<Instance>,
    key: DeviceKey,
    summary: Arc<Summary>,
    matched: Arc<Matched>,
    known: Option<Arc<DeviceCell>>,
    trace: Trace,
    span: Span,
}

/// A conversation that has begun, and its first answer.
pub struct Opened {
    /// The conversation, to be kept for the device's next POST.
    pub conversation: Conversation,
    /// The InformResponse, or a fault.
    pub reply: Reply,
}

impl Caller {
    /// Reads who it is in an Inform.
    pub async fn identify(
        acs: &Arc<Acs>,
        instance: &Arc<Instance>,
        message: &mut Message,
        head: &RequestHead,
        raw: &Bytes,
        now: Now,
    ) -> Result<Caller, Refused> {
        let Body::Request(Request::Inform(inform)) = &mut message.body else {
            return Err(Refused {
                reason: "expected an Inform".into(),
            });
        };
        let trace = Trace::begin(acs, now);
        trace.received(now, head, raw);
        let span = trace.span();
        let correct = correct(acs, instance, inform, trace, span.clone(), now);
        let caller = correct.instrument(span).await?;
        if let Some(version) = caller.matched.overrides.cwmp_version {
            message.version = version;
        }
        Ok(caller)
    }

    /// The device that it says it is.
    pub fn device(&self) -> &DeviceKey {
        &self.key
    }

    /// What is known of that device, with what the Inform tells.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether it was never seen nor announced, in an instance that refuses such devices.
    pub fn is_refused(&self) -> bool {
        self.known.is_none() && self.instance.settings.unknown_devices == UnknownDevices::Refuse
    }

    /// The span of the session.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The device in the store; `None`: it was never seen.
    pub fn known(&self) -> Option<&Arc<DeviceCell>> {
        self.known.as_ref()
    }
}

impl Conversation {
    /// Takes the Inform that begins a session.
    pub async fn begin(
        acs: &Arc<Acs>,
        peer: Peer,
        reached_at: ReachedAt,
        caller: Caller,
        proof: Proof,
        message: &Message,
        now: Now,
    ) -> Result<Opened, Refused> {
        let cell = register(acs, &caller, now)?;
        let summary = cell.lock().shared_summary();
        let Caller {
            instance,
            matched,
            mut trace,
            span,
            ..
        } = caller;

        let mut session = Session::new(now.instant, limits(&acs.config.cwmp));
        session.receive(now.instant, Some(message))?;
        let Body::Request(Request::Inform(inform)) = &message.body else {
            return Err(Refused {
                reason: "expected an Inform".into(),
            });
        };

        trace.known(&cell, peer.address.to_string(), &inform.events);
        let mut sighting = Sighting {
            peer: Some(peer),
            ..Sighting::default()
        };
        sighting.read_inform(&inform.parameters);
        let mut conversation = Conversation {
            acs: Arc::clone(acs),
            instance,
            session,
            cell,
            summary,
            matched,
            events: inform.events.clone(),
            current_time: inform.current_time.to_unix(),
            retry_count: inform.retry_count,
            sighting,
            proof,
            jobs: Jobs::default(),
            depth: Depth::Full,
            retries_asked: 0,
            busy: false,
            started: now,
            times: Times::default(),
            trace,
            span,
            reached_at,
        };
        let reply = if acs.store.takes_writes() || inform.is_routine() {
            conversation.depth = match conversation.summary.quarantined {
                true => Depth::Quarantine,
                false => conversation.depth_of(now),
            };
            conversation.remember_inform(inform, peer, message.version, now);
            if conversation.depth != Depth::Quarantine {
                conversation.tag_by_code(now);
                conversation.resolve_rebooted(now).await;
                conversation.resolve_transfers(now).await;
                conversation.tell_campaigns(now);
            }
            conversation.session.reply(None)?
        } else {
            // What its events tell is told once, and would not outlive this process.
            let refused = conversation.session.refuse(Fault::new(RETRY_REQUEST))?;
            Some(refused)
        };
        let reply = conversation.reply(reply);
        conversation.note_wake(now);
        acs.counters.sessions_begun.add(1);
        acs.counters.protocol.requests.of("Inform").add(1);
        Ok(Opened {
            conversation,
            reply,
        })
    }

    /// A device that sends an Inform every few seconds because it cannot be woken has a full
    /// session once in each standard interval, and whenever it has something else to say.
    fn depth_of(&self, now: Now) -> Depth {
        let mode = self.summary.nat.as_ref().map(|nat| nat.mode);
        let is_periodic = match self.events.as_slice() {
            [event] => event.kind() == EventKind::Periodic,
            _ => false,
        };
        if mode != Some(Mode::ShortInform)
            || !is_periodic
            || matches!(self.proof, Proof::Factory(_))
        {
            return Depth::Full;
        }
        let standard = self.instance.settings.standard_periodic_inform_seconds;
        let (id, last) = (&self.device().id, self.cell.contacts().last_full);
        let informs = &self.acs.short_informs;
        if !self.decision_stands() || informs.is_full_due(id, last, now.unix, standard) {
            return Depth::Full;
        }
        if self.acs.store.has_pending(self.device()) || !self.has_its_interval(now.unix) {
            return Depth::Errands;
        }
        Depth::Glance
    }

    /// Tells who wakes the device that it has come, and takes in what its history says then.
    fn note_wake(&mut self, now: Now) {
        if self.acs.session_opened(self.device(), &self.events, now) {
            let device = self.cell.lock();
            self.summary = device.shared_summary();
        }
    }

    /// A campaign may wait for the device to be back.
    fn tell_campaigns(&self, now: Now) {
        let informed = || Informed {
            at: now.unix,
            booted: self.events.is_empty()
                || self.events.iter().any(|event| {
                    let kind = event.kind();
                    matches!(kind, EventKind::Boot | EventKind::Bootstrap)
                        || kind == EventKind::Method("Reboot")
                }),
            version: self.summary.software_version.clone(),
        };
        self.acs.campaigns.informed(self.device(), informed);
    }

    fn remember_inform(
        &mut self,
        inform: &cwmp::Inform,
        peer: Peer,
        version: cwmp::Version,
        now: Now,
    ) {
        self.cell.contacted(now.unix);
        if self.depth == Depth::Glance {
            return;
        }
        let bootstrap = inform.has_event(EventKind::Bootstrap);
        let mut device = self.cell.lock();
        if bootstrap && self.depth != Depth::Quarantine {
            // Nothing that was known of a device holds after a factory reset (TR-069 §3.7.1.5).
            device.tree_mut().remove_prefix("");
            device.summary_mut(|summary| {
                summary.xmpp.told = None;
                summary.xmpp.refused_at = 0;
                summary.xmpp.connection.clear();
            });
        }
        let peer = peer.address.to_string();
        let known = device.summary();
        let is_known = known.peer_address == peer && known.cwmp_version == version.as_str();
        if !is_known {
            if !known.peer_address.is_empty() && known.peer_address != peer {
                let address = Between {
                    before: known.peer_address.clone(),
                    after: peer.clone(),
                };
                let change = DeviceChanged {
                    address: Some(address),
                    ..DeviceChanged::default()
                };
                self.acs.events.changed(now.unix, self.cell.key(), change);
            }
            device.summary_mut(|summary| {
                summary.peer_address = peer;
                version.as_str().clone_into(&mut summary.cwmp_version);
            });
        }
        let mut over_limit = None;
        // Of a device that was not let in yet nothing is kept but who it says it is.
        let is_let_in = self.depth != Depth::Quarantine;
        for parameter in inform.parameters.iter().filter(|_| is_let_in) {
            let set = device.tree_mut().set(
                &parameter.path,
                &parameter.value,
                &parameter.xsd_type,
                now.unix,
            );
            if let Err(error) = set {
                over_limit = Some(error);
            }
        }
        self.summary = device.shared_summary();
        drop(device);
        if let Some(error) = over_limit {
            tracing::warn!(device = %self.device(), %error, "a parameter of the Inform was not kept");
        }
        self.acs.store.touched(&self.cell);
        if !inform.is_routine() {
            self.trace.eventful();
        }
    }
}

/// Looks up the device of an Inform, after its profile has corrected what it says.
async fn correct(
    acs: &Arc<Acs>,
    instance: &Arc<Instance>,
    inform: &mut cwmp::Inform,
    trace: Trace,
    span: Span,
    now: Now,
) -> Result<Caller, Refused> {
    let key = key(instance, inform)?;
    let known = acs.store.device(&key).map_err(unreadable)?;
    let (mut summary, is_new) = match &known {
        Some(cell) => (cell.lock().shared_summary(), false),
        None => {
            let summary = Summary {
                first_contact: now.unix,
                ..Summary::default()
            };
            (Arc::new(summary), true)
        }
    };
    let told = Identity::of_inform(inform).put_into(&mut summary);
    let table = acs.plugins.table();
    let mut matched = acs
        .matches
        .of(&table, &key, &instance.name, &summary, is_new || told);
    let mut key = key;
    if matched.has_on_inform() {
        let about = About {
            key: &key,
            device: &summary,
            now: now.unix,
        };
        let who = inform.device_id.clone();
        let mut calls = Vec::new();
        *inform = matched
            .on_inform(&about, std::mem::take(inform), &mut calls)
            .await;
        // A profile may correct who a device is, but not make it nobody.
        if self::key(instance, inform).is_err() {
            inform.device_id = who;
        }
        let changed = calls.iter().any(|call| !call.changes.is_empty());
        trace.hooks(now, calls);
        if changed {
            key = self::key(instance, inform)?;
            Identity::of_inform(inform).put_into(&mut summary);
            matched = acs.matches.of(&table, &key, &instance.name, &summary, true);
        }
    }
    let known = match known {
        Some(cell) if *cell.key() == key => Some(cell),
        _ => acs.store.device(&key).map_err(unreadable)?,
    };
    span.record("device", tracing::field::display(&key));
    Ok(Caller {
        instance: Arc::clone(instance),
        key,
        summary,
        matched,
        known,
        trace,
        span,
    })
}

/// The caller's place in the store, made if it is new.
fn register(acs: &Acs, caller: &Caller, now: Now) -> Result<Arc<DeviceCell>, Refused> {
    let Caller {
        instance,
        key,
        summary: told,
        known,
        trace,
        ..
    } = caller;
    let (cell, is_new) = match known {
        Some(cell) if !cell.is_deleted() => (Arc::clone(cell), false),
        _ => {
            let unknown = instance.settings.unknown_devices;
            let summary = Summary {
                quarantined: unknown == UnknownDevices::Quarantine,
                ..Summary::clone(told)
            };
            acs.store.register(key, summary).map_err(unreadable)?
        }
    };
    // A device may be expected before its first contact.
    let is_awaited = !is_new && cell.lock().summary().first_contact == 0;
    if is_new || is_awaited {
        acs.counters.devices_new.add(1);
        trace.eventful();
        tracing::info!(
            device = %key, manufacturer = %told.manufacturer,
            software = %told.software_version, "a new device"
        );
        let what = What::DeviceRegistered(DeviceRegistered {
            manufacturer: short(&told.manufacturer),
            oui: short(&told.oui),
            product_class: short(&told.product_class),
            serial_number: short(&told.serial_number),
            software_version: short(&told.software_version),
        });
        acs.events.emit(Event::of_device(now.unix, key, what));
    }
    let mut device = cell.lock();
    if is_awaited || Identity::of(device.summary()) != Identity::of(told) {
        let before = &device.summary().software_version;
        if !is_awaited && *before != told.software_version {
            let software_version = Between {
                before: short(before),
                after: short(&told.software_version),
            };
            let change = DeviceChanged {
                software_version: Some(software_version),
                ..DeviceChanged::default()
            };
            acs.events.changed(now.unix, key, change);
        }
        device.summary_mut(|summary| {
            Identity::of(told).write(summary);
            if is_awaited {
                summary.first_contact = now.unix;
            }
        });
    }
    drop(device);
    Ok(cell)
}

fn key(instance: &Instance, inform: &cwmp::Inform) -> Result<DeviceKey, Refused> {
    if inform.device_id.serial_number.trim().is_empty() && inform.device_id.oui.trim().is_empty() {
        return Err(Refused {
            reason: "expected a DeviceId with an OUI and a SerialNumber in the Inform, got neither"
                .into(),
        });
    }
    Ok(DeviceKey {
        instance: Arc::clone(&instance.name),
        id: device_id(&inform.device_id).into(),
    })
}

fn unreadable(error: crate::store::StoreError) -> Refused {
    tracing::error!(%error, "cannot look up a device");
    Refused {
        reason: format!("the device cannot be looked up: {error}"),
    }
}

fn limits(config: &crate::config::Cwmp) -> Limits {
    Limits {
        message_timeout: Duration::from_secs(config.session_silence_seconds_max),
        message_timeout_max: MESSAGE_TIMEOUT_MAX,
        session_timeout: Duration::from_secs(config.session_seconds_max),
        requests_max: config.rpcs_per_session_max,
        device_requests_max: DEVICE_REQUESTS_MAX,
    }
}

/// Bytes without a session that are no message: whatever can be read of the device in them
/// chooses the profiles that may repair them.
pub async fn repair_unknown(
    acs: &Arc<Acs>,
    instance: &Instance,
    body: &[u8],
    meta: &crate::plugins::HttpMeta,
    now: Now,
) -> Option<Vec<u8>> {
    let id = guess(body)?;
    let summary = Summary {
        manufacturer: id.manufacturer,
        oui: id.oui.to_ascii_uppercase(),
        product_class: id.product_class,
        serial_number: id.serial_number,
        ..Summary::default()
    };
    let key = DeviceKey {
        instance: Arc::clone(&instance.name),
        id: "unread".into(),
    };
    let matched = acs
        .plugins
        .table()
        .matched_loosely(&instance.name, &summary);
    let about = About {
        key: &key,
        device: &summary,
        now: now.unix,
    };
    let mut calls = Vec::new();
    let repaired = matched.repair(&about, body, meta, &mut calls).await;
    for call in calls {
        tracing::debug!(%call, "a message that could not be read");
    }
    repaired
}

/// The DeviceId in bytes that are no message, if there is one to be seen.
pub fn guess(body: &[u8]) -> Option<cwmp::DeviceId> {
    let text = String::from_utf8_lossy(body);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once('<')?;
        Some(value.trim().to_owned())
    };
    let id = cwmp::DeviceId {
        manufacturer: element("Manufacturer").unwrap_or_default(),
        oui: element("OUI").unwrap_or_default(),
        product_class: element("ProductClass").unwrap_or_default(),
        serial_number: element("SerialNumber").unwrap_or_default(),
    };
    (!id.oui.is_empty() || !id.manufacturer.is_empty()).then_some(id)
}
