//! What is asked of devices: tasks, and how one request becomes RPCs on the wire.

pub mod exchange;
pub mod operation;
pub mod retries;
pub mod standard_names;
pub mod task;
