//! What a device's POST means.

use crate::{Fault, Inform, Request, Response};

/// What a device's POST means.
#[derive(Debug, Clone, PartialEq)]
pub enum Received<'m> {
    /// The session begins; or begins again: after a 401, or when our answer was lost.
    Inform(&'m Inform),
    /// A request of the device; [`crate::Session::reply`] answers it. Ours may still wait for its own
    /// answer: some devices tell first what they have to tell.
    Request(&'m Request),
    /// The answer to our request, which is handed back.
    Response(Request, &'m Response),
    /// Our request, which is handed back, failed.
    Fault(Request, &'m Fault),
    /// Our request, which is handed back, was answered by the response to another one: it has
    /// failed, as far as anybody can know.
    OtherAnswer(Request, &'m Response),
    /// An empty POST: the device has nothing to say, it is our turn.
    Ready,
    /// An empty POST where the answer to our request, which is handed back, was due.
    NoAnswer(Request),
    /// An empty POST after the end; [`crate::Session::reply`] ends the session again.
    Over,
}
