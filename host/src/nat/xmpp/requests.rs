//! Connection requests under way: each waits for the answer with its id, from its device.

use std::collections::HashMap;
use std::time::Duration;

use cwmp::connection_request::{XmppAnswer, XmppVerdict};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Why a connection request over XMPP came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No stream of the device is open.
    #[error("the device is not online")]
    NotOnline,
    /// It knows other credentials.
    #[error("the device refuses the credentials (not-authorized)")]
    Credentials,
    /// Busy, or it takes no requests from us; an external server says so of a device that is
    /// not online.
    #[error("the device is busy or not available (service-unavailable)")]
    Unavailable,
    /// Another error: its condition.
    #[error("the device answers with an error: {0}")]
    Other(String),
    /// No answer.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The external server cannot be reached.
    #[error("no link to the XMPP server: {0}")]
    NoLink(String),
}

/// Those that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<HashMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// The name of the account that may answer.
    from: String,
    answer: oneshot::Sender<XmppVerdict>,
}

/// A request that waits. It is forgotten when this is dropped.
pub(super) struct Request<'r> {
    requests: &'r Requests,
    /// Goes out with the request.
    pub(super) id: String,
    answer: oneshot::Receiver<XmppVerdict>,
}

impl Requests {
    /// A request to the account `from`, under a fresh id that nobody can guess.
    pub(super) fn begin(&self, from: &str) -> Request<'_> {
        let id = format!("cr{:032x}", rand::random::<u128>());
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting {
            from: from.to_lowercase(),
            answer: sender,
        };
        self.0.lock().insert(id.clone(), waiting);
        Request {
            requests: self,
            id,
            answer,
        }
    }

    /// An answer came from this account. False: nobody waits for it.
    pub(super) fn answered(&self, from: &str, answer: XmppAnswer) -> bool {
        let mut waiting = self.0.lock();
        if waiting
            .get(&answer.id)
            .is_none_or(|waiting| waiting.from != from.to_lowercase())
        {
            return false;
        }
        match waiting.remove(&answer.id) {
            Some(waiting) => waiting.answer.send(answer.verdict).is_ok(),
            None => false,
        }
    }
}

impl Request<'_> {
    /// Waits for the answer.
    pub(super) async fn answer(mut self, wait: Duration) -> Result<(), RequestError> {
        match tokio::time::timeout(wait, &mut self.answer).await {
            Ok(Ok(verdict)) => of_verdict(verdict),
            Ok(Err(_)) => Err(RequestError::NotOnline),
            Err(_) => Err(RequestError::Timeout(wait.as_secs())),
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.requests.0.lock().remove(&self.id);
    }
}

/// What comes of an answer.
pub(super) fn of_verdict(verdict: XmppVerdict) -> Result<(), RequestError> {
    match verdict {
        XmppVerdict::Accepted => Ok(()),
        XmppVerdict::WrongCredentials => Err(RequestError::Credentials),
        XmppVerdict::Unavailable => Err(RequestError::Unavailable),
        XmppVerdict::Other(condition) => Err(RequestError::Other(condition)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, verdict: XmppVerdict) -> XmppAnswer {
        XmppAnswer {
            id: id.into(),
            from: String::new(),
            verdict,
        }
    }

    #[tokio::test]
    async fn only_the_device_that_was_asked_can_answer() {
        let requests = Requests::default();
        let request = requests.begin("Cpe1");
        let id = request.id.clone();
        assert!(!requests.answered("cpe2", answer(&id, XmppVerdict::Accepted)));
        assert!(!requests.answered("cpe1", answer("cr1", XmppVerdict::Accepted)));
        assert!(requests.answered("cpe1", answer(&id, XmppVerdict::Unavailable)));
        let wait = Duration::from_secs(5);
        assert_eq!(request.answer(wait).await, Err(RequestError::Unavailable));
        assert!(
            !requests.answered("cpe1", answer(&id, XmppVerdict::Accepted)),
            "twice"
        );

        let silent = requests.begin("cpe1");
        let wait = Duration::from_millis(20);
        assert_eq!(silent.answer(wait).await, Err(RequestError::Timeout(0)));
        assert!(requests.0.lock().is_empty());
    }
}
