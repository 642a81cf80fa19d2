//! The Inform, which begins a session or begins it again.

use std::time::{Duration, Instant};

use super::Session;
use super::turn::{Negotiated, Pending, Reply, Turn};
use crate::rpc::fault;
use crate::{Error, Fault, Message, Response};

impl Session {
    /// Takes the header of an Inform: the version, how long the device waits, and what it is
    /// answered.
    pub(super) fn begin(&mut self, now: Instant, message: &Message) -> Result<(), Error> {
        if self.is_over() {
            *self = Session::new(now, self.limits.clone());
        }
        self.hear(now)?;
        self.count_device_request()?;
        self.outstanding = None;
        self.version = message.version;
        let header = &message.header;
        self.negotiated = Negotiated::new(header);
        if let Negotiated::Common(version) = self.negotiated {
            self.version = version;
        }
        // It says how long the device waits for us. That it is short does not make our own
        // flows and the device faster.
        self.patience = Duration::from_secs(header.session_timeout.unwrap_or_default().into())
            .max(self.limits.message_timeout)
            .min(
                self.limits
                    .message_timeout_max
                    .max(self.limits.message_timeout),
            );
        let reply = match self.negotiated {
            Negotiated::Nothing => Reply::Fault(Fault::new(fault::VERSION_INCOMPATIBLE)),
            Negotiated::Not | Negotiated::Common(_) => Reply::Response(Response::Inform),
        };
        self.turn = Turn::Answer(Pending {
            id: header.id.clone(),
            reply,
            method: "Inform".to_owned(),
        });
        Ok(())
    }
}
