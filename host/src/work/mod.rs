//! What is asked of devices: tasks, and how one request becomes RPCs on the wire.

pub mod diagnostics;
pub mod exchange;
pub mod operation;
pub mod retries;
pub mod task;
pub mod transfer;
