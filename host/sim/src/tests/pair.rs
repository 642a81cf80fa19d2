//! A device and the ACS half of a session in one thread, on a virtual clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cwmp::{Fault, Inform, Limits, Message, Received, Request, Response, Session};

use crate::{Cpe, CpeConfig, Due, SessionRecord, Step, TransferJob, TransferResult, UnixTime};

/// More messages than any session of these tests has.
const MESSAGES_MAX: usize = 100;
/// More things to do than any device of these tests has in a row.
const TURNS_MAX: usize = 100;

pub(super) struct Pair {
    pub(super) cpe: Cpe,
    pub(super) now: UnixTime,
    began: Instant,
    /// What the ACS wants to ask.
    pub(super) queue: VecDeque<Request>,
    /// What it was answered; `None`: an empty POST.
    pub(super) answers: Vec<Option<Result<Response, Fault>>>,
    pub(super) informs: Vec<Inform>,
    /// What the device has asked beside Inform.
    pub(super) requests: Vec<Request>,
    /// The files that transfers find, by the end of their URL.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    pub(super) transfers: Vec<TransferJob>,
    /// The session breaks when the device has sent as many messages.
    pub(super) breaks_after: Option<usize>,
}

impl Pair {
    pub(super) fn new(config: CpeConfig) -> Pair {
        let now = Duration::from_secs(1_700_000_000);
        Pair {
            cpe: Cpe::new(config, now),
            now,
            began: Instant::now(),
            queue: VecDeque::new(),
            answers: Vec::new(),
            informs: Vec::new(),
            requests: Vec::new(),
            files: Vec::new(),
            transfers: Vec::new(),
            breaks_after: None,
        }
    }

    pub(super) fn tr181() -> Pair {
        Pair::new(CpeConfig::tr181("A1", "http://acs/"))
    }

    /// Lets time pass until the device has run a session, and runs it.
    pub(super) fn next_session(&mut self) -> SessionRecord {
        self.session_before(Duration::MAX).expect("no session")
    }

    /// The same, if there is one within `time`.
    pub(super) fn session_before(&mut self, time: Duration) -> Option<SessionRecord> {
        let end = self.now.saturating_add(time);
        for _ in 0..TURNS_MAX {
            match self.cpe.poll(self.now) {
                Due::Session => return Some(self.session()),
                Due::Transfer(job) => self.transfer(*job),
                Due::Later(Some(at)) if at <= end => {
                    assert!(at > self.now, "a timer in the past");
                    self.now = at;
                }
                Due::Later(_) => {
                    self.now = self
                        .now
                        .max(end.min(self.now + Duration::from_secs(1 << 40)));
                    return None;
                }
            }
        }
        panic!("the device does not come to rest");
    }

    /// Has the device asked this one thing in its next session, and tells the answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<Response, Fault> {
        let before = self.answers.len();
        self.queue.push_back(request);
        self.cpe.connection_request(self.now);
        self.next_session();
        assert_eq!(self.answers.len(), before + 1);
        self.answers.pop().unwrap().expect("no answer")
    }

    pub(super) fn get(&self, path: &str) -> Option<String> {
        self.cpe.get(path, self.now)
    }

    fn session(&mut self) -> SessionRecord {
        let mut acs = Session::new(self.instant(), Limits::default());
        let mut body = self.cpe.begin_session(self.now);
        for sent in 0..MESSAGES_MAX {
            if self.breaks_after == Some(sent) {
                self.breaks_after = None;
                return self.cpe.fail_session(self.now);
            }
            self.now += Duration::from_millis(20);
            let answer = self.answer(&mut acs, &body);
            match self.cpe.receive(answer.as_bytes(), self.now).unwrap() {
                Step::Post(next) => body = next,
                Step::Done => return self.cpe.finish_session(self.now),
                Step::Drop | Step::Hang(_) => return self.cpe.fail_session(self.now),
            }
        }
        panic!("the session does not end");
    }

    fn answer(&mut self, acs: &mut Session, body: &[u8]) -> String {
        let empty = body.iter().all(u8::is_ascii_whitespace);
        let message = (!empty).then(|| Message::parse(body).unwrap());
        match acs.receive(self.instant(), message.as_ref()).unwrap() {
            Received::Inform(inform) => self.informs.push(inform.clone()),
            Received::Request(request) => self.requests.push(request.clone()),
            Received::Response(_, response) => self.answers.push(Some(Ok(response.clone()))),
            Received::Fault(_, fault) => self.answers.push(Some(Err(fault.clone()))),
            Received::NoAnswer(_) | Received::OtherAnswer(..) => self.answers.push(None),
            Received::Ready | Received::Over => {}
        }
        let next = if acs.wants_request() {
            self.queue.pop_front()
        } else {
            None
        };
        let reply = acs.reply(next).unwrap();
        reply.map_or(String::new(), |message| message.to_xml())
    }

    fn transfer(&mut self, mut job: TransferJob) {
        self.cpe.transfer_begun(&mut job, self.now);
        self.now += Duration::from_secs(2);
        let file = self.files.iter().find(|(end, _)| job.url.ends_with(end));
        let result = match (&job.upload, file) {
            (Some(_), _) => TransferResult::Done(Vec::new()),
            (None, Some((_, content))) => TransferResult::Done(content.clone()),
            (None, None) => TransferResult::Failed(9016, "404".to_owned()),
        };
        self.transfers.push(job);
        self.cpe.transfer_done(result, self.now);
    }

    fn instant(&self) -> Instant {
        self.began + (self.now - Duration::from_secs(1_700_000_000))
    }
}

/// The event codes, with the CommandKey where there is one.
pub(super) fn codes(record: &SessionRecord) -> Vec<String> {
    let events = record.events.iter();
    events
        .map(|event| match event.command_key.as_str() {
            "" => event.code.clone(),
            key => format!("{} {key}", event.code),
        })
        .collect()
}
