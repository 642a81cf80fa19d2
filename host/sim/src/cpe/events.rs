//! The events that wait to be told (TR-069 §3.7.1.5).

use cwmp::{Event, EventKind};

/// Most events in one Inform (A.3.3.1).
const EVENTS_PER_INFORM_MAX: usize = 64;

/// Events not yet delivered, that is, not yet answered by an InformResponse.
#[derive(Debug, Clone, Default)]
pub(super) struct Events(Vec<Event>);

impl Events {
    /// Takes the place of all others (§3.7.1.5: `0 BOOTSTRAP` makes them meaningless).
    pub(super) fn bootstrap(&mut self) {
        self.0
            .retain(|event| matches!(event.kind(), EventKind::Method(_)));
        self.happened(EventKind::Bootstrap, "");
    }

    pub(super) fn scheduled(&mut self, command_key: &str) {
        self.happened(EventKind::Scheduled, "");
        self.happened(EventKind::Method("ScheduleInform"), command_key);
    }

    /// What is single, and what is known already of a multiple one, is there once.
    pub(super) fn happened(&mut self, kind: EventKind<'_>, command_key: &str) {
        let mut events = self.0.iter();
        let is_there = events.any(|event| event.kind() == kind);
        if !(kind.is_single() && is_there) {
            self.0.push(Event {
                code: kind.to_string(),
                command_key: command_key.to_owned(),
            });
        }
    }

    /// Of a request of the device, as long as that is not answered.
    pub(super) fn announce(&mut self, event: &Event) {
        if !self.0.contains(event) {
            self.0.push(event.clone());
        }
    }

    /// Those for the next Inform.
    pub(super) fn pending(&self) -> Vec<Event> {
        let mut events = self.0.clone();
        events.sort_by_key(order);
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
        self.0.retain(|event| match event.kind() {
            EventKind::Bootstrap | EventKind::ValueChange | EventKind::TransferComplete => true,
            EventKind::Method(method) => method != "ScheduleInform",
            _ => false,
        });
    }
}

/// Numbered events by their number, the others behind them in the order they happened.
fn order(event: &Event) -> usize {
    event.kind().number().unwrap_or(usize::MAX)
}
