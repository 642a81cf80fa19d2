//! What is asked of devices: tasks, how one request becomes RPCs on the wire, and what is
//! learned of models by asking.

pub mod additions;
pub mod asked;
pub mod campaign;
pub mod diagnostics;
pub mod exchange;
pub mod lessons;
pub mod operation;
pub mod retries;
pub mod standard_names;
pub mod task;
pub mod transfer;
