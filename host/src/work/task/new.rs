//! A task that is asked for.

use super::Operation;
use crate::device::{DeviceKey, UnixTime};

/// A task that does not exist yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// For which device.
    pub device: DeviceKey,
    /// What it does.
    pub operation: Operation,
    /// When it is given up if not begun.
    pub expires: Option<UnixTime>,
    /// A device's tasks with a higher one are done first.
    pub priority: i8,
    /// So that it is asked for once, however often the caller says so.
    pub once: Option<Once>,
}

/// The caller's own name for what it asks of a device, and what that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Of the caller's choice; at most 255 bytes.
    pub key: String,
    /// SHA-256 of what was asked: the same name for something else is an error.
    pub asked: [u8; 32],
}

impl NewTask {
    /// One that waits for the device as long as it takes.
    pub fn new(device: DeviceKey, operation: Operation) -> NewTask {
        NewTask {
            device,
            operation,
            expires: None,
            priority: 0,
            once: None,
        }
    }
}
