//! The events that wait to be told (TR-069 §3.7.1.5).

use cwmp::Event;

/// Most events in one Inform (A.3.3.1).
const EVENTS_PER_INFORM_MAX: usize = 64;

const BOOTSTRAP: &str = "0 BOOTSTRAP";
const BOOT: &str = "1 BOOT";
const PERIODIC: &str = "2 PERIODIC";
const SCHEDULED: &str = "3 SCHEDULED";
const VALUE_CHANGE: &str = "4 VALUE CHANGE";
const CONNECTION_REQUEST: &str = "6 CONNECTION REQUEST";
pub(super) const TRANSFER_COMPLETE: &str = "7 TRANSFER COMPLETE";
const DIAGNOSTICS_COMPLETE: &str = "8 DIAGNOSTICS COMPLETE";
pub(super) const KICKED: &str = "5 KICKED";
pub(super) const REQUEST_DOWNLOAD: &str = "9 REQUEST DOWNLOAD";
pub(super) const AUTONOMOUS_TRANSFER_COMPLETE: &str = "10 AUTONOMOUS TRANSFER COMPLETE";
pub(super) const DU_STATE_CHANGE_COMPLETE: &str = "11 DU STATE CHANGE COMPLETE";
pub(super) const AUTONOMOUS_DU_STATE_CHANGE_COMPLETE: &str =
    "12 AUTONOMOUS DU STATE CHANGE COMPLETE";

/// Events not yet delivered, that is, not yet answered by an InformResponse.
#[derive(Debug, Clone, Default)]
pub(super) struct Events(Vec<Event>);

impl Events {
    /// Takes the place of all others (§3.7.1.5: `0 BOOTSTRAP` makes them meaningless).
    pub(super) fn bootstrap(&mut self) {
        self.0.retain(|event| event.code.starts_with("M "));
        self.single(BOOTSTRAP);
    }

    pub(super) fn boot(&mut self) {
        self.single(BOOT);
    }

    pub(super) fn periodic(&mut self) {
        self.single(PERIODIC);
    }

    pub(super) fn value_change(&mut self) {
        self.single(VALUE_CHANGE);
    }

    pub(super) fn connection_request(&mut self) {
        self.single(CONNECTION_REQUEST);
    }

    pub(super) fn diagnostics_complete(&mut self) {
        self.single(DIAGNOSTICS_COMPLETE);
    }

    pub(super) fn scheduled(&mut self, command_key: &str) {
        self.single(SCHEDULED);
        self.multiple("M ScheduleInform", command_key);
    }

    pub(super) fn reboot(&mut self, command_key: &str) {
        self.multiple("M Reboot", command_key);
    }

    /// Of a request of the device, as long as that is not answered.
    pub(super) fn announce(&mut self, event: &Event) {
        if !self.has(&event.code, &event.command_key) {
            self.0.push(event.clone());
        }
    }

    /// Those for the next Inform.
    pub(super) fn pending(&self) -> Vec<Event> {
        let mut events = self.0.clone();
        events.sort_by_key(|event| order(&event.code));
        events.truncate(EVENTS_PER_INFORM_MAX);
        events
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The InformResponse to an Inform with these came.
    pub(super) fn delivered(&mut self, sent: &[Event]) {
        for event in sent {
            if let Some(at) = self.0.iter().position(|pending| pending == event) {
                self.0.remove(at);
            }
        }
    }

    /// A boot comes: what need not survive one does not.
    pub(super) fn forget_volatile(&mut self) {
        self.0.retain(|event| {
            matches!(
                event.code.as_str(),
                BOOTSTRAP | VALUE_CHANGE | TRANSFER_COMPLETE
            ) || (event.code.starts_with("M ") && event.code != "M ScheduleInform")
        });
    }

    fn single(&mut self, code: &str) {
        if !self.has(code, "") {
            self.multiple(code, "");
        }
    }

    fn multiple(&mut self, code: &str, command_key: &str) {
        self.0.push(Event {
            code: code.to_owned(),
            command_key: command_key.to_owned(),
        });
    }

    fn has(&self, code: &str, command_key: &str) -> bool {
        let mut events = self.0.iter();
        events.any(|event| event.code == code && event.command_key == command_key)
    }
}

/// Numbered events by their number, the others behind them in the order they happened.
fn order(code: &str) -> u32 {
    let number = code.split(' ').next().unwrap_or_default();
    number.parse().unwrap_or(u32::MAX)
}
