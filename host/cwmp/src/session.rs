//! The ACS side of a session (TR-069 §3.7.2), without I/O.
//!
//! CWMP is half-duplex: the device posts, the ACS answers. For each POST call
//! [`Session::receive`], then one of [`Session::reply`], [`Session::answer`] or
//! [`Session::refuse`] for what goes back.

mod limits;
mod opening;
mod received;
mod turn;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, Instant};

pub use limits::Limits;
use limits::count;
pub use received::Received;
use turn::{Negotiated, Pending, Reply, Turn};

use crate::{Body, Error, Fault, Header, Message, Request, Response, Version};

/// A device that answers otherwise than asked is out of step, and one that stays so is not
/// asked for ever.
const OTHER_ANSWERS_MAX: u32 = 3;

/// One session with one device.
///
/// An error of [`Session::receive`] ends the session: what follows is answered with a 204.
/// An Inform begins it again, with all limits as new.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    began: Instant,
    heard: Instant,
    /// How long the device may take to its next message.
    patience: Duration,
    turn: Turn,
    /// Our request that the device did not answer yet.
    outstanding: Option<Request>,
    version: Version,
    /// The UseCWMPVersion of the InformResponse.
    negotiated: Negotiated,
    requests: u32,
    device_requests: u32,
    other_answers: u32,
}

impl Session {
    /// A session whose first message comes at `now`.
    pub fn new(now: Instant, limits: Limits) -> Session {
        Session {
            began: now,
            heard: now,
            patience: limits.message_timeout,
            limits,
            turn: Turn::Begin,
            outstanding: None,
            version: Version::default(),
            negotiated: Negotiated::Not,
            requests: 0,
            device_requests: 0,
            other_answers: 0,
        }
    }

    /// What the device's POST means here. `None` = an empty POST.
    ///
    /// An ID that does not match is no error: some devices do not send ours back.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTurn`] for what has no place at this moment, [`Error::Limit`] beyond a
    /// limit. Either ends the session; [`Session::outstanding`] says what was asked last.
    pub fn receive<'m>(
        &mut self,
        now: Instant,
        message: Option<&'m Message>,
    ) -> Result<Received<'m>, Error> {
        let received = self.receive_in_turn(now, message);
        if received.is_err() {
            self.turn = Turn::Failed;
        }
        received
    }

    fn receive_in_turn<'m>(
        &mut self,
        now: Instant,
        message: Option<&'m Message>,
    ) -> Result<Received<'m>, Error> {
        if let Some(message) = message
            && let Body::Request(Request::Inform(inform)) = &message.body
        {
            self.begin(now, message)?;
            return Ok(Received::Inform(inform));
        }
        self.hear(now)?;
        let Some(message) = message else {
            return self.receive_nothing();
        };
        if matches!(self.turn, Turn::Failed) {
            return Err(self.out_of_turn(message.body.name()));
        }
        match &message.body {
            Body::Request(request) => self.receive_request(message, request),
            Body::Response(response) => self.receive_response(response),
            Body::Fault(fault) => match self.outstanding.take() {
                Some(request) => {
                    self.turn = Turn::Ask;
                    Ok(Received::Fault(request, fault))
                }
                None => Err(self.out_of_turn("a fault")),
            },
        }
    }

    /// It is answered even where the answer to our request is due. That one is waited for
    /// further, and the device is told to give it first (HoldRequests).
    fn receive_request<'m>(
        &mut self,
        message: &Message,
        request: &'m Request,
    ) -> Result<Received<'m>, Error> {
        if matches!(self.turn, Turn::Begin) {
            return Err(self.out_of_turn(request.method()));
        }
        self.count_device_request()?;
        self.turn = Turn::Answer(Pending::new(message.header.id.clone(), request));
        Ok(Received::Request(request))
    }

    fn receive_response<'m>(&mut self, response: &'m Response) -> Result<Received<'m>, Error> {
        match self.outstanding.take() {
            Some(request) if response.answers(&request) => {
                self.turn = Turn::Ask;
                Ok(Received::Response(request, response))
            }
            Some(request) if self.other_answers < OTHER_ANSWERS_MAX => {
                self.other_answers += 1;
                self.turn = Turn::Ask;
                Ok(Received::OtherAnswer(request, response))
            }
            outstanding => {
                self.outstanding = outstanding;
                Err(self.out_of_turn(response.method()))
            }
        }
    }

    fn receive_nothing<'m>(&mut self) -> Result<Received<'m>, Error> {
        match self.turn {
            Turn::Begin => Err(self.out_of_turn("an empty POST")),
            Turn::Over | Turn::Failed => Ok(Received::Over),
            Turn::Answer(_) | Turn::Ask | Turn::Listen => {
                self.turn = Turn::Ask;
                Ok(match self.outstanding.take() {
                    Some(request) => Received::NoAnswer(request),
                    None => Received::Ready,
                })
            }
        }
    }

    /// What to send back: the answer to the device's request, else `next`, else the end
    /// (`None`: HTTP 204 without a body).
    ///
    /// Requests that an ACS does not know are answered with fault 8000.
    ///
    /// # Errors
    ///
    /// [`Error::NotNow`] if there is a `next` although [`Session::wants_request`] says no,
    /// or one that only devices make; [`Error::Raw`] if its XML is not well-formed. Nothing
    /// has changed then. [`Error::Limit`] beyond the limit of requests: the session is over.
    pub fn reply(&mut self, next: Option<Request>) -> Result<Option<Message>, Error> {
        match (&self.turn, next) {
            (Turn::Answer(pending), Some(next)) => Err(Error::NotNow {
                what: next.method().to_owned().into(),
                reason: format!("{} is to be answered first", pending.method).into(),
            }),
            (Turn::Answer(_), None) => self.reply_pending().map(Some),
            (Turn::Ask, Some(next)) => self.ask(next).map(Some),
            (_, Some(next)) => Err(Error::NotNow {
                what: next.method().to_owned().into(),
                reason: "it is the device's turn".into(),
            }),
            (Turn::Failed, None) => Ok(None),
            (_, None) => {
                self.turn = Turn::Over;
                self.outstanding = None;
                Ok(None)
            }
        }
    }

    /// Answers the device's request otherwise than [`Session::reply`] would: for methods that
    /// only the caller knows.
    ///
    /// # Errors
    ///
    /// [`Error::NotNow`] if no request of the device waits for this kind of response;
    /// [`Error::Raw`] if its XML is not well-formed.
    pub fn answer(&mut self, response: Response) -> Result<Message, Error> {
        if let Response::Other(raw) = &response {
            raw.check()?;
        }
        match &mut self.turn {
            Turn::Answer(pending)
                if response.method().strip_suffix("Response") == Some(&pending.method) =>
            {
                pending.reply = Reply::Response(response);
                self.reply_pending()
            }
            _ => Err(Error::NotNow {
                what: response.method().to_owned().into(),
                reason: "the device did not ask for it".into(),
            }),
        }
    }

    /// Refuses the device's request with a fault (8000–8006, 8800–8899) instead of answering it.
    /// A refused Inform ends the session; the device may begin again.
    ///
    /// # Errors
    ///
    /// [`Error::NotNow`] if no request of the device waits for an answer.
    pub fn refuse(&mut self, fault: Fault) -> Result<Message, Error> {
        match &mut self.turn {
            Turn::Answer(pending) => {
                pending.reply = Reply::Fault(fault);
                self.reply_pending()
            }
            _ => Err(Error::NotNow {
                what: format!("fault {}", fault.code).into(),
                reason: "the device asked for nothing".into(),
            }),
        }
    }

    /// Nothing is pending: it is the ACS' turn to ask, or to end the session.
    pub fn wants_request(&self) -> bool {
        matches!(self.turn, Turn::Ask)
    }

    /// The request that the device did not answer yet; after an error, that it never will.
    pub fn outstanding(&self) -> Option<&Request> {
        self.outstanding.as_ref()
    }

    /// When the device has to have sent its next message.
    pub fn deadline(&self) -> Instant {
        let next = self.heard.checked_add(self.patience);
        let last = self.began.checked_add(self.limits.session_timeout);
        [next, last]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.heard)
    }

    /// The end was sent, or an error ended the session.
    pub fn is_over(&self) -> bool {
        matches!(self.turn, Turn::Over | Turn::Failed)
    }

    /// The version in which the device is answered and asked.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Notes that the device spoke, if it did so in time.
    fn hear(&mut self, now: Instant) -> Result<(), Error> {
        if now > self.deadline() && !self.is_over() {
            let (unit, limit) = if now.saturating_duration_since(self.heard) > self.patience {
                ("seconds between messages", self.patience)
            } else {
                ("seconds for a session", self.limits.session_timeout)
            };
            return Err(Error::Limit {
                unit,
                max: limit.as_secs(),
            });
        }
        self.heard = self.heard.max(now);
        Ok(())
    }

    fn count_device_request(&mut self) -> Result<(), Error> {
        count(
            &mut self.device_requests,
            self.limits.device_requests_max,
            "requests of the device",
        )
    }

    fn out_of_turn(&self, got: &str) -> Error {
        let expected = match (&self.outstanding, &self.turn) {
            (_, Turn::Failed) => Cow::Borrowed("Inform"),
            (Some(request), _) => Cow::Owned(format!("{}Response", request.method())),
            (None, Turn::Begin) => Cow::Borrowed("Inform"),
            (None, _) => Cow::Borrowed("a request or an empty POST"),
        };
        Error::OutOfTurn {
            expected,
            got: crate::error::quoted(got).into(),
        }
    }

    fn reply_pending(&mut self) -> Result<Message, Error> {
        let Turn::Answer(pending) = std::mem::replace(&mut self.turn, Turn::Listen) else {
            return Err(Error::NotNow {
                what: "an answer".into(),
                reason: "the device asked for nothing".into(),
            });
        };
        let mut header = Header {
            id: pending.id,
            hold_requests: self.outstanding.is_some(),
            ..Header::default()
        };
        let body = match pending.reply {
            Reply::Response(response) => {
                if let (Response::Inform, Negotiated::Common(version)) =
                    (&response, self.negotiated)
                {
                    header.use_version = Some(version.as_str().to_owned());
                }
                Body::Response(response)
            }
            Reply::Fault(fault) => {
                if pending.method == "Inform" {
                    self.turn = Turn::Over;
                }
                Body::Fault(fault)
            }
        };
        Ok(Message {
            version: self.version,
            header,
            body,
        })
    }

    fn ask(&mut self, next: Request) -> Result<Message, Error> {
        if let Request::Other(raw) = &next {
            raw.check()?;
        }
        if next.is_of_device() {
            return Err(Error::NotNow {
                what: next.method().to_owned().into(),
                reason: "only a device sends it".into(),
            });
        }
        let counted = count(
            &mut self.requests,
            self.limits.requests_max,
            "requests of the ACS",
        );
        if let Err(error) = counted {
            self.turn = Turn::Failed;
            return Err(error);
        }
        self.turn = Turn::Listen;
        self.outstanding = Some(next.clone());
        Ok(Message {
            version: self.version,
            header: Header {
                id: Some(self.requests.to_string()),
                ..Header::default()
            },
            body: Body::Request(next),
        })
    }
}
