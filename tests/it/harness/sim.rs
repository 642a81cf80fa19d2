//! Simulated devices: one that does what the test says, and one that lives by itself.

use std::time::Duration;

use cpe_sim::{
    Clock, Cpe, CpeConfig, Device, Due, Fleet, FleetConfig, FleetEvent, SessionOptions,
    SessionReport, Step, UnixTime, run_session, run_transfer,
};
use tokio::sync::broadcast;

use super::{Host, PATIENCE, http_from};

/// A simulated device that does only what the test says, when it says so.
pub struct Sim {
    pub cpe: Cpe,
    pub options: SessionOptions,
    /// Of the session that the test goes through post by post.
    cookie: String,
    next: Option<Vec<u8>>,
}

impl Sim {
    pub fn new(config: CpeConfig) -> Sim {
        let options = SessionOptions::default();
        Sim {
            cpe: config.start(options.clock.now()),
            options,
            cookie: String::new(),
            next: None,
        }
    }

    /// Where the API has it.
    pub fn at(&self) -> String {
        format!(
            "/v1/devices/{}",
            patchbay::device::device_id(&self.cpe.device_id())
        )
    }

    pub fn now(&self) -> UnixTime {
        self.options.clock.now()
    }

    /// The full name of a parameter in its tree.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.cpe.data_model().root())
    }

    /// A parameter as the device itself knows it.
    pub fn value(&self, name: &str) -> String {
        let path = self.path(name);
        self.cpe
            .get(&path, self.now())
            .unwrap_or_else(|| panic!("the device has no {path}"))
    }

    /// A session, whatever it is for.
    pub async fn session(&mut self) -> SessionReport {
        match run_session(&mut self.cpe, &self.options).await {
            Ok(report) => report,
            Err(error) => panic!("{error}: {:?}", error.report),
        }
    }

    /// All that the device has to do by itself now: boots, sessions and transfers.
    pub async fn settle(&mut self) -> Vec<SessionReport> {
        let mut sessions = Vec::new();
        loop {
            match self.cpe.poll(self.now()) {
                Due::Session => sessions.push(self.session().await),
                Due::Transfer(mut job) => {
                    self.cpe.transfer_begun(&mut job, self.options.clock.now());
                    let result = run_transfer(&job, &self.options).await;
                    self.cpe.transfer_done(result, self.options.clock.now());
                }
                Due::Later(Some(at)) if self.cpe.is_down(self.now()) => {
                    self.options.clock = Clock::starting_at(at);
                }
                Due::Later(_) => return sessions,
            }
        }
    }

    /// Time passes, for the device.
    pub fn later(&mut self, time: Duration) {
        self.options.clock = Clock::starting_at(self.now() + time);
    }

    /// The next periodic session.
    pub async fn periodic(&mut self) -> SessionReport {
        let interval = self
            .value("ManagementServer.PeriodicInformInterval")
            .parse()
            .unwrap();
        self.later(Duration::from_secs(interval));
        assert_eq!(self.cpe.poll(self.now()), Due::Session);
        self.session().await
    }

    /// One post of a session, the first its Inform; what the ACS answered. The device has done
    /// what that asks for, and tells so in the next post.
    pub async fn post(&mut self, host: &Host) -> String {
        let now = self.now();
        let body = match self.next.take() {
            Some(body) => body,
            None => self.cpe.begin_session(now),
        };
        let headers = format!("Cookie: {}\r\n", self.cookie);
        let (from, to) = (self.options.local_address, self.options.connect_to);
        let to = to.unwrap_or(host.cwmp);
        let answer = http_from(from, to, "POST", "/", &headers, &body).await;
        assert!([200, 204].contains(&answer.status), "{answer:?}");
        let set = answer.head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("set-cookie:")
                .then(|| &line["Set-Cookie:".len()..])
        });
        if let Some(cookie) = set {
            self.cookie = cookie.split(';').next().unwrap().trim().to_owned();
        }
        match self.cpe.receive(&answer.body, now).unwrap() {
            Step::Post(next) => self.next = Some(next),
            Step::Done => drop(self.cpe.finish_session(now)),
            Step::Drop | Step::Hang(_) => self.hang_up(),
        }
        answer.text()
    }

    /// Posts until the ACS asks for this.
    pub async fn post_until(&mut self, host: &Host, method: &str) {
        for _ in 0..100 {
            let answer = self.post(host).await;
            if answer.contains(&format!("<cwmp:{method}")) {
                return;
            }
            assert!(self.next.is_some(), "the session ended without {method}");
        }
        panic!("no {method} in a hundred posts");
    }

    /// Posts to the end.
    pub async fn post_rest(&mut self, host: &Host) {
        while self.next.is_some() {
            self.post(host).await;
        }
    }

    /// Drops the session: what it would have posted next is lost.
    pub fn hang_up(&mut self) {
        self.next = None;
        self.cpe.fail_session(self.now());
    }
}

/// The methods that the ACS called in a session.
pub fn rpcs(session: &SessionReport) -> Vec<&str> {
    session
        .record
        .served
        .iter()
        .map(|served| served.method())
        .collect()
}

/// The event codes of a session.
pub fn codes(session: &SessionReport) -> Vec<&str> {
    session
        .record
        .events
        .iter()
        .map(|event| event.code.as_str())
        .collect()
}

/// A simulated device that lives by itself and takes connection requests.
pub struct Live {
    pub device: Device,
    /// Where the API has it.
    pub at: String,
    events: broadcast::Receiver<FleetEvent>,
    _fleet: Fleet,
}

impl Live {
    /// Switches on the only device of this fleet and waits for its first session.
    pub async fn start(config: FleetConfig) -> Live {
        let fleet = Fleet::start(config).await.unwrap();
        let events = fleet.events();
        let device = fleet.devices().next().unwrap();
        let id = device
            .with(|cpe, _| patchbay::device::device_id(&cpe.device_id()))
            .await;
        let mut live = Live {
            device,
            at: format!("/v1/devices/{id}"),
            events,
            _fleet: fleet,
        };
        live.session().await;
        live
    }

    /// Waits for the end of the next session: its events and RPCs.
    pub async fn session(&mut self) -> (Vec<String>, Vec<String>) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv())
                .await
                .expect("no session");
            match event.unwrap() {
                FleetEvent::SessionDone { events, rpcs, .. } => return (events, rpcs),
                FleetEvent::SessionFailed { message, .. } => panic!("{message}"),
                _ => {}
            }
        }
    }
}
