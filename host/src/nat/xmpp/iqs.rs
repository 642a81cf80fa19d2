//! Requests to an XMPP server of somebody else, and to devices behind it.

use std::collections::HashMap;

use cwmp::connection_request::{XmppAnswer, XmppVerdict};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use xmpp::{Element, Jid};

/// What comes back.
#[derive(Debug)]
pub(super) enum IqAnswer {
    /// A result, with what is in it.
    Result(Option<Element>),
    /// An error.
    Error(XmppVerdict),
}

/// A request.
#[derive(Debug)]
pub(super) struct Iq {
    /// Whom.
    pub(super) to: String,
    /// Changes something; otherwise only asks.
    pub(super) is_set: bool,
    /// What.
    pub(super) payload: Element,
    /// Where the answer goes.
    pub(super) answer: oneshot::Sender<IqAnswer>,
}

/// Those that wait for an answer, by id.
#[derive(Debug, Default)]
pub(super) struct Iqs(Mutex<HashMap<String, (String, oneshot::Sender<IqAnswer>)>>);

impl Iqs {
    /// Waits for an answer of `to`, under a fresh id that nobody can guess.
    pub(super) fn begin(&self, to: &str, answer: oneshot::Sender<IqAnswer>) -> String {
        let id = format!("pb{:032x}", rand::random::<u128>());
        let mut waiting = self.0.lock();
        // Whoever gave up does not read any more.
        waiting.retain(|_, (_, answer)| !answer.is_closed());
        waiting.insert(id.clone(), (to.to_owned(), answer));
        id
    }

    /// Takes an answer, from the one that was asked and under its id; whatever else may be
    /// wrong with it.
    pub(super) fn answered(&self, element: &Element) -> bool {
        let mut xml = Vec::new();
        if element.write_to(&mut xml).is_err() {
            return false;
        }
        let Some(answer) = XmppAnswer::read(&String::from_utf8_lossy(&xml)) else {
            return false;
        };
        let mut waiting = self.0.lock();
        let Some((to, _)) = waiting.get(&answer.id) else {
            return false;
        };
        let is_same = match (Jid::parse(to), Jid::parse(&answer.from)) {
            (Some(to), Some(from)) => to.is_same_bare(&from),
            // The server itself need not name itself.
            (_, from) => from.is_none(),
        };
        if !is_same {
            return false;
        }
        let Some((_, sender)) = waiting.remove(&answer.id) else {
            return false;
        };
        let answer = match answer.verdict {
            XmppVerdict::Accepted => IqAnswer::Result(element.children().next().cloned()),
            error => IqAnswer::Error(error),
        };
        sender.send(answer).is_ok()
    }

    /// The link is down: nobody will answer.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_to_come_from_whom_was_asked() {
        let iqs = Iqs::default();
        let answer = |id: &str, from: &str| -> Element {
            format!("<iq xmlns='jabber:client' type='error' id='{id}' from='{from}'><error code='503'/></iq>")
                .parse()
                .unwrap()
        };
        let (sender, mut receiver) = oneshot::channel();
        let id = iqs.begin("cpe1@a.example/wan", sender);
        assert!(!iqs.answered(&answer(&id, "cpe2@a.example/wan")));
        assert!(!iqs.answered(&answer("other", "cpe1@a.example/wan")));
        assert!(iqs.answered(&answer(&id, "CPE1@a.example/lan")));
        assert!(matches!(
            receiver.try_recv().unwrap(),
            IqAnswer::Error(XmppVerdict::Unavailable)
        ));
        let (sender, receiver) = oneshot::channel();
        iqs.begin("cpe1@a.example/wan", sender);
        drop(receiver);
        let (sender, _receiver) = oneshot::channel();
        iqs.begin("cpe1@a.example/wan", sender);
        assert_eq!(iqs.0.lock().len(), 1);
    }
}
