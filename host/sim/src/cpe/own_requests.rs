//! The requests of the device's own: TransferComplete and the like. Each is announced by its
//! events in every Inform until it is answered (TR-069 §3.7.1.5).

use cwmp::{
    AutonomousDuResult, AutonomousTransferComplete, Event, EventKind, Kicked, Request,
    RequestDownload,
};

use super::Cpe;

/// Those that wait to be told, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnRequests(Vec<Own>);

#[derive(Debug, Clone)]
struct Own {
    request: Request,
    /// Event codes with their CommandKey.
    events: Vec<Event>,
}

impl OwnRequests {
    pub(super) fn first(&self) -> Option<&Request> {
        self.0.first().map(|own| &own.request)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer to the first one came.
    pub(super) fn told(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }
}

impl Cpe {
    /// Asks for a file: `9 REQUEST DOWNLOAD` and RequestDownload (A.4.2.2).
    pub fn request_download(&mut self, file_type: &str, arguments: &[(&str, &str)]) {
        let arguments = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = Request::RequestDownload(RequestDownload {
            file_type: file_type.to_owned(),
            arguments: arguments.collect(),
        });
        self.tell_now(request, EventKind::RequestDownload);
    }

    /// A browser was sent to it: `5 KICKED` and Kicked (A.4.2.1).
    pub fn kick(&mut self, kicked: Kicked) {
        self.tell_now(Request::Kicked(Box::new(kicked)), EventKind::Kicked);
    }

    /// Where the ACS wanted the last browser to be sent.
    pub fn kicked_to(&self) -> Option<&str> {
        self.kicked_to.as_deref()
    }

    /// It has transferred a file by itself: `10 AUTONOMOUS TRANSFER COMPLETE`.
    pub fn transferred_by_itself(&mut self, complete: AutonomousTransferComplete) {
        let request = Request::AutonomousTransferComplete(Box::new(complete));
        self.tell_now(request, EventKind::AutonomousTransferComplete);
    }

    /// Its software modules have changed by themselves: `12 AUTONOMOUS DU STATE CHANGE COMPLETE`.
    pub fn modules_changed_by_themselves(&mut self, results: Vec<AutonomousDuResult>) {
        let request = Request::AutonomousDuStateChangeComplete(results);
        self.tell_now(request, EventKind::AutonomousDuStateChangeComplete);
    }

    fn tell_now(&mut self, request: Request, kind: EventKind<'_>) {
        self.tell(request, &[(kind, "")]);
        self.schedule.want_session();
    }

    /// Adds a request, with the events that announce it.
    pub(super) fn tell(&mut self, request: Request, events: &[(EventKind<'_>, &str)]) {
        let events = events.iter().map(|(kind, command_key)| Event {
            code: kind.to_string(),
            command_key: (*command_key).to_owned(),
        });
        let own = Own {
            request,
            events: events.collect(),
        };
        for event in &own.events {
            self.events.announce(event);
        }
        self.own_requests.0.push(own);
    }

    /// As long as a request waits, its events belong into each Inform.
    pub(super) fn announce_again(&mut self) {
        for event in self.own_requests.0.iter().flat_map(|own| &own.events) {
            self.events.announce(event);
        }
    }
}
