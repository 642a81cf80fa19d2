//! What the listener knows of a device.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use crate::{Oddities, Oddity};

/// What a device can do with a connection request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TargetState {
    /// Open a session.
    Idle,
    /// Nothing but 503, or make it wait.
    InSession,
    /// Not even answer.
    Down,
}

/// The part of a device that its connection-request listener shares.
#[derive(Debug)]
pub struct RequestTarget {
    number: u32,
    login: Mutex<(String, String)>,
    state: AtomicU8,
    oddities: Oddities,
    accepted: AtomicU64,
    refused: AtomicU64,
    wake: UnboundedSender<u32>,
}

impl RequestTarget {
    /// Sends `number` to `wake` for each connection request that was accepted.
    pub fn new(number: u32, oddities: Oddities, wake: UnboundedSender<u32>) -> RequestTarget {
        RequestTarget {
            number,
            login: Mutex::default(),
            state: AtomicU8::new(TargetState::Idle as u8),
            oddities,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            wake,
        }
    }

    /// ConnectionRequestUsername and ConnectionRequestPassword as they are now.
    pub fn set_login(&self, login: (String, String)) {
        *self.login.lock() = login;
    }

    /// From now on.
    pub fn set_state(&self, state: TargetState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Now.
    pub fn state(&self) -> TargetState {
        match self.state.load(Ordering::Acquire) {
            state if state == TargetState::InSession as u8 => TargetState::InSession,
            state if state == TargetState::Down as u8 => TargetState::Down,
            _ => TargetState::Idle,
        }
    }

    /// How many connection requests were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many came with the wrong credentials, or to a busy device. The first request of
    /// a digest exchange, without any, does not count.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn login(&self) -> (String, String) {
        self.login.lock().clone()
    }

    pub(crate) fn oddities(&self) -> Oddities {
        self.oddities
    }

    pub(super) fn has(&self, oddity: Oddity) -> bool {
        self.oddities.has(oddity)
    }

    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        // Nobody listens: the fleet is about to stop.
        let _ = self.wake.send(self.number);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
